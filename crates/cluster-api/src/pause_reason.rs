//! The reasons why a worker pauses itself, as it reports them to the scheduler and the scheduler to operators.

use std::fmt::Display;

use capnp::struct_list;

use crate::RpcError;
use crate::raw::extensions_capnp::pause_reason;
use crate::text::{check_length, long_text, malformed};

/// The limit for the reasons of a worker. Ours have five.
const MAX_REASONS: u32 = 16;

/// The limit for each text of a reason, in bytes. A scheduler stores those of all workers, and sends them to waiting
/// clients.
const MAX_TEXT: usize = 1 << 10;

/// A reason why a worker pauses itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseReason {
    /// A word for programs, such as `docker`.
    pub kind: String,
    /// The problem, for people.
    pub problem: String,
    /// What an operator can do about it. Empty when the problem goes away by itself.
    pub advice: String,
}

impl PauseReason {
    /// Returns a reason whose texts are truncated to the limit: they may come from another program.
    pub fn new(kind: &str, problem: &str, advice: &str) -> Self {
        Self {
            kind: truncated(kind),
            problem: truncated(problem),
            advice: truncated(advice),
        }
    }

    fn read(reader: pause_reason::Reader<'_>, field: impl Display) -> Result<Self, RpcError> {
        let text = |value, name| long_text(value, format_args!("{field}.{name}"), MAX_TEXT);
        Ok(Self {
            kind: text(reader.get_kind(), "kind")?,
            problem: text(reader.get_problem(), "problem")?,
            advice: text(reader.get_advice(), "advice")?,
        })
    }

    fn write(&self, mut builder: pause_reason::Builder<'_>) {
        let Self {
            kind,
            problem,
            advice,
        } = self;
        builder.set_kind(kind);
        builder.set_problem(problem);
        builder.set_advice(advice);
    }
}

/// Truncates a text to the limit, between two characters.
fn truncated(text: &str) -> String {
    visible::beginning(text, MAX_TEXT).to_owned()
}

/// Reads the reasons of one worker.
pub(crate) fn read(
    list: capnp::Result<struct_list::Reader<'_, pause_reason::Owned>>,
    size: capnp::Result<capnp::MessageSize>,
    field: impl Display,
) -> Result<Vec<PauseReason>, RpcError> {
    let list = list.map_err(|error| malformed(&error, &field))?;
    check_length(size, list.len(), &field)?;
    if list.len() > MAX_REASONS {
        return Err(RpcError::failed(format!(
            "{field} has {} elements, and the limit is {MAX_REASONS}",
            list.len()
        )));
    }
    let reasons = list.iter().enumerate();
    reasons
        .map(|(index, reason)| PauseReason::read(reason, format_args!("{field}[{index}]")))
        .collect()
}

/// Writes the reasons of one worker.
pub(crate) fn write(
    mut list: struct_list::Builder<'_, pause_reason::Owned>,
    reasons: &[PauseReason],
) {
    for (index, reason) in (0..).zip(reasons) {
        reason.write(list.reborrow().get(index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_two_characters() {
        let reason = PauseReason::new("docker", &"\u{e9}".repeat(2000), "start it");
        assert_eq!(reason.problem, "\u{e9}".repeat(512));
        assert_eq!(reason.advice, "start it");
        let odd = format!("x{}", "\u{e9}".repeat(2000));
        assert_eq!(PauseReason::new("", &odd, "").problem.len(), 1023);
    }
}
