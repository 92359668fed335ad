//! Checks of cap files: the mode, the contents, and the scheduler's answer.

use std::fmt::Display;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use vat::{CapFileError, ConnectError, SturdyRef};

use super::check::Check;
use super::schedulers::Schedulers;
use cli::capability_args::AlsoArgs;

/// Checks a cap file and its scheduler.
pub(super) async fn checks(path: &Path, also: &AlsoArgs) -> Vec<Check> {
    let name = format!("cap file {}", path.display());
    let file = judge_file(&name, path, path.metadata());
    match vat::cap_file::load(path) {
        Ok(target) => {
            let who = format!("scheduler of {}", path.display());
            let mut checks = vec![file];
            checks.extend(judge_address(&name, &target));
            checks.extend(Schedulers::dial(&target, also).await.judge(&who));
            checks
        }
        // The check of the file reports the error.
        Err(CapFileError::Missing(_)) => vec![file],
        Err(error) => vec![Check::problem(
            name,
            described(&error),
            "copy it again from the scheduler's secrets directory",
        )],
    }
}

fn described(error: &CapFileError) -> String {
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
            "copy it from the scheduler's --secrets-dir",
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
                        "chmod 600 {}; if others may have read it, replace it",
                        path.display()
                    ),
                )
            }
        }
    }
}

/// Checks whether a cap file can be used on another machine than the scheduler's.
fn judge_address(name: &str, target: &SturdyRef) -> Option<Check> {
    let address = &target.address;
    address.is_wildcard().then(|| {
        Check::warning(
            name,
            format!("its address {address} is only reachable on the scheduler's own machine"),
            "start the scheduler with --capnp-public-address=tcp:HOST:PORT, and copy the cap file again",
        )
    })
}

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

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::doctor::testing::folded_text;

    #[test]
    fn each_connection_error_has_advice() {
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
        let mut checks = vec![judge_connection("scheduler", &target.address, Ok(()))];
        assert_eq!(judge_address("scheduler", &target), None);
        checks.extend(judge_address("scheduler", &wildcard));
        checks.extend(
            errors
                .iter()
                .map(|error| judge_connection("scheduler", &target.address, Err(error))),
        );
        expect![[r#"
            ok       scheduler  answers at tcp:build.example.org:9000, and knows this secret
            warning  scheduler  its address tcp:0.0.0.0:9000 is only reachable on the scheduler's own machine
                     -> start the scheduler with --capnp-public-address=tcp:HOST:PORT, and copy the cap file \
                again
            problem  scheduler  tcp:build.example.org:9000 does not know the secret
                     -> access was removed, or the scheduler has another key.pem: get a new cap file
            problem  scheduler  nothing listens at tcp:build.example.org:9000
                     -> start the scheduler there, or correct its --capnp-public-address and copy the cap file \
                again
            problem  scheduler  no answer from tcp:build.example.org:9000 while connecting
                     -> check the network and firewalls between here and there, and whether the scheduler is \
                stopped
            problem  scheduler  unknown host build.example.org: no such name
                     -> check the name in the cap file (the scheduler's --capnp-public-address), and this \
                machine's resolver
            problem  scheduler  the service at tcp:build.example.org:9000 does not use TLS
                     -> check the port; if the scheduler now has --capnp-disable-tls, copy its new cap file
            problem  scheduler  tcp:build.example.org:9000 uses TLS, but the cap file does not
                     -> copy the current cap file from the scheduler
            problem  scheduler  cannot connect to tcp:build.example.org:9000: connection reset
                     -> check that an OCluster scheduler listens there, and see its log

            7 problems, 1 warning.
        "#]]
        .assert_eq(&folded_text(&checks));
    }
}
