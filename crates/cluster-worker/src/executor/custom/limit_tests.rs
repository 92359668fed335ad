//! Programs that exceed their limits, and programs that outlive their job.

use std::fs;

use cgroup::Limits;

use super::tests::{Bench, text};
use crate::job_limits::JobGroups;
use crate::outcome::{JobError, LimitReached};
use crate::testing::local;

fn groups(test: &str, limits: Limits) -> Option<JobGroups> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("{test} is not run: it needs root");
        return None;
    }
    JobGroups::new(&limits).unwrap()
}

/// Runs a script beside another one, which must not be disturbed.
fn run_beside_bystander(groups: &JobGroups, script: &str) -> Result<String, JobError> {
    let hostile = Bench::script_in_groups(script, groups.clone());
    let well = "for n in 1 2 3 4 5 6 7 8 9; do /bin/true || exit 1; done; head -c 20M /dev/zero | tail -c 1 >/dev/null";
    let bystander = Bench::script_in_groups(well, groups.clone());
    let job = text("");
    let (ended, other) = local(async { tokio::join!(hostile.run(&job), bystander.run(&job)) });
    assert_eq!(other, Ok(String::new()), "{}", bystander.log.text());
    ended
}

#[test]
fn a_memory_hog_ends_alone() {
    let memory = "64MiB".parse().unwrap();
    let limits = Limits {
        memory: Some(memory),
        ..Limits::default()
    };
    let Some(groups) = groups("a_memory_hog_ends_alone", limits) else {
        return;
    };
    // In a session of its own, so that it is not in the process group.
    let ended = run_beside_bystander(
        &groups,
        "setsid sh -c \"head -c 400M /dev/zero | tail\" || exit 1",
    );
    assert_eq!(
        ended,
        Err(JobError::LimitReached(LimitReached::Memory(memory)))
    );
}

/// This limit is not set by the worker, but by a service manager or by the container's supervisor.
#[test]
fn the_error_says_that_a_program_was_killed_for_memory() {
    let Some(groups) = groups(
        "the_error_says_that_a_program_was_killed_for_memory",
        Limits::default(),
    ) else {
        return;
    };
    // Limits the script's own group, with either version of cgroups.
    let limit = "set -- /sys/fs/cgroup/memory$(sed -n s/^[0-9]*:memory://p /proc/self/cgroup)/memory.limit_in_bytes \
        /sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/memory.max
        for file; do [ -e $file ] && echo 64M > $file && limited=yes; done
        [ $limited ] || { echo unlimited; exit 1; }\n";
    for hog in [
        "head -c 400M /dev/zero | tail; exit $?",
        "exec tail /dev/zero",
        "head -c 400M /dev/zero | tail || exit 3",
    ] {
        let bench = Bench::script_in_groups(&format!("{limit}{hog}"), groups.clone());
        let ended = local(async { bench.run(&text("")).await });
        if bench.log.text().contains("unlimited") {
            eprintln!("the_error_says_that_a_program_was_killed_for_memory is not run: no limits");
            return;
        }
        let Err(JobError::Failed { reason, .. }) = ended else {
            panic!("{hog}: {ended:?}");
        };
        assert!(reason.contains("for lack of memory"), "{hog}: {reason}");
    }
    let failing = Bench::script_in_groups("exit 3", groups);
    let ended = local(async { failing.run(&text("")).await });
    let expected = JobError::command_failed("try failed with exit-code 3", Some(3));
    assert_eq!(ended, Err(expected));
}

#[test]
fn a_fork_bomb_ends_alone() {
    let pids = "50".parse().unwrap();
    let limits = Limits {
        pids: Some(pids),
        ..Limits::default()
    };
    let Some(groups) = groups("a_fork_bomb_ends_alone", limits) else {
        return;
    };
    let bomb = "i=0; while [ $i -lt 1000 ]; do setsid sleep 60 & i=$((i+1)); done; exit 1";
    let ended = run_beside_bystander(&groups, bomb);
    assert_eq!(ended, Err(JobError::LimitReached(LimitReached::Pids(pids))));
}

#[test]
fn nothing_outlives_its_job() {
    let Some(groups) = groups("nothing_outlives_its_job", Limits::default()) else {
        return;
    };
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("pid");
    let script = format!(
        "setsid sh -c \"echo \\$\\$ > {0}; exec sleep 1000 </dev/null >/dev/null 2>&1\" & \
         while [ ! -s {0} ]; do :; done",
        file.display()
    );
    let bench = Bench::script_in_groups(&script, groups);
    local(async { bench.run(&text("")).await }).unwrap();
    let pid = fs::read_to_string(file).unwrap();
    // A zombie has no command line.
    let line = fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
    assert!(line.is_empty(), "process {pid} is still there: {line}");
}
