//! `ocluster doctor` on machines and clusters that really have what it finds.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use expect_test::expect;
use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::{Cluster, POOL};
use crate::harness::{Place, folded};

/// Returns the findings of the check called `name`.
fn check(report: &Value, name: &str) -> String {
    let checks = report["checks"].as_array().expect("a list of checks");
    let found = checks.iter().filter(|check| check["name"] == name);
    let lines: Vec<String> = found
        .map(|check| {
            let text = |field: &str| check[field].as_str().unwrap_or("-").to_owned();
            format!(
                "{}: {} -> {}",
                text("outcome"),
                text("found"),
                text("advice")
            )
        })
        .collect();
    assert!(!lines.is_empty(), "no check {name:?} in {report:#}");
    lines.join("\n")
}

/// Runs the doctor with `args` in `place`, and returns its exit code and its report.
fn doctor(place: &Place, args: &str) -> (i32, Value) {
    let outcome = place.run(&format!("ocluster doctor --output json {args}"));
    let report = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", outcome.transcript()));
    (outcome.code(), report)
}

/// Returns `text` with the port of a test's scheduler replaced.
fn without_port(text: &str) -> String {
    let (before, after) = text.split_once("127.0.0.1:").unwrap_or((text, ""));
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}127.0.0.1:PORT{after}")
}

/// Repeats until the check called `name` has found `words`, and returns the exit code and the report.
fn doctor_until(place: &Place, args: &str, name: &str, words: &str) -> (i32, Value) {
    let mut last = Value::Null;
    for _ in 0..100 {
        let (code, report) = doctor(place, args);
        let checks = report["checks"].as_array().into_iter().flatten();
        let mut found = checks.filter(|check| check["name"] == name);
        if found.any(|check| {
            check["found"]
                .as_str()
                .is_some_and(|found| found.contains(words))
        }) {
            return (code, report);
        }
        last = report;
    }
    panic!("{name:?} never has {words:?}: {last:#}");
}

// Cap files, with a real scheduler.

#[test]
fn a_good_cap_file_and_one_that_others_can_read() {
    let cluster = Cluster::start();
    let cap = format!("./capnp-secrets/pool-{POOL}.cap");
    let file = cluster.place.path().join(&cap);
    let (_, report) = doctor(&cluster.place, &cap);
    expect!["ok: mode 0600: only its owner can read the secret -> -"]
        .assert_eq(&folded(&check(&report, &format!("cap file {cap}"))));
    expect!["ok: answers at tcp:127.0.0.1:PORT, and knows this secret -> -"].assert_eq(&folded(
        &without_port(&check(&report, &format!("scheduler of {cap}"))),
    ));

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))
        .expect("changed the mode");
    let (code, report) = doctor(&cluster.place, &cap);
    expect![[r#"
        problem: mode 0644: others on this machine can read the secret -> chmod 600 \
            ./capnp-secrets/pool-linux-x86_64.cap; if others may have read it, replace it"#]]
    .assert_eq(&folded(&check(&report, &format!("cap file {cap}"))));
    assert_eq!(code, 1);
    let mode = file.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o644, "the doctor changes nothing");
}

