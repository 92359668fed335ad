//! Connecting to a scheduler, and telling the user while that lasts.

use std::future::Future;
use std::io::IsTerminal as _;
use std::time::Duration;

use vat::{ConnectError, DialOptions, Dialer, Session, SturdyRef};

use crate::capability_args::CapFile;
use crate::error::{CommandError, Kind};
use crate::program::complain;
use crate::status_line::StatusLine;

/// How long a connection may take before a person at a terminal is told what we wait for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Connects to what `cap` refers to.
///
/// As upstream does, one line on standard error tells how it went; on a terminal, only a passing note when it lasts.
pub async fn connect(cap: &CapFile) -> Result<Session, CommandError> {
    let target = cap.load()?;
    let address = target.address.to_string();
    let dialer = Dialer::new(DialOptions::default());
    if std::io::stderr().is_terminal() {
        with_passing_note(&address, dial(&dialer, &target)).await
    } else {
        let outcome = dial(&dialer, &target).await;
        let ended = if outcome.is_ok() { "OK" } else { "ERROR" };
        complain(&format!("Connecting to {address}... {ended}\n"));
        outcome
    }
}

async fn dial(dialer: &Dialer, target: &SturdyRef) -> Result<Session, CommandError> {
    dialer.connect(target).await.map_err(explained)
}

/// Tells a scheduler that is not there from a cap file that is not for it.
fn explained(error: ConnectError) -> CommandError {
    let kind = match &error {
        ConnectError::WrongFingerprint { .. }
        | ConnectError::UnknownService { .. }
        | ConnectError::SpeaksTls { .. } => Kind::WrongCap,
        // This one is also what a scheduler looks like that ends just now.
        ConnectError::NotTls { .. }
        | ConnectError::ServiceFailed { .. }
        | ConnectError::Refused { .. }
        | ConnectError::TimedOut { .. }
        | ConnectError::UnknownHost { .. }
        | ConnectError::Tls { .. }
        | ConnectError::Closed { .. }
        | ConnectError::Io { .. } => Kind::Unreachable,
    };
    CommandError::caused_as(kind, error)
}

async fn with_passing_note<T>(address: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    let note = StatusLine::on_terminal();
    note.show(&format!("[ connecting to {address} ]"));
    let done = work.await;
    note.clear();
    done
}
