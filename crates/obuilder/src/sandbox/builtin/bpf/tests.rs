//! Each call that there is, through the program that is made of the default profile.

use std::fmt::Write as _;

use expect_test::expect_file;
use libcontainer::oci_spec::runtime::LinuxSeccomp;
use syscalls::{aarch64, arm, riscv64, x86, x86_64};

use super::*;
use crate::sandbox::filter::Architecture;

/// Runs a program as the kernel does, for a call with these arguments.
fn run(program: &[sock_filter], arch: Arch, number: u32, args: [u64; 6]) -> u32 {
    let load = |place: u32| match place {
        NUMBER => number,
        ARCHITECTURE => arch as u32,
        _ => {
            let arg = args[usize::try_from((place - ARGUMENTS) / 8).unwrap()];
            if place.is_multiple_of(8) {
                arg as u32
            } else {
                (arg >> 32) as u32
            }
        }
    };
    let (mut at, mut loaded) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let skip = |is: bool| usize::from(if is { jt } else { jf });
        match u32::from(code) {
            LOAD => loaded = load(k),
            AND => loaded &= k,
            EQUAL => at += skip(loaded == k),
            GREATER => at += skip(loaded > k),
            AT_LEAST => at += skip(loaded >= k),
            JUMP => at += usize::try_from(k).unwrap(),
            ANSWER => return k,
            _ => panic!("{code:x}"),
        }
    }
}

fn action(answer: u32) -> &'static str {
    match answer {
        libc::SECCOMP_RET_ALLOW => "allowed",
        libc::SECCOMP_RET_KILL_PROCESS => "killed",
        answer if answer == errno(libc::EPERM) => "denied",
        answer if answer == errno(libc::ENOSYS) => "missing",
        answer if answer == errno(0) => "skipped",
        _ => "otherwise",
    }
}

fn rules(text: &str) -> LinuxSeccomp {
    serde_json::from_str(text).unwrap()
}

fn default(architecture: Architecture) -> LinuxSeccomp {
    let text = include_str!("../../filter/default.json");
    filter::for_test(text, architecture)
}

const X86_64: Arch = Arch::ScmpArchX86_64;
const X86: Arch = Arch::ScmpArchX86;

/// Calls that are not allowed, or only with some arguments, on each architecture: reviewed in the snapshot.
#[test]
fn calls_that_the_default_does_not_allow() {
    let mut text = String::new();
    let mut show = |name: &str, program: &[sock_filter], arch, calls: Vec<(i32, &'static str)>| {
        let mut by_answer: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (number, call) in calls {
            // No arguments, and so many that no flag is left out: what depends on them.
            let number = u32::try_from(number).unwrap();
            let none = action(run(program, arch, number, [0; 6]));
            let all = action(run(program, arch, number, [u64::MAX; 6]));
            let answer = if none == all { none } else { "conditional" };
            by_answer.entry(answer).or_default().push(call);
        }
        for (answer, calls) in by_answer {
            if answer != "allowed" {
                writeln!(text, "{name}, {answer}: {}", calls.join(" ")).unwrap();
            }
        }
    };
    let program = compile(&default(Architecture::X86_64)).unwrap();
    let calls = x86_64::Sysno::iter().map(|call| (call.id(), call.name()));
    show("x86_64", &program, X86_64, calls.collect());
    let calls = x86::Sysno::iter().map(|call| (call.id(), call.name()));
    show("x86", &program, X86, calls.collect());
    let program = compile(&default(Architecture::Aarch64)).unwrap();
    let calls = aarch64::Sysno::iter().map(|call| (call.id(), call.name()));
    show("aarch64", &program, Arch::ScmpArchAarch64, calls.collect());
    let calls = arm::Sysno::iter().map(|call| (call.id(), call.name()));
    show("arm", &program, Arch::ScmpArchArm, calls.collect());
    let program = compile(&default(Architecture::Riscv64)).unwrap();
    let calls = riscv64::Sysno::iter().map(|call| (call.id(), call.name()));
    show("riscv64", &program, Arch::ScmpArchRiscv64, calls.collect());
    expect_file!["snapshots/default-profile.txt"].assert_eq(&text);
}

