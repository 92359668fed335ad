//! A step that gets itself a namespace in which it may mount control groups, and looks for those of others.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cgroup::{Group, Limits, Parent};

use obuilder::sandbox::Filter;

use crate::room::{Room, script};

crate::for_each_runtime! {
    others_groups_are_out_of_reach
    a_limit_is_out_of_reach
}

/// How long things may take that take no time.
const LIMIT: Duration = Duration::from_secs(30);

/// Mounts all hierarchies anew below `/tmp/groups`.
const MOUNT_ALL: &str = r#"
    mkdir -p /tmp/groups; mount -t tmpfs none /tmp/groups; mkdir /tmp/groups/two
    mount -t cgroup2 none /tmp/groups/two
    cut -d: -f2 /proc/self/cgroup | while read name; do
        [ -n "$name" ] && mkdir /tmp/groups/$name && mount -t cgroup -o $name none /tmp/groups/$name
    done
"#;

/// Returns a step that runs a script as root of a user namespace of its own, where all hierarchies are mounted.
fn attack(text: &str) -> obuilder::sandbox::Command {
    script(&format!(
        "exec unshare --user --map-root-user --mount --cgroup /bin/bash -c '{MOUNT_ALL}\n{text}' 2>/dev/null"
    ))
}

/// Somebody else's process, in a group of its own. Dropping this ends it.
struct Bystander {
    child: Child,
    group: Group,
}

impl Bystander {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bystander-{}-{number}", std::process::id());
        let group = Parent::find()
            .unwrap()
            .create(&name, &Limits::default())
            .unwrap();
        let child = Command::new("sh")
            .args([
                "-c",
                "for file do echo 0 > $file || exit; done; exec sleep 1000",
                "sh",
            ])
            .args(group.entrances())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let bystander = Self { child, group };
        rig::wait_for("the bystander", LIMIT, || {
            let cmdline = fs::read(format!("/proc/{}/cmdline", bystander.child.id()))?;
            Ok(cmdline.starts_with(b"sleep").then_some(()))
        })
        .unwrap();
        bystander
    }

    fn check_it_is_well(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it was killed");
        for directory in self.group.directories() {
            for (file, well) in [
                ("freezer.state", "THAWED"),
                ("cgroup.freeze", "0"),
                ("cgroup.procs", ""),
            ] {
                let text =
                    fs::read_to_string(directory.join(file)).unwrap_or_else(|_| well.to_owned());
                assert!(text.contains(well), "{directory:?}/{file}: {text}");
            }
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        assert!(self.group.end(LIMIT));
        self.child.wait().unwrap();
        self.group.remove().unwrap();
    }
}

fn others_groups_are_out_of_reach(room: &Room) {
    let mut room = Room::new(room.runtime.clone());
    // The groups hold by themselves, and not because of what the filter refuses.
    room.options.filter = Filter::named("none".as_ref()).unwrap();
    let mut bystander = Bystander::new();
    let attack = attack(
        r#"
        find /tmp/groups -name "bystander-*"
        for group in $(find /tmp/groups -type d -name "bystander-*"); do
            echo FROZEN > $group/freezer.state; echo 1 > $group/cgroup.freeze; echo 1 > $group/cgroup.kill
        done
        [ -e /tmp/groups/two/cgroup.procs ] && echo mounted"#,
    );
    let (shown, ended) = room.run(&attack);
    bystander.check_it_is_well();
    assert!(!shown.contains("bystander"), "{ended:?}: {shown}");
    if !shown.contains("mounted") {
        rig::report_not_run("others_groups_are_out_of_reach", "user namespaces in steps");
    }
    // What the machine has mounted shows nothing either, and not where in it the step is.
    let look = "cut -d: -f3 /proc/self/cgroup | sort -u; find /sys/fs/cgroup -name 'bystander-*'";
    assert_eq!(room.output(&script(look)), "/\n");
}

/// It may change what it finds, which is not where its limits are.
fn a_limit_is_out_of_reach(room: &Room) {
    let mut room = Room::new(room.runtime.clone());
    room.options.filter = Filter::named("none".as_ref()).unwrap();
    room.options.limits = Limits {
        memory: Some("256MiB".parse().unwrap()),
        ..Limits::default()
    };
    let attack = attack(
        r#"
        for file in $(find /tmp/groups -name "memory*.limit_in_bytes" -o -name memory.max); do
            echo -1 > $file; echo max > $file
        done
        head -c 600M /dev/zero | tail"#,
    );
    let (shown, ended) = room.run(&attack);
    let error = ended.unwrap_err().to_string();
    assert_eq!(
        error, "the step was killed: it used more than --job-memory=256MiB",
        "{shown}"
    );
}
