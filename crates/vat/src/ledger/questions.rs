//! The peer's questions.

use std::collections::HashMap;
use std::collections::hash_map;

use crate::Limits;

/// The questions of a peer that it has not finished.
#[derive(Default)]
pub(crate) struct Questions {
    open: HashMap<u32, Question>,
    /// How many of them are unanswered.
    unanswered: usize,
    /// The size of the messages with those, in bytes.
    unanswered_bytes: usize,
    /// How many were finished before they were answered. The RPC system keeps a little memory for each until it is
    /// answered, which may never happen.
    cancelled: usize,
}

struct Question {
    /// The length of the chain of unanswered questions that ends with this one; 0 once it is answered.
    depth: u8,
    /// The size of its message in bytes; 0 once it is answered.
    bytes: usize,
    /// The exports in its answer.
    results: Vec<u32>,
}

/// The questions with the exports in their answers.
#[derive(Default)]
pub(crate) struct IntoIter(hash_map::IntoIter<u32, Question>);

impl Iterator for IntoIter {
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

    /// Notes a question. `target` is the question whose answer it calls; `None` if it calls a capability.
    ///
    /// # Errors
    ///
    /// When a limit is exceeded or the id is in use: the text says which.
    pub(crate) fn ask(
        &mut self,
        question: u32,
        target: Option<u32>,
        bytes: usize,
    ) -> Result<(), String> {
        let target = target.and_then(|target| self.open.get(&target));
        let depth = target.map_or(0, |target| target.depth) + 1;
        let limit = Limits::PIPELINE_DEPTH;
        if depth > limit {
            return Err(format!(
                "more than {limit} calls in a row, each on the unfinished answer of the one before"
            ));
        }
        let limit = Limits::CANCELLED;
        if self.cancelled > limit {
            return Err(format!("more than {limit} unanswered calls cancelled"));
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

    /// Removes a question, and returns the exports in its answer. `answered` says that this message answers it, too.
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
}

impl IntoIterator for Questions {
    type Item = (u32, Vec<u32>);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self.open.into_iter())
    }
}
