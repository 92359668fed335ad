//! Secrets and caches of commands.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process;

use obuilder::sandbox::{Command, Exit, Mount, Sandbox as _, SecretFile};
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

use crate::room::{Call, Room, Text, script, wait};

crate::for_each_runtime! {
    secrets_are_files_for_its_user_to_read
    secrets_are_nowhere_else
    caches_are_directories_to_write_to
    targets_may_be_in_each_other
}

const SECRET: &str = "correct horse battery staple";

fn secret(target: &str) -> SecretFile {
    SecretFile {
        value: SECRET.into(),
        target: target.into(),
    }
}

fn with_secret(text: &str) -> Command {
    Command {
        secrets: vec![secret("/run/secrets/password")],
        user: User::Unix {
            uid: 1000,
            gid: 1000,
        },
        ..script(text)
    }
}

fn secrets_are_files_for_its_user_to_read(room: &Room) {
    let mut read =
        with_secret("cd /run/secrets; cat password empty; stat -c '%a %s' password empty");
    read.secrets.push(SecretFile {
        value: Vec::new(),
        target: "/run/secrets/empty".into(),
    });
    assert_eq!(room.output(&read), format!("{SECRET}644 28\n644 0\n"));
    // Afterwards there are empty files where they were.
    let kept = fs::metadata(room.rootfs().join("run/secrets/password")).unwrap();
    assert_eq!((kept.len(), kept.permissions().mode() & 0o777), (0, 0o644));

    let mut write = with_secret("echo more 2>&1 >> /run/secrets/password");
    write.user = User::ROOT;
    let (shown, ended) = room.run(&write);
    assert!(shown.contains("Read-only file system"), "{shown} {ended:?}");
}

fn secrets_are_nowhere_else(room: &Room) {
    let sandbox = room.open();
    let (rootfs, cancel) = (room.rootfs(), CancellationToken::new());
    let holder = with_secret("echo ready; read -r < /tmp/go; cat /run/secrets/password");
    assert!(!format!("{holder:?}").contains("horse"));
    let made = process::Command::new("mkfifo")
        .arg(rootfs.join("tmp/go"))
        .status();
    assert!(made.unwrap().success());
    let (said, found) = (Text::default(), Text::default());
    let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
    let state = room.state();
    let notice = Call(|bytes: &[u8]| {
        started.send(()).map_err(std::io::Error::other)?;
        obuilder::Sink::write(&said, bytes)
    });
    // What another step sees of it while it runs. What it looks for is not what its own command line says.
    let look = script(
        "grep -rsl 'correct [h]orse' /proc/*/{environ,cmdline,mounts,mountinfo} /run /tmp/x; \
         echo looked; echo go > /tmp/go",
    );
    let other = async {
        has_started.recv().await;
        let grep = process::Command::new("grep")
            .args(["-rl", "horse"])
            .arg(&state)
            .output()
            .unwrap();
        let files = String::from_utf8(grep.stdout).unwrap();
        sandbox
            .run(&rootfs, &look, &found, &cancel)
            .await
            .map(|exit| (exit, files))
    };
    let run = sandbox.run(&rootfs, &holder, &notice, &cancel);
    let (ran, looked) = wait(futures::future::join(run, other));
    assert_eq!(ran.unwrap(), Exit::Status(0));
    assert_eq!(said.text(), format!("ready\n{SECRET}"));
    let (exit, files) = looked.unwrap();
    assert_eq!((exit, found.text().as_str()), (Exit::Status(0), "looked\n"));
    // On the machine, one file has it, and that is in memory.
    assert!(
        files.ends_with("/secrets/0\n") && files.lines().count() == 1,
        "{files}"
    );
    room.check_nothing_is_left();
}

fn caches_are_directories_to_write_to(room: &Room) {
    let cache = room.dir.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("before"), "kept").unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    let mut write = script(
        "cat /var/cache/opam/before; cp /bin/echo /var/cache/opam/program; /var/cache/opam/program runs; \
         mknod /var/cache/opam/null c 1 3; cat /var/cache/opam/null 2>&1; grep /var/cache/opam /proc/self/mounts",
    );
    write.mounts = vec![Mount {
        source: cache.clone(),
        target: "/var/cache/opam".into(),
    }];
    let shown = room.output(&write);
    assert!(shown.starts_with("keptruns\n"), "{shown}");
    assert!(shown.contains("Permission denied"), "{shown}");
    let mount = shown.lines().last().unwrap();
    assert!(
        mount.contains("rw,nosuid,nodev") && !mount.contains("noexec"),
        "{mount}"
    );
    assert!(cache.join("program").exists());
    assert_eq!(
        fs::read_dir(room.rootfs().join("var/cache/opam"))
            .unwrap()
            .count(),
        0
    );
}

fn targets_may_be_in_each_other(room: &Room) {
    let [outer, inner] = ["outer", "inner"].map(|name| {
        let cache = room.dir.path().join(name);
        fs::create_dir(&cache).unwrap();
        cache
    });
    let mut write = script("touch /a/1 /a/b/2; cat /c/secret");
    write.secrets = vec![secret("/c/secret")];
    write.mounts = [(&outer, "/a"), (&inner, "/a/b")]
        .map(|(source, target)| Mount {
            source: source.clone(),
            target: target.into(),
        })
        .into();
    assert_eq!(room.output(&write), SECRET);
    assert!(outer.join("1").exists() && inner.join("2").exists());
}
