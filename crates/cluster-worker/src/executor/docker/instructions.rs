//! The instructions of a Dockerfile, as the engine's two builders read them.

use super::frontend::BYTE_ORDER_MARK;

/// Splits a Dockerfile into its instructions, each on one line, without comments.
///
/// `heredocs`: whether the lines after `<<NAME` up to the line NAME are text. BuildKit supports this, the classic
/// builder does not.
pub(super) fn instructions(dockerfile: &str, heredocs: bool) -> Vec<String> {
    let escape = escape(dockerfile);
    let mut instructions = Vec::new();
    let mut open = String::new();
    let mut lines = lines(dockerfile);
    while let Some(line) = lines.next() {
        if is_comment(line) || (line.trim().is_empty() && !open.is_empty()) {
            continue;
        }
        match line.trim_end().strip_suffix(escape) {
            Some(part) => open.push_str(part),
            None => {
                open.push_str(line);
                let instruction = std::mem::take(&mut open).trim().to_owned();
                if heredocs {
                    for (name, is_indented) in heredoc_names(&instruction) {
                        let ends = |line: &&str| {
                            let line = if is_indented {
                                line.trim_start_matches('\t')
                            } else {
                                line
                            };
                            line == name
                        };
                        // Without an end, the rest is text.
                        lines.by_ref().find(ends);
                    }
                }
                instructions.push(instruction);
            }
        }
    }
    instructions.push(open.trim().to_owned());
    instructions.retain(|instruction| !instruction.is_empty());
    instructions
}

/// Returns a line that versions of the engine read differently, if there is one: a continuation for one version is an
/// instruction for another.
///
/// For older versions, every escape at the end of a line continues it; for newer ones, not an escape after another.
/// They also differ in the white space that may follow, and in how `escape` may be set, except on the first line.
pub(super) fn ambiguous_line(dockerfile: &str) -> Option<&str> {
    let escape = escape(dockerfile);
    let comments = lines(dockerfile).take_while(|line| is_comment(line));
    let mut directives = comments.enumerate().filter(|(_, line)| {
        let line = line.to_ascii_lowercase();
        line.contains("escape") && line.contains('=')
    });
    let directive = directives.find(|(index, line)| *index > 0 || !is_plain_directive(line));
    let is_ambiguous = |line: &&str| {
        let end = line.trim_end_matches([' ', '\t']);
        let is_continued = end
            .strip_suffix(escape)
            .is_some_and(|rest| !rest.ends_with(escape));
        !is_comment(line) && line.trim_end().ends_with(escape) != is_continued
    };
    let directive = directive.map(|(_, line)| line);
    directive.or_else(|| lines(dockerfile).find(is_ambiguous))
}

/// Returns the lines of a Dockerfile.
fn lines(dockerfile: &str) -> std::str::Lines<'_> {
    dockerfile
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(dockerfile)
        .lines()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Returns whether a line sets the escape in a form that every version understands.
fn is_plain_directive(line: &str) -> bool {
    let parts = line.strip_prefix('#').and_then(|line| line.split_once('='));
    parts.is_some_and(|(name, value)| {
        let [name, value] = [name, value].map(|part| part.trim_matches([' ', '\t']));
        name.eq_ignore_ascii_case("escape") && ["`", "\\"].contains(&value)
    })
}

/// Returns the character that continues a line: a directive at the beginning may change it.
fn escape(dockerfile: &str) -> char {
    for line in lines(dockerfile) {
        let Some((name, value)) = line
            .trim()
            .strip_prefix('#')
            .and_then(|d| d.split_once('='))
        else {
            break;
        };
        if name.trim().eq_ignore_ascii_case("escape") && value.trim() == "`" {
            return '`';
        }
    }
    '\\'
}

/// Returns the names that end the texts after an instruction, and whether the lines of the text are indented by tabs.
fn heredoc_names(instruction: &str) -> Vec<(String, bool)> {
    let keyword = instruction.split_whitespace().next().unwrap_or_default();
    if !["run", "copy", "add"].contains(&keyword.to_ascii_lowercase().as_str()) {
        return Vec::new();
    }
    let mut names = Vec::new();
    for part in instruction.split("<<").skip(1) {
        let (part, is_indented) = match part.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (part, false),
        };
        let name = part.split_whitespace().next().unwrap_or_default();
        let name = name.trim_matches(['"', '\'']);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        // `<<<` and `<< x` belong to the shell.
        if !name.is_empty() && name.chars().all(is_name) && !part.starts_with(char::is_whitespace) {
            names.push((name.to_owned(), is_indented));
        }
    }
    names
}

