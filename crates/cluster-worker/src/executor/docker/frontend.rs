//! BuildKit frontends: the program that reads a Dockerfile. It is built into the engine, or an image that the
//! Dockerfile or a build argument names.
//!
//! The engine pulls such an image, and it drives BuildKit, which bypasses most checks of the worker. So a worker uses
//! the engine's own frontend, and others only if its operator lists them. Most Dockerfiles name the engine's own in
//! another version; the worker ignores that.

use std::ops::Range;

/// The build argument that names a frontend.
const BUILD_ARG: &str = "BUILDKIT_SYNTAX";

/// The repositories of the frontend that is built into engines.
const BUILT_IN: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// The byte order mark that some editors put at the beginning of a file.
pub(super) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The frontends that jobs may use, besides the engine's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Frontends(Vec<String>);

/// Why a build is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrontendError {
    #[error(
        "the BuildKit frontend {0:?} is not allowed on this worker: do without it, or ask the worker's operator to add \
         it to --buildkit-frontends"
    )]
    NotAllowed(String),
    #[error(
        "a Dockerfile that is a JSON document needs a special BuildKit frontend, which is not allowed on this worker"
    )]
    Json,
}

/// What the worker does about a frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// The worker uses it.
    Allowed,
    /// The worker ignores it, as it is built into the engine.
    BuiltIn,
    Refused(FrontendError),
}

/// A Dockerfile and build arguments that name only allowed frontends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// The Dockerfile, if it had to be changed.
    pub(super) dockerfile: Option<String>,
    pub(super) build_args: Vec<String>,
    /// The frontends that were ignored.
    pub(super) ignored: Vec<String>,
}

impl Frontends {
    /// `allowed`: repositories (`docker/dockerfile`), of which all tags are allowed, and images
    /// (`docker/dockerfile:1.7`).
    pub(super) fn new(allowed: &[String]) -> Self {
        Self(
            allowed
                .iter()
                .map(|image| normalized(image).to_owned())
                .collect(),
        )
    }

    /// Removes the engine's own frontend from a build.
    ///
    /// # Errors
    /// When the build names a frontend that is not allowed.
    pub(super) fn check(
        &self,
        dockerfile: &str,
        build_args: &[String],
    ) -> Result<Checked, FrontendError> {
        let mut checked = Checked {
            dockerfile: None,
            build_args: Vec::new(),
            ignored: Vec::new(),
        };
        for arg in build_args {
            match arg.split_once('=') {
                Some((name, value)) if name.trim() == BUILD_ARG => match self.judge(value) {
                    Verdict::Allowed => checked.build_args.push(arg.clone()),
                    Verdict::BuiltIn => checked.ignored.push(arg.clone()),
                    Verdict::Refused(error) => return Err(error),
                },
                _ => checked.build_args.push(arg.clone()),
            }
        }
        if is_json(dockerfile) {
            return Err(FrontendError::Json);
        }
        let mut text = String::with_capacity(dockerfile.len());
        let mut copied = 0;
        for Directive { line, value } in directives(dockerfile) {
            match self.judge(&value) {
                Verdict::Allowed => {}
                Verdict::Refused(error) => return Err(error),
                Verdict::BuiltIn => {
                    let shown = dockerfile[line.clone()]
                        .trim_start_matches(BYTE_ORDER_MARK)
                        .trim();
                    checked.ignored.push(shown.to_owned());
                    text.push_str(&dockerfile[copied..line.start]);
                    copied = line.end;
                }
            }
        }
        if copied > 0 {
            text.push_str(&dockerfile[copied..]);
            checked.dockerfile = Some(text);
        }
        Ok(checked)
    }

    fn judge(&self, value: &str) -> Verdict {
        let image = value.split_whitespace().next().unwrap_or_default();
        let name = normalized(image);
        let repository = repository(name);
        if self
            .0
            .iter()
            .any(|allowed| allowed == name || allowed == repository)
        {
            Verdict::Allowed
        } else if repository.is_empty() || BUILT_IN.contains(&repository) {
            Verdict::BuiltIn
        } else {
            Verdict::Refused(FrontendError::NotAllowed(image.to_owned()))
        }
    }
}

/// Returns the name of an image without the name of the public registry.
fn normalized(image: &str) -> &str {
    let image = image.trim();
    ["docker.io/", "index.docker.io/", "registry-1.docker.io/"]
        .iter()
        .find_map(|registry| image.strip_prefix(registry))
        .unwrap_or(image)
}

fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// A line that names a frontend.
struct Directive {
    line: Range<usize>,
    value: String,
}

/// Finds the lines `# syntax=VALUE` or `// syntax=VALUE` among the comments at the beginning of a file.
///
/// BuildKit allows a byte order mark and a line `#!` before it, and no other comment. Its versions differ in such
/// details, so this finds more lines than any of them.
fn directives(text: &str) -> Vec<Directive> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.len();
        start = range.end;
        let line = line.trim_start_matches(BYTE_ORDER_MARK).trim();
        if line.is_empty() {
            continue;
        }
        let Some(comment) = line.strip_prefix('#').or_else(|| line.strip_prefix("//")) else {
            break;
        };
        if let Some((name, value)) = comment.split_once('=')
            && name.trim().eq_ignore_ascii_case("syntax")
            && !value.trim().is_empty()
        {
            let value = value.trim().to_owned();
            found.push(Directive { line: range, value });
        }
    }
    found
}

