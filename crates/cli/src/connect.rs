//! Connects to a scheduler, and shows the progress.

use std::cell::Cell;
use std::future::Future;
use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::time::Instant;
use vat::{ConnectError, DialOptions, Dialer, Phase, Session, SturdyRef};

use crate::capability_args::CapFile;
use crate::error::{CommandError, Kind};
use crate::print::print_error;
use crate::status_line::StatusLine;

/// How long a connection takes before a terminal shows what it waits for.
const STATUS_LINE_DELAY: Duration = Duration::from_millis(500);

/// How long it takes before its phase is shown, on a terminal or not.
const PHASE_DELAY: Duration = Duration::from_secs(2);

/// The time limit for the scheduler's answer on a new connection. A worker has a longer one, as no user waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// For how long a scheduler that leads is looked for, if there are several: until another one leads.
const FAILOVER_LIMIT: Duration = Duration::from_secs(10);

/// How long to wait before the next look.
const FAILOVER_INTERVAL: Duration = Duration::from_millis(500);

/// Connects to what `cap` refers to.
///
/// As in upstream, one line on standard error has the outcome. A terminal only shows a status line if it takes time.
/// Both show what is waited for if it takes long. If the scheduler has further addresses ([`AlsoArgs`]), it may be one of
/// several, and another one may be about to lead: that is waited for, too.
///
/// [`AlsoArgs`]: crate::capability_args::AlsoArgs
///
/// # Errors
/// If the cap file cannot be used, or the scheduler cannot be reached.
pub async fn connect(cap: &CapFile) -> Result<Session, CommandError> {
    let target = cap.load()?;
    let dialer = Dialer::new(DialOptions {
        handshake_timeout: ANSWER_TIMEOUT,
        ..cap.dial_options()
    });
    let addresses = dialer.addresses(&target).map(ToString::to_string);
    let address = addresses.collect::<Vec<_>>().join(", ");
    let phase = Cell::default();
    let dialled = dial(&dialer, &target, &phase);
    let outcome = if std::io::stderr().is_terminal() {
        with_status_line(&address, &phase, dialled).await
    } else {
        let outcome = with_line(&address, &phase, dialled).await;
        let (reached, ended) = match &outcome {
            Ok(session) => (&session.address().to_string(), "OK"),
            Err(_) => (&address, "ERROR"),
        };
        print_error(&format!("Connecting to {reached}... {ended}\n"));
        outcome
    };
    outcome.map_err(classified)
}

/// Connects; if there are several schedulers, to one that leads, as soon as there is one.
async fn dial(
    dialer: &Dialer,
    target: &SturdyRef,
    phase: &Cell<Phase>,
) -> Result<Session, ConnectError> {
    let begin = Instant::now();
    let is_one_of_several = dialer.addresses(target).nth(1).is_some();
    loop {
        let outcome = dialer.connect_with_phase(target, phase).await;
        let passes = outcome
            .as_ref()
            .is_err_and(|error| !error.needs_another_cap_file());
        if !is_one_of_several || !passes || begin.elapsed() >= FAILOVER_LIMIT {
            return outcome;
        }
        tokio::time::sleep(FAILOVER_INTERVAL).await;
    }
}

/// Distinguishes an unreachable scheduler from a cap file that is not for it.
fn classified(error: ConnectError) -> CommandError {
    let kind = if error.needs_another_cap_file() {
        Kind::WrongCap
    } else {
        Kind::Unreachable
    };
    CommandError::caused_as(kind, error)
}

/// Prints a line with what is waited for, if that takes long.
async fn with_line<T>(address: &str, phase: &Cell<Phase>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(PHASE_DELAY, &mut work).await {
        return done;
    }
    print_error(&format!("{}\n", waiting(address, phase.get())));
    work.await
}

/// Shows what is waited for in the status line.
async fn with_status_line<T>(
    address: &str,
    phase: &Cell<Phase>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(STATUS_LINE_DELAY, &mut work).await {
        return done;
    }
    let line = StatusLine::on_terminal();
    line.show(&format!("[ connecting to {address} ]"));
    let done = match tokio::time::timeout(PHASE_DELAY, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            line.show(&format!("[ {} ]", waiting(address, phase.get())));
            work.await
        }
    };
    line.clear();
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
