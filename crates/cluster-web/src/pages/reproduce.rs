//! The commands that do the same again.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::ask::{Asked, AskedText};

/// How long a file may be that a command contains.
const MAX_FILE: usize = 8 * 1024;

/// How wide a line of a command is, unless it has a longer word.
const MAX_WIDTH: usize = 96;

/// A command, to copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Command {
    /// What it does, for people.
    pub purpose: String,
    /// The command, for a shell. It may have several lines.
    pub line: String,
}

/// How to run a job again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reproduced {
    /// The commands: one is enough.
    pub commands: Vec<Command>,
    /// What the commands do not have, for people; null for nothing.
    pub remark: Option<String>,
}

/// What is known of a job besides its description.
#[derive(Clone, Copy, Debug)]
pub(super) struct Submission<'a> {
    pub(super) pool: &'a str,
    pub(super) cache_hint: &'a str,
    pub(super) urgent: bool,
    pub(super) labels: &'a BTreeMap<String, String>,
}

impl Reproduced {
    /// Returns how to submit a job again, and how to build its spec without a cluster.
    pub(super) fn new(asked: &Asked, submission: Submission<'_>) -> Self {
        let has_payload = asked.payload_bytes.is_some_and(|bytes| bytes > 0);
        let remark = match (asked.secrets.is_empty(), has_payload) {
            (true, false) => None,
            (false, false) => Some("Each secret is read from a file of its name."),
            (true, true) => {
                Some("The payload is not shown here: it is read from the file \"payload\".")
            }
            (false, true) => Some(
                "Payload and secrets are not shown here: they are read from files of their names.",
            ),
        };
        let remark = remark.map(str::to_owned);
        let mut commands = vec![Command {
            purpose: "Submit it again".to_owned(),
            line: client_command(asked, submission),
        }];
        let are_hashes = |commit: &String| commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !asked.is_custom() && asked.kind == "obuilder" && asked.commits.iter().all(are_hashes) {
            commands.push(Command {
                purpose: "Build it on this machine, without a cluster".to_owned(),
                line: obuilder_command(asked),
            });
        }
        Self { commands, remark }
    }
}

fn client_command(asked: &Asked, submission: Submission<'_>) -> String {
    let Submission {
        pool,
        cache_hint,
        urgent,
        labels,
    } = submission;
    let command = match asked.kind.as_str() {
        _ if asked.is_custom() => "submit-custom",
        "docker" => "submit-docker",
        "obuilder" => "submit-obuilder",
        _ => "submit-custom",
    };
    let mut words = vec!["ocluster-client".to_owned(), command.to_owned()];
    words.push(format!("--pool={pool}"));
    if let Some(bytes) = asked.payload_bytes {
        words.push(format!("--kind={}", asked.kind));
        words.extend((bytes > 0).then(|| "--payload=payload".to_owned()));
    }
    if let Some(AskedText { name, .. }) = &asked.text {
        let option = if asked.kind == "docker" {
            "local-dockerfile"
        } else {
            "local-file"
        };
        words.push(format!("--{option}={name}"));
    }
    words.extend(asked.options.iter().cloned());
    if !cache_hint.is_empty() {
        words.push(format!("--cache-hint={cache_hint}"));
    }
    if urgent {
        words.push("--urgent".to_owned());
    }
    words.extend(
        labels
            .iter()
            .map(|(name, value)| format!("--label={name}={value}")),
    );
    words.extend(asked.secrets.iter().map(|id| format!("--secret={id}:{id}")));
    // The cap file is the one thing of its own that each user has.
    let mut operands = vec!["submission.cap".to_owned()];
    operands.extend(asked.repository.clone());
    operands.extend(asked.commits.iter().cloned());
    if operands.iter().any(|operand| operand.starts_with('-')) {
        words.push("--".to_owned());
    }
    words.extend(operands);
    let line = shell_words(&words);
    with_file(asked.text.as_ref(), line)
}

fn obuilder_command(asked: &Asked) -> String {
    let mut lines = Vec::new();
    match &asked.repository {
        Some(repository) => {
            lines.push(format!("git clone -- {} src", shell_word(repository)));
            if let Some((first, others)) = asked.commits.split_first() {
                lines.push(format!("git -C src checkout {}", shell_word(first)));
                lines.extend(
                    others
                        .iter()
                        .map(|commit| format!("git -C src merge {}", shell_word(commit))),
                );
            }
        }
        None => lines.push("mkdir src".to_owned()),
    }
    let mut words: Vec<String> = ["obuilder", "build", "--store=rsync:store", "-f", "spec"]
        .map(str::to_owned)
        .into();
    words.extend(asked.secrets.iter().map(|id| format!("--secret={id}:{id}")));
    words.push("src".to_owned());
    lines.push(shell_words(&words));
    with_file(asked.text.as_ref(), lines.join("\n"))
}

