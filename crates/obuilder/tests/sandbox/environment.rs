//! The environment of a command.

use std::fs;
use std::os::unix::fs::symlink;

use expect_test::expect;
use obuilder::sandbox::{Exit, Filter, Network, SandboxOptions};
use obuilder_spec::User;

use crate::room::{Room, command, script};

crate::for_each_runtime! {
    users_and_groups_are_as_given
    the_environment_is_as_given
    the_working_directory_is_made
    privileges_are_few
    programs_have_the_capabilities_of_their_files
    a_word_that_is_too_long_is_an_error
    namespaces_are_its_own
    keys_are_its_own
    filesystems_are_mounted
    the_kernel_is_out_of_reach
    devices_are_the_harmless_ones
    the_default_is_no_network
    the_network_may_be_the_machines
    a_dangling_link_is_followed
    syncs_may_be_skipped
    limits_are_set
    signals_are_as_usual
    files_are_closed
}

fn users_and_groups_are_as_given(room: &Room) {
    let show = "id -u; id -g; id -G; umask; hostname; uname -n; grep -E '^(Uid|Gid|Groups)' /proc/self/status";
    expect![[r#"
        0
        0
        0
        0022
        builder
        builder
        Uid:	0	0	0	0
        Gid:	0	0	0	0
        Groups:	 
    "#]]
    .assert_eq(&room.output(&script(show)));

    let mut other = script(show);
    other.user = User::Unix {
        uid: 1000,
        gid: 456,
    };
    expect![[r#"
        1000
        456
        456
        0022
        builder
        builder
        Uid:	1000	1000	1000	1000
        Gid:	456	456	456	456
        Groups:	 
    "#]]
    .assert_eq(&room.output(&other));
}

fn the_environment_is_as_given(room: &Room) {
    let mut env = command(&["/usr/bin/env"]);
    env.env = [
        ("Z", "1"),
        ("HOME", "/here"),
        ("A", "two words = caf\u{e9}"),
        ("EMPTY", ""),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    assert_eq!(
        room.output(&env),
        "Z=1\nHOME=/here\nA=two words = café\nEMPTY=\n"
    );
    // Every runtime adds HOME.
    env.env.remove(1);
    assert_eq!(
        room.output(&env),
        "Z=1\nA=two words = café\nEMPTY=\nHOME=/root\n"
    );
    env.user = User::Unix { uid: 77, gid: 77 };
    assert_eq!(
        room.output(&env),
        "Z=1\nA=two words = café\nEMPTY=\nHOME=/\n"
    );
}

fn the_working_directory_is_made(room: &Room) {
    let mut pwd = script("pwd; stat -c '%U %G %a' . ..");
    pwd.cwd = "/home/opam/src".into();
    pwd.user = User::Unix {
        uid: 1000,
        gid: 1000,
    };
    assert_eq!(
        room.output(&pwd),
        "/home/opam/src\nroot root 755\nroot root 755\n"
    );
    // A link of the image is resolved inside the image.
    let target = room.dir.path().join("elsewhere");
    symlink(&target, room.rootfs().join("link")).unwrap();
    pwd.cwd = "/link/sub".into();
    let path = target.join("sub").display().to_string();
    let shown = room.output(&pwd);
    assert!(shown.starts_with(&path), "{shown}");
    assert!(!target.exists());
}

fn privileges_are_few(room: &Room) {
    let show = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";
    // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP; and
    // NET_BIND_SERVICE NET_RAW, as the network is the container's own.
    let shown = room.output(&script(show));
    let shown = shown
        .lines()
        .filter(|line| !line.starts_with("Seccomp"))
        .collect::<Vec<_>>();
    expect![[r#"
        CapInh:	0000000000000000
        CapPrm:	00000000a80425fb
        CapEff:	00000000a80425fb
        CapBnd:	00000000a80425fb
        CapAmb:	0000000000000000
        NoNewPrivs:	0"#]]
    .assert_eq(&shown.join("\n"));

    let mut other = script(show);
    other.user = User::Unix {
        uid: 1000,
        gid: 1000,
    };
    let shown = room.output(&other);
    let shown = shown
        .lines()
        .filter(|line| !line.starts_with("Seccomp"))
        .collect::<Vec<_>>();
    expect![[r#"
        CapInh:	0000000000000000
        CapPrm:	0000000000000000
        CapEff:	0000000000000000
        CapBnd:	00000000a80425fb
        CapAmb:	0000000000000000
        NoNewPrivs:	0"#]]
    .assert_eq(&shown.join("\n"));
}

/// A program has the file capabilities of its package (`ping`, a server on port 80): otherwise the kernel does not
/// start it.
fn programs_have_the_capabilities_of_their_files(room: &Room) {
    /// `cap_net_raw,cap_net_bind_service=ep`, as `setcap` writes it: version 2, effective, and the permitted ones.
    const FILE_CAPABILITIES: [u8; 20] = [
        1, 0, 0, 2, 0, 0x24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let program = room.rootfs().join("usr/bin/capable");
    // The rootfs has links to files of the machine.
    fs::copy(
        room.rootfs().join("usr/bin/cat").canonicalize().unwrap(),
        &program,
    )
    .unwrap();
    rustix::fs::setxattr(
        &program,
        "security.capability",
        &FILE_CAPABILITIES,
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    let mut show = script("capable /proc/self/status | grep CapEff");
    show.user = User::Unix {
        uid: 1000,
        gid: 1000,
    };
    assert_eq!(room.output(&show), "CapEff:\t0000000000002400\n");
    // With the machine's network it could intercept the packets of others.
    show.network = Network::Host;
    let (shown, _) = room.run(&show);
    assert!(shown.contains("Operation not permitted"), "{shown}");
    for (word, network, starts) in [
        ("docker", Network::Host, true),
        ("docker", Network::None, true),
        ("upstream", Network::None, false),
    ] {
        let options = SandboxOptions {
            capabilities: word.parse().unwrap(),
            ..SandboxOptions::default()
        };
        show.network = network;
        let (shown, _) = room.run_with(&options, &show);
        let started = shown == "CapEff:\t0000000000002400\n";
        assert_eq!(started, starts, "{word}, {network:?}: {shown}");
    }
}

/// The kernel accepts no word of more than 128 KiB. The error does not contain all of it.
fn a_word_that_is_too_long_is_an_error(room: &Room) {
    let long = format!("true {}", "x".repeat(200 << 10));
    let (_, ended) = room.run(&script(&long));
    let error = ended.unwrap_err().to_string();
    assert!(error.len() < 4000, "{} bytes", error.len());
    let expected =
        "of 204805 bytes: the limit of the kernel is 131071 bytes; put a long script into a file";
    assert!(error.contains(expected), "{error}");
}

fn namespaces_are_its_own(room: &Room) {
    let show = "for ns in pid ipc uts mnt net user cgroup time; do readlink /proc/self/ns/$ns; done; echo $$";
    let own = |network| {
        let mut show = script(show);
        show.network = network;
        let shown = room.output(&show);
        assert!(shown.ends_with("\n1\n"), "{shown}");
        let outside = |line: &&str| {
            let (name, _) = line.split_once(':').unwrap();
            let ours = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
            ours.to_str() == Some(line)
        };
        let lines = shown.lines().filter(|line| line.contains(':'));
        let own = lines.filter(|line| !outside(line));
        own.map(|line| line.split(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        own(Network::None),
        ["pid", "ipc", "uts", "mnt", "net", "cgroup"]
    );
    assert_eq!(own(Network::Host), ["pid", "ipc", "uts", "mnt", "cgroup"]);
}

/// The user who starts a build may have keys, which all its processes inherit.
fn keys_are_its_own(room: &Room) {
    let number = if cfg!(target_arch = "x86_64") {
        250
    } else {
        219
    };
    // Asks for the number of the session's keyring, without making one.
    let ask = format!("print syscall({number}, 0, -3, 0)");
    let ours = std::process::Command::new("perl")
        .args(["-e", &ask])
        .output();
    let ours = String::from_utf8(ours.unwrap().stdout).unwrap();
    let options = SandboxOptions {
        // Otherwise it could not even ask.
        filter: Filter::named("none".as_ref()).unwrap(),
        ..SandboxOptions::default()
    };
    let (theirs, _) = room.run_with(&options, &command(&["/usr/bin/perl", "-e", &ask]));
    assert!(theirs.trim().parse::<i64>().unwrap() > 0, "{theirs}");
    assert_ne!(ours, theirs);
}

fn filesystems_are_mounted(room: &Room) {
    let shown = room.output(&script("cat /proc/self/mounts"));
    let find = |target: &str| {
        let line = shown
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(target));
        let line = line.unwrap_or_else(|| panic!("{target}: {shown}"));
        let fields: Vec<&str> = line.split(' ').collect();
        (
            fields[2].to_owned(),
            fields[3].split(',').map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    let check = |target: &str, kind: &str, options: &[&str]| {
        let (found, has) = find(target);
        assert_eq!(found, kind, "{target}");
        for option in options {
            assert!(
                has.iter().any(|o| o == option),
                "{target}: {option} is not in {has:?}"
            );
        }
    };
    check("/proc", "proc", &["rw", "nosuid", "noexec", "nodev"]);
    check(
        "/dev",
        "tmpfs",
        &["rw", "nosuid", "mode=755", "size=65536k"],
    );
    check(
        "/dev/pts",
        "devpts",
        &["nosuid", "noexec", "gid=5", "mode=620", "ptmxmode=666"],
    );
    check("/sys", "sysfs", &["ro", "nosuid", "noexec", "nodev"]);
    check(
        "/dev/shm",
        "tmpfs",
        &["nosuid", "noexec", "nodev", "size=65536k"],
    );
    check("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
    let (_, hosts) = find("/etc/hosts");
    assert!(hosts.contains(&"ro".to_owned()));
    let cgroup = room.output(&script(
        "cd /sys/fs/cgroup; for d in . */; do [ -e $d/cgroup.procs ] && mkdir $d/x 2>&1 | tail -c 23; \
         done; true",
    ));
    assert!(
        cgroup.lines().all(|line| line == " Read-only file system"),
        "{cgroup}"
    );
    assert!(cgroup.contains("Read-only"), "there are no cgroups");
    assert_eq!(
        room.output(&script("stat -c '%a %u' /dev/shm /")),
        "1777 0\n755 0\n"
    );
}

fn the_kernel_is_out_of_reach(room: &Room) {
    let masked = "for f in /proc/{kcore,keys,latency_stats,timer_list,sched_debug}; do \
                  [ -e $f ] && head -c 1 $f 2>&1 | wc -c; done; \
                  for d in /proc/{acpi,asound,scsi} /sys/firmware; do [ -d $d ] && ls $d | wc -l; done; true";
    let shown = room.output(&script(masked));
    assert!(shown.lines().all(|line| line == "0"), "{shown}");
    assert!(shown.lines().count() > 2, "{shown}");

    let attempts = [
        (
            "echo x > /proc/sys/kernel/core_pattern",
            "Read-only file system",
        ),
        (
            "echo x > /proc/sys/kernel/hostname",
            "Read-only file system",
        ),
        (
            "echo 0 > /proc/irq/default_smp_affinity",
            "Read-only file system",
        ),
        ("mount -t tmpfs none /media", "denied"),
        ("mount -o remount,rw /sys", "denied"),
        ("mount -o remount,rw /proc/sys", "denied"),
        ("umount /proc/sys", "superuser"),
        ("unshare -m true", "not permitted"),
        ("hostname other", "must be root"),
    ];
    let before = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    for (attempt, refusal) in attempts {
        let (shown, ended) = room.run(&script(&format!("mkdir /media; {{ {attempt}; }} 2>&1")));
        let failed = !matches!(ended, Ok(Exit::Status(0)));
        assert!(
            failed && shown.contains(refusal),
            "{attempt}: {ended:?} {shown}"
        );
    }
    assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), before);
}

fn devices_are_the_harmless_ones(room: &Room) {
    let show = "cd /dev; stat -c '%n %F %t:%T %a' null zero full random urandom tty; \
                readlink ptmx fd stdin stdout stderr; echo x > /dev/null";
    expect![[r#"
        null character special file 1:3 666
        zero character special file 1:5 666
        full character special file 1:7 666
        random character special file 1:8 666
        urandom character special file 1:9 666
        tty character special file 5:0 666
        pts/ptmx
        /proc/self/fd
        /proc/self/fd/0
        /proc/self/fd/1
        /proc/self/fd/2
    "#]]
    .assert_eq(&room.output(&script(show)));
    // A step may make devices, as packages do; they are of no use to it.
    let make = "mknod /dev/disk b 254 0 && mknod /dev/mem c 1 1 && ! head -c 1 /dev/disk && ! head -c 1 /dev/mem";
    let shown = room.output(&script(&format!("exec 2>&1; {make}")));
    assert_eq!(
        shown.matches("Operation not permitted").count(),
        2,
        "{shown}"
    );
}

fn the_default_is_no_network(room: &Room) {
    let show = "ls /sys/class/net; cat /sys/class/net/lo/flags; cat /etc/hosts; echo; \
                ls /etc/resolv.conf 2>&1 || true; wc -l < /proc/net/route";
    expect![[r#"
        lo
        0x9
        127.0.0.1 localhost builder
        ls: cannot access '/etc/resolv.conf': No such file or directory
        1
    "#]]
    .assert_eq(&room.output(&script(show)));
}

fn the_network_may_be_the_machines(room: &Room) {
    let mut show = script(
        "cat /etc/hosts; echo; cat /etc/resolv.conf; ls /sys/class/net | wc -l; echo x 2>&1 >> /etc/resolv.conf",
    );
    show.network = Network::Host;
    let (shown, _) = room.run(&show);
    let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    // The names of the machine's network are known as well.
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    assert!(
        shown.starts_with(&format!(
            "127.0.0.1 localhost builder\n{hosts}\n{resolv_conf}"
        )),
        "{shown}"
    );
    assert!(shown.contains("Read-only file system"), "{shown}");
}

fn a_dangling_link_is_followed(room: &Room) {
    let link = room.rootfs().join("etc/resolv.conf");
    symlink("../run/systemd/resolve/stub-resolv.conf", &link).unwrap();
    let mut show = script("cat /etc/resolv.conf");
    show.network = Network::Host;
    assert_eq!(
        room.output(&show),
        fs::read_to_string("/etc/resolv.conf").unwrap()
    );
    assert!(link.is_symlink());
    // Not even one that points out of the image.
    fs::remove_file(&link).unwrap();
    let outside = room.dir.path().join("outside");
    symlink(&outside, &link).unwrap();
    assert_eq!(
        room.output(&show),
        fs::read_to_string("/etc/resolv.conf").unwrap()
    );
    assert!(!outside.exists());
}

fn syncs_may_be_skipped(room: &Room) {
    // A file that cannot be synced shows whether anybody tried.
    let sync = script(
        "sync /proc/self/status 2>&1 && echo skipped; grep NoNewPrivs /proc/self/status; \
         touch /tmp/x && sync /tmp/x && sync",
    );
    let (shown, _) = room.run(&sync);
    assert!(
        shown.contains("Invalid argument\nNoNewPrivs:\t0\n"),
        "{shown}"
    );
    let options = SandboxOptions {
        fast_sync: true,
        ..SandboxOptions::default()
    };
    let (shown, _) = room.run_with(&options, &sync);
    assert_eq!(shown, "skipped\nNoNewPrivs:\t0\n");
}

fn limits_are_set(room: &Room) {
    assert_eq!(
        room.output(&script("ulimit -Sn; ulimit -Hn")),
        "1024\n1024\n"
    );
}

fn signals_are_as_usual(room: &Room) {
    let show = "sed -n 's/^SigBlk:\t//p; s/^SigIgn:\t//p' /proc/self/status; yes | head -n 1; echo ${PIPESTATUS[0]}";
    let shown = room.output(&script(show));
    let lines: Vec<&str> = shown.lines().collect();
    let [blocked, ignored, "y", "141"] = lines[..] else {
        panic!("{shown}");
    };
    // Two are the C library's own, which it ignores in what it starts.
    let usual = |set| u64::from_str_radix(set, 16).unwrap() & 0x7fff_ffff;
    assert_eq!((usual(blocked), usual(ignored)), (0, 0), "{shown}");
}

fn files_are_closed(room: &Room) {
    // The third is the directory that `ls` is listing.
    let show = "ls /proc/self/fd; cat; tty; [ -p /dev/stdin ] && echo a pipe";
    assert_eq!(
        room.output(&script(show)),
        "0\n1\n2\n3\nnot a tty\na pipe\n"
    );
}
