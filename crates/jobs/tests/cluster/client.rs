//! A client: submits until it has an id, keeps that, prints the log of its job, and learns the outcome. Its user may
//! want to cancel. When its process was killed, another one goes on with the ids.

use std::collections::BTreeMap;
use std::time::Duration;

use jobs::{AttemptId, JobId, JobKey};
use pool::ClientId;

use super::events::{Event, Party, Wish};
use super::fault::ClusterFault;
use super::message::{FromClient, Message, ToClient};
use super::network::{ConnectionId, Side};
use super::process::Context;

#[derive(Debug)]
pub(crate) struct Client {
    which: usize,
    pub(crate) is_up: bool,
    pub(crate) life: u32,
    connection: Option<ConnectionId>,
    /// What its user wants done; kept on disk.
    wishes: Vec<Submission>,
}

#[derive(Debug)]
struct Submission {
    key: String,
    terms: usize,
    job: Option<JobId>,
    /// Whether the user has asked to cancel it, and got no answer yet.
    cancels: bool,
    /// What is printed of each attempt's log; kept, as a terminal keeps it.
    printed: BTreeMap<u32, Vec<u8>>,
    /// The attempt whose log is read over this connection.
    reads: Option<u32>,
    /// The attempt whose log is printed whole.
    whole: Option<u32>,
    /// The latest attempt, once it knows the outcome; 0 for none.
    ended_with: Option<u32>,
}

impl Submission {
    /// The outcome is known, and the log of the latest attempt is printed.
    fn is_done(&self) -> bool {
        self.ended_with == Some(0) || (self.ended_with.is_some() && self.ended_with == self.whole)
    }
}

