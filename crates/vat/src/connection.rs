//! The task of one connection: lets the RPC system run, writes what came of it, and sees the connection to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use capnp::capability::Client;
use capnp_rpc::{Disconnector, RpcSystem};
use futures::task::AtomicWaker;
use tokio::time::{Sleep, sleep};

use crate::ending::Ending;
use crate::link::{Link, Role};
use crate::restore::{self, Restorer};
use crate::text::Shown;
use crate::transport::Network;
use crate::{Limits, Peer, Restore};

/// How often the RPC system may run in a row before others get their turn. It handles about one message each time.
const TURNS: usize = 64;

/// How long it may run in a row, looked at every few turns: some messages cost more than others.
const TURN_TIME: Duration = Duration::from_millis(5);

/// How long a peer has for reading our last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long we listen on after our last words: closing with bytes unread would take them back.
const LINGER: Duration = Duration::from_secs(2);

/// Starts the task of a connection; returns the peer's bootstrap capability if we are the ones who connect.
pub(crate) fn start(link: &Rc<Link>, services: Rc<dyn Restore>) -> Option<Client> {
    *link.injected.borrow_mut() = restore::opening_messages().into();
    let restorer = Restorer::client(services, Peer::new(link.clone()));
    let network = Network::new(link.clone());
    let using = !matches!(link.role, Role::Serving);
    let mut rpc = RpcSystem::new(Box::new(network), Some(restorer));
    let service = using.then(|| rpc.bootstrap(()));
    let disconnector = rpc.get_disconnector();
    tokio::task::spawn_local(Connection {
        link: link.clone(),
        rpc: Some(rpc),
        disconnector,
        turn: Arc::default(),
        overfull: None,
        phase: Phase::Open,
    });
    service
}

struct Connection {
    link: Rc<Link>,
    /// Taken away when all capabilities are broken.
    rpc: Option<RpcSystem<()>>,
    disconnector: Disconnector<()>,
    turn: Arc<Turn>,
    overfull: Option<Overfull>,
    phase: Phase,
}

enum Phase {
    Open,
    /// All capabilities are broken; the rest is politeness.
    LastWords(Pin<Box<Sleep>>),
    Goodbye(Pin<Box<Sleep>>),
    Linger(Pin<Box<Sleep>>),
}

/// A peer that has too much left to read.
struct Overfull {
    timer: Pin<Box<Sleep>>,
    /// How much was left when the timer was set.
    left: usize,
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.link.set_task(cx.waker());
        loop {
            match &mut this.phase {
                Phase::Open => {
                    this.run_rpc(cx);
                    if !this.link.has_ended() {
                        let all_is_said = !this.turn.wanted.load(Ordering::Relaxed);
                        if this.write(cx).is_ready() && all_is_said {
                            this.link.set_flushed();
                        }
                        this.check_unsent(cx);
                        this.check_unused();
                        this.link.acknowledge();
                        return Poll::Pending;
                    }
                    this.rpc = None;
                    this.log_ending();
                    if !this.link.ending().is_some_and(|e| e.peer_may_listen()) {
                        return Poll::Ready(());
                    }
                    this.phase = Phase::LastWords(Box::pin(sleep(LAST_WORDS)));
                }
                Phase::LastWords(deadline) => {
                    let late = deadline.as_mut().poll(cx).is_ready();
                    match this.link.poll_write(cx) {
                        Poll::Pending if !late => return Poll::Pending,
                        Poll::Ready(Ok(())) => {
                            this.phase = Phase::Goodbye(Box::pin(sleep(LINGER)));
                        }
                        Poll::Ready(Err(_)) | Poll::Pending => return Poll::Ready(()),
                    }
                }
                Phase::Goodbye(deadline) => {
                    let late = deadline.as_mut().poll(cx).is_ready();
                    match this.link.poll_shutdown(cx) {
                        Poll::Pending if !late => return Poll::Pending,
                        Poll::Pending => return Poll::Ready(()),
                        Poll::Ready(()) => this.phase = Phase::Linger(Box::pin(sleep(LINGER))),
                    }
                }
                Phase::Linger(deadline) => {
                    let late = deadline.as_mut().poll(cx).is_ready();
                    let drained = this.link.poll_drain(cx).is_ready();
                    if late || drained {
                        return Poll::Ready(());
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Connection {
    /// Lets the RPC system do all that it can do now.
    fn run_rpc(&mut self, cx: &mut Context<'_>) {
        let Some(rpc) = &mut self.rpc else {
            return;
        };
        self.turn.task.register(cx.waker());
        let waker = Waker::from(self.turn.clone());
        let mut rpc_cx = Context::from_waker(&waker);
        self.turn.running.store(true, Ordering::Relaxed);
        self.link.running.set(true);
        let start = Instant::now();
        for turn in 0..TURNS {
            if turn % 8 == 7 && start.elapsed() > TURN_TIME {
                break;
            }
            self.turn.wanted.store(false, Ordering::Relaxed);
            // Its tables may be in any state after a panic; all we do then is to break what hangs on them.
            match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *rpc).poll(&mut rpc_cx))) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(_)) => break,
                Err(_) => {
                    self.link.end(Ending::Panicked);
                    self.turn.running.store(false, Ordering::Relaxed);
                    self.link.running.set(false);
                    return self.disconnect();
                }
            }
            if self.link.has_ended() || !self.turn.wanted.load(Ordering::Relaxed) {
                break;
            }
        }
        self.turn.running.store(false, Ordering::Relaxed);
        self.link.running.set(false);
        if self.turn.wanted.load(Ordering::Relaxed) {
            // Not at once, but when all others have had their turn, and what has arrived for them was noticed: a task
            // that wakes itself is run dozens of times before that.
            let again = std::pin::pin!(tokio::task::yield_now());
            let _: Poll<()> = again.poll(cx);
        }
    }

