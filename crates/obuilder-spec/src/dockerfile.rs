//! Turns a spec into a Dockerfile that does the same, as far as Docker can.

use bstr::{BStr, BString, ByteSlice as _};

use crate::spec::{Copy, Op, Run, Source, Spec, User};

/// The kind of Dockerfile to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// For BuildKit, which has caches and secrets. Without it they are left out.
    pub buildkit: bool,
    /// The system that the images are for.
    pub style: Style,
}

/// The system that the images of a Dockerfile are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Lines continue after a backslash, and root has the number 0.
    Unix,
    /// Lines continue after a backtick, for a backslash separates directories, and root is `ContainerAdministrator`.
    Windows,
}

/// Why there is no Dockerfile for a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerfileError {
    /// BuildKit needs the owner of a cache or secret, as a number.
    #[error(
        "cannot convert (run … (shell {command:?})): with BuildKit, caches and secrets need a numeric user, \
         but its user is {user:?}; write (user (uid N) (gid N)) before it, or convert without BuildKit"
    )]
    NamedUser {
        /// The user.
        user: BString,
        /// The command that has caches or secrets.
        command: BString,
    },
    /// A newline would end the instruction and start another one.
    #[error("cannot write {instruction} with {word:?}: a Dockerfile must not have a newline there")]
    Newline {
        /// The instruction.
        instruction: &'static str,
        /// The word with the newline.
        word: BString,
    },
}

/// Converts a spec to a Dockerfile. Networks and excluded files are left out: Docker has no equivalent.
///
/// Words are not quoted where the reference does not quote them: no way of quoting fits all instructions of a
/// Dockerfile.
///
/// # Errors
/// If Docker has no equivalent for a part of the spec that must not be left out.
pub fn dockerfile(spec: &Spec, options: Options) -> Result<BString, DockerfileError> {
    let mut output = BString::default();
    if options.style == Style::Windows {
        output.extend_from_slice(b"#escape=`\n");
    }
    stage(&mut output, None, spec, options)?;
    Ok(output)
}

/// Appends the stages that `spec` may copy from, and then its own.
fn stage(
    output: &mut BString,
    name: Option<&BStr>,
    spec: &Spec,
    options: Options,
) -> Result<(), DockerfileError> {
    for (name, build) in &spec.builds {
        stage(output, Some(name.as_bstr()), build, options)?;
        output.push(b'\n');
    }
    let mut from: Vec<&[u8]> = vec![b"FROM ", &spec.from];
    if let Some(name) = name {
        from.extend([&b" as "[..], name.as_bytes()]);
    }
    push(output, "FROM", &from)?;
    output.push(b'\n');
    let mut stage = Stage {
        output,
        options,
        user: match options.style {
            Style::Unix => User::ROOT,
            Style::Windows => User::Named(WINDOWS_ROOT.into()),
        },
    };
    spec.ops.iter().try_for_each(|op| stage.op(op))
}

/// The user that Windows images start with.
const WINDOWS_ROOT: &str = "ContainerAdministrator";

/// A stage that is being written.
struct Stage<'a> {
    output: &'a mut BString,
    options: Options,
    /// The current user.
    user: User,
}