#[test]
fn a_wrong_key_a_revoked_secret_and_a_closed_port() {
    let cluster = Cluster::start();
    let place = &cluster.place;
    let alice = place
        .run("ocluster-admin add-client ./capnp-secrets/admin.cap alice")
        .success();
    let secret = |name: &str, text: &str| {
        let path = place.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .expect("changed the mode");
    };
    secret("alice.cap", &alice.stdout);
    let removed = place.run("ocluster-admin remove-client ./capnp-secrets/admin.cap alice");
    assert_eq!(removed.code(), 0);
    let admin =
        std::fs::read_to_string(place.path().join("capnp-secrets/admin.cap")).expect("a cap file");
    let (head, tail) = admin.split_once("sha-256:").expect("a fingerprint");
    let (_, tail) = tail.split_once('@').expect("an address");
    let other = "A".repeat(43);
    secret("other.cap", &format!("{head}sha-256:{other}@{tail}"));
    secret("garbage.cap", "not a sturdy ref\n");

    let (code, report) = doctor(place, "alice.cap other.cap garbage.cap none.cap");
    assert_eq!(code, 1);
    expect![[r#"
        problem: tcp:127.0.0.1:PORT does not know the secret -> access was removed, or the scheduler has \
            another key.pem: get a new cap file"#]]
    .assert_eq(&folded(&without_port(&check(&report, "scheduler of alice.cap"))));
    let wrong = without_port(&check(&report, "scheduler of other.cap"));
    assert!(
        wrong.starts_with(
            "problem: the key of tcp:127.0.0.1:PORT does not match the cap file: expected AAAA"
        ),
        "{wrong}"
    );
    expect![[r#"
        problem: not a cap file: Missing scheme in not a sturdy ref (expected 'capnp://...') -> copy it \
            again from the scheduler's secrets directory"#]]
    .assert_eq(&folded(&check(&report, "cap file garbage.cap")));
    expect!["problem: there is no such file -> copy it from the scheduler's --secrets-dir"]
        .assert_eq(&folded(&check(&report, "cap file none.cap")));

    cluster.scheduler.signal(Signal::TERM);
    let Cluster { place, scheduler } = cluster;
    assert_eq!(scheduler.wait().code(), 0);
    let (code, report) = doctor(&place, "./capnp-secrets/admin.cap");
    assert_eq!(code, 1);
    expect![[r#"
        problem: nothing listens at tcp:127.0.0.1:PORT -> start the scheduler there, or correct its \
            --capnp-public-address and copy the cap file again"#]]
    .assert_eq(&folded(&without_port(&check(&report, "scheduler of ./capnp-secrets/admin.cap"))));
}

// A machine without what it needs.

/// Runs the doctor with `path` as its only folder of programs.
fn doctor_with_path(place: &Place, path: &Path, args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ocluster"))
        .args(["doctor", "--output", "json"])
        .args(args)
        .current_dir(place.path())
        .env_clear()
        .env("PATH", path)
        .output()
        .expect("started the program");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn no_docker_no_git_and_no_runtime() {
    let place = Place::new();
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).expect("made a folder");
    let report = doctor_with_path(&place, &empty, &["--state-dir=."]);
    expect![[r#"
        problem: there is no docker program and no --obuilder-store: this worker cannot run any job -> \
            install an engine (on Debian: apt-get install docker.io), or give --obuilder-store"#]]
    .assert_eq(&folded(&check(&report, "docker")));
    expect![[r#"
        problem: there is no git: jobs with a repository would fail -> install it (on Debian: apt-get \
            install git)"#]]
        .assert_eq(&folded(&check(&report, "git")));

    if !rustix::process::geteuid().is_root() {
        rig::report_not_run("no_docker_no_git_and_no_runtime", "root");
        return;
    }
    let store = format!(
        "--obuilder-store=rsync:{}",
        place.path().join("store").display()
    );
    let runtime = "--obuilder-runtime=nonesuch";
    let report = doctor_with_path(&place, &empty, &["--state-dir=.", &store, runtime]);
    expect![[r#"
        problem: there is no nonesuch -> install it (on Debian: apt-get install runc), or use the built-in \
            one: --obuilder-runtime=builtin"#]]
    .assert_eq(&folded(&check(&report, "obuilder runtime")));
    assert!(
        !place.path().join("store").exists(),
        "the doctor makes no store"
    );
}

#[test]
fn an_unreachable_engine() {
    let place = Place::new();
    let docker = place.write(
        "bin/docker",
        "#!/bin/sh\n\
         echo 'Cannot connect to the Docker daemon at unix:///nowhere. Is the docker daemon running?' >&2\n\
         exit 1\n",
    );
    std::fs::set_permissions(docker, std::fs::Permissions::from_mode(0o755))
        .expect("made it a program");
    let (code, report) = doctor(&place, "--state-dir=.");
    assert_eq!(code, 1);
    expect![[r#"
        problem: the engine cannot be reached: Cannot connect to the Docker daemon at unix:///nowhere. Is \
            the docker daemon running? -> start it (systemctl start docker), and check why it stopped \
            (journalctl -u docker)"#]]
    .assert_eq(&folded(&check(&report, "docker")));
}

#[test]
fn the_builtin_runtime_runs_a_container() {
    if !rustix::process::geteuid().is_root() {
        rig::report_not_run("the_builtin_runtime_runs_a_container", "root");
        return;
    }
    let place = Place::new();
    let store = place.path().join("store");
    let (_, report) = doctor(
        &place,
        &format!(
            "--state-dir=. --obuilder-runtime=builtin --obuilder-store=rsync:{}",
            store.display()
        ),
    );
    expect!["ok: builtin runs a container -> -"]
        .assert_eq(&folded(&check(&report, "obuilder runtime")));
    assert!(!store.exists(), "the doctor makes no store");
}

#[test]
fn a_full_disk() {
    if !rustix::process::geteuid().is_root() {
        rig::report_not_run("a_full_disk", "root");
        return;
    }
    let place = Place::new();
    let full = place.path().join("full");
    std::fs::create_dir(&full).expect("made a folder");
    let mounted = Mounted::tmpfs(&full);
    std::fs::write(full.join("filler"), vec![0; 1 << 20]).expect_err("there is no room for it");
    let (code, report) = doctor(&place, "--state-dir=./full/state");
    drop(mounted);
    assert_eq!(code, 1);
    let found = check(&report, "disk of state directory");
    assert!(
        found.starts_with("problem: ./full/state (tmpfs): 0% of the space"),
        "{found}"
    );
}

/// A filesystem of half a megabyte, unmounted when dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(path: &'a Path) -> Self {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "none"])
            .arg(path)
            .status()
            .expect("started mount");
        assert!(status.success(), "mounted a tmpfs");
        Self(path)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // What stays mounted would make the test's directory stay too, which is seen.
        drop(Command::new("umount").arg(self.0).status());
    }
}

// A running cluster.

#[test]
fn a_cluster_with_a_paused_and_a_disconnected_worker_and_waiting_jobs() {
    let mut cluster = Cluster::start();
    let connect = "--connect ./capnp-secrets/admin.cap";
    let worker = cluster.worker("w1");
    let (code, report) = doctor(&cluster.place, connect);
    assert_eq!(code, 0, "{report:#}");
    expect!["ok: 1 of 1 workers take jobs; 0 of 1 slots are busy, 0 wait -> -"]
        .assert_eq(&folded(&check(&report, "pool linux-x86_64")));

    let paused = cluster.admin("pause", &format!("{POOL} w1"));
    assert_eq!(paused.code(), 0);
    let waiting = cluster.submit("Dockerfile");
    let (code, report) = doctor_until(&cluster.place, connect, "pool linux-x86_64", "1 wait");
    expect!["warning: paused by an operator -> ocluster-admin unpause ./capnp-secrets/admin.cap linux-x86_64 w1"]
        .assert_eq(&folded(&check(&report, "worker w1 of linux-x86_64")));
    expect![[r#"
        problem: 0 of 1 workers take jobs; 0 of 1 slots are busy, 1 wait, and no worker accepts jobs -> \
            start a worker, or unpause one that is connected"#]]
    .assert_eq(&folded(&check(&report, "pool linux-x86_64")));
    assert_eq!(code, 1);

    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), 0);
    let (_, report) = doctor_until(&cluster.place, connect, "worker w1 of linux-x86_64", "left");
    let gone = check(&report, "worker w1 of linux-x86_64");
    assert!(
        gone.starts_with("warning: left ")
            && gone.ends_with(
                "start it, or if it is gone for good: ocluster-admin forget ./capnp-secrets/admin.cap linux-x86_64 w1"
            ),
        "{gone}"
    );
    drop(waiting);
}
