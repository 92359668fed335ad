//! A cluster of real programs, with a fake engine: a script called `docker` that comes first in the path.

use crate::harness::{LIMIT, Outcome, Place, Running};

/// The pool of the readme.
pub(crate) const POOL: &str = "linux-x86_64";

/// Prints the Dockerfile instead of building it, and does what its words say: `FAIL` fails, `WAIT` waits until there
/// is a file `released` beside the script, `CHATTER` talks for ever.
const FAKE_DOCKER: &str = r#"#!/bin/sh
here=$(dirname "$0")
case "$1" in
  build) ;;
  *) exit 0 ;;
esac
shift
while [ $# -gt 0 ]; do
  case "$1" in
    --iidfile) iid=$2; shift ;;
    -f) dockerfile=$2; shift ;;
  esac
  shift
done
cat "$dockerfile"
if grep -q WAIT "$dockerfile"; then
  while [ ! -e "$here/released" ]; do sleep 0.05; done
fi
if grep -q CHATTER "$dockerfile"; then
  while :; do echo chatter; sleep 0.05; done
fi
if grep -q FAIL "$dockerfile"; then exit 1; fi
echo sha256:0123 > "$iid"
"#;

/// A scheduler, and the directory in which everything happens.
pub(crate) struct Cluster {
    pub(crate) place: Place,
    pub(crate) scheduler: Running,
}

impl Cluster {
    /// Starts a scheduler with the readme's pools.
    pub(crate) fn start() -> Self {
        Self::start_as("", &[])
    }

    /// Starts a scheduler with the readme's pools, and more options.
    pub(crate) fn start_with(options: &str) -> Self {
        Self::start_as(options, &[])
    }

    /// Starts a scheduler with the readme's pools, and these variables in its environment.
    pub(crate) fn start_given(variables: &[(&str, &str)]) -> Self {
        Self::start_as("", variables)
    }

    fn start_as(options: &str, variables: &[(&str, &str)]) -> Self {
        let place = Place::new();
        install_fake_docker(&place);
        std::fs::create_dir(place.path().join("capnp-secrets")).expect("made the directory");
        let scheduler = start_scheduler(&place, options, variables);
        Self { place, scheduler }
    }

    /// Ends the scheduler, does something in between, and starts it again with other options.
    pub(crate) fn restart(&mut self, options: &str, between: impl FnOnce(&Place)) {
        self.scheduler.signal(rustix::process::Signal::TERM);
        self.scheduler.wait_until_ended();
        between(&self.place);
        self.scheduler = start_scheduler(&self.place, options, &[]);
    }

    /// Starts a worker, and waits until it is registered and asks for a job.
    pub(crate) fn worker(&mut self, name: &str) -> Running {
        self.worker_with(name, &[])
    }

    /// Starts a worker with these variables in its environment, and waits until it asks for a job.
    pub(crate) fn worker_with(&mut self, name: &str, variables: &[(&str, &str)]) -> Running {
        let line = format!(
            "ocluster-worker ./capnp-secrets/pool-{POOL}.cap --state-dir=./worker-{name} --name={name} --capacity=1"
        );
        let mut worker = self.place.start_with(variables, &line);
        worker.wait_for("Requesting a new job...");
        self.scheduler.wait_for("Registered new worker");
        worker
    }

    /// Starts a client with the readme's command.
    pub(crate) fn submit(&self, dockerfile: &str) -> Running {
        self.place.start(&format!(
            "ocluster-client submit-docker ./capnp-secrets/submission.cap --cache-hint tutorial --pool={POOL} \
             --local-dockerfile {dockerfile}"
        ))
    }

    /// Runs a command of the admin, as in the readme, to its end.
    pub(crate) fn admin(&self, command: &str, args: &str) -> Outcome {
        self.place.run(&format!(
            "ocluster-admin {command} ./capnp-secrets/admin.cap {args}"
        ))
    }

    /// Checks that the state of the pool has this line.
    pub(crate) fn shows(&self, line: &str) {
        let state = self.admin("show", POOL).success().stdout;
        assert!(
            state.lines().any(|shown| shown.trim() == line),
            "no {line:?} in:\n{state}"
        );
    }

    /// Waits until the state of the pool has this line.
    pub(crate) fn comes_to_show(&self, line: &str) {
        let begin = std::time::Instant::now();
        loop {
            let state = self.admin("show", POOL).success().stdout;
            if state.lines().any(|shown| shown.trim() == line) {
                return;
            }
            assert!(begin.elapsed() < LIMIT, "never {line:?} in:\n{state}");
        }
    }

    /// Lets all builds that wait go on.
    pub(crate) fn release_builds(&self) {
        self.place.write("bin/released", "");
    }
}

/// Writes the fake engine, and some Dockerfiles for it.
pub(crate) fn install_fake_docker(place: &Place) {
    let docker = place.write("bin/docker", FAKE_DOCKER);
    make_executable(&docker);
    for (name, word) in [
        ("Dockerfile", "date"),
        ("Dockerfile.wait", "WAIT"),
        ("Dockerfile.fail", "FAIL"),
        ("Dockerfile.chatter", "CHATTER"),
    ] {
        place.write(name, &format!("FROM busybox\nRUN {word}\n"));
    }
}

fn start_scheduler(place: &Place, options: &str, variables: &[(&str, &str)]) -> Running {
    let line = format!(
        "ocluster-scheduler --capnp-secret-key-file=./capnp-secrets/key.pem \
         --capnp-listen-address=tcp:127.0.0.1:0 --state-dir=./scheduler --pools=linux-arm32,linux-x86_64 {options}",
    );
    let mut scheduler = place.start_with(variables, &line);
    scheduler.wait_for("pool-linux-x86_64.cap");
    scheduler
}

pub(crate) fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, permissions).expect("made it executable");
}
