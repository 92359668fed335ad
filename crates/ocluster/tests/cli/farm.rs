//! A farm in which every machine but one has a fault.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests poll what other processes do"
)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::{Cluster, POOL, make_executable};
use crate::harness::{LIMIT, Running};

/// How many jobs are submitted, and how many at once.
const JOBS: usize = 60;
const AT_ONCE: usize = 12;

/// A disk of its own, in memory, with something on it that can be removed.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Makes one of 96 MiB, of which 8 are left.
    fn nearly_full(path: PathBuf) -> Self {
        std::fs::create_dir(&path).expect("made the directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs"]);
        let mounted = mount.arg(&path).status().expect("started mount");
        assert!(mounted.success(), "{mounted}");
        let disk = Self(path);
        std::fs::write(disk.filler(), vec![0; 88 << 20]).expect("filled the disk");
        disk
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("removed the file");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("cannot unmount {:?}", self.0);
        }
    }
}

fn start(cluster: &Cluster, name: &str, path: &str, options: &str) -> Running {
    let state_dir = match options.contains("--state-dir") {
        true => String::new(),
        false => format!("--state-dir=./worker-{name}"),
    };
    let line = format!(
        "ocluster-worker ./capnp-secrets/pool-{POOL}.cap --name={name} --capacity=4 {state_dir} {options}"
    );
    let mut worker = cluster.place.start_with(&[("PATH", path)], &line);
    worker.wait_for("Registered as");
    worker
}

/// Returns the workers that the scheduler knows, by name.
fn workers(cluster: &Cluster) -> Vec<Value> {
    let shown = cluster.admin("show", &format!("{POOL} --output json"));
    let shown: Value = serde_json::from_str(&shown.success().stdout).expect("it is JSON");
    shown["workers"].as_array().expect("a list").clone()
}

