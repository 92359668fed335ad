//! How a command ends when it does not succeed: a kind, a message, hints, and the exit code they give.
//!
//! The libraries return an error enum per operation. Only here are these sorted into mistakes of the user, answers of
//! the cluster, and bugs of ours, which scripts distinguish by exit code.

use std::fmt;

pub use cluster_json::failure::Kind;
use cluster_json::failure::Reason;
use cluster_json::outcome;

use crate::interrupt::Interrupt;

/// Why a command did not succeed.
///
/// An empty message means that everything was already printed on standard output (`Failed: Build failed.`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    /// Decides the exit code.
    pub kind: Kind,
    /// What failed, on what, and why. Printed on standard error.
    pub message: String,
    /// What to try, one line each.
    pub hints: Vec<String>,
}

impl CommandError {
    /// The command was tried, and did not work.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// It did not work because of `error`, of which every cause is named, once.
    pub fn caused(error: impl std::error::Error) -> Self {
        Self::caused_as(Kind::Failed, error)
    }

    /// It did not work because of `error`, which is of this kind.
    pub fn caused_as(kind: Kind, error: impl std::error::Error) -> Self {
        Self::new(kind, visible::with_causes(&error))
    }

    /// The command line is invalid.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// An internal error: a bug.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// A command that was run for the user ended with this status, and reported the reason itself.
    pub fn ended(status: u8) -> Self {
        Self::new(Kind::Ended(status), "")
    }

    /// A signal ended it; `message` is printed at the end.
    pub fn interrupted(interrupt: Interrupt, message: impl fmt::Display) -> Self {
        Self::new(Kind::Interrupted(interrupt.number()), message)
    }

    /// It did not work, and the error was already reported.
    pub fn already_reported() -> Self {
        Self::new(Kind::Failed, "")
    }

    /// It is of this kind.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// A job did not succeed.
    pub fn of_job(failure: &outcome::Failure) -> Self {
        let outcome::Failure { kind, error, hints } = failure;
        Self {
            hints: hints.clone(),
            ..Self::new(*kind, &error.reason)
        }
    }

    /// Returns it for programs; `None` if it was already reported.
    pub fn reason(&self) -> Option<Reason> {
        let Self {
            kind,
            message,
            hints,
        } = self;
        Reason::new(*kind, message, hints)
    }

    /// Adds a line with something to try.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// Turns a failure to write standard output into the right kind of error: a closed pipe is not worth a message.
    pub fn from_output(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Kind::OutputClosed, ""),
            _ => Self::failed(format_args!("cannot write standard output: {error}")),
        }
    }

    /// Returns the text for standard error, ending in a newline, or nothing if everything was reported.
    ///
    /// Operational failures stand alone on their line, as upstream prints them; mistakes on the command line and
    /// bugs are preceded by the program's name.
    pub fn render(&self, program: &str) -> String {
        let mut text = String::new();
        if !self.message.is_empty() {
            match self.kind {
                Kind::Failed
                | Kind::OutputClosed
                | Kind::Interrupted(_)
                | Kind::Ended(_)
                | Kind::BuildFailed { .. }
                | Kind::TimedOut
                | Kind::Cancelled
                | Kind::JobLost
                | Kind::WorkerUnfit
                | Kind::Overloaded
                | Kind::NoSuchPool
                | Kind::WrongCap
                | Kind::Unreachable => {}
                Kind::Usage => text.push_str(&format!("{program}: ")),
                Kind::Internal => text.push_str(&format!("{program}: internal error: ")),
            }
            text.push_str(&self.message);
            text.push('\n');
        }
        for hint in &self.hints {
            text.push_str(&format!("Hint: {hint}\n"));
        }
        if self.kind == Kind::Usage {
            text.push_str(&format!("Try '{program} --help' for more information.\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_kind_has_its_text_and_its_code() {
        let errors = [
            CommandError::failed("PoolAdmin.show: Failed: No such pool"),
            CommandError::usage("option '-c': no 'x.cap' file or directory")
                .hint("the scheduler writes cap files"),
            CommandError::internal("the runtime did not start"),
            CommandError::from_output(&std::io::ErrorKind::BrokenPipe.into()),
            CommandError::new(Kind::Interrupted(2), "Interrupted"),
            CommandError::already_reported(),
        ];
        let text: Vec<String> = errors
            .iter()
            .map(|e| format!("[{}] {}", e.kind.exit_code(), e.render("prog")))
            .collect();
        expect![[r#"
            [1] PoolAdmin.show: Failed: No such pool

            [124] prog: option '-c': no 'x.cap' file or directory
            Hint: the scheduler writes cap files
            Try 'prog --help' for more information.

            [125] prog: internal error: the runtime did not start

            [1] 
            [130] Interrupted

            [1] "#]]
        .assert_eq(&text.join("\n"));
    }
}
