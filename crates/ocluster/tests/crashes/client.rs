//! A client that connects again whenever its connection is lost.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use cluster_api::{JobQuery, RpcError, RpcErrorKind, Submission};
use tokio::time::timeout;
use vat::{Address, DialOptions, Dialer, Session, cap_file};

/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Client {
    cap: PathBuf,
    dial: DialOptions,
    /// How long a scheduler may be silent; `None` if it may for ever.
    patience: Option<Duration>,
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
    /// Returns one with this cap file.
    pub(crate) fn new(cap: PathBuf) -> Self {
        Self {
            cap,
            dial: DialOptions::default(),
            patience: None,
            current: RefCell::default(),
            last_number: Cell::new(0),
        }
    }

    /// Returns it with more addresses of schedulers. It leaves one that is silent for longer than `patience`.
    pub(crate) fn with_others(mut self, also: Vec<Address>, patience: Duration) -> Self {
        self.dial.also = also;
        self.patience = Some(patience);
        self
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
            match self.answered(&submission, call(submission.clone())).await {
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

    /// Returns the answer to a call; none if the scheduler falls silent meanwhile.
    async fn answered<T>(
        &self,
        submission: &Submission,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let Some(patience) = self.patience else {
            return call.await;
        };
        let silence = async {
            let query = JobQuery {
                at_most: Some(1),
                ..JobQuery::default()
            };
            // A refusal is an answer, too.
            while let Ok(_answer) = timeout(patience, submission.list_durable(&query)).await {
                tokio::time::sleep(patience).await;
            }
        };
        tokio::select! {
            answer = call => answer,
            () = silence => Err(CallError::Retry),
        }
    }

    /// Returns whether a scheduler has written the cap file: it is not there before the first start.
    pub(crate) fn has_cap_file(&self) -> bool {
        self.cap.exists()
    }

    async fn connect(&self) -> Option<Session> {
        // It is not there before the scheduler's first start.
        let sturdy_ref = cap_file::load(&self.cap).ok()?;
        let dialer = Dialer::new(self.dial.clone());
        dialer.connect(&sturdy_ref).await.ok()
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
