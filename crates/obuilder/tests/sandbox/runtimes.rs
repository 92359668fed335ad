//! What runtimes differ in, and a person at a terminal.

use obuilder::sandbox::{Runtime, SandboxError};

use crate::room::{Room, script};

/// The `crun` that Debian has works on machines with one version of cgroups.
#[test]
fn crun_works_or_says_why_not() {
    let name = "crun_works_or_says_why_not";
    let Some(crun) = rig::find_program("crun").filter(|_| rig::is_root()) else {
        return rig::report_not_run(name, "root, and crun");
    };
    let room = Room::new(Runtime::Program(crun));
    let (shown, ended) = room.run(&script("echo works"));
    let is_hybrid = std::path::Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists();
    if !is_hybrid {
        return assert_eq!(shown, "works\n", "{ended:?}");
    }
    let Err(SandboxError::NotStarted(text)) = ended else {
        panic!("{ended:?}");
    };
    assert!(
        text.starts_with(
            "crun does not work on this machine, which has both versions of cgroups mounted (\"hybrid\"): \
             use --runtime runc or --runtime builtin"
        ),
        "{text}"
    );
}
