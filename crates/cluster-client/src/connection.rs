//! The one connection of a [`Cluster`](crate::Cluster), which reconnects whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use vat::{Backoff, ConnectError, DialOptions, Dialer, Failure, Session, SturdyRef};

use crate::Options;
use crate::options::LossReport;

/// The state of the connection.
enum State {
    /// Not connected yet, or not again.
    Down {
        /// Why the last attempt failed; `None` if there was none since the connection was lost.
        why: Option<Arc<ConnectError>>,
    },
    Up(Session),
}

/// The state of the connection, as a job needs it.
enum Availability {
    Connected(Session),
    /// Retrying does not help: it takes another sturdy ref, or another scheduler at its address.
    WrongCapFile(Arc<ConnectError>),
    Down(Option<Arc<ConnectError>>),
}

/// How to connect and reconnect.
struct DialingOptions {
    dial: DialOptions,
    interval: Duration,
    report: LossReport,
}

/// The connection, for as long as this lives.
pub(crate) struct Connection {
    state: watch::Receiver<State>,
    /// Its target, for errors.
    sturdy_ref: SturdyRef,
    /// Aborted when this is dropped.
    _keeper: JoinSet<()>,
}

impl Connection {
    /// Begins to connect, and reconnects. Must be called within a `LocalSet`.
    pub(crate) fn open(sturdy_ref: SturdyRef, options: &Options) -> Self {
        Self::keep(sturdy_ref, None, options)
    }

    /// Keeps a connection that there is already, and reconnects. Must be called within a `LocalSet`.
    pub(crate) fn resume(sturdy_ref: SturdyRef, session: Session, options: &Options) -> Self {
        Self::keep(sturdy_ref, Some(session), options)
    }

    fn keep(sturdy_ref: SturdyRef, session: Option<Session>, options: &Options) -> Self {
        let first = match &session {
            Some(session) => State::Up(session.clone()),
            None => State::Down { why: None },
        };
        let (sender, state) = watch::channel(first);
        let mut keeper = JoinSet::new();
        let target = sturdy_ref.clone();
        let options = DialingOptions {
            dial: options.dial.clone(),
            interval: options.reconnect_interval,
            report: options.on_lost.clone(),
        };
        keeper.spawn_local(keep_connected(target, session, options, sender));
        Self {
            state,
            sturdy_ref,
            _keeper: keeper,
        }
    }

    /// Waits for the first attempt to connect.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) async fn first(&self) -> Result<(), Arc<ConnectError>> {
        let mut state = self.state.clone();
        loop {
            match availability(&mut state) {
                Availability::Connected(_) => return Ok(()),
                Availability::WrongCapFile(why) | Availability::Down(Some(why)) => return Err(why),
                Availability::Down(None) => changed(&mut state).await,
            }
        }
    }

    /// Waits until it is connected, for at most `limit`.
    pub(crate) async fn session(&self, limit: Duration) -> Result<Session, Arc<ConnectError>> {
        let mut state = self.state.clone();
        let found = async {
            loop {
                match availability(&mut state) {
                    Availability::Connected(session) => return Ok(session),
                    Availability::WrongCapFile(why) => return Err(why),
                    Availability::Down(_) => changed(&mut state).await,
                }
            }
        };
        match timeout(limit, found).await {
            Ok(found) => found,
            Err(_) => Err(self.timed_out(limit)),
        }
    }

    fn timed_out(&self, limit: Duration) -> Arc<ConnectError> {
        match &*self.state.borrow() {
            State::Down { why: Some(why) } => Arc::clone(why),
            State::Down { why: None } | State::Up(_) => Arc::new(ConnectError::TimedOut {
                address: self.sturdy_ref.address.clone(),
                seconds: limit.as_secs_f32(),
            }),
        }
    }
}

fn availability(state: &mut watch::Receiver<State>) -> Availability {
    match &*state.borrow_and_update() {
        // The keeper may not know yet that the connection has just been closed.
        State::Up(session) if session.closed().now_or_never().is_some() => Availability::Down(None),
        State::Up(session) => Availability::Connected(session.clone()),
        State::Down { why: Some(why) } if why.needs_another_cap_file() => {
            Availability::WrongCapFile(Arc::clone(why))
        }
        State::Down { why } => Availability::Down(why.clone()),
    }
}

async fn changed(state: &mut watch::Receiver<State>) {
    if state.changed().await.is_err() {
        // The keeper lives as long as the connection, so this is not reached.
        std::future::pending::<()>().await;
    }
}

/// Connects, and reconnects. It never gives up, even where a job would: a scheduler that was started with the wrong key
/// may be restarted with the right one.
async fn keep_connected(
    target: SturdyRef,
    session: Option<Session>,
    options: DialingOptions,
    state: watch::Sender<State>,
) {
    let DialingOptions {
        dial,
        interval,
        report,
    } = options;
    let keeper = Keeper {
        dialer: Dialer::new(dial),
        target,
        report,
        state,
    };
    let mut backoff = Backoff::new(interval);
    let mut was_connected = session.is_some();
    let mut begin;
    if let Some(session) = session {
        begin = keeper.lose(session).await;
        keeper.state.send_replace(State::Down { why: None });
        wait(&mut backoff, Failure::Lost, begin).await;
    }
    loop {
        begin = Instant::now();
        // A new key each time: an OCaml scheduler keeps one connection per key, perhaps the broken one.
        let (why, failure) = match keeper.dialer.renewed().connect(&keeper.target).await {
            Ok(session) => {
                begin = keeper.lose(session).await;
                was_connected = true;
                (None, Failure::Lost)
            }
            Err(error) => {
                match was_connected {
                    // That it is lost was reported.
                    true => tracing::info!("Cannot connect to the scheduler: {error}; retrying"),
                    false => tracing::warn!("Cannot connect to the scheduler: {error}; retrying"),
                }
                let failure = match error.needs_another_cap_file() {
                    true => Failure::Refused,
                    false => Failure::NotConnected,
                };
                (Some(Arc::new(error)), failure)
            }
        };
        keeper.state.send_replace(State::Down { why });
        wait(&mut backoff, failure, begin).await;
    }
}

/// Waits until the next attempt to connect is due. The latest one was made at `begin`.
async fn wait(backoff: &mut Backoff, failure: Failure, begin: Instant) {
    // Without chance, it is the shortest wait.
    let chance = getrandom::u64().unwrap_or_default();
    sleep(backoff.next_wait(failure, begin.elapsed(), chance)).await;
}

/// What keeps the connection.
struct Keeper {
    dialer: Dialer,
    target: SturdyRef,
    report: LossReport,
    state: watch::Sender<State>,
}

impl Keeper {
    /// Waits until a connection is lost, and all that replace it, and reports each loss. Returns when the latest one
    /// began.
    async fn lose(&self, session: Session) -> Instant {
        let mut begin = Instant::now();
        let mut present = Some(session);
        while let Some(session) = present {
            begin = Instant::now();
            tracing::info!("Connected to the scheduler at {}", session.address());
            self.state.send_replace(State::Up(session.clone()));
            let loss = self.dialer.lost(&self.target, &session).await;
            // It names the connection.
            self.report.lost(&loss.error.extra);
            present = loss.successor;
        }
        begin
    }
}