    /// Writes as much as the stream takes; ready when nothing is left that could be written.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.poll_write(cx).map(|result| {
            if let Err(ending) = result {
                self.link.end(ending);
            }
        })
    }

    /// Ends the connection if the peer leaves too much unread for too long.
    fn check_unsent(&mut self, cx: &mut Context<'_>) {
        if !self.link.is_over_full() {
            self.overfull = None;
            return;
        }
        let left = self.link.outbox.borrow().len();
        let patience = self.link.limits.unsent_time;
        let has_read = |o: &Overfull| left + Limits::PROGRESS <= o.left;
        if self.overfull.as_ref().is_none_or(has_read) {
            let timer = Box::pin(sleep(patience));
            self.overfull = Some(Overfull { timer, left });
        }
        if let Some(overfull) = &mut self.overfull {
            // What has been added since must not look like reading later.
            overfull.left = overfull.left.max(left);
            if overfull.timer.as_mut().poll(cx).is_ready() {
                self.link.end(Ending::NotReading);
            }
        }
    }

    /// Ends the connection if nobody here holds anything of it.
    fn check_unused(&self) {
        if !self.link.held.get() && self.link.ledger.borrow().is_idle() {
            self.link.end(Ending::Unused);
        }
    }

    fn log_ending(&self) {
        let Some(ending) = self.link.ending() else {
            return;
        };
        let address = &self.link.address;
        if ending.is_remarkable() {
            self.link
                .warn(format_args!("connection with {address} ended: {ending}"));
        } else {
            let ending = ending.to_string();
            tracing::debug!("connection with {address} ended: {}", Shown::new(&ending));
        }
    }

    /// Breaks all capabilities without the help of the RPC system's own task.
    fn disconnect(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let disconnector = Pin::new(&mut self.disconnector);
        let result = catch_unwind(AssertUnwindSafe(|| disconnector.poll(&mut cx)));
        if result.is_err() {
            tracing::error!("giving up on the capabilities of {}", self.link.address);
        }
        let ending = self.link.ending().unwrap_or(Ending::Panicked);
        self.link.set_ended(self.link.exception(&ending));
    }
}

impl Drop for Connection {
    /// Breaks all capabilities if the task is dropped before the connection has ended, as at the end of a program.
    fn drop(&mut self) {
        if !self.link.has_ended() {
            self.link
                .end(Ending::ClosedHere("the program is ending".to_owned()));
            self.disconnect();
        }
        self.rpc = None;
        self.link.dispose();
    }
}

/// Tells whether the RPC system wants another turn.
#[derive(Default)]
struct Turn {
    wanted: AtomicBool,
    /// Whether it is having one: then nobody need be woken for the next.
    running: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wanted.store(true, Ordering::Relaxed);
        if !self.running.load(Ordering::Relaxed) {
            self.task.wake();
        }
    }
}
