//! Connecting to a scheduler, and telling the user while that lasts.

use std::cell::Cell;
use std::future::Future;
use std::io::IsTerminal as _;
use std::time::Duration;

use vat::{ConnectError, DialOptions, Dialer, Phase, Session};

use crate::capability_args::CapFile;
use cli::error::{CommandError, Kind};
use cli::print::complain;
use cli::status_line::StatusLine;

/// How long a connection may take before a person at a terminal is told what we wait for.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long it may take before anybody is told how far it has come.
const LONG: Duration = Duration::from_secs(2);

/// How long the scheduler may take to answer once the connection is made. A worker waits for longer, as it has nobody who waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to what `cap` refers to.
///
/// As upstream does, one line on standard error tells how it went; on a terminal, only a passing note when it lasts. Either says
/// what is waited for when that takes long.
pub async fn connect(cap: &CapFile) -> Result<Session, CommandError> {
    let target = cap.load()?;
    let address = target.address.to_string();
    let dialer = Dialer::new(DialOptions {
        handshake_timeout: ANSWER_TIMEOUT,
        ..DialOptions::default()
    });
    let phase = Cell::default();
    let dialled = dialer.connect_noting(&target, &phase);
    let outcome = if std::io::stderr().is_terminal() {
        with_passing_note(&address, &phase, dialled).await
    } else {
        let outcome = with_line(&address, &phase, dialled).await;
        let ended = if outcome.is_ok() { "OK" } else { "ERROR" };
        complain(&format!("Connecting to {address}... {ended}\n"));
        outcome
    };
    outcome.map_err(explained)
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
        | ConnectError::Silent { .. }
        | ConnectError::UnknownHost { .. }
        | ConnectError::Tls { .. }
        | ConnectError::Closed { .. }
        | ConnectError::Io { .. } => Kind::Unreachable,
    };
    CommandError::caused_as(kind, error)
}

/// Says in a line that stays what is waited for, if that takes long.
async fn with_line<T>(address: &str, phase: &Cell<Phase>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(LONG, &mut work).await {
        return done;
    }
    complain(&format!("{}\n", waiting(address, phase.get())));
    work.await
}

/// Says in a line that passes what is waited for.
async fn with_passing_note<T>(
    address: &str,
    phase: &Cell<Phase>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    let note = StatusLine::on_terminal();
    note.show(&format!("[ connecting to {address} ]"));
    let done = match tokio::time::timeout(LONG, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            note.show(&format!("[ {} ]", waiting(address, phase.get())));
            work.await
        }
    };
    note.clear();
    done
}

fn waiting(address: &str, phase: Phase) -> String {
    match phase {
        Phase::Connection => format!("waiting for {address} to accept the connection"),
        Phase::Handshake | Phase::FirstAnswer => {
            format!("connected to {address}, waiting for an answer {phase}")
        }
    }
}
