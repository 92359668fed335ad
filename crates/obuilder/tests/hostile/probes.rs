//! The privileges and resources of a step, as it sees them: the facts in the comparison of runtimes in the
//! documentation.

use std::net::TcpListener;

use expect_test::expect;
use obuilder::sandbox::Network;

use crate::room::{Room, script};

crate::for_each_runtime! {
    privileges_of_a_step
}

/// Prints one fact a line. It needs only bash, coreutils, grep, sed and perl.
const PROBE: &str = r#"
exec 2> /dev/null
status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
echo capabilities: $(status CapEff), at most $(status CapBnd), inherited $(status CapInh), ambient $(status CapAmb)
echo no new privileges: $(status NoNewPrivs)
echo filter: $(status Seccomp)
echo users: $(tr -s ' ' < /proc/self/uid_map)
echo first process: $$, its parent $PPID
shown() { for f; do
    if [ -d $f ]; then [ -z "$(ls -A $f)" ] || echo $f
    elif [ -e $f ]; then head -c 1 $f > /tmp/one; [ -s /tmp/one ] && echo $f; fi
done; }
echo shown of the machine: $(shown \
    /proc/{acpi,asound,interrupts,kcore,keys,kmsg,latency_stats,sched_debug,scsi,timer_list,timer_stats} \
    /sys/firmware /sys/devices/virtual/powercap)
writable() { for f; do [ -e $f ] && : >> $f && echo $f; done; }
echo writable: $(writable /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger \
    /proc/irq/default_smp_affinity /sys/kernel/uevent_helper)
echo addresses of the kernel: $(grep -vc '^0000000000000000' /proc/kallsyms)
groups() { for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do [ -e $d/cgroup.procs ] && mkdir $d/made && echo $d; done; }
echo control groups: $(cut -d: -f3 /proc/self/cgroup | sort -u), writable: $(groups)
echo devices: $(cd /dev; for d in *; do [ -c $d ] || [ -b $d ] && echo $d; done)
mknod /tmp/disk b 254 0; mknod /tmp/mem c 1 1; mknod /tmp/fuse c 10 229
echo device nodes that open: $(for d in /tmp/disk /tmp/mem /tmp/fuse; do head -c 1 $d > /tmp/one && echo $d; done)
echo network: $(ls /sys/class/net), routes $(($(wc -l < /proc/net/route) - 1))
echo limits: $(ulimit -Hn) files
echo descriptors: $(cd /proc/self/fd; for f in [3-9]*; do [ -e $f ] && echo $f; done)
key() { perl -e 'my $t = "user"; my $d = "probe"; my $p = "x";
    print syscall(248, $t, $d, $p, 1, int($ARGV[0])) < 0 ? "denied" : "open"' -- $1; }
echo keyrings: session $(key -3), user $(key -4)
echo host name: $(hostname)
"#;

fn privileges_of_a_step(room: &Room) {
    if !cfg!(target_arch = "x86_64") {
        return rig::report_not_run(
            "privileges_of_a_step",
            "x86_64: it has numbers of system calls",
        );
    }
    let seen = room.output(&script(PROBE));
    expect![[r#"
        capabilities: 00000000a80425fb, at most 00000000a80425fb, inherited 0000000000000000, ambient 0000000000000000
        no new privileges: 0
        filter: 2
        users: 0 0 4294967295
        first process: 1, its parent 0
        shown of the machine:
        writable:
        addresses of the kernel: 0
        control groups: /, writable:
        devices: full null ptmx random stderr tty urandom zero
        device nodes that open:
        network: lo, routes 0
        limits: 1024 files
        descriptors:
        keyrings: session denied, user denied
        host name: builder
    "#]].assert_eq(&seen);
    // With the machine's network it can connect to loopback; everything else is the same.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 2>&1; : < /dev/tcp/127.0.0.1/{port} && echo reached");
    let mut command = script(&connect);
    let (shown, _) = room.run(&command);
    assert!(shown.contains("Connection refused"), "{shown}");
    command.network = Network::Host;
    assert_eq!(room.output(&command), "reached\n");
    let mut probe = script(PROBE);
    probe.network = Network::Host;
    let other = room.output(&probe);
    // It can neither intercept the packets of others, nor use their ports.
    assert!(
        other.contains("capabilities: 00000000a80401fb, at most 00000000a80401fb,"),
        "{other}"
    );
    let is_network =
        |line: &&str| line.starts_with("network: ") || line.starts_with("capabilities: ");
    let rest = |text: &str| {
        let lines = text.lines().filter(|line| !is_network(line));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rest(&other), rest(&seen));
}

/// A container with Docker's defaults, for comparison.
#[test]
fn privileges_of_a_docker_container() {
    let Some(rig) = rig::Rig::or_not_run("privileges_of_a_docker_container") else {
        return;
    };
    let docker = &rig.docker;
    let name = "ocluster-probe";
    rig::import_host(docker, name).unwrap();
    let args = ["run", "--rm", "--network=none", name, "bash", "-c", PROBE];
    let seen = docker.run(&args);
    drop(docker.run(&["image", "rm", name]));
    let seen = seen.unwrap();
    println!("{seen}");
    // Facts that do not depend on the engine's version.
    let fact = |name: &str| {
        seen.lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    // NET_BIND_SERVICE and NET_RAW as well.
    assert!(
        fact("capabilities: ").starts_with("capabilities: 00000000a80425fb,"),
        "{seen}"
    );
    for line in [
        "no new privileges: 0",
        "filter: 2",
        "users: 0 0 4294967295",
        "keyrings: session denied, user denied",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line}: {seen}");
    }
}
