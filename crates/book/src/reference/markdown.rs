//! Texts of the code in Markdown, without meaning more than they do.

/// Returns prose in which nothing is taken for markup but what is between backticks.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut is_code = false;
    for c in text.chars() {
        match c {
            '`' => is_code = !is_code,
            '<' | '>' | '*' | '[' | ']' | '|' if !is_code => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    out
}

/// Returns `text` as code in a line. A line's end in it is shown as `\n`.
pub(super) fn code(text: &str) -> String {
    let text = text.replace('\n', "\\n");
    // The fence must be longer than any run of backticks inside.
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    if longest == 0 {
        return format!("`{text}`");
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence} {text} {fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_for_markup() {
        assert_eq!(prose("<N> of `a<b>`, or *"), "\\<N\\> of `a<b>`, or \\*");
        assert_eq!(code("a\nb"), "`a\\nb`");
        assert_eq!(code("run `x`"), "`` run `x` ``");
    }
}
