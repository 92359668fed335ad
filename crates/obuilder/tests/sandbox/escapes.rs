//! Images that are made to get out.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use obuilder::sandbox::{Mount, SandboxError, SecretFile};

use crate::room::{Room, script};

crate::for_each_runtime! {
    mount_targets_stay_in_the_image
    system_directories_may_be_links
    no_directory_of_the_machine_is_a_working_directory
    nothing_is_mounted_in_proc
    the_runtime_cannot_be_overwritten
}

/// Returns a directory of the machine that nothing may happen to.
fn outside(room: &Room) -> PathBuf {
    let outside = room.dir.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    outside
}

fn is_untouched(outside: &PathBuf) -> bool {
    fs::read_dir(outside).unwrap().count() == 0
}

fn mount_targets_stay_in_the_image(room: &Room) {
    let outside = outside(room);
    let rootfs = room.rootfs();
    symlink(&outside, rootfs.join("absolute")).unwrap();
    symlink(
        "../../../../../../../..".to_owned() + outside.to_str().unwrap(),
        rootfs.join("relative"),
    )
    .unwrap();
    symlink(outside.join("file"), rootfs.join("file")).unwrap();
    let cache = room.dir.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let mut write = script("touch /absolute/here /relative/there/too; cat /file /relative/secret");
    let target = |target: &str| Mount {
        source: cache.clone(),
        target: target.into(),
    };
    write.mounts = vec![target("/absolute"), target("/relative/there")];
    write.secrets = ["/file", "/relative/secret"]
        .map(|target| SecretFile {
            value: b"secret".into(),
            target: target.into(),
        })
        .into();
    // The second secret lies below the first cache, as the links have it, and is hidden by it.
    let (_, _) = room.run(&write);
    assert!(is_untouched(&outside));
    assert!(cache.join("here").exists() && cache.join("too").exists());
}

fn system_directories_may_be_links(room: &Room) {
    let outside = outside(room);
    for name in ["dev", "proc", "sys"] {
        let place = room.rootfs().join(name);
        fs::remove_dir(&place).unwrap();
        symlink(&outside, &place).unwrap();
        let (_, ended) = room.run(&script("echo x > /dev/made; echo x > /proc/made"));
        assert!(is_untouched(&outside), "{name}");
        assert_eq!(
            ended.unwrap_err().to_string(),
            format!("cannot mount on /{name} of the image: Not a directory (os error 20)")
        );
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
    }
}

fn no_directory_of_the_machine_is_a_working_directory(room: &Room) {
    for (number, target) in (0..12).map(|n| (n, format!("/proc/self/fd/{n}"))) {
        let link = format!("link-{number}");
        symlink(&target, room.rootfs().join(&link)).unwrap();
        for cwd in [target, format!("/{link}")] {
            let mut look = script("ls ../../..");
            look.cwd = cwd.as_str().into();
            let (_, ended) = room.run(&look);
            let Err(SandboxError::Unsupported(text)) = ended else {
                panic!("{ended:?}");
            };
            assert_eq!(
                text,
                format!("cannot use the working directory {cwd:?}: it must not be in /proc")
            );
        }
    }
    // What is below /sys is not known before it is mounted.
    let mut look = script("ls ../../..");
    look.cwd = "/sys/fs/../../proc/self/fd/7".into();
    let (_, ended) = room.run(&look);
    assert_eq!(
        ended.unwrap_err().to_string(),
        r#"cannot use the working directory "/sys/fs/../../proc/self/fd/7": it must not lead through /sys"#
    );
}

fn nothing_is_mounted_in_proc(room: &Room) {
    let mut fake = script("true");
    fake.mounts = vec![Mount {
        source: outside(room),
        target: "/var/../proc/self/attr".into(),
    }];
    let (_, ended) = room.run(&fake);
    assert_eq!(
        ended.unwrap_err().to_string(),
        "cannot mount on \"/var/../proc/self/attr\": it leads to \"/proc/self/attr\", and nothing may be mounted \
         on /, nor on or below /dev (but for /dev/shm), /proc and /sys; choose another target"
    );
}

/// The way of CVE-2019-5736: an image whose command is the runtime itself, and whose libraries are the attacker's.
fn the_runtime_cannot_be_overwritten(room: &Room) {
    let programs = [
        env!("CARGO_BIN_EXE_obuilder-one-container").into(),
        rig::find_program("runc").unwrap_or_default(),
    ];
    let before = programs
        .each_ref()
        .map(|program| fs::read(program).unwrap_or_default());
    // It runs the program that made the container, and tries to write to it through every way there is to find it.
    let attack = "for i in 1 2 3 4 5 6 7 8 9; do exec 9< /proc/$PPID/exe 2>&-; \
                  for f in /proc/[0-9]*/exe /proc/self/fd/9; do echo x 2>&- > $f; done; done; true";
    let entry = room.rootfs().join("entry");
    fs::write(&entry, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = script(attack);
    let (_, _) = room.run(&command);
    command.argv = vec!["/entry".into()];
    let (_, _) = room.run(&command);
    command.argv = vec!["/proc/self/exe".into()];
    let (_, _) = room.run(&command);
    for (program, before) in programs.iter().zip(before) {
        assert!(
            fs::read(program).unwrap_or_default() == before,
            "{program:?}"
        );
    }
}
