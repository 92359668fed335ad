//! Caches and secrets with targets at which they would deceive the command, its runtime, or others.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use expect_test::expect;
use obuilder::sandbox::{Command, Mount, SecretFile};

use crate::room::{Room, script};

crate::for_each_runtime! {
    nothing_is_mounted_on_the_kernels_filesystems
    no_link_leads_a_mount_there
    no_cache_leads_another_there
    shared_memory_may_be_a_cache
    mounts_are_at_the_targets_of_links
}

/// Makes a cache with links in it.
fn cache(room: &Room, name: &str, links: &[(&str, &str)]) -> PathBuf {
    let dir = room.dir.path().join(name);
    fs::create_dir_all(&dir).unwrap();
    for (link, target) in links {
        symlink(target, dir.join(link)).unwrap();
    }
    dir
}

fn with_caches(text: &str, caches: &[(PathBuf, &str)]) -> Command {
    let mut command = script(text);
    command.mounts = caches
        .iter()
        .map(|(source, target)| Mount {
            source: source.clone(),
            target: (*target).into(),
        })
        .collect();
    command
}

/// The rule that each refusal names.
const RULE: &str = "nothing may be mounted on /, nor on or below /dev (but for /dev/shm), /proc and /sys; \
                    choose another target";

/// Returns why each command is not run, with the rule shortened, one in a line.
fn refusals(room: &Room, commands: impl IntoIterator<Item = Command>) -> String {
    let refusal = |command| {
        let (shown, ended) = room.run(&command);
        assert_eq!(shown, "");
        let refusal = ended.unwrap_err().to_string();
        refusal.replace(RULE, "nothing may be mounted there") + "\n"
    };
    commands.into_iter().map(refusal).collect()
}

/// Targets at which nothing may be mounted, with the paths to which they lead if these are different.
const FORBIDDEN: &[(&str, Option<&str>)] = &[
    ("/", None),
    ("/.", Some("/")),
    ("/etc/..", Some("/")),
    ("/dev", None),
    ("/dev/", Some("/dev")),
    ("/dev/pts", None),
    ("/dev/null", None),
    ("/dev/fd/3", None),
    ("/dev/shm/..", Some("/dev")),
    ("/proc", None),
    ("/proc/sys", None),
    ("/proc/self/attr", None),
    ("/proc/..", Some("/")),
    ("/sys", None),
    ("/sys/fs/cgroup", None),
    ("/sys/firmware", None),
    ("/var/../dev", Some("/dev")),
    ("//dev//pts//", Some("/dev/pts")),
];

fn nothing_is_mounted_on_the_kernels_filesystems(room: &Room) {
    let core_pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let hostile = cache(
        room,
        "hostile",
        &[("null", "/proc/sys/kernel/core_pattern")],
    );
    for (target, leads_to) in FORBIDDEN {
        let leads_to = leads_to.map(|path| format!("it leads to {path:?}, and "));
        let expected = format!(
            "cannot mount on {target:?}: {}nothing may be mounted there\n",
            leads_to.unwrap_or_default()
        );
        let command = with_caches("echo ran", &[(hostile.clone(), target)]);
        assert_eq!(refusals(room, [command]), expected);
    }
    for target in [
        "/dev/null",
        "/proc/version",
        "/sys/kernel/notes",
        "/dev/fd/3",
    ] {
        let mut command = script("echo ran");
        command.secrets = vec![SecretFile {
            value: b"secret".into(),
            target: target.into(),
        }];
        let why = refusals(room, [command]);
        assert!(
            why.starts_with(&format!(
                "cannot mount on {target:?}: nothing may be mounted"
            )),
            "{why}"
        );
    }
    assert_eq!(
        fs::read("/proc/sys/kernel/core_pattern").unwrap(),
        core_pattern
    );
}

