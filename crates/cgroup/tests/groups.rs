//! Groups with real processes, with the hierarchies of this machine.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cgroup::{Group, GroupError, Limits, MemoryKill, MemoryWatch, Parent};

/// How long anything may take that is immediate.
const LIMIT: Duration = Duration::from_secs(30);

/// A group that is killed and removed at the end of the test.
struct Owned(Group);

impl Drop for Owned {
    fn drop(&mut self) {
        assert!(self.0.end(LIMIT));
        self.0.remove().unwrap();
        assert!(self.0.directories().all(|directory| !directory.exists()));
    }
}

/// Creates a group with limits, or reports why `test` is not run.
fn group(test: &str, limits: Limits) -> Option<Owned> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    if !rig::is_root() {
        rig::report_not_run(test, "root");
        return None;
    }
    let parent = Parent::find().unwrap();
    if let Err(error) = parent.prepare(&limits) {
        rig::report_not_run(test, &format!("limits: {error}"));
        return None;
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("cgroup-test-{}-{number}", std::process::id());
    Some(Owned(parent.create(&name, &limits).unwrap()))
}

/// Starts a shell script in a group, and waits until it has printed a line.
fn start(group: &Group, script: &str) -> Child {
    let joining = "for file do echo 0 > $file || exit; done; ";
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("{joining}{script}"))
        .arg("sh")
        .args(group.entrances())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = child.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn limited(memory: Option<&str>, pids: Option<&str>, cpus: Option<&str>) -> Limits {
    Limits {
        memory: memory.map(|limit| limit.parse().unwrap()),
        pids: pids.map(|limit| limit.parse().unwrap()),
        cpus: cpus.map(|limit| limit.parse().unwrap()),
    }
}

#[test]
fn no_process_leaves_a_group() {
    let Some(group) = group("no_process_leaves_a_group", Limits::default()) else {
        return;
    };
    // It leaves its session and its parent, in the first process and in a descendant.
    let script = "setsid sh -c 'setsid sleep 1000 & sleep 1000' & (setsid sleep 1000 &) & sleep 1000 & \
                  echo ready; wait";
    let mut child = start(&group.0, script);
    rig::wait_for("all processes", LIMIT, || {
        Ok((group.0.members().len() >= 6).then_some(()))
    })
    .unwrap();
    assert!(group.0.end(LIMIT));
    assert!(group.0.members().is_empty());
    assert!(!child.wait().unwrap().success());
    // It can be used again.
    drop(start(&group.0, "echo ready").wait());
}

#[test]
fn frozen_processes_are_killed() {
    let Some(group) = group("frozen_processes_are_killed", Limits::default()) else {
        return;
    };
    let inner = group.0.create_inner("inner").unwrap();
    let mut child = start(&inner, "echo ready; sleep 1000");
    let mut frozen = 0;
    for directory in inner.directories() {
        for (file, text) in [("freezer.state", "FROZEN"), ("cgroup.freeze", "1")] {
            if directory.join(file).exists() {
                fs::write(directory.join(file), text).unwrap();
                frozen += 1;
            }
        }
    }
    assert!(frozen > 0);
    assert!(group.0.end(LIMIT));
    child.wait().unwrap();
}

#[test]
fn leftover_groups_are_found_by_their_directories() {
    let Some(group) = group(
        "leftover_groups_are_found_by_their_directories",
        Limits::default(),
    ) else {
        return;
    };
    let mut child = start(&group.0, "echo ready; sleep 1000");
    let noted: Vec<PathBuf> = group.0.directories().map(PathBuf::from).collect();
    let found = Group::at(noted.clone());
    found.remove().unwrap_err();
    assert!(found.end(LIMIT));
    found.remove().unwrap();
    assert!(noted.iter().all(|directory| !directory.exists()));
    child.wait().unwrap();
}

