//! Escapes texts of the code for Markdown.

/// Returns prose in which everything is escaped but text between backticks.
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

/// Returns `text` as inline code. A line break in it is shown as `\n`.
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
    fn markup_is_escaped() {
        assert_eq!(prose("<N> of `a<b>`, or *"), "\\<N\\> of `a<b>`, or \\*");
        assert_eq!(code("a\nb"), "`a\\nb`");
        assert_eq!(code("run `x`"), "`` run `x` ``");
    }
}
