//! Whether the output may have colours and other escape sequences: one answer for the whole process.
//!
//! Code that prints, deep inside of commands, needs it, so the option is kept for the whole process, like the
//! environment.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::sync::OnceLock;

use clap::ValueEnum;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never, not even in the log of a build.
    Never,
}

/// The value of `--color`. Auto until the command line is parsed.
static COLOUR: OnceLock<Colour> = OnceLock::new();

/// Stores the value of `--color` for the rest of the process.
pub(crate) fn set_colour(colour: Colour) {
    // The command line is parsed once.
    COLOUR.get_or_init(|| colour);
}

/// Returns whether colours are disabled for all output, including those of builds in their logs.
pub(crate) fn is_colour_disabled() -> bool {
    let colour = COLOUR.get().copied().unwrap_or_default();
    is_disabled(colour, std::env::var_os("NO_COLOR").as_deref(), is_dumb())
}

/// Returns whether our own text may have colours on `stream`.
pub fn has_colour(stream: &impl IsTerminal) -> bool {
    let colour = COLOUR.get().copied().unwrap_or_default();
    colour == Colour::Always || (!is_colour_disabled() && stream.is_terminal())
}

/// Returns whether the terminal can only print, so that no line on it can be replaced.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn is_disabled(colour: Colour, no_color: Option<&OsStr>, is_dumb: bool) -> bool {
    match colour {
        Colour::Always => false,
        Colour::Never => true,
        Colour::Auto => is_dumb || no_color.is_some_and(|value| !value.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_overrides_the_environment() {
        let set = Some(OsStr::new("1"));
        for (colour, no_color, dumb, disabled) in [
            (Colour::Auto, None, false, false),
            (Colour::Auto, Some(OsStr::new("")), false, false),
            (Colour::Auto, set, false, true),
            (Colour::Auto, None, true, true),
            (Colour::Never, None, false, true),
            (Colour::Always, set, true, false),
        ] {
            assert_eq!(is_disabled(colour, no_color, dumb), disabled, "{colour:?}");
        }
    }
}
