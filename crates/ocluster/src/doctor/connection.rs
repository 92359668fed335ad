//! The check of one connection: what to do about each error.

use std::fmt::Display;

use vat::ConnectError;

use super::check::Check;

/// Judges the connection to an address.
pub(super) fn judge_connection(
    name: &str,
    address: impl Display,
    reached: Result<(), &ConnectError>,
) -> Check {
    let Err(error) = reached else {
        return Check::fit(name, format!("answers at {address}, and knows this secret"));
    };
    let (found, advice) = match error {
        ConnectError::WrongFingerprint { expected, got, .. } => (
            format!(
                "the key of {address} does not match the cap file: expected {expected}, got {got}"
            ),
            "copy the current cap file from the scheduler; if its key was lost, every cap file must be replaced",
        ),
        ConnectError::UnknownService { .. } => (
            format!("{address} does not know the secret"),
            "access was removed, or the scheduler has another key.pem: get a new cap file",
        ),
        ConnectError::ServiceFailed { error, .. } => (
            format!("{address} cannot provide the service: {error}"),
            "see the scheduler's log",
        ),
        ConnectError::Refused { .. } => (
            format!("nothing listens at {address}"),
            "start the scheduler there, or correct its --capnp-public-address and copy the cap file again",
        ),
        ConnectError::TimedOut { .. } => (
            format!("no answer from {address} while connecting"),
            "check the network and firewalls between here and there, and whether the scheduler is stopped",
        ),
        ConnectError::Silent { phase, .. } => (
            format!("{address} accepts connections, but does not respond: no answer {phase}"),
            "check that this is the scheduler's port, and that the scheduler is not stopped",
        ),
        ConnectError::UnknownHost { host, source } => (
            format!("unknown host {host}: {source}"),
            "check the name in the cap file (the scheduler's --capnp-public-address), and this machine's resolver",
        ),
        ConnectError::NotTls { .. } => (
            format!("the service at {address} does not use TLS"),
            "check the port; if the scheduler now has --capnp-disable-tls, copy its new cap file",
        ),
        ConnectError::SpeaksTls { .. } => (
            format!("{address} uses TLS, but the cap file does not"),
            "copy the current cap file from the scheduler",
        ),
        ConnectError::Tls { .. }
        | ConnectError::Closed { .. }
        | ConnectError::Io { .. }
        | ConnectError::NoEndpoint { .. } => (
            error.to_string(),
            "check that an OCluster scheduler listens there, and see its log",
        ),
    };
    Check::problem(name, found, advice)
}
