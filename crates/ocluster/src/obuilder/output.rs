//! Answers for people, and for programs as [`crate::json::obuilder`] defines them.

use serde::Serialize;

use cli::error::CommandError;
use cli::output::Format;

/// The option of all commands that list something.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct OutputArgs {
    /// Output format: text for people, json for programs
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    output: Format,
}

impl OutputArgs {
    /// Prints the answer in the chosen format.
    pub(super) fn print<T: Serialize>(
        self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> T,
    ) -> Result<(), CommandError> {
        self.output.print(text, json)
    }
}

/// Returns a size in the units of build logs.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // A double has more digits than are shown.
    let mut value = bytes as f64 / 1000.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // 1000.0 of a unit is 1.0 of the next.
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (2_007_040, "2.0 MB"),
            (123_456_789_012, "123.5 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