/// Waits until the scheduler's workers are as wanted.
fn wait_until(cluster: &Cluster, what: &str, done: impl Fn(&[Value]) -> bool) {
    let begin = Instant::now();
    loop {
        let workers = workers(cluster);
        if done(&workers) {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "never {what}:\n{workers:#?}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn takes_jobs(worker: &Value) -> bool {
    worker["connection"]["inactive"] == Value::Array(Vec::new())
}

/// Makes a directory with a `docker` that works while there is a file `alive` beside it.
fn mortal_docker(folder: &Path, fake: &Path) -> PathBuf {
    std::fs::create_dir(folder).expect("made the directory");
    let script = format!(
        "#!/bin/sh\nif [ ! -e {0}/alive ]; then\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\nfi\n\
         exec {1} \"$@\"\n",
        folder.display(),
        fake.display()
    );
    let docker = folder.join("docker");
    std::fs::write(&docker, script).expect("wrote the script");
    make_executable(&docker);
    let alive = folder.join("alive");
    std::fs::write(&alive, "").expect("wrote the file");
    alive
}

/// Submits all jobs, each of which ends well on the healthy machine.
fn submit_jobs(cluster: &Cluster) {
    let mut resubmitted = 0;
    for _ in 0..JOBS / AT_ONCE {
        let jobs: Vec<Running> = (0..AT_ONCE)
            .map(|_| {
                cluster.place.start(&format!(
                    "ocluster-client submit-docker ./capnp-secrets/submission.cap --pool={POOL} \
                     --local-dockerfile Dockerfile"
                ))
            })
            .collect();
        for job in jobs {
            let ended = job.wait().success();
            let last = ended.stdout.rfind("Building on ").expect("it was built");
            assert!(
                ended.stdout[last..].starts_with("Building on w-well\n"),
                "{}",
                ended.stdout
            );
            resubmitted += usize::from(ended.stderr.contains("submitting the job again"));
        }
    }
    assert!(
        resubmitted < JOBS / 2,
        "{resubmitted} went to faulty workers"
    );
}

/// Checks that operators see what is wrong with each machine, and what to do about it.
fn check_advice(cluster: &Cluster) {
    let shown = cluster.admin("show", POOL).success().stdout;
    let doctor = cluster
        .place
        .run("ocluster doctor --connect ./capnp-secrets/admin.cap");
    let doctor = doctor.stdout;
    for (worker, problem, cure) in [
        (
            "w-none",
            "cannot run docker: ",
            "install it (on Debian: apt-get install docker.io)",
        ),
        (
            "w-dead",
            "the Docker engine cannot be reached: Cannot connect",
            "start it (systemctl start docker)",
        ),
        (
            "w-state",
            "the disk of the state directory ",
            "make room on that disk, or lower --state-min-free",
        ),
        (
            "w-store",
            "OBuilder's store is full: ",
            "make room on the disk of OBuilder's store",
        ),
        ("w-frozen", "for ", "check the machine at 127.0.0.1:"),
    ] {
        let line = |text: &str, name: &str| {
            let line = text
                .lines()
                .find(|line| line.contains(name) && line.contains(problem));
            line.unwrap_or_else(|| panic!("no {problem:?} of {worker} in:\n{text}"))
                .to_owned()
        };
        line(&shown, worker);
        let found = line(&doctor, &format!("worker {worker} of {POOL}"));
        let advice = doctor.lines().skip_while(|other| **other != found).nth(1);
        let advice = advice.unwrap_or_default();
        assert!(
            advice.contains(cure),
            "no {cure:?} for {worker} in:\n{doctor}"
        );
    }
}

/// Makes a folder of programs without docker: of the programs that a worker needs, it has only git.
fn folder_with_git_only(here: &Path) -> PathBuf {
    let bare = here.join("bare");
    std::fs::create_dir(&bare).expect("made the directory");
    let git = ["/usr/bin/git", "/usr/local/bin/git"];
    let git = git.iter().find(|git| Path::new(git).exists());
    symlink(git.expect("there is a git"), bare.join("git")).expect("made a link");
    bare
}

/// Adds the fake engine to a folder of programs.
fn install_docker(fake: &Path, bare: &Path) {
    symlink(fake, bare.join("docker")).expect("made a link");
    // The fake engine's own tools.
    for tool in ["cat", "dirname", "grep"] {
        symlink(format!("/usr/bin/{tool}"), bare.join(tool)).expect("made a link");
    }
}

/// Returns a PATH with `folder` before those of the system.
fn path_with(folder: &Path) -> String {
    format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display())
}

#[test]
fn one_healthy_machine_does_the_jobs_of_five_faulty_ones() {
    if !rig::is_root() {
        eprintln!(
            "not run: one_healthy_machine_does_the_jobs_of_five_faulty_ones needs root, for disks of its own"
        );
        return;
    }
    let cluster = Cluster::start();
    let here = cluster.place.path().to_owned();
    let fake = here.join("bin/docker");
    let usual = path_with(&here.join("bin"));

    let bare = folder_with_git_only(&here);
    let _none = start(&cluster, "w-none", &bare.display().to_string(), "");

    // One has little left for its sources and logs, one for OBuilder's results.
    let state = SmallDisk::nearly_full(here.join("state"));
    let _state = start(
        &cluster,
        "w-state",
        &usual,
        "--state-dir=./state --state-min-free=32MiB",
    );
    let store = SmallDisk::nearly_full(here.join("store"));
    let options = format!(
        "--obuilder-store=overlayfs:{}/results --obuilder-prune-threshold=90% --obuilder-min-free=32MiB",
        store.0.display()
    );
    let _store = start(&cluster, "w-store", &usual, &options);

    // One loses its engine when it has been taking jobs, one is frozen, and one is well.
    let dead = here.join("dead");
    let alive = mortal_docker(&dead, &fake);
    let _dead = start(&cluster, "w-dead", &path_with(&dead), "");
    let frozen = start(&cluster, "w-frozen", &usual, "");
    wait_until(&cluster, "three pause themselves", |workers| {
        workers.len() == 5 && workers.iter().filter(|worker| takes_jobs(worker)).count() == 2
    });
    frozen.signal(Signal::STOP);
    wait_until(&cluster, "the frozen one owes an answer", |workers| {
        let silent = |worker: &Value| worker["connection"]["silent_seconds"].as_f64();
        workers.iter().any(|worker| silent(worker) > Some(2.0))
    });
    std::fs::remove_file(&alive).expect("removed the file");
    let _well = start(&cluster, "w-well", &usual, "");

    submit_jobs(&cluster);

    // An operator sees what is wrong with each, and what to do about it.
    wait_until(&cluster, "all but one take no jobs", |workers| {
        workers.iter().filter(|worker| takes_jobs(worker)).count() == 1
    });
    check_advice(&cluster);
    let unpaused = cluster
        .admin("unpause", &format!("{POOL} w-none"))
        .success();
    let left = "Note: \"w-none\" still takes no jobs: cannot run docker: ";
    assert!(unpaused.stderr.contains(left), "{}", unpaused.stderr);

    // Each takes jobs again by itself once its fault is repaired.
    install_docker(&fake, &bare);
    std::fs::write(&alive, "").expect("wrote the file");
    state.make_room();
    store.make_room();
    frozen.signal(Signal::CONT);
    wait_until(&cluster, "all six take jobs", |workers| {
        workers.len() == 6 && workers.iter().all(takes_jobs)
    });
}
