//! Cap files: is the secret kept, is it a sturdy ref, and does its scheduler know it?

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use vat::{CapFileError, ConnectError, DialOptions, Dialer, Session, SturdyRef};

use super::check::Check;

/// Checks a cap file, and the scheduler that it is for.
pub(super) async fn checks(path: &Path) -> Vec<Check> {
    let name = format!("cap file {}", path.display());
    let file = judge_file(&name, path, path.metadata());
    match vat::cap_file::load(path) {
        Ok(target) => {
            let reached = dial(&target).await.map(|_| ());
            let who = format!("scheduler of {}", path.display());
            let mut checks = vec![file];
            checks.extend(judge_address(&name, &target));
            checks.push(judge_connection(&who, &target, reached.as_ref()));
            checks
        }
        // What is wrong with the file itself has been said.
        Err(CapFileError::Missing(_)) => vec![file],
        Err(error) => vec![Check::problem(
            name,
            why(&error),
            "copy it again from the scheduler's secrets directory",
        )],
    }
}

/// Connects as a worker or client would, with less patience.
pub(super) async fn dial(target: &SturdyRef) -> Result<Session, ConnectError> {
    let options = DialOptions {
        connect_timeout: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(10),
        ..DialOptions::default()
    };
    Dialer::new(options).connect(target).await
}

fn why(error: &CapFileError) -> String {
    match error {
        CapFileError::Malformed { source, .. } => format!("not a cap file: {source}"),
        CapFileError::Read { source, .. } => format!("cannot be read: {source}"),
        other => other.to_string(),
    }
}

pub(super) fn judge_file(name: &str, path: &Path, metadata: io::Result<Metadata>) -> Check {
    match metadata {
        Err(error) => Check::problem(
            name,
            match error.kind() {
                io::ErrorKind::NotFound => "there is no such file".to_owned(),
                _ => error.to_string(),
            },
            "the scheduler writes it to its --secrets-dir; copy it from there",
        ),
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 == 0 {
                Check::fit(
                    name,
                    format!("mode {mode:04o}: only its owner can read the secret"),
                )
            } else {
                Check::problem(
                    name,
                    format!("mode {mode:04o}: others on this machine can read the secret"),
                    format!(
                        "chmod 600 {}; if they may have, get a new one",
                        path.display()
                    ),
                )
            }
        }
    }
}

/// Looks whether a cap file can be used on another machine than the scheduler's.
fn judge_address(name: &str, target: &SturdyRef) -> Option<Check> {
    let address = &target.address;
    address.is_wildcard().then(|| {
        Check::warning(
            name,
            format!("it names {address}, by which only the scheduler's own machine can reach it"),
            "start the scheduler with --capnp-public-address=tcp:HOST:PORT, and copy the cap file again",
        )
    })
}

pub(super) fn judge_connection(
    name: &str,
    target: &SturdyRef,
    reached: Result<&(), &ConnectError>,
) -> Check {
    let address = &target.address;
    let Err(error) = reached else {
        return Check::fit(name, format!("answers at {address}, and knows this secret"));
    };
    let (found, advice) = match error {
        ConnectError::WrongFingerprint { expected, got, .. } => (
            format!(
                "{address} has another key than the cap file says: expected {expected}, got {got}"
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
            format!("nobody listens at {address}"),
            "start the scheduler there, or correct its --capnp-public-address and copy the cap file again",
        ),
        ConnectError::TimedOut { during, .. } => (
            format!("no answer from {address} {during}"),
            "check the network and firewalls between here and there, and whether the scheduler is stopped",
        ),
        ConnectError::Silent { phase, .. } => (
            format!("{address} accepts connections and says nothing: no answer {phase}"),
            "check that this is the scheduler's port, and that the scheduler is not stopped",
        ),
        ConnectError::UnknownHost { host, source } => (
            format!("unknown host {host}: {source}"),
            "check the name in the cap file (the scheduler's --capnp-public-address), and this machine's resolver",
        ),
        ConnectError::NotTls { .. } => (
            format!("what answers at {address} does not speak TLS"),
            "check the port; a scheduler with --capnp-disable-tls writes other cap files: copy them again",
        ),
        ConnectError::SpeaksTls { .. } => (
            format!("{address} speaks TLS, and the cap file does not ask for it"),
            "copy the current cap file from the scheduler",
        ),
        ConnectError::Tls { .. } | ConnectError::Closed { .. } | ConnectError::Io { .. } => (
            error.to_string(),
            "check that it is an OCluster scheduler that listens there, and see its log",
        ),
    };
    Check::problem(name, found, advice)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::check::text;
    use super::*;

    #[test]
    fn each_way_not_to_connect() {
        let target: SturdyRef = "capnp://insecure@build.example.org:9000/c2VjcmV0"
            .parse()
            .unwrap();
        let address = target.address.clone();
        let io = || io::Error::from(io::ErrorKind::ConnectionReset);
        let errors = [
            ConnectError::UnknownService {
                address: address.clone(),
            },
            ConnectError::Refused {
                address: address.clone(),
            },
            ConnectError::TimedOut {
                address: address.clone(),
                during: "while connecting",
                seconds: 5.0,
            },
            ConnectError::UnknownHost {
                host: "build.example.org".to_owned(),
                source: io::Error::other("no such name"),
            },
            ConnectError::NotTls {
                address: address.clone(),
                detail: "garbage".to_owned(),
            },
            ConnectError::SpeaksTls {
                address: address.clone(),
            },
            ConnectError::Io {
                address,
                source: io(),
            },
        ];
        let wildcard: SturdyRef = "capnp://insecure@0.0.0.0:9000/c2VjcmV0".parse().unwrap();
        let mut checks = vec![judge_connection("scheduler", &target, Ok(&()))];
        assert_eq!(judge_address("scheduler", &target), None);
        checks.extend(judge_address("scheduler", &wildcard));
        checks.extend(
            errors
                .iter()
                .map(|error| judge_connection("scheduler", &target, Err(error))),
        );
        expect![[r#"
            ok       scheduler  answers at tcp:build.example.org:9000, and knows this secret
            warning  scheduler  it names tcp:0.0.0.0:9000, by which only the scheduler's own machine can reach it
                     -> start the scheduler with --capnp-public-address=tcp:HOST:PORT, and copy the cap file again
            problem  scheduler  tcp:build.example.org:9000 does not know the secret
                     -> access was removed, or the scheduler has another key.pem: get a new cap file
            problem  scheduler  nobody listens at tcp:build.example.org:9000
                     -> start the scheduler there, or correct its --capnp-public-address and copy the cap file again
            problem  scheduler  no answer from tcp:build.example.org:9000 while connecting
                     -> check the network and firewalls between here and there, and whether the scheduler is stopped
            problem  scheduler  unknown host build.example.org: no such name
                     -> check the name in the cap file (the scheduler's --capnp-public-address), and this machine's resolver
            problem  scheduler  what answers at tcp:build.example.org:9000 does not speak TLS
                     -> check the port; a scheduler with --capnp-disable-tls writes other cap files: copy them again
            problem  scheduler  tcp:build.example.org:9000 speaks TLS, and the cap file does not ask for it
                     -> copy the current cap file from the scheduler
            problem  scheduler  connection to tcp:build.example.org:9000 failed: connection reset
                     -> check that it is an OCluster scheduler that listens there, and see its log

            7 problems, 1 warning.
        "#]].assert_eq(&text(&checks, false));
    }
}
