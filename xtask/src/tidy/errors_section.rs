//! Every public function that returns a `Result` says in its documentation when it fails.

use super::finding::{Finding, Rule};
use super::tree::TextFile;

/// Returns the functions whose documentation does not.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    let mut found = Vec::new();
    if !is_library(&file.path) {
        return found;
    }
    let lines: Vec<&str> = file.text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let Some(name) = public_function(&lines, number, line) else {
            continue;
        };
        if returns_result(&lines[number..]) && !says_when_it_fails(&lines[..number]) {
            let message =
                format!("fn {name} returns a Result; say when it fails, below `/// # Errors`");
            found.push(Finding {
                rule: Rule::ErrorsSection,
                subject: name.to_owned(),
                ..Finding::strict(&file.path, number + 1, message)
            });
        }
    }
    found
}

/// Tests and examples document themselves.
fn is_library(path: &str) -> bool {
    path.contains("/src/")
}

/// Returns the name of the function that is declared on this line, if others may call it: one with a plain `pub`, or
/// a method of a trait with a plain `pub`.
fn public_function<'a>(lines: &[&str], number: usize, line: &'a str) -> Option<&'a str> {
    let declared = line.trim_start();
    let indent = &line[..line.len() - declared.len()];
    let (before, after) = declared.split_once("fn ")?;
    let mut words = before.split_whitespace().peekable();
    let is_public = words.next_if_eq(&"pub").is_some() || is_in_public_trait(lines, number, indent);
    let is_declaration = words.all(|word| matches!(word, "const" | "async" | "unsafe"));
    (is_public && is_declaration).then(|| {
        let end = after.find(|c: char| !c.is_alphanumeric() && c != '_');
        &after[..end.unwrap_or(after.len())]
    })
}

/// It relies on rustfmt: what contains a line is the closest one above it that is indented less.
fn is_in_public_trait(lines: &[&str], number: usize, indent: &str) -> bool {
    let above = lines[..number].iter().rev();
    let mut outer = above.filter(|line| {
        let shorter = line.len() - line.trim_start().len();
        !line.trim().is_empty() && shorter < indent.len()
    });
    outer
        .next()
        .is_some_and(|line| line.trim_start().starts_with("pub trait "))
}

/// Returns whether the signature that begins on the first of these lines ends in a `Result`.
fn returns_result(lines: &[&str]) -> bool {
    let mut signature = String::new();
    for line in lines {
        signature.push_str(line.trim());
        signature.push(' ');
        if line.ends_with(['{', ';', '}']) {
            break;
        }
    }
    let body = signature.find(" {").unwrap_or(signature.len());
    let signature = &signature[..body];
    // What a `where` clause says of closures is not what is returned.
    let signature = signature.split(" where ").next().unwrap_or_default();
    let Some((_, returned)) = signature.rsplit_once(") -> ") else {
        return false;
    };
    let head = returned.split('<').next().unwrap_or_default();
    let is_result = head.trim_end_matches([' ', ';']).rsplit("::").next() == Some("Result");
    is_result || returned.contains("Output = Result<")
}

/// Returns whether the documentation at the end of these lines has the section.
fn says_when_it_fails(above: &[&str]) -> bool {
    above
        .iter()
        .rev()
        .map(|line| line.trim_start())
        .take_while(|line| {
            !line.is_empty() && !line.ends_with(['{', '}', ';']) || line.starts_with("///")
        })
        .any(|line| line == "/// # Errors")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let found = check(&TextFile::new("crates/a/src/a.rs", text));
        found.into_iter().map(|finding| finding.subject).collect()
    }

    #[test]
    fn a_public_function_that_may_fail_says_when() {
        assert_eq!(
            names("/// Opens it.\npub fn open() -> Result<()> {\n"),
            ["open"]
        );
        let documented = "/// Opens it.\n///\n/// # Errors\n/// When it is shut; ever.\n\
                          #[must_use]\npub fn open() -> Result<()> {\n";
        assert!(names(documented).is_empty());
    }

    #[test]
    fn a_signature_may_take_many_lines() {
        let text = "    pub async fn open(\n        f: impl Fn() -> u8,\n    ) -> io::Result<Vec<u8>>\n    \
                    where\n        A: B,\n    {\n";
        assert_eq!(names(text), ["open"]);
        assert_eq!(
            names("pub fn a() -> impl Future<Output = Result<()>> {\n"),
            ["a"]
        );
    }

    #[test]
    fn methods_of_public_traits_count() {
        let text = "pub trait A {\n    /// Reads.\n    fn read(&self) -> Result<u8>;\n}\n\
                    trait B {\n    fn read(&self) -> Result<u8>;\n}\n";
        assert_eq!(names(text), ["read"]);
    }

    #[test]
    fn others_need_not() {
        let text = "pub(crate) fn a() -> Result<()> {\nfn b() -> Result<()> {\npub fn c(d: Result<()>) -> u8 {\n\
                    pub fn e() -> ResultSet {\npub fn f() -> Option<Result<()>> {\n";
        assert!(names(text).is_empty());
        let bound = "pub fn g<F, M>(main: M) -> u8\nwhere\n    M: FnOnce(u8) -> F,\n    \
                     F: Future<Output = Result<(), u8>>,\n{\n";
        assert!(names(bound).is_empty());
        let in_tests = TextFile::new("crates/a/tests/a.rs", "pub fn a() -> Result<()> {\n");
        assert!(check(&in_tests).is_empty());
    }
}
