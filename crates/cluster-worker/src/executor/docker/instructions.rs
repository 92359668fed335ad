//! The instructions of a Dockerfile, as both of the engine's builders split it into them.

/// Splits a Dockerfile into its instructions, each on one line, without comments.
///
/// `heredocs`: whether lines after `<<NAME` are text up to the line NAME, as they are for BuildKit and not for the classic builder.
pub(super) fn instructions(dockerfile: &str, heredocs: bool) -> Vec<String> {
    let escape = escape(dockerfile);
    let mut instructions = Vec::new();
    let mut open = String::new();
    let mut lines = dockerfile.lines();
    while let Some(line) = lines.next() {
        let start = line.trim_start();
        if start.starts_with('#') || (start.is_empty() && !open.is_empty()) {
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
                        // Without its end, the rest is text.
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

/// Returns the character that continues a line: a directive at the beginning may change it.
fn escape(dockerfile: &str) -> char {
    for line in dockerfile.lines() {
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
        // `<<<` and `<< x` are the shell's.
        if !name.is_empty() && name.chars().all(is_name) && !part.starts_with(char::is_whitespace) {
            names.push((name.to_owned(), is_indented));
        }
    }
    names
}

/// The longest word that variables may make, in bytes: no image's name comes near. Without a limit, a few lines that each double a
/// variable would make one that no memory holds.
pub(super) const LONGEST_WORD: usize = 4096;

/// Returns a word with its quotes removed and its variables replaced. `None` if that is beyond us, or longer than
/// [`LONGEST_WORD`].
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

/// Returns what `${inner}` means.
fn braced(inner: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let Some(end) = end else {
        return Some(value(inner).unwrap_or_default());
    };
    let (name, operator) = inner.split_at(end);
    let known = value(name);
    let set = known.clone().filter(|value| !value.is_empty());
    let (is_set, operator) = match operator.strip_prefix(':') {
        Some(operator) => (set, operator),
        None => (known.clone(), operator),
    };
    let mut operator = operator.chars();
    let kind = operator.next();
    let word = operator.as_str();
    // What is nested is beyond us.
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
    fn lines_are_put_together() {
        let text = "# escape=\\\nFROM a \\\n # comment\n\n AS b\n\nRUN x <<A <<-'B'\nFROM c\nA\nFROM d\n\tB\nCOPY e /\\";
        assert_eq!(
            instructions(text, true),
            ["FROM a  AS b", "RUN x <<A <<-'B'", "COPY e /"]
        );
        assert_eq!(instructions(text, false).len(), 7);
        assert_eq!(instructions("#escape = `\nFROM `\na", false), ["FROM a"]);
        assert_eq!(instructions("", true), [""; 0]);
    }

    #[test]
    fn words_are_expanded() {
        let value = |name: &str| match name {
            "A" => Some("a".to_owned()),
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
            ("$", None),
        ] {
            assert_eq!(expand(word, &value).as_deref(), expected, "{word}");
        }
    }
}
