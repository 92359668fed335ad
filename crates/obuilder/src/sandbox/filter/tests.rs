//! The calls that the default profile allows, entry by entry, and files that are refused.

use expect_test::expect;
use oci_spec::runtime::{Capability, LinuxSeccomp, LinuxSeccompAction};

use super::*;

const MACHINE: Machine = Machine {
    architecture: Architecture::X86_64,
    kernel: (6, 1),
};

fn rules(filter: &Filter, machine: Machine, fast_sync: bool) -> LinuxSeccomp {
    let capabilities = [Capability::Chown, Capability::SysChroot];
    let rules = filter.rules(&capabilities, Some(machine), fast_sync);
    rules.unwrap().unwrap()
}

/// Returns the actions for a call as text, with "if" for rules with conditions.
fn actions(rules: &LinuxSeccomp, name: &str) -> Vec<String> {
    let syscalls = rules.syscalls().iter().flatten();
    let named = syscalls.filter(|rule| rule.names().iter().any(|n| n == name));
    named
        .map(|rule| {
            let number = rule.errno_ret().map(|n| format!(" {n}"));
            let asks = if rule.args().is_some() { " if" } else { "" };
            format!("{}{}{asks}", rule.action(), number.unwrap_or_default())
        })
        .collect()
}

fn profile(text: &str) -> Result<Filter, FilterError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Filter::named(file.path().as_os_str())
}

#[test]
fn each_call_of_the_default_exists_and_has_one_rule() {
    let text: serde_json::Value = serde_json::from_str(DEFAULT).unwrap();
    let mut seen = std::collections::HashMap::new();
    for rule in text["syscalls"].as_array().unwrap() {
        assert!(rule["comment"].is_string(), "{rule}");
        for name in rule["names"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            assert!(Architecture::any_has(name), "{name}");
            let is_alone = !rule["args"].is_array();
            let before = seen.insert(name.to_owned(), is_alone);
            // Several rules for one call are about its arguments.
            assert!(
                before.is_none() || before == Some(false) && !is_alone,
                "{name}"
            );
        }
    }
}

#[test]
fn rules_depend_on_capabilities_and_the_machine() {
    let default = Filter::default();
    let all = rules(&default, MACHINE, false);
    assert_eq!(actions(&all, "chroot"), ["SCMP_ACT_ALLOW"]);
    assert_eq!(actions(&all, "ptrace"), ["SCMP_ACT_ALLOW"]);
    assert_eq!(actions(&all, "arch_prctl"), ["SCMP_ACT_ALLOW"]);
    assert_eq!(actions(&all, "set_tls"), Vec::<String>::new());
    assert_eq!(actions(&all, "clone"), ["SCMP_ACT_ALLOW if"]);
    assert_eq!(actions(&all, "clone3"), ["SCMP_ACT_ERRNO 38"]);
    let without = default.rules(&[Capability::Chown], Some(MACHINE), false);
    assert_eq!(
        actions(&without.unwrap().unwrap(), "chroot"),
        Vec::<String>::new()
    );
    let other = Machine {
        architecture: Architecture::Aarch64,
        kernel: (4, 7),
    };
    let other = rules(&default, other, false);
    assert_eq!(actions(&other, "ptrace"), Vec::<String>::new());
    assert_eq!(actions(&other, "arch_prctl"), Vec::<String>::new());
    assert_eq!(actions(&other, "set_tls"), ["SCMP_ACT_ALLOW"]);
    let named = |rules: &LinuxSeccomp| format!("{:?}", rules.architectures().as_ref().unwrap());
    assert_eq!(named(&all), "[ScmpArchX86_64, ScmpArchX86]");
    assert_eq!(named(&other), "[ScmpArchAarch64, ScmpArchArm]");
    let native = Filter::named("native".as_ref()).unwrap();
    assert_eq!(named(&rules(&native, MACHINE, false)), "[ScmpArchX86_64]");
}

