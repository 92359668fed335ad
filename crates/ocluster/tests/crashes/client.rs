//! A client that connects again whenever its connection is lost.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use cluster_api::{RpcError, RpcErrorKind, Submission};
use vat::{DialOptions, Dialer, Session, cap_file};

/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Client {
    cap: PathBuf,
    current: RefCell<Option<Connection>>,
    last_number: Cell<u64>,
}

struct Connection {
    number: u64,
    submission: Submission,
    /// Dropping it closes the connection.
    _session: Session,
}

/// Why a call has no answer that counts.
pub(crate) enum CallError {
    /// The connection was lost, or the scheduler cannot save jobs now: the call may be made again.
    Retry,
    /// The scheduler said no.
    Refused(String),
}

impl From<RpcError> for CallError {
    fn from(error: RpcError) -> Self {
        match error.kind {
            RpcErrorKind::Disconnected | RpcErrorKind::Overloaded => Self::Retry,
            RpcErrorKind::Failed | RpcErrorKind::Unimplemented => Self::Refused(error.to_string()),
        }
    }
}

impl Client {
    pub(crate) fn new(cap: PathBuf) -> Self {
        Self {
            cap,
            current: RefCell::default(),
            last_number: Cell::new(0),
        }
    }

    /// Closes the connection, as the end of the client's process does.
    pub(crate) fn disconnect(&self) {
        drop(self.current.take());
    }

    /// Makes a call, over a new connection each time that there is no answer.
    pub(crate) async fn call<T>(
        &self,
        call: impl AsyncFn(Submission) -> Result<T, CallError>,
    ) -> Result<T, String> {
        loop {
            let (number, submission) = self.submission().await;
            match call(submission).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Refused(error)) => return Err(error),
                Err(CallError::Retry) => {
                    let is_same = |current: &mut Connection| current.number == number;
                    drop(self.current.borrow_mut().take_if(is_same));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn submission(&self) -> (u64, Submission) {
        loop {
            if let Some(current) = &*self.current.borrow() {
                return (current.number, current.submission.clone());
            }
            match self.connect().await {
                Some(session) => self.keep(session),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn connect(&self) -> Option<Session> {
        // It is not there before the scheduler's first start.
        let sturdy_ref = cap_file::load(&self.cap).ok()?;
        Dialer::new(DialOptions::default())
            .connect(&sturdy_ref)
            .await
            .ok()
    }

    /// Keeps a session, unless there is one meanwhile.
    fn keep(&self, session: Session) {
        let mut current = self.current.borrow_mut();
        if current.is_none() {
            self.last_number.set(self.last_number.get() + 1);
            *current = Some(Connection {
                number: self.last_number.get(),
                submission: Submission::from_client(session.bootstrap()),
                _session: session,
            });
        }
    }
}