impl Stage<'_> {
    /// Appends the line of an op.
    fn op(&mut self, op: &Op) -> Result<(), DockerfileError> {
        match op {
            Op::Comment(text) => {
                let lines = text.split_str("\n").collect::<Vec<_>>();
                self.output.extend_from_slice(b"# ");
                self.output.extend(bstr::join("\n# ", lines));
            }
            Op::Workdir(dir) => push(self.output, "WORKDIR", &[b"WORKDIR ", dir])?,
            Op::Shell(words) => {
                let quoted = |word: &BString| bstr::concat([b"\"", &word[..], b"\""]);
                let words = bstr::join(", ", words.iter().map(quoted));
                push(self.output, "SHELL", &[b"SHELL [ ", &words, b" ]"])?;
            }
            Op::Run(run) => self.run(run)?,
            Op::Copy(copy) => self.copy(copy)?,
            Op::User(user) => {
                self.user = user.clone();
                let user = match user {
                    User::Unix { uid, gid } => format!("{uid}:{gid}").into(),
                    User::Named(name) => name.clone(),
                };
                push(self.output, "USER", &[b"USER ", &user])?;
            }
            Op::Env(name, value) => {
                let value = self.escape(value);
                push(self.output, "ENV", &[b"ENV ", name, b"=\"", &value, b"\""])?;
            }
        }
        self.output.push(b'\n');
        Ok(())
    }

    fn run(&mut self, run: &Run) -> Result<(), DockerfileError> {
        self.output.extend_from_slice(b"RUN ");
        if self.options.buildkit {
            let secrets = run.secrets.iter();
            let secrets = secrets.map(|it| ("secret", &it.id, &it.target, &it.buildkit_options));
            let caches = run.cache.iter();
            let caches = caches.map(|it| ("cache", &it.id, &it.target, &it.buildkit_options));
            for (kind, id, target, options) in secrets.chain(caches) {
                let uid = format!(",uid={}", self.uid_for(run)?);
                let mut parts = vec![b"--mount=type=", kind.as_bytes()];
                parts.extend([b",id=", &id[..], b",target=", target, uid.as_bytes()]);
                for (key, value) in options {
                    parts.extend([b",", &key[..], b"=", value]);
                }
                parts.push(b" ");
                push(self.output, "RUN --mount", &parts)?;
            }
        }
        let lines = run.shell.split_str("\n");
        let lines = lines.map(|line| line.trim_with(is_blank));
        let continued = [b" ", &[self.escape_byte()][..], b"\n    "].concat();
        self.output.extend(bstr::join(continued, lines));
        Ok(())
    }

    fn copy(&mut self, copy: &Copy) -> Result<(), DockerfileError> {
        let mut words: Vec<BString> = vec!["COPY".into()];
        if let User::Unix { uid, gid } = self.user
            && self.user != User::ROOT
        {
            words.push(format!("--chown={uid}:{gid}").into());
        }
        if let Source::Build(name) = &copy.from {
            words.push(bstr::concat([b"--from=", &name[..]]).into());
        }
        words.extend(copy.src.iter().cloned());
        words.push(copy.dst.clone());
        push(self.output, "COPY", &[&bstr::join(" ", words)])
    }

    /// Returns the number of the user that owns the mounts of `run`.
    fn uid_for(&self, run: &Run) -> Result<i64, DockerfileError> {
        match &self.user {
            User::Unix { uid, .. } => Ok(*uid),
            User::Named(user) => Err(DockerfileError::NamedUser {
                user: user.clone(),
                command: run.shell.clone(),
            }),
        }
    }

    fn escape_byte(&self) -> u8 {
        match self.options.style {
            Style::Unix => b'\\',
            Style::Windows => b'`',
        }
    }

    /// Escapes what would end a string in double quotes.
    fn escape(&self, value: &[u8]) -> Vec<u8> {
        let escape = self.escape_byte();
        let mut escaped = Vec::with_capacity(value.len());
        for &byte in value.iter() {
            if byte == b'"' || byte == escape {
                escaped.push(escape);
            }
            escaped.push(byte);
        }
        escaped
    }
}

/// Appends the parts of a line. Refuses newlines, which would end it.
fn push(
    output: &mut BString,
    instruction: &'static str,
    parts: &[&[u8]],
) -> Result<(), DockerfileError> {
    for part in parts {
        if part.contains(&b'\n') {
            let word = BString::from(*part);
            return Err(DockerfileError::Newline { instruction, word });
        }
        output.extend_from_slice(part);
    }
    Ok(())
}

/// Returns whether the reference trims it from the lines of a command.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

#[cfg(test)]
#[path = "dockerfile_tests.rs"]
mod tests;
