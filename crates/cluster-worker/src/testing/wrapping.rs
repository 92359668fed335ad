//! Long lines in snapshots.

/// The longest line of a snapshot, without its indentation.
const COLUMNS: usize = 95;

/// Returns a text with long lines broken at spaces. Continuations are indented.
pub(crate) fn wrapped(text: &str) -> String {
    let mut wrapped = String::new();
    for line in text.split_inclusive('\n') {
        let mut column = 0;
        for word in line.split_inclusive(' ') {
            let width = word.trim_end().chars().count();
            if column > 0 && column + width > COLUMNS {
                wrapped.truncate(wrapped.trim_end_matches(' ').len());
                wrapped.push_str("\n    ");
                column = 4;
            }
            wrapped.push_str(word);
            column += word.chars().count();
        }
    }
    wrapped
}
