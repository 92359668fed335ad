//! Badges: the state of something, as a small picture for other sites.

use askama::Template;

/// How wide a character is, about.
const CHARACTER: usize = 7;
/// How many characters of a text are shown.
const MAX_CHARACTERS: usize = 60;

#[derive(Template)]
#[template(path = "badge.svg")]
struct Badge {
    label: String,
    state: String,
    colour: &'static str,
    left: usize,
    right: usize,
}

/// Returns a badge: what it is about, such as a branch, and its state.
///
/// # Errors
/// Never, unless there is no memory.
pub fn badge(label: &str, state: &str) -> Result<String, askama::Error> {
    let [label, state] =
        [label, state].map(|text| text.chars().take(MAX_CHARACTERS).collect::<String>());
    let colour = match state.as_str() {
        "succeeded" => "#1a7f37",
        "failed" | "timed-out" => "#c62828",
        "lost" => "#7b3fb5",
        "running" => "#0b5cad",
        "queued" => "#8a5a00",
        _ => "#57606a",
    };
    let width = |text: &str| text.chars().count() * CHARACTER + 12;
    let (left, right) = (width(&label), width(&state));
    Badge {
        label,
        state,
        colour,
        left,
        right,
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_shows_what_it_is_about() {
        let svg = badge("<script>", "succeeded").unwrap();
        assert!(
            svg.contains("&lt;script&gt;") && svg.contains("succeeded"),
            "{svg}"
        );
        assert!(!svg.contains("<script>"));
        assert!(badge(&"x".repeat(1_000_000), "y").unwrap().len() < 2000);
    }
}
