//! The one connection of a [`Cluster`](crate::Cluster), made again whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use cluster_api::Submission;
use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use vat::{Backoff, ConnectError, DialOptions, Dialer, Session, SturdyRef};

/// Whether there is a connection.
enum State {
    /// There is none yet, or not again.
    Down {
        /// Why the last attempt failed; `None` if none has since the connection was lost.
        why: Option<Arc<ConnectError>>,
    },
    Up(Session),
}

/// What a job needs to know of the state.
enum Seen {
    Submission(Submission),
    /// Trying again will not help: only another sturdy ref, or another scheduler at its address.
    Hopeless(Arc<ConnectError>),
    Down(Option<Arc<ConnectError>>),
}

/// The connection, for as long as this lives.
pub(crate) struct Connection {
    state: watch::Receiver<State>,
    /// Where it leads to, for errors.
    sturdy_ref: SturdyRef,
    /// Ends with this.
    _keeper: JoinSet<()>,
}

impl Connection {
    /// Begins to connect. Must be called within a `LocalSet`.
    pub(crate) fn keep(sturdy_ref: SturdyRef, dial: DialOptions, interval: Duration) -> Self {
        let (sender, state) = watch::channel(State::Down { why: None });
        let mut keeper = JoinSet::new();
        let target = sturdy_ref.clone();
        keeper.spawn_local(keep_connected(target, dial, interval, sender));
        Self {
            state,
            sturdy_ref,
            _keeper: keeper,
        }
    }

    /// Waits until there is a connection, or the first attempt to make one has failed.
    pub(crate) async fn first(&self) -> Result<(), Arc<ConnectError>> {
        let mut state = self.state.clone();
        loop {
            match see(&mut state) {
                Seen::Submission(_) => return Ok(()),
                Seen::Hopeless(why) | Seen::Down(Some(why)) => return Err(why),
                Seen::Down(None) => changed(&mut state).await,
            }
        }
    }

    /// Waits until there is a connection, for so long.
    pub(crate) async fn submission(
        &self,
        patience: Duration,
    ) -> Result<Submission, Arc<ConnectError>> {
        let mut state = self.state.clone();
        let found = async {
            loop {
                match see(&mut state) {
                    Seen::Submission(submission) => return Ok(submission),
                    Seen::Hopeless(why) => return Err(why),
                    Seen::Down(_) => changed(&mut state).await,
                }
            }
        };
        match timeout(patience, found).await {
            Ok(found) => found,
            Err(_) => Err(self.why_down(patience)),
        }
    }

    fn why_down(&self, patience: Duration) -> Arc<ConnectError> {
        match &*self.state.borrow() {
            State::Down { why: Some(why) } => Arc::clone(why),
            State::Down { why: None } | State::Up(_) => Arc::new(ConnectError::TimedOut {
                address: self.sturdy_ref.address.clone(),
                seconds: patience.as_secs_f32(),
            }),
        }
    }
}

fn see(state: &mut watch::Receiver<State>) -> Seen {
    match &*state.borrow_and_update() {
        // What has ended a moment ago is not known to the keeper yet.
        State::Up(session) if session.closed().now_or_never().is_some() => Seen::Down(None),
        State::Up(session) => Seen::Submission(Submission::from_client(session.bootstrap())),
        State::Down { why: Some(why) } if is_hopeless(why) => Seen::Hopeless(Arc::clone(why)),
        State::Down { why } => Seen::Down(why.clone()),
    }
}

async fn changed(state: &mut watch::Receiver<State>) {
    if state.changed().await.is_err() {
        // The keeper lives as long as the connection, which somebody is asking.
        std::future::pending::<()>().await;
    }
}

/// Says whether it is the sturdy ref that is wrong. The others pass when a machine or a program is back.
fn is_hopeless(error: &ConnectError) -> bool {
    match error {
        ConnectError::WrongFingerprint { .. }
        | ConnectError::UnknownService { .. }
        | ConnectError::SpeaksTls { .. } => true,
        // This one is also what a scheduler looks like that ends just now.
        ConnectError::NotTls { .. }
        | ConnectError::ServiceFailed { .. }
        | ConnectError::Refused { .. }
        | ConnectError::TimedOut { .. }
        | ConnectError::Silent { .. }
        | ConnectError::UnknownHost { .. }
        | ConnectError::Tls { .. }
        | ConnectError::Closed { .. }
        | ConnectError::Io { .. } => false,
    }
}

/// Connects, and again when that is lost. It never gives up, even where a job would: a scheduler that was started with
/// the wrong key may be started anew with the right one.
async fn keep_connected(
    target: SturdyRef,
    dial: DialOptions,
    interval: Duration,
    state: watch::Sender<State>,
) {
    let mut backoff = Backoff::new(interval);
    loop {
        sleep(backoff.next_attempt(Instant::now().into_std())).await;
        // Another key each time: an OCaml scheduler keeps one connection for each, perhaps the one that is broken.
        let why = match Dialer::new(dial.clone()).connect(&target).await {
            Ok(session) => {
                tracing::info!("Connected to the scheduler at {}", target.address);
                state.send_replace(State::Up(session.clone()));
                let lost = session.closed().await;
                tracing::warn!("{}; connecting again", lost.extra);
                None
            }
            Err(error) => {
                tracing::warn!("Cannot connect to the scheduler: {error}; trying again");
                Some(Arc::new(error))
            }
        };
        state.send_replace(State::Down { why });
    }
}