fn no_link_leads_a_mount_there(room: &Room) {
    let empty = cache(room, "empty", &[]);
    for (link, target) in [
        ("a", "/proc"),
        ("b", "../../../dev"),
        ("c", "/a/../d"),
        ("d", "/sys"),
        ("e", "."),
    ] {
        symlink(target, room.rootfs().join(link)).unwrap();
    }
    let targets = ["/a", "/b/pts", "/c", "/e", "/e/e/dev"];
    let with_cache = |target| with_caches("echo ran", &[(empty.clone(), target)]);
    expect![[r#"
        cannot mount on "/a": it leads to "/proc", and nothing may be mounted there
        cannot mount on "/b/pts": it leads to "/dev/pts", and nothing may be mounted there
        cannot mount on "/c": it leads to "/sys", and nothing may be mounted there
        cannot mount on "/e": it leads to "/", and nothing may be mounted there
        cannot mount on "/e/e/dev": it leads to "/dev", and nothing may be mounted there
    "#]]
    .assert_eq(&refusals(room, targets.map(with_cache)));
}

fn no_cache_leads_another_there(room: &Room) {
    // The first is mounted before the second, and has a link where that is to go: a step has made it in an earlier
    // build.
    let first = cache(
        room,
        "first",
        &[
            ("p", "/proc"),
            ("d", "/dev"),
            ("r", "/"),
            ("up", "../dev/pts"),
        ],
    );
    let hostile = cache(room, "second", &[("null", "/proc/sys/kernel/core_pattern")]);
    let targets = ["/a/p", "/a/d", "/a/r", "/a/up", "/a/r/proc/sys"];
    let after_first = targets.map(|target| {
        with_caches(
            "echo ran",
            &[(first.clone(), "/a"), (hostile.clone(), target)],
        )
    });
    // By way of three, of one that hides the one before, of shared memory, and of the working directory.
    let other_ways = [
        with_caches(
            "echo ran",
            &[
                (first.clone(), "/a"),
                (cache(room, "third", &[("q", "/a/p")]), "/a/new"),
                (hostile.clone(), "/a/new/q"),
            ],
        ),
        with_caches(
            "echo ran",
            &[
                (cache(room, "hidden", &[]), "/a/d"),
                (first.clone(), "/a"),
                (hostile.clone(), "/a/d"),
            ],
        ),
        with_caches(
            "echo ran",
            &[(first.clone(), "/dev/shm/s"), (hostile, "/dev/shm/s/p")],
        ),
        Command {
            cwd: "/a/fd/7".into(),
            ..with_caches(
                "echo ran",
                &[(cache(room, "fourth", &[("fd", "/proc/self/fd")]), "/a")],
            )
        },
    ];
    expect![[r#"
        cannot mount on "/a/p": it leads to "/proc", and nothing may be mounted there
        cannot mount on "/a/d": it leads to "/dev", and nothing may be mounted there
        cannot mount on "/a/r": it leads to "/", and nothing may be mounted there
        cannot mount on "/a/up": it leads to "/dev/pts", and nothing may be mounted there
        cannot mount on "/a/r/proc/sys": it leads to "/proc/sys", and nothing may be mounted there
        cannot mount on "/a/new/q": it leads to "/proc", and nothing may be mounted there
        cannot mount on "/a/d": it leads to "/dev", and nothing may be mounted there
        cannot mount on "/dev/shm/s/p": it leads to "/proc", and nothing may be mounted there
        cannot use the working directory "/a/fd/7": it must not be in /proc
    "#]]
    .assert_eq(&refusals(room, after_first.into_iter().chain(other_ways)));
}

fn shared_memory_may_be_a_cache(room: &Room) {
    let (whole, part) = (cache(room, "whole", &[]), cache(room, "part", &[]));
    let command = with_caches(
        "touch /dev/shm/here /dev/shm/part/there; ls /dev/shm",
        &[(whole.clone(), "/dev/shm"), (part.clone(), "/dev/shm/part")],
    );
    assert_eq!(room.output(&command), "here\npart\n");
    assert!(whole.join("here").exists() && part.join("there").exists());
}

fn mounts_are_at_the_targets_of_links(room: &Room) {
    let first = cache(
        room,
        "first",
        &[("out", "../../etc/new"), ("in", "deep/er")],
    );
    let (second, third) = (cache(room, "second", &[]), cache(room, "third", &[]));
    let mut command = with_caches(
        "touch /etc/new/2 /a/deep/er/3; pwd -P; stat -c %F /a/out /a/in",
        &[
            (first.clone(), "/a"),
            (second.clone(), "/a/out"),
            (third.clone(), "/a/in"),
        ],
    );
    command.cwd = "/a/in/work".into();
    assert_eq!(
        room.output(&command),
        "/a/deep/er/work\nsymbolic link\nsymbolic link\n"
    );
    assert!(second.join("2").exists() && third.join("3").exists() && third.join("work").is_dir());
    // The links are still there, and where they lead to is in the image and in the first cache.
    assert!(first.join("out").is_symlink() && first.join("deep/er").is_dir());
    assert!(room.rootfs().join("etc/new").is_dir());
}