impl Client {
    pub(crate) fn new(which: usize) -> Self {
        Self {
            which,
            is_up: false,
            life: 0,
            connection: None,
            wishes: Vec::new(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.wishes.iter().all(Submission::is_done)
    }

    fn name(&self) -> ClientId {
        ClientId::new(["alice", "bob"][self.which]).expect("a good name")
    }

    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        self.is_up = true;
        self.life += 1;
        self.dial(context, 1);
    }

    pub(crate) fn crash(&mut self) {
        self.is_up = false;
        self.connection = None;
    }

    fn dial(&self, context: &mut Context<'_>, seconds: u64) {
        let event = Event::Dial {
            from: Party::Client(self.which),
            life: self.life,
        };
        context.after(Duration::from_secs(seconds), event);
    }

    pub(crate) fn connected(&mut self, context: &mut Context<'_>, connection: ConnectionId) {
        self.connection = Some(connection);
        for wish in 0..self.wishes.len() {
            self.wishes[wish].reads = None;
            self.begin(context, wish);
        }
    }

    pub(crate) fn disconnected(&mut self, context: &mut Context<'_>, connection: ConnectionId) {
        if self.connection == Some(connection) {
            self.connection = None;
            let seconds = match context.has_standbys() {
                true => context.random.pick(&[0, 1]),
                false => context.random.pick(&[1, 5, 20]),
            };
            self.dial(context, seconds);
        }
    }

    pub(crate) fn wish(&mut self, context: &mut Context<'_>, wish: Wish) {
        match wish {
            Wish::Submit { terms } => {
                let number = self.wishes.len();
                self.wishes.push(Submission {
                    key: format!("key{number}"),
                    terms,
                    job: None,
                    cancels: false,
                    printed: BTreeMap::new(),
                    reads: None,
                    whole: None,
                    ended_with: None,
                });
                self.begin(context, number);
            }
            Wish::CancelLatest => {
                let Some(number) = self.wishes.len().checked_sub(1) else {
                    return;
                };
                if self.wishes[number].ended_with.is_none() {
                    self.wishes[number].cancels = true;
                    self.cancel(context, number);
                }
            }
        }
    }

    /// Submits, or asks for the job if it has an id.
    pub(crate) fn begin(&mut self, context: &mut Context<'_>, wish: usize) {
        if self.connection.is_none() {
            return;
        }
        if self.wishes[wish].is_done() {
            return;
        }
        if let Some(job) = self.wishes[wish].job {
            self.send(context, FromClient::Find { wish, job });
            return;
        }
        let Submission { key, terms, .. } = &self.wishes[wish];
        let submit = FromClient::Submit {
            wish,
            client: self.name(),
            key: JobKey::new(key).expect("a good key"),
            terms: *terms,
        };
        self.send(context, submit);
        if context.planted(ClusterFault::ForgetsKey) {
            self.wishes[wish].key.push('x');
        }
    }

    fn send(&self, context: &mut Context<'_>, message: FromClient) {
        if let Some(connection) = self.connection {
            context.send(connection, Side::Scheduler, Message::FromClient(message));
        }
    }

    fn cancel(&mut self, context: &mut Context<'_>, wish: usize) {
        if let Some(job) = self.wishes[wish].job
            && self.wishes[wish].cancels
        {
            self.send(context, FromClient::Cancel { job });
        }
    }

    pub(crate) fn receive(&mut self, context: &mut Context<'_>, message: ToClient) {
        match message {
            ToClient::Accepted { wish, job } => {
                context.oracle.accepted((self.which, wish), job);
                self.wishes[wish].job = Some(job);
                self.watch(context, wish, job, 0);
                self.cancel(context, wish);
            }
            ToClient::Found { wish, job } => {
                self.watch(context, wish, job, 0);
                self.cancel(context, wish);
            }
            // The user submits again.
            ToClient::Refused { wish } => {
                context.oracle.count("refusal");
                if context.has_standbys() {
                    let (client, life) = (self.which, self.life);
                    let again = Event::Resubmit { client, life, wish };
                    context.after(Duration::from_secs(5), again);
                } else {
                    self.begin(context, wish);
                }
            }
            ToClient::Unknown { job } => {
                context
                    .oracle
                    .broken(format!("accepted means kept: {job} is unknown"));
            }
            ToClient::Status {
                wish,
                version,
                attempt,
                outcome,
            } => self.learn(context, wish, (version, attempt), outcome),
            ToClient::Log {
                wish,
                attempt,
                bytes,
                is_complete,
            } => self.print(context, wish, attempt, &bytes, is_complete),
            ToClient::Cancelled { job } => {
                context.oracle.cancelled(job);
                for wish in self.wishes.iter_mut().filter(|wish| wish.job == Some(job)) {
                    wish.cancels = false;
                }
            }
        }
    }

    fn watch(&self, context: &mut Context<'_>, wish: usize, job: JobId, version: u64) {
        self.send(context, FromClient::Watch { wish, job, version });
    }

    fn learn(
        &mut self,
        context: &mut Context<'_>,
        wish: usize,
        (version, attempt): (u64, u32),
        outcome: Option<jobs::Outcome>,
    ) {
        let Some(job) = self.wishes[wish].job else {
            return;
        };
        match &outcome {
            Some(outcome) => {
                context.oracle.shown(job, outcome);
                self.wishes[wish].ended_with = Some(attempt);
            }
            None => {
                context.oracle.shown_unfinished(job);
                self.watch(context, wish, job, version);
            }
        }
        // The log of a later attempt is printed after what there is of the earlier one.
        if attempt > 0 && self.wishes[wish].reads != Some(attempt) {
            self.wishes[wish].reads = Some(attempt);
            self.read(context, wish, attempt);
        }
    }

    fn read(&mut self, context: &mut Context<'_>, wish: usize, number: u32) {
        let Some(job) = self.wishes[wish].job else {
            return;
        };
        let printed = self.wishes[wish].printed.entry(number).or_default();
        let start = match context.planted(ClusterFault::RepeatsLog) {
            true => 0,
            false => printed.len(),
        };
        let attempt = AttemptId { job, number };
        self.send(
            context,
            FromClient::ReadLog {
                wish,
                attempt,
                start,
            },
        );
    }

    fn print(
        &mut self,
        context: &mut Context<'_>,
        wish: usize,
        attempt: AttemptId,
        bytes: &[u8],
        is_complete: bool,
    ) {
        if self.wishes[wish].reads != Some(attempt.number) {
            return;
        }
        let printed = self.wishes[wish].printed.entry(attempt.number).or_default();
        printed.extend_from_slice(bytes);
        context.oracle.printed(attempt, printed);
        if is_complete {
            self.wishes[wish].whole = Some(attempt.number);
        } else {
            let start = printed.len();
            self.send(
                context,
                FromClient::ReadLog {
                    wish,
                    attempt,
                    start,
                },
            );
        }
    }
}
