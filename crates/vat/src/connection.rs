//! The task of one connection: polls the RPC system, writes its messages, and closes the connection.

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

use crate::close_reason::CloseReason;
use crate::link::{Link, Role};
use crate::restore::{self, Restorer};
use crate::text::LogText;
use crate::transport::Network;
use crate::{Limits, Peer, Restore};

/// How often the RPC system is polled in a row before other tasks run. It handles about one message each time.
const MAX_POLLS: usize = 64;

/// How long it is polled in a row, checked every few polls: some messages cost more than others.
const MAX_POLL_TIME: Duration = Duration::from_millis(5);

/// How long a closing connection waits for the peer to read the last messages.
const FINAL_FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// How long a closing connection goes on reading: closing a socket with unread bytes would discard the last messages.
const LINGER: Duration = Duration::from_secs(2);

/// Starts the task of a connection. Returns the peer's bootstrap capability if we have dialed.
pub(crate) fn start(link: &Rc<Link>, services: Rc<dyn Restore>) -> Option<Client> {
    *link.injected.borrow_mut() = restore::injected_messages().into();
    let restorer = Restorer::client(services, Peer::new(link.clone()));
    let network = Network::new(link.clone());
    let is_dialer = matches!(link.role, Role::Dialer { .. });
    let mut rpc = RpcSystem::new(Box::new(network), Some(restorer));
    let service = is_dialer.then(|| rpc.bootstrap(()));
    let disconnector = rpc.get_disconnector();
    tokio::task::spawn_local(ConnectionTask {
        link: link.clone(),
        rpc: Some(rpc),
        disconnector,
        poll_request: Arc::default(),
        unsent_timer: None,
        state: State::Open,
    });
    service
}

struct ConnectionTask {
    link: Rc<Link>,
    /// `None` once all capabilities are broken.
    rpc: Option<RpcSystem<()>>,
    disconnector: Disconnector<()>,
    poll_request: Arc<PollRequest>,
    /// `None` while the peer reads fast enough.
    unsent_timer: Option<UnsentTimer>,
    state: State,
}

enum State {
    Open,
    /// All capabilities are broken. The last messages are being written, until the timer ends.
    FinalFlush(Pin<Box<Sleep>>),
    /// The stream is being ended in our direction.
    Shutdown(Pin<Box<Sleep>>),
    /// The rest of the peer's data is being discarded.
    Linger(Pin<Box<Sleep>>),
}

/// A limit for the time in which a peer must read what it has left unread.
struct UnsentTimer {
    timer: Pin<Box<Sleep>>,
    /// How many bytes were unsent when the timer was set.
    left: usize,
}

