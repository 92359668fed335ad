//! The thread that asks the database about the lease.

use std::sync::mpsc::{self, Receiver, Sender};
use std::{io, thread};

use cluster_postgres::{Candidate, Error, Lease, Look, Peer, Renewal};
use leadership::AskId;
use tokio::sync::mpsc::UnboundedSender;

use super::error::LeaseError;
use crate::db;

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// Look at the lease, and note whether its leader can be reached.
    Look {
        ask: AskId,
        reaches_leader: bool,
    },
    /// Take it if it has this number and so many renewals.
    Take {
        ask: AskId,
        number: u64,
        renewals: u64,
    },
    Renew {
        ask: AskId,
        lease: Lease,
    },
    GiveUp {
        ask: AskId,
        lease: Lease,
        /// For another scheduler to lead.
        leaves: bool,
    },
    /// Remove the note of this scheduler, which ends.
    Leave,
}

/// What the database answered. `None`: it did not.
#[derive(Debug)]
pub(super) enum Answer {
    Looked(AskId, Option<Look>),
    /// `Some(None)`: the lease is not as it was seen.
    Taken(AskId, Option<Option<(Lease, Vec<Peer>)>>),
    Renewed(AskId, Option<Renewal>),
    GivenUp(AskId),
    Left,
    /// The database cannot be used at all.
    Failed(LeaseError),
}

/// Starts the thread. It ends with its questions.
pub(super) fn start(
    candidate: Candidate,
    key: String,
    answers: UnboundedSender<Answer>,
) -> io::Result<Sender<Question>> {
    let (ask, asked) = mpsc::channel();
    let asker = Asker {
        candidate,
        key,
        failing: None,
    };
    let thread = thread::Builder::new().name("lease database".to_owned());
    thread.spawn(move || asker.serve(&asked, &answers))?;
    Ok(ask)
}

struct Asker {
    candidate: Candidate,
    /// The fingerprint of this scheduler's key.
    key: String,
    /// The error that was logged last, while there is one.
    failing: Option<String>,
}

impl Asker {
    fn serve(mut self, asked: &Receiver<Question>, answers: &UnboundedSender<Answer>) {
        while let Ok(mut question) = asked.recv() {
            loop {
                let later = asked.try_recv();
                let is_old = later.is_ok()
                    && matches!(question, Question::Look { .. } | Question::Renew { .. });
                // Nobody waits any more for the answer of an old one.
                if !is_old && answers.send(self.answer(question)).is_err() {
                    return;
                }
                match later {
                    Ok(later) => question = later,
                    Err(_) => break,
                }
            }
        }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Look {
                ask,
                reaches_leader,
            } => match self.look(reaches_leader) {
                Ok(look) => Answer::Looked(ask, look),
                Err(error) => Answer::Failed(error),
            },
            Question::Take {
                ask,
                number,
                renewals,
            } => {
                let taken = self.candidate.take(number, renewals);
                Answer::Taken(ask, self.log_failure(taken))
            }
            Question::Renew { ask, lease } => {
                let renewed = self.candidate.renew(lease);
                Answer::Renewed(ask, self.log_failure(renewed))
            }
            Question::GiveUp { ask, lease, leaves } => {
                let given_up = self.candidate.give_up(lease, leaves);
                self.log_failure(given_up);
                Answer::GivenUp(ask)
            }
            Question::Leave => {
                let left = self.candidate.leave();
                self.log_failure(left);
                Answer::Left
            }
        }
    }

    fn look(&mut self, reaches_leader: bool) -> Result<Option<Look>, LeaseError> {
        if let Err(error) = self.candidate.prepare() {
            return match error {
                cluster_postgres::OpenError::Database(error) => Ok(self.log_failure(Err(error))),
                other => Err(LeaseError::Database(db::OpenError::from(other))),
            };
        }
        let look = self.candidate.look(reaches_leader);
        let Some(look) = self.log_failure(look) else {
            return Ok(None);
        };
        check_key(&self.key, &look)?;
        Ok(Some(look))
    }

    /// Logs an error once while it lasts.
    fn log_failure<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => {
                self.failing = None;
                Some(value)
            }
            Err(error) => {
                let text = error.to_string();
                if self.failing.as_ref() != Some(&text) {
                    tracing::warn!(target: "scheduler", "Cannot ask for the lease: {text}");
                    self.failing = Some(text);
                }
                None
            }
        }
    }
}

/// Refuses a lease of a scheduler with another key: the secrets of its peers would mean nothing to this one.
///
/// The latest leader may change its own key.
pub(crate) fn check_key(key: &str, look: &Look) -> Result<(), LeaseError> {
    if look.key.is_empty() || look.key == key || look.was_ours {
        return Ok(());
    }
    let leader = look.leader.as_ref();
    Err(LeaseError::OtherKey {
        ours: key.to_owned(),
        theirs: look.key.clone(),
        leader: leader.map_or_else(
            || "the latest leader".to_owned(),
            |leader| leader.name.clone(),
        ),
    })
}
