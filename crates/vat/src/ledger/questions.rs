//! What a peer has asked.

use std::collections::HashMap;
use std::collections::hash_map;

use crate::Limits;

/// The questions of a peer that it has not finished.
#[derive(Default)]
pub(crate) struct Questions {
    open: HashMap<u32, Question>,
    /// How many of them are not answered.
    unanswered: usize,
    /// How many bytes their messages have.
    unanswered_bytes: usize,
    /// How many were finished before they were answered. The RPC system keeps a little for each, until it answers, which it
    /// may never do.
    cancelled: usize,
}

struct Question {
    /// How many unanswered questions in a row its answer depends on, with itself; 0 once it is answered.
    depth: u8,
    /// How large its message is, in bytes; 0 once it is answered.
    bytes: usize,
    /// The exports in its answer.
    results: Vec<u32>,
}

/// What is left of a peer's questions, and the exports in their answers.
#[derive(Default)]
pub(crate) struct Left(hash_map::IntoIter<u32, Question>);

impl Iterator for Left {
    type Item = (u32, Vec<u32>);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, question) = self.0.next()?;
        Some((id, question.results))
    }
}

impl Questions {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn contains(&self, question: u32) -> bool {
        self.open.contains_key(&question)
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    pub(crate) fn unanswered_bytes(&self) -> usize {
        self.unanswered_bytes
    }

    /// Notes a question, asked of the answer to `target` if there is one.
    pub(crate) fn ask(
        &mut self,
        question: u32,
        target: Option<u32>,
        bytes: usize,
    ) -> Result<(), String> {
        let target = target.and_then(|target| self.open.get(&target));
        let depth = target.map_or(0, |target| target.depth) + 1;
        if depth > Limits::PIPELINE_DEPTH {
            let most = Limits::PIPELINE_DEPTH;
            return Err(format!(
                "more than {most} calls in a row, each on the answer of the one before, which is not there yet"
            ));
        }
        if self.cancelled > Limits::CANCELLED {
            let most = Limits::CANCELLED;
            return Err(format!("more than {most} calls cancelled"));
        }
        let hash_map::Entry::Vacant(entry) = self.open.entry(question) else {
            return Err(format!("question id {question} is already in use"));
        };
        entry.insert(Question {
            depth,
            bytes,
            results: Vec::new(),
        });
        self.unanswered += 1;
        self.unanswered_bytes += bytes;
        Ok(())
    }

    /// Notes an answer with these exports.
    pub(crate) fn answer(&mut self, question: u32, results: Vec<u32>) {
        if let Some(question) = self.open.get_mut(&question) {
            self.unanswered -= usize::from(question.depth > 0);
            self.unanswered_bytes -= question.bytes;
            *question = Question {
                depth: 0,
                bytes: 0,
                results,
            };
        } else {
            self.cancelled = self.cancelled.saturating_sub(1);
        }
    }

    /// Forgets a question, and returns the exports in its answer. It may be answered in the same breath.
    pub(crate) fn finish(&mut self, question: u32, answered: bool) -> Vec<u32> {
        let Some(question) = self.open.remove(&question) else {
            self.cancelled = self.cancelled.saturating_sub(usize::from(answered));
            return Vec::new();
        };
        if question.depth > 0 {
            self.unanswered -= 1;
            self.cancelled += usize::from(!answered);
        }
        self.unanswered_bytes -= question.bytes;
        if self.open.is_empty() && self.open.capacity() > 64 {
            self.open = HashMap::new();
        }
        question.results
    }

    pub(crate) fn into_left(self) -> Left {
        Left(self.open.into_iter())
    }
}