#[test]
fn exceeding_the_memory_limit_affects_one_group() {
    let name = "exceeding_the_memory_limit_affects_one_group";
    let limits = limited(Some("64MiB"), None, None);
    let (Some(hog), Some(bystander)) = (group(name, limits), group(name, limits)) else {
        return;
    };
    let mut other = start(&bystander.0, "echo ready; read line");
    // In a group below, as a runtime creates it, and removes it before the check.
    let inner = hog.0.create_inner("inner").unwrap();
    let mut child = start(&inner, "echo ready; head -c 200M /dev/zero | tail");
    child.wait().unwrap();
    inner.remove().unwrap();
    let hits = hog.0.hits();
    assert!(hits.memory && !hits.pids, "{hits:?}");

    let hits = bystander.0.hits();
    assert!(
        !hits.memory && other.try_wait().unwrap().is_none(),
        "{hits:?}"
    );
    other.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(other.wait().unwrap().success());
}

/// The limit is that of an outer group, as of a service.
#[test]
fn a_memory_kill_by_an_outer_limit_is_detected() {
    let name = "a_memory_kill_by_an_outer_limit_is_detected";
    let (Some(outer), Some(bystander)) = (
        group(name, limited(Some("64MiB"), None, None)),
        group(name, Limits::default()),
    ) else {
        return;
    };
    let watch = MemoryWatch::start();
    let hog = outer.0.create_inner("hog").unwrap();
    let quiet = outer.0.create_inner("quiet").unwrap();
    let mut child = start(&hog, "echo ready; head -c 200M /dev/zero | tail");
    child.wait().unwrap();
    assert!(!hog.hits().memory);
    let counts = |directory: &Path| {
        ["memory.events", "memory.oom_control"]
            .iter()
            .any(|file| directory.join(file).exists())
    };
    let counted = hog.directories().any(counts);
    let expected = counted.then_some(MemoryKill::Counted);
    assert_eq!(watch.found(Some(&hog), false), expected);
    for other in [&quiet, &bystander.0] {
        assert_eq!(watch.found(Some(other), false), None);
        // One that was killed at the same time for another reason cannot be distinguished.
        assert_eq!(watch.found(Some(other), true), Some(MemoryKill::Likely));
    }
}

#[test]
fn the_number_of_processes_is_limited() {
    let name = "the_number_of_processes_is_limited";
    let limits = limited(None, Some("20"), None);
    let (Some(bomb), Some(bystander)) = (group(name, limits), group(name, limits)) else {
        return;
    };
    let inner = bomb.0.create_inner("inner").unwrap();
    let script = "echo ready; i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; wait";
    let mut child = start(&inner, script);
    child.wait().unwrap();
    assert!(bomb.0.members().len() <= 20);
    assert!(bomb.0.end(LIMIT));
    inner.remove().unwrap();
    let hits = bomb.0.hits();
    assert!(hits.pids && !hits.memory, "{hits:?}");

    let mut other = start(&bystander.0, "sleep 0 && echo ready");
    assert!(other.wait().unwrap().success());
    assert_eq!(bystander.0.hits(), cgroup::Hits::default());
}

#[test]
fn processor_time_is_limited() {
    let Some(group) = group(
        "processor_time_is_limited",
        limited(None, None, Some("0.1")),
    ) else {
        return;
    };
    drop(start(&group.0, "echo ready; while :; do :; done"));
    // The kernel counts how often it throttled the group.
    rig::wait_for("the kernel to throttle it", LIMIT, || {
        let stats = group
            .0
            .directories()
            .map(|directory| fs::read_to_string(directory.join("cpu.stat")).unwrap_or_default());
        let is_throttled = |text: &str| {
            text.lines()
                .any(|line| line.starts_with("nr_throttled ") && !line.ends_with(" 0"))
        };
        Ok(stats
            .into_iter()
            .any(|text| is_throttled(&text))
            .then_some(()))
    })
    .unwrap();
}

#[test]
fn a_name_is_one_component() {
    let Some(group) = group("a_name_is_one_component", Limits::default()) else {
        return;
    };
    for name in ["", "..", "a/b", "/"] {
        assert!(
            matches!(group.0.create_inner(name), Err(GroupError::Name(_))),
            "{name}"
        );
    }
    // An existing group may belong to another program, and is not touched.
    let inner = group.0.create_inner("inner").unwrap();
    group.0.create_inner("inner").unwrap_err();
    assert!(inner.directories().all(|directory| directory.exists()));
}