#[test]
fn syncs_do_nothing_where_nobody_waits_for_them() {
    for name in ["default", "none"] {
        let filter = Filter::named(name.as_ref()).unwrap();
        let quick = rules(&filter, MACHINE, true);
        for call in [
            "fsync",
            "fdatasync",
            "msync",
            "sync",
            "syncfs",
            "sync_file_range",
        ] {
            assert_eq!(actions(&quick, call), ["SCMP_ACT_ERRNO 0"], "{call}");
        }
    }
    let none = Filter::named("none".as_ref()).unwrap();
    assert_eq!(none.rules(&[], None, false), Ok(None));
    let quick = rules(&none, MACHINE, true);
    assert_eq!(quick.default_action(), LinuxSeccompAction::ScmpActAllow);
}

#[test]
fn a_profile_has_dockers_format() {
    let docker = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                    {"architecture": "SCMP_ARCH_NEW", "subArchitectures": null}],
        "syscalls": [
            {"names": ["read", "a_call_of_tomorrow"], "action": "SCMP_ACT_ALLOW",
             "args": [], "includes": {}, "excludes": {}},
            {"name": "mount", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#;
    let rules = rules(&profile(docker).unwrap(), MACHINE, false);
    assert_eq!(actions(&rules, "read"), ["SCMP_ACT_ALLOW"]);
    assert_eq!(actions(&rules, "mount"), Vec::<String>::new());
    assert_eq!(actions(&rules, "bpf"), Vec::<String>::new());
    assert_eq!(actions(&rules, "personality"), ["SCMP_ACT_ALLOW if"]);
}

#[test]
fn invalid_profiles_are_refused() {
    let missing = Filter::named("/nowhere/profile.json".as_ref()).unwrap_err();
    expect!["cannot read the seccomp profile /nowhere/profile.json: No such file or directory (os error 2)"]
        .assert_eq(&missing.to_string());
    let with =
        |rule: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rule}]}}"#);
    let bad = [
        "unconfined".to_owned(),
        "{}".to_owned(),
        r#"{"defaultAction": "allow"}"#.to_owned(),
        with(r#"{"names": ["read"]}"#),
        with(r#"{"action": "SCMP_ACT_ALLOW"}"#),
        with(r#"{"names": ["moutn"], "action": "SCMP_ACT_ERRNO"}"#),
        with(r#"{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}"#),
        with(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "include": {}}"#),
        with(
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}"#,
        ),
    ];
    let whys = bad.map(|text| match profile(&text).unwrap_err() {
        FilterError::Invalid { why, .. } => why,
        error @ FilterError::Read { .. } => error.to_string(),
    });
    // A line for each list is easier to read.
    let whys = whys
        .join("\n")
        .replace(", expected one of ", ",\n  expected one of ");
    let whys = ["`SCMP_ACT_ERRNO`", "`SCMP_ACT_NOTIFY`", "`excludes`"]
        .iter()
        .fold(whys, |whys, word| {
            whys.replace(&format!(", {word}"), &format!(",\n  {word}"))
        });
    expect![[r#"
        expected value at line 1 column 1
        missing field `defaultAction` at line 1 column 2
        unknown variant `allow`,
          expected one of `SCMP_ACT_KILL`, `SCMP_ACT_KILL_THREAD`, `SCMP_ACT_KILL_PROCESS`, `SCMP_ACT_TRAP`,
          `SCMP_ACT_ERRNO`,
          `SCMP_ACT_NOTIFY`, `SCMP_ACT_TRACE`, `SCMP_ACT_LOG`, `SCMP_ACT_ALLOW` at line 1 column 25
        missing field `action` at line 1 column 68
        a rule has no call
        there is no call "moutn" to deny
        SCMP_ACT_NOTIFY and SCMP_ACT_TRACE are not supported: they need another program
        unknown field `include`,
          expected one of `name`, `names`, `action`, `errnoRet`, `errno`, `args`, `comment`, `includes`,
          `excludes` at line 1 column 106
        a call has no argument 6"#]].assert_eq(&whys);
    let error = Filter::default().rules(&[], None, false).unwrap_err();
    assert!(error.contains("--seccomp=none"), "{error}");
}
