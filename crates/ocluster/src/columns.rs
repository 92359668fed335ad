//! Text in the columns of a terminal.

use cli::print::stdout_columns;
use ratatui::text::Span;

/// Returns lines of text as they are printed on standard output: what does not fit into a line of a terminal is in
/// others, indented by so many columns. Elsewhere, the lines are as they are.
pub(crate) fn for_stdout(text: String, indent: usize) -> String {
    match stdout_columns() {
        Some(columns) => lines_of(&text, columns, indent),
        None => text,
    }
}

/// Returns lines of text in lines of at most so many columns.
fn lines_of(text: &str, columns: usize, indent: usize) -> String {
    let lines = text.lines().flat_map(|line| filled(line, columns, indent));
    lines.map(|line| line + "\n").collect()
}

/// Returns the text in lines of at most so many columns, which begin with a word if that is not too long for a line.
/// All but the first are indented like the first, or by as many columns as given if that is more.
pub(crate) fn filled(text: &str, columns: usize, indent: usize) -> Vec<String> {
    let blanks = text.chars().take_while(|c| *c == ' ').count();
    let indent = " ".repeat(blanks.max(indent).min(columns / 2));
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        let is_begun = !line.trim_start().is_empty();
        if is_begun && columns_of(&line) + columns_of(word.trim_end()) > columns {
            lines.push(std::mem::replace(&mut line, indent.clone()));
        }
        line.push_str(word);
        if columns_of(line.trim_end()) > columns {
            let mut parts = wrapped(line.trim_end(), columns);
            let blank = if word.ends_with(' ') { " " } else { "" };
            line = parts.pop().unwrap_or_default() + blank;
            lines.extend(parts);
        }
    }
    lines.push(line);
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Returns the text in lines of so many columns.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let width = width(c);
        if used + width > columns.max(2) {
            lines.push(String::new());
            used = 0;
        }
        used += width;
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
    }
    lines
}

/// Returns how many columns a text takes.
pub(crate) fn columns_of(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Returns how many columns a character takes.
pub(crate) fn width(c: char) -> usize {
    match c.is_ascii() {
        true => 1,
        false => Span::raw(&*c.encode_utf8(&mut [0; 4])).width(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_into_lines_of_the_screen() {
        assert_eq!(wrapped("", 3), [""]);
        assert_eq!(wrapped("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(wrapped("a名前", 3), ["a名", "前"]);
    }

    #[test]
    fn lines_begin_with_words() {
        let text = "  state:  queued behind 12 jobs";
        assert_eq!(filled(text, 80, 10), [text]);
        assert_eq!(
            filled(text, 20, 10),
            ["  state:  queued", "          behind 12", "          jobs"]
        );
        assert_eq!(filled("", 20, 10), [""]);
        assert_eq!(
            filled("  abcdefghijk lm", 6, 0),
            ["  abcd", "efghij", "k lm"]
        );
    }

    #[test]
    fn lines_that_fit_are_not_changed() {
        let text = "Job x: queued: no worker is connected\n  pool       linux\n";
        assert_eq!(lines_of(text, 80, 13), text);
        assert_eq!(
            lines_of(text, 30, 13),
            "Job x: queued: no worker is\n             connected\n  pool       linux\n"
        );
    }
}
