//! Which of several schedulers on one database leads: this one's part.
//!
//! `leadership` decides. Its thread (`keeper`) has nothing else to do, so that a busy scheduler does not lose its
//! lease, and another one (`questions`) asks the database, which may take its time. The scheduler's thread is told what
//! to do by [`Event`]s.

mod error;
mod keeper;
mod leader;
mod lease_state;
mod questions;
mod reach;

use std::cell::RefCell;
use std::io;
use std::thread;

use cluster_postgres::{Candidate, Lease};
use leadership::{StepDownError, StopReason};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::error::LeaseError;
pub(crate) use self::keeper::timing;
pub(crate) use self::leader::Leader;
pub(crate) use self::lease_state::{LeaseState, Role};
pub(crate) use self::questions::check_key;

/// What the scheduler must do.
#[derive(Debug)]
pub(crate) enum Event {
    /// Lead: read what the database has, and listen.
    Lead(Lease),
    /// A standby cannot connect to this scheduler: have all peers show a sign of life, and report
    /// [`Keeper::peer_heard`] when any does.
    Probe,
    /// Accept nothing more, and report [`Keeper::drained`] when all answers are on their way.
    Drain,
    /// Do not lead any more: close everything.
    Stop(StopReason),
    /// The lease is given up, or there was none: the program can end.
    Ended,
    /// This scheduler cannot wait for the lease.
    Failed(LeaseError),
}

/// What the scheduler reports.
#[derive(Debug)]
enum Command {
    StepDown(oneshot::Sender<Result<(), StepDownError>>),
    PeerHeard,
    Drained,
    ShutDown,
}

/// Keeps the lease, or waits for it, in threads of its own.
pub(crate) struct Keeper {
    commands: mpsc::UnboundedSender<Command>,
    events: RefCell<mpsc::UnboundedReceiver<Event>>,
    lease_state: watch::Receiver<LeaseState>,
}

impl Keeper {
    /// Starts to wait for the lease, and publishes what is known of it.
    pub(crate) fn start(
        candidate: Candidate,
        key: String,
        id: cluster_postgres::SchedulerId,
        publish: watch::Sender<LeaseState>,
    ) -> io::Result<Self> {
        let (commands, commanded) = mpsc::unbounded_channel();
        let (report, events) = mpsc::unbounded_channel();
        let lease_state = publish.subscribe();
        let (answer, answered) = mpsc::unbounded_channel();
        let questions = questions::start(candidate, key, answer)?;
        let keeper = keeper::Parts {
            id,
            questions,
            events: report,
            lease_state: publish,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::Builder::new().name("lease".to_owned());
        // It ends with the channel of its commands.
        thread.spawn(move || runtime.block_on(keeper::run(keeper, commanded, answered)))?;
        Ok(Self {
            commands,
            events: RefCell::new(events),
            lease_state,
        })
    }

    /// Returns what is known of the lease at any time.
    pub(crate) fn lease_state(&self) -> watch::Receiver<LeaseState> {
        self.lease_state.clone()
    }

    /// Waits for what to do next. Only one task may.
    pub(crate) async fn next_event(&self) -> Event {
        let next =
            std::future::poll_fn(|context| self.events.borrow_mut().poll_recv(context)).await;
        next.unwrap_or_else(|| Event::Failed(LeaseError::Ended))
    }

    /// A worker or a client has shown a sign of life.
    pub(crate) fn peer_heard(&self) {
        self.command(Command::PeerHeard);
    }

    /// Everything that was accepted is answered.
    pub(crate) fn drained(&self) {
        self.command(Command::Drained);
    }

    /// The program ends: gives the lease up, if this scheduler has it. [`Event::Ended`] follows.
    pub(crate) fn shut_down(&self) {
        self.command(Command::ShutDown);
    }

    /// Asks another scheduler to lead. Returns when it is decided.
    pub(crate) async fn step_down(&self) -> Result<(), StepDownError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::StepDown(answer));
        answered.await.unwrap_or(Err(StepDownError::NotLeading))
    }

    fn command(&self, command: Command) {
        // An error means that the thread has ended, which the events tell.
        drop(self.commands.send(command));
    }
}