impl Future for ConnectionTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.link.set_task(cx.waker());
        loop {
            match &mut this.state {
                State::Open => {
                    this.poll_rpc(cx);
                    if !this.link.is_closed() {
                        this.poll_open(cx);
                        return Poll::Pending;
                    }
                    this.rpc = None;
                    this.log_close_reason();
                    if !this.link.close_reason().is_some_and(|r| r.peer_may_read()) {
                        return Poll::Ready(());
                    }
                    this.state = State::FinalFlush(Box::pin(sleep(FINAL_FLUSH_LIMIT)));
                }
                State::FinalFlush(deadline) => {
                    let is_late = deadline.as_mut().poll(cx).is_ready();
                    match this.link.poll_write(cx) {
                        Poll::Pending if !is_late => return Poll::Pending,
                        Poll::Ready(Ok(())) => {
                            this.state = State::Shutdown(Box::pin(sleep(LINGER)));
                        }
                        Poll::Ready(Err(_)) | Poll::Pending => return Poll::Ready(()),
                    }
                }
                State::Shutdown(deadline) => {
                    let is_late = deadline.as_mut().poll(cx).is_ready();
                    match this.link.poll_shutdown(cx) {
                        Poll::Pending if !is_late => return Poll::Pending,
                        Poll::Pending => return Poll::Ready(()),
                        Poll::Ready(()) => this.state = State::Linger(Box::pin(sleep(LINGER))),
                    }
                }
                State::Linger(deadline) => {
                    let is_late = deadline.as_mut().poll(cx).is_ready();
                    let is_drained = this.link.poll_drain(cx).is_ready();
                    if is_late || is_drained {
                        return Poll::Ready(());
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl ConnectionTask {
    /// Polls the RPC system until it has nothing to do, or other tasks must run.
    fn poll_rpc(&mut self, cx: &mut Context<'_>) {
        let Some(rpc) = &mut self.rpc else {
            return;
        };
        self.poll_request.task.register(cx.waker());
        let waker = Waker::from(self.poll_request.clone());
        let mut rpc_cx = Context::from_waker(&waker);
        self.poll_request.is_polling.store(true, Ordering::Relaxed);
        self.link.is_polling_rpc.set(true);
        let start = Instant::now();
        for count in 0..MAX_POLLS {
            if count % 8 == 7 && start.elapsed() > MAX_POLL_TIME {
                break;
            }
            self.poll_request
                .is_requested
                .store(false, Ordering::Relaxed);
            // Its tables may be in any state after a panic, so all that is done then is to break what depends on them.
            match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *rpc).poll(&mut rpc_cx))) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(_)) => break,
                Err(_) => {
                    self.link.close(CloseReason::Panicked);
                    self.poll_request.is_polling.store(false, Ordering::Relaxed);
                    self.link.is_polling_rpc.set(false);
                    return self.disconnect();
                }
            }
            if self.link.is_closed() || !self.poll_request.is_requested() {
                break;
            }
        }
        self.poll_request.is_polling.store(false, Ordering::Relaxed);
        self.link.is_polling_rpc.set(false);
        if self.poll_request.is_requested() {
            // Not at once, but after all other tasks have run and their sockets were polled: a task that wakes itself
            // is run dozens of times before that.
            let again = std::pin::pin!(tokio::task::yield_now());
            let _: Poll<()> = again.poll(cx);
        }
    }

    /// Writes, and checks whether the connection can stay open.
    fn poll_open(&mut self, cx: &mut Context<'_>) {
        let rpc_is_idle = !self.poll_request.is_requested();
        if self.write(cx).is_ready() && rpc_is_idle {
            self.link.set_flushed();
        }
        self.check_unsent(cx);
        self.check_unused();
        self.link.acknowledge();
    }

    /// Writes as much as the stream takes. Ready when nothing is left that could be written.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.poll_write(cx).map(|result| {
            if let Err(reason) = result {
                self.link.close(reason);
            }
        })
    }

    /// Closes the connection if the peer leaves too much unread for too long.
    fn check_unsent(&mut self, cx: &mut Context<'_>) {
        if !self.link.has_too_much_unsent() {
            self.unsent_timer = None;
            return;
        }
        let left = self.link.outbox.borrow().len();
        let has_read = |timer: &UnsentTimer| left + Limits::PROGRESS <= timer.left;
        if self.unsent_timer.as_ref().is_none_or(has_read) {
            let timer = Box::pin(sleep(self.link.limits.unsent_time));
            self.unsent_timer = Some(UnsentTimer { timer, left });
        }
        if let Some(unsent) = &mut self.unsent_timer {
            // Data added since must not count as read later.
            unsent.left = unsent.left.max(left);
            if unsent.timer.as_mut().poll(cx).is_ready() {
                self.link.close(CloseReason::NotReading);
            }
        }
    }

    /// Closes the connection if the application holds nothing of it.
    fn check_unused(&self) {
        if !self.link.has_handle.get() && self.link.ledger.borrow().is_idle() {
            self.link.close(CloseReason::Unused);
        }
    }

    fn log_close_reason(&self) {
        let Some(reason) = self.link.close_reason() else {
            return;
        };
        let address = &self.link.address;
        // A program that has dialed learns the reason, and reports it in its own words.
        if reason.needs_attention() && !self.link.is_dialed() {
            self.link
                .warn(format_args!("Connection with {address} ended: {reason}"));
        } else {
            let reason = reason.to_string();
            tracing::debug!("Connection with {address} ended: {}", LogText::new(&reason));
        }
    }

    /// Breaks all capabilities without the RPC system's own task.
    fn disconnect(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let disconnector = Pin::new(&mut self.disconnector);
        let result = catch_unwind(AssertUnwindSafe(|| disconnector.poll(&mut cx)));
        if result.is_err() {
            tracing::error!(
                "Cannot break the capabilities of {}: the RPC system has panicked",
                self.link.address
            );
        }
        let reason = self.link.close_reason().unwrap_or(CloseReason::Panicked);
        self.link.set_closed(self.link.exception(&reason));
    }
}

impl Drop for ConnectionTask {
    /// Breaks all capabilities if the task is dropped before the connection has ended, as when the program exits.
    fn drop(&mut self) {
        if !self.link.is_closed() {
            let reason = "the program is exiting".to_owned();
            self.link.close(CloseReason::ClosedLocally(reason));
            self.disconnect();
        }
        self.rpc = None;
        self.link.dispose();
    }
}

/// Whether the RPC system wants to be polled again.
#[derive(Default)]
struct PollRequest {
    is_requested: AtomicBool,
    /// Whether it is being polled, so that no task must be woken for the next poll.
    is_polling: AtomicBool,
    task: AtomicWaker,
}

impl PollRequest {
    fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::Relaxed)
    }
}

impl Wake for PollRequest {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_requested.store(true, Ordering::Relaxed);
        if !self.is_polling.load(Ordering::Relaxed) {
            self.task.wake();
        }
    }
}