/// The longest word that variables may expand to, in bytes: much longer than names of images. Without a limit, a few
/// lines that each double a variable would use up all memory.
pub(super) const LONGEST_WORD: usize = 4096;

/// Stands for a value that cannot be read. It cannot be a part of an image's name.
pub(super) const UNREADABLE: &str = "${?}";

/// Splits a text into words. White space within quotes does not separate words.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    let is_between = move |c: char| {
        match quote {
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => return c.is_whitespace(),
            Some(open) if open == c => quote = None,
            Some(_) => {}
        }
        false
    };
    text.split(is_between).filter(|word| !word.is_empty())
}

/// Returns a word with its quotes removed and its variables replaced. `None` if this is not supported, or if the result
/// is longer than [`LONGEST_WORD`].
pub(super) fn expand(word: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' | '\'' => {}
            '\\' => expanded.extend(rest.next()),
            '$' if rest.peek() == Some(&'{') => {
                rest.next();
                let inner: String = rest.by_ref().take_while(|c| *c != '}').collect();
                expanded.push_str(&braced(&inner, value)?);
            }
            '$' => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                if name.is_empty() {
                    return None;
                }
                expanded.push_str(&value(&name).unwrap_or_default());
            }
            c => expanded.push(c),
        }
        if expanded.len() > LONGEST_WORD {
            return None;
        }
    }
    Some(expanded)
}

/// Returns the value of `${inner}`.
fn braced(inner: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let Some(end) = end else {
        return Some(value(inner).unwrap_or_default());
    };
    let (name, operator) = inner.split_at(end);
    let known = value(name);
    // The value may be empty or not.
    if known.as_ref().is_some_and(|value| value == UNREADABLE) {
        return None;
    }
    let set = known.clone().filter(|value| !value.is_empty());
    let (is_set, operator) = match operator.strip_prefix(':') {
        Some(operator) => (set, operator),
        None => (known.clone(), operator),
    };
    let mut operator = operator.chars();
    let kind = operator.next();
    let word = operator.as_str();
    // Nested variables are not supported.
    if word.contains('$') {
        return None;
    }
    match (kind, is_set) {
        (Some('-'), Some(value)) => Some(value),
        (Some('-'), None) => Some(word.to_owned()),
        (Some('+'), Some(_)) => Some(word.to_owned()),
        (Some('+'), None) => Some(String::new()),
        (Some('?'), Some(value)) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_are_joined() {
        let text = "# escape=\\\nFROM a \\\n # comment\n\n AS b\n\n\
                    RUN x <<A <<-'B'\nFROM c\nA\nFROM d\n\tB\nCOPY e /\\";
        assert_eq!(
            instructions(text, true),
            ["FROM a  AS b", "RUN x <<A <<-'B'", "COPY e /"]
        );
        assert_eq!(instructions(text, false).len(), 7);
        assert_eq!(instructions("#escape = `\nFROM `\na", false), ["FROM a"]);
        assert_eq!(instructions("", true), [""; 0]);
    }

    #[test]
    fn lines_that_versions_read_differently_are_found() {
        for (text, expected) in [
            ("\u{feff}# escape=`\nFROM `\r\n x\\\\\n# \\\\\n", None),
            ("FROM \\ \t\n x", None),
            ("RUN x \\\\\nFROM y", Some("RUN x \\\\")),
            ("RUN x \\\r\r\nFROM y", Some("RUN x \\\r")),
            ("RUN x \\\u{a0}\nFROM y", Some("RUN x \\\u{a0}")),
            ("# a b = c\n# escape=`\nFROM x", Some("# escape=`")),
            ("# escape=`x\nFROM x", Some("# escape=`x")),
        ] {
            assert_eq!(ambiguous_line(text), expected, "{text:?}");
        }
    }

    #[test]
    fn words_are_split() {
        let split: Vec<_> = words("A=\"x B=y\" C='\"' D=z").collect();
        assert_eq!(split, ["A=\"x B=y\"", "C='\"'", "D=z"]);
    }

    #[test]
    fn words_are_expanded() {
        let value = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "U" => Some(UNREADABLE.to_owned()),
            "E" => Some(String::new()),
            _ => None,
        };
        for (word, expected) in [
            ("x", Some("x")),
            ("$A-${A}b", Some("a-ab")),
            ("\"4\"1'9'\\a", Some("419a")),
            ("${N:-d}${E:-e}${E-f}${A:-g}", Some("dea")),
            ("${A:+y}${N:+z}${N}$N", Some("y")),
            ("${A%x}", None),
            ("${N:-$A}", None),
            ("41${U:+x}", None),
            ("$", None),
        ] {
            assert_eq!(expand(word, &value).as_deref(), expected, "{word}");
        }
    }
}
