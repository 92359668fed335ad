//! A worker, its connection, and what it holds.

use std::collections::{BTreeMap, VecDeque};

use jobs::{AttemptEnd, AttemptId, Held, HeldState, LossReason, Verdict};
use pool::{Time, WorkerName};

/// What the scheduler sends to a worker.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Start(AttemptId),
    Stop(AttemptId),
    Acknowledge(AttemptId),
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: WorkerName,
    /// Whether it keeps its jobs while the connection is broken.
    pub(crate) survives: bool,
    pub(crate) connected: bool,
    /// When the scheduler last knew it connected.
    pub(crate) last_connected: Time,
    /// On their way to it.
    pub(crate) messages: VecDeque<Message>,
    /// What it holds: `None` runs.
    pub(crate) attempts: BTreeMap<AttemptId, Option<AttemptEnd>>,
    /// The ends that were sent over this connection.
    pub(crate) reported: Vec<AttemptId>,
    /// The logs that are whole in the scheduler's store.
    pub(crate) logs_kept: Vec<AttemptId>,
}

impl Worker {
    pub(crate) fn new(name: &str, survives: bool) -> Self {
        Self {
            name: WorkerName::new(name).expect("a good name"),
            survives,
            connected: false,
            last_connected: Time::EPOCH,
            messages: VecDeque::new(),
            attempts: BTreeMap::new(),
            reported: Vec::new(),
            logs_kept: Vec::new(),
        }
    }

    /// The next message arrives.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub(crate) fn receive(&mut self) -> Result<(), String> {
        match self.messages.pop_front() {
            Some(Message::Start(id)) => {
                let twice = self.attempts.insert(id, None).is_some();
                if twice {
                    return Err(format!(
                        "the log stays: {id} begins a second time on its worker"
                    ));
                }
            }
            Some(Message::Stop(id)) => {
                if let Some(end @ None) = self.attempts.get_mut(&id) {
                    *end = Some(AttemptEnd::Stopped);
                }
            }
            Some(Message::Acknowledge(id)) => {
                self.attempts.remove(&id);
            }
            None => {}
        }
        Ok(())
    }

    /// One of the attempts that run ends. Its output is its number.
    pub(crate) fn finish(&mut self, which: usize, success: bool) {
        let running: Vec<_> = self
            .attempts
            .iter()
            .filter(|(_, end)| end.is_none())
            .map(|(id, _)| *id)
            .collect();
        let Some(id) = running.get(which % running.len().max(1)) else {
            return;
        };
        let verdict = if success {
            Verdict::Succeeded(id.number.to_string().into())
        } else {
            Verdict::Failed {
                detail: "".into(),
                exit_code: Some(1),
            }
        };
        self.attempts.insert(*id, Some(AttemptEnd::Done(verdict)));
    }

    /// Tells whether it runs an attempt.
    pub(crate) fn runs(&self, id: AttemptId) -> bool {
        self.attempts.get(&id).is_some_and(Option::is_none)
    }

    /// Returns the ends that are to be sent.
    pub(crate) fn take_ends(&mut self) -> Vec<(AttemptId, AttemptEnd)> {
        let ended = self
            .attempts
            .iter()
            .filter_map(|(id, end)| Some((*id, end.clone()?)));
        let ended: Vec<_> = ended
            .filter(|(id, _)| !self.reported.contains(id))
            .collect();
        self.reported.extend(ended.iter().map(|(id, _)| *id));
        ended
    }

    /// The connection breaks: what was on its way is lost, and so is what a worker of upstream's runs.
    pub(crate) fn disconnect(&mut self) {
        self.connected = false;
        self.messages.clear();
        self.reported.clear();
        if !self.survives {
            self.attempts.clear();
        }
    }

    /// Its process is killed, and starts again.
    pub(crate) fn restart(&mut self) {
        for end in self.attempts.values_mut().filter(|end| end.is_none()) {
            *end = Some(AttemptEnd::Lost(LossReason::Interrupted));
        }
        self.disconnect();
    }

    /// Its machine is replaced.
    pub(crate) fn replace(&mut self) {
        self.attempts.clear();
        self.disconnect();
    }

    /// Returns what it lists when it returns. The ends are reported again later, when the logs are kept.
    pub(crate) fn held(&self) -> Vec<Held> {
        let state =
            |end: &Option<AttemptEnd>| end.clone().map_or(HeldState::Running, HeldState::Ended);
        self.attempts
            .iter()
            .map(|(id, end)| Held {
                attempt: *id,
                state: state(end),
            })
            .collect()
    }
}
