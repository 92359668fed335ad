//! Answers for people, and for programs: `docs/obuilder-output.md` says what is in the latter.

use clap::ValueEnum;
use serde_json::Value;

use crate::error::CommandError;
use crate::program;

/// The option of every command that lists something.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct OutputArgs {
    /// text, or json for programs (docs/obuilder-output.md says what is in it)
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl OutputArgs {
    /// Prints one of the two.
    pub(super) fn print(
        self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> Result<(), CommandError> {
        match self.output {
            Format::Text => program::print(&text()),
            Format::Json => program::print_line(format_args!("{:#}", json())),
        }
    }
}

/// Returns a size as people read it: in the largest unit of which there is one, with three digits or so.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Sizes of files are far below 2^53 times the precision that is shown.
    let mut value = bytes as f64 / 1024.0;
    for unit in UNITS {
        if value < 9.95 {
            return format!("{value:.1} {unit}");
        }
        if value < 1023.5 {
            return format!("{value:.0} {unit}");
        }
        value /= 1024.0;
    }
    format!("{bytes} B")
}

/// Returns rows as a table, its columns as wide as they have to be, the last one as it is.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let blanks = width.saturating_sub(cell.chars().count()) + 2;
            line.push_str(cell);
            line.push_str(&" ".repeat(blanks));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_200, "10 KiB"),
            (1_048_000, "1023 KiB"),
            (1_048_575, "1.0 MiB"),
            (5_000_000_000, "4.7 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