fn is_json(text: &str) -> bool {
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    let text = match text.strip_prefix("#!") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    };
    text.trim_start().starts_with('{')
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::Frontends;
    use crate::testing::wrapped;

    fn allowed() -> Frontends {
        Frontends::new(&[
            "ghcr.io/x/front".to_owned(),
            "docker/dockerfile:1.7".to_owned(),
        ])
    }

    #[test]
    fn frontends_are_allowed_ignored_or_refused() {
        let mut shown = String::new();
        for text in [
            "FROM x\n# syntax=evil/front",
            "# syntax=docker/dockerfile:1\nFROM x",
            "#Syntax = docker.io/docker/dockerfile:1-labs \r\n# escape=`\nFROM x",
            "# escape=`\n// syntax=docker/dockerfile\nFROM x",
            "# syntax=docker/dockerfile:1.7\nFROM x",
            "# syntax=ghcr.io/x/front@sha256:1234 with arguments\nFROM x",
            "# syntax=docker/dockerfile:1\n# syntax=evil/front\nFROM x",
            "// syntax=ghcr.io/x/front\n# syntax=evil/front\nFROM x",
            "\u{feff}# syntax=evil/front\nFROM x",
            "#!/usr/bin/env x\n\n#syntax=evil/front:1\nFROM x",
            "//SYNTAX=evil/docker/dockerfile:1\nFROM x",
            " # syntax = 419a\nFROM x",
            "# syntax=\nFROM x",
            "{\"syntax\": \"evil/front\"}",
            "#!x\n {\"a\": 1}",
        ] {
            let checked = allowed().check(text, &[]);
            shown += &match checked {
                Err(error) => format!("{text:?}: {error}\n"),
                Ok(checked) => {
                    format!("{text:?}: {:?} {:?}\n", checked.ignored, checked.dockerfile)
                }
            };
        }
        expect![[r##"
            "FROM x\n# syntax=evil/front": [] None
            "# syntax=docker/dockerfile:1\nFROM x": ["# syntax=docker/dockerfile:1"] Some("FROM x")
            "#Syntax = docker.io/docker/dockerfile:1-labs \r\n# escape=`\nFROM x": ["#Syntax =
                docker.io/docker/dockerfile:1-labs"] Some("# escape=`\nFROM x")
            "# escape=`\n// syntax=docker/dockerfile\nFROM x": ["// syntax=docker/dockerfile"] Some("#
                escape=`\nFROM x")
            "# syntax=docker/dockerfile:1.7\nFROM x": [] None
            "# syntax=ghcr.io/x/front@sha256:1234 with arguments\nFROM x": [] None
            "# syntax=docker/dockerfile:1\n# syntax=evil/front\nFROM x": the BuildKit frontend "evil/front"
                is not allowed on this worker: do without it, or ask the worker's operator to add it to
                --buildkit-frontends
            "// syntax=ghcr.io/x/front\n# syntax=evil/front\nFROM x": the BuildKit frontend "evil/front" is
                not allowed on this worker: do without it, or ask the worker's operator to add it to
                --buildkit-frontends
            "\u{feff}# syntax=evil/front\nFROM x": the BuildKit frontend "evil/front" is not allowed on
                this worker: do without it, or ask the worker's operator to add it to --buildkit-frontends
            "#!/usr/bin/env x\n\n#syntax=evil/front:1\nFROM x": the BuildKit frontend "evil/front:1" is not
                allowed on this worker: do without it, or ask the worker's operator to add it to
                --buildkit-frontends
            "//SYNTAX=evil/docker/dockerfile:1\nFROM x": the BuildKit frontend "evil/docker/dockerfile:1"
                is not allowed on this worker: do without it, or ask the worker's operator to add it to
                --buildkit-frontends
            " # syntax = 419a\nFROM x": the BuildKit frontend "419a" is not allowed on this worker: do
                without it, or ask the worker's operator to add it to --buildkit-frontends
            "# syntax=\nFROM x": [] None
            "{\"syntax\": \"evil/front\"}": a Dockerfile that is a JSON document needs a special BuildKit
                frontend, which is not allowed on this worker
            "#!x\n {\"a\": 1}": a Dockerfile that is a JSON document needs a special BuildKit frontend,
                which is not allowed on this worker
        "##]]
        .assert_eq(&wrapped(&shown));
    }

    #[test]
    fn build_arguments_name_frontends_too() {
        let allowed = allowed();
        let check = |arg: &str| allowed.check("FROM x", &["A=1".to_owned(), arg.to_owned()]);
        assert!(check("BUILDKIT_SYNTAX=evil/front").is_err());
        assert_eq!(check("BUILDKIT_SYNTAX=").unwrap().build_args, ["A=1"]);
        assert_eq!(
            check("BUILDKIT_SYNTAX=docker/dockerfile:1")
                .unwrap()
                .build_args,
            ["A=1"]
        );
        assert_eq!(
            check("BUILDKIT_SYNTAX=ghcr.io/x/front:3")
                .unwrap()
                .build_args
                .len(),
            2
        );
    }
}
