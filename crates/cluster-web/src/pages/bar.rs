//! Bars: how much of something is used.

use super::frame::percent;

/// Returns a bar as SVG, which needs no style of its own.
pub(super) fn bar(part: f64, whole: f64, label: &str) -> String {
    let used = percent(part, whole);
    let label = crate::log::escaped(label);
    format!(
        "<svg class=\"bar\" role=\"img\" aria-label=\"{label}\"><rect class=\"back\" width=\"100%\" height=\"100%\"/>\
         <rect class=\"used\" width=\"{used:.1}%\" height=\"100%\"/></svg>"
    )
}