/// Puts a command before `line` that writes the file, unless it is too long to copy.
fn with_file(file: Option<&AskedText>, line: String) -> String {
    let Some(AskedText { name, text }) = file else {
        return line;
    };
    if text.len() > MAX_FILE || text.contains(['\0', '\r']) {
        return format!("# Save the {name} below as \"{name}\" first.\n{line}");
    }
    let is_free = |end: &String| text.lines().all(|line| line != end.as_str());
    let ends = (0..).map(|number| match number {
        0 => "END".to_owned(),
        number => format!("END{number}"),
    });
    // There is one: a text has fewer lines than there are numbers.
    let end = ends.into_iter().find(is_free).unwrap_or_default();
    let text = text.strip_suffix('\n').unwrap_or(text);
    format!("cat > {name} <<'{end}'\n{text}\n{end}\n{line}")
}

/// Returns a command, over several lines if it is long.
fn shell_words(words: &[String]) -> String {
    let mut command = String::new();
    let mut width = 0;
    for word in words {
        let word = shell_word(word);
        let length = word.chars().count();
        match width {
            0 => {}
            width_so_far if width_so_far + length > MAX_WIDTH => {
                command.push_str(" \\\n  ");
                width = 2;
            }
            _ => command.push(' '),
        }
        width += length + 1;
        command.push_str(&word);
    }
    command
}

/// Returns a word so that a shell reads it as it is.
pub(crate) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(shell_word("--pool=a-b"), "--pool=a-b");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("$(x)'`"), r"'$(x)'\''`'");
    }

    #[test]
    fn nothing_that_was_submitted_becomes_an_option() {
        let asked = Asked {
            kind: "obuilder".to_owned(),
            repository: Some("--upload=x".to_owned()),
            commits: vec!["--orphan".to_owned()],
            payload_bytes: Some(0),
            ..Asked::default()
        };
        let labels = BTreeMap::new();
        let submission = Submission {
            pool: "p",
            cache_hint: "",
            urgent: false,
            labels: &labels,
        };
        let lines = |asked: &Asked| -> Vec<String> {
            let commands = Reproduced::new(asked, submission).commands.into_iter();
            commands.map(|command| command.line).collect()
        };
        // A custom job may be of any kind.
        let custom = "ocluster-client submit-custom --pool=p --kind=obuilder -- submission.cap --upload=x --orphan";
        assert_eq!(lines(&asked), [custom]);
        let asked = Asked {
            payload_bytes: None,
            ..asked
        };
        let spec = "ocluster-client submit-obuilder --pool=p -- submission.cap --upload=x --orphan";
        assert_eq!(lines(&asked), [spec]);
    }

    #[test]
    fn a_spec_can_be_built_with_and_without_a_cluster() {
        let asked = Asked {
            kind: "obuilder".to_owned(),
            repository: Some("https://a.example/a b".to_owned()),
            commits: vec!["c0ffee".to_owned()],
            text: Some(AskedText {
                name: "spec".to_owned(),
                text: "((from busybox)\nEND\n (run (shell date)))\n".to_owned(),
            }),
            secrets: vec!["s".to_owned()],
            ..Asked::default()
        };
        let labels = BTreeMap::from([("b".to_owned(), "it's".to_owned())]);
        let submission = Submission {
            pool: "p",
            cache_hint: "",
            urgent: true,
            labels: &labels,
        };
        let lines: Vec<String> = Reproduced::new(&asked, submission)
            .commands
            .into_iter()
            .map(|Command { purpose, line }| format!("# {purpose}\n{line}\n"))
            .collect();
        expect![[r#"
            # Submit it again
            cat > spec <<'END1'
            ((from busybox)
            END
             (run (shell date)))
            END1
            ocluster-client submit-obuilder --pool=p --local-file=spec --urgent '--label=b=it'\''s' \
              --secret=s:s submission.cap 'https://a.example/a b' c0ffee

            # Build it on this machine, without a cluster
            cat > spec <<'END1'
            ((from busybox)
            END
             (run (shell date)))
            END1
            git clone -- 'https://a.example/a b' src
            git -C src checkout c0ffee
            obuilder build --store=rsync:store -f spec --secret=s:s src
        "#]].assert_eq(&lines.join("\n"));
    }
}
