//! The whole config.json, pinned: what a container is made of is reviewed here.

use expect_test::expect_file;

use super::*;
use crate::sandbox::filter::{Architecture, Filter, Machine};
use crate::sandbox::{Mount as Cache, SecretFile, StepCapabilities};

fn plain() -> Command {
    Command {
        argv: ["/usr/bin/env", "bash", "-c", "echo café"]
            .map(BString::from)
            .into(),
        cwd: "/src".into(),
        user: User::Unix {
            uid: 1000,
            gid: 456,
        },
        env: [("PATH", "/usr/bin"), ("A", "x=y"), ("A", "")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        network: Network::None,
        secrets: Vec::new(),
        mounts: Vec::new(),
    }
}

/// Returns targets as they are wanted: nothing is linked.
fn targets(command: &Command) -> Targets {
    Targets {
        hosts: "/etc/hosts".into(),
        resolv_conf: (command.network == Network::Host).then(|| "/etc/resolv.conf".into()),
        secrets: command.secrets.iter().map(|s| s.target.clone()).collect(),
        mounts: command.mounts.iter().map(|m| m.target.clone()).collect(),
        cwd: command.cwd.clone(),
    }
}

fn setup(targets: &Targets) -> ContainerSetup<'_> {
    ContainerSetup {
        targets,
        rootfs: Path::new("/store/result-tmp/ID/rootfs"),
        hosts: "/store/state/sandbox/obuilder-1/hosts".into(),
        secrets: (0..2)
            .map(|n| format!("/store/state/sandbox/obuilder-1/secrets/{n}").into())
            .collect(),
        cgroup: "/obuilder-1".into(),
        resolv_conf: Some("/etc/resolv.conf".into()),
        network_namespace: None,
        terminal: false,
        capabilities: StepCapabilities::default().of(Network::Host),
        seccomp: None,
    }
}

/// Returns a config as text, with the sets in it in order.
fn shown(command: &Command) -> String {
    shown_with(command, None)
}

fn shown_with(command: &Command, seccomp: Option<LinuxSeccomp>) -> String {
    let targets = targets(command);
    let mut setup = setup(&targets);
    setup.capabilities = StepCapabilities::default().of(command.network);
    setup.seccomp = seccomp;
    shown_in(command, &setup)
}

fn shown_in(command: &Command, setup: &ContainerSetup<'_>) -> String {
    let config = config(command, setup).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let sets = config.pointer_mut("/process/capabilities").unwrap();
    for set in sets.as_object_mut().unwrap().values_mut() {
        let set = set.as_array_mut().unwrap();
        set.sort_by_key(std::string::ToString::to_string);
    }
    let mut text = serde_json::to_string_pretty(&config).unwrap();
    text.push('\n');
    text
}

#[test]
fn a_plain_command() {
    expect_file!["snapshots/plain.json"].assert_eq(&shown(&plain()));
}

#[test]
fn a_command_with_the_machines_network() {
    let mut command = plain();
    command.network = Network::Host;
    expect_file!["snapshots/host-network.json"].assert_eq(&shown(&command));
}

#[test]
fn a_command_with_a_network_that_only_reaches_out() {
    let mut command = plain();
    command.network = Network::Host;
    let targets = targets(&command);
    let mut outbound = setup(&targets);
    outbound.resolv_conf = Some("/store/state/sandbox/obuilder-1/resolv.conf".into());
    outbound.network_namespace = Some("/proc/1/fd/9".into());
    expect_file!["snapshots/outbound-network.json"].assert_eq(&shown_in(&command, &outbound));
}

#[test]
fn a_command_with_caches_and_secrets() {
    let mut command = plain();
    command.secrets = [("/run/secrets/a", "hidden"), ("/b", "")]
        .map(|(target, value)| SecretFile {
            value: value.into(),
            target: target.into(),
        })
        .into();
    command.mounts = vec![Cache {
        source: "/store/cache-tmp/0-opam".into(),
        target: "/home/opam/.opam".into(),
    }];
    let config = shown(&command);
    assert!(!config.contains("hidden"));
    expect_file!["snapshots/caches-and-secrets.json"].assert_eq(&config);
}

#[test]
fn a_command_that_need_not_sync() {
    let none = Filter::named("none".as_ref()).unwrap();
    let machine = Machine {
        architecture: Architecture::X86_64,
        kernel: (6, 1),
    };
    let seccomp = none.rules(&[], Some(machine), true).unwrap();
    expect_file!["snapshots/fast-sync.json"].assert_eq(&shown_with(&plain(), seccomp));
}

#[test]
fn text_that_json_cannot_represent_is_refused() {
    let refused = |change: fn(&mut Command)| {
        let mut command = plain();
        change(&mut command);
        let targets = targets(&command);
        let refused = config(&command, &setup(&targets)).unwrap_err();
        refused.to_string()
    };
    let refusals = [
        refused(|command| command.argv[3] = b"caf\xe9".into()),
        refused(|command| command.env[0].1 = b"\xff".into()),
        refused(|command| command.cwd = b"/\xff".into()),
        refused(|command| command.argv[0] = "a\0b".into()),
        refused(|command| command.argv[3] = "é".repeat(100 << 10).into()),
        refused(|command| command.argv[3] = vec![0xe9; 100 << 10].into()),
        refused(|command| command.env[1].1 = "x".repeat(200 << 10).into()),
        refused(|command| command.user = User::Named("opam".into())),
        refused(|command| command.user = User::Unix { uid: -1, gid: 0 }),
        refused(|command| {
            command.user = User::Unix {
                uid: 0,
                gid: 0xffff_ffff,
            }
        }),
        refused(|command| {
            command.mounts = vec![Cache {
                source: "/x".into(),
                target: b"/\xfe".into(),
            }];
        }),
        refused(|command| {
            command.secrets = vec![SecretFile {
                value: b"hidden".into(),
                target: b"/\xfe".into(),
            }];
        }),
    ];
    expect_file!["snapshots/refusals.txt"].assert_eq(&refusals.join("\n"));
}