#[test]
fn some_calls_depend_on_arguments() {
    let program = compile(&default(Architecture::X86_64)).unwrap();
    let numbers = [X86_64, X86].map(|arch| (arch, filter::numbers(arch).unwrap()));
    let answer = |call: &str, first: u64| {
        let args = [first, 0, 0, 0, 0, 0];
        let [on, on_other] = numbers
            .each_ref()
            .map(|(arch, numbers)| action(run(&program, *arch, numbers[call], args)));
        assert_eq!(on, on_other, "{call} {first}");
        on
    };
    let allowed = |call: &str, of: std::ops::Range<u64>| -> Vec<u64> {
        of.filter(|first| answer(call, *first) == "allowed")
            .collect()
    };
    // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK.
    assert_eq!(allowed("socket", 0..64), [1, 2, 10, 16]);
    assert_eq!(allowed("socketpair", 0..64), [1]);
    assert_eq!(
        allowed("personality", 0..0x3_0000),
        [0, 8, 0x2_0000, 0x2_0008]
    );
    assert_eq!(answer("personality", 0xffff_ffff), "allowed");
    // CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
    let new = [
        0x80,
        0x2_0000,
        0x200_0000,
        0x400_0000,
        0x800_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
    ];
    for flag in new {
        assert_eq!(answer("unshare", flag | 0x200), "denied", "{flag:x}");
        // There, the lowest byte is a signal.
        let expected = if flag == 0x80 { "allowed" } else { "denied" };
        assert_eq!(answer("clone", flag | 0x100 | 17), expected, "{flag:x}");
    }
    // CLONE_FS, CLONE_FILES, CLONE_SYSVSEM; what a thread is made with, and vfork.
    assert_eq!(answer("unshare", 0x4_0600), "allowed");
    assert_eq!(answer("clone", 0x3d_0f00), "allowed");
    assert_eq!(answer("clone", 0x4111), "allowed");
}

#[test]
fn numbers_without_a_call_do_not_exist() {
    let program = compile(&default(Architecture::X86_64)).unwrap();
    let answer = |arch, number| action(run(&program, arch, number, [0; 6]));
    assert_eq!(answer(X86_64, 0), "allowed");
    for number in [467, 1000, X32, X32 + 1, X32 + 520, u32::MAX] {
        assert_eq!(answer(X86_64, number), "missing", "{number}");
    }
    assert_eq!(answer(X86, 2000), "missing");
    assert_eq!(answer(Arch::ScmpArchAarch64, 0), "killed");
    let program = compile(&default(Architecture::Aarch64)).unwrap();
    let answer = |number| action(run(&program, Arch::ScmpArchArm, number, [0; 6]));
    assert_eq!(answer(0xf_0005), "allowed");
    assert_eq!((answer(2000), answer(0xf_0000)), ("missing", "missing"));
}

#[test]
fn arguments_are_compared_whole() {
    let program = |op: &str, more: &str| {
        compile(&rules(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
                {{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [
                    {{"index": 5, "value": 7, "op": "SCMP_CMP_NE"}},
                    {{"index": 1, "value": 4294967299, "op": "SCMP_CMP_{op}"{more}}}]}},
                {{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "args": [
                    {{"index": 0, "value": 9, "op": "SCMP_CMP_EQ"}}]}}]}}"#
        )))
        .unwrap()
    };
    let value = 4_294_967_299; // 2^32 + 3
    let values = [0, 3, value - 1, value, value + 1, 3 + (2 << 32), u64::MAX];
    type Holds = fn(u64, u64) -> bool;
    let operators: [(&str, Holds); 6] = [
        ("EQ", |a, b| a == b),
        ("NE", |a, b| a != b),
        ("LT", |a, b| a < b),
        ("LE", |a, b| a <= b),
        ("GT", |a, b| a > b),
        ("GE", |a, b| a >= b),
    ];
    for (op, holds) in operators {
        let program = program(op, "");
        for a in values {
            let answer = |last| action(run(&program, X86_64, 0, [9, a, 0, 0, 0, last]));
            let expected = if holds(a, value) {
                "allowed"
            } else {
                "missing"
            };
            assert_eq!(answer(0), expected, "{a} {op}");
            assert_eq!(answer(7), "missing");
            assert_eq!(
                action(run(&program, X86_64, 0, [8, a, 0, 0, 0, 7])),
                "denied"
            );
        }
    }
    let program = program("MASKED_EQ", r#", "valueTwo": 1"#);
    for (a, expected) in [
        (1, "allowed"),
        (5, "allowed"),
        (3, "denied"),
        (1 + (1 << 32), "denied"),
    ] {
        assert_eq!(
            action(run(&program, X86_64, 0, [0, a, 0, 0, 0, 0])),
            expected,
            "{a}"
        );
    }
}

/// As Docker's had once: a rule for each of the families that are allowed.
#[test]
fn a_call_may_have_many_rules() {
    let rule = |family| {
        format!(
            r#"{{"names": ["socket"], "action": "SCMP_ACT_ALLOW",
                "args": [{{"index": 0, "value": {family}, "op": "SCMP_CMP_EQ"}}]}}"#
        )
    };
    let many: Vec<String> = (0..100).map(|n| rule(2 * n)).collect();
    let text = |many: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
                "syscalls": [{many}]}}"#
        )
    };
    let program = compile(&rules(&text(&many.join(",")))).unwrap();
    let socket =
        |arch, number, family| action(run(&program, arch, number, [family, 0, 0, 0, 0, 0]));
    assert_eq!(socket(X86_64, 41, 198), "allowed");
    assert_eq!(socket(X86_64, 41, 38 + 1), "denied");
    assert_eq!(socket(X86, 359, 198), "allowed");
    assert_eq!(socket(X86, 360, 2), "missing");
    let too_many: Vec<String> = (0..1000).map(rule).collect();
    let error = compile(&rules(&text(&too_many.join(",")))).unwrap_err();
    assert_eq!(
        error,
        "cannot compile the seccomp profile: it has too many rules for the kernel"
    );
}
