//! Seccomp profiles: what the program for the kernel answers is what the rules say, call by call.

use std::cell::RefCell;
use std::collections::HashMap;

use obuilder::fuzzing::{call_numbers, compiled_filter, filter_rules};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator,
};

use crate::input::Input;

// Classic BPF, as the kernel's linux/bpf_common.h has it.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const JUMP: u16 = 0x05;
const ANSWER: u16 = 0x06;

// The kernel's answers, as its linux/seccomp.h has them.
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Calls of x32 have this bit.
const X32: u32 = 0x4000_0000;

/// Calls with this or a higher number exist only on 32-bit ARM.
const ARM_ONLY: u32 = 0xf_0000;

/// The separator between the profile and the calls.
const SEPARATOR: u8 = 0;

type Numbers = HashMap<&'static str, u32>;

thread_local! {
    /// The numbers of each architecture's calls, which take longer to collect than a profile to read.
    static NUMBERS: RefCell<HashMap<u32, Numbers>> = RefCell::default();
}

/// Returns the number that a call has on an architecture.
fn call_number(arch: Arch, name: &str) -> Option<u32> {
    NUMBERS.with_borrow_mut(|all| {
        let numbers = all.entry(arch as u32);
        let numbers = numbers.or_insert_with(|| call_numbers(arch).unwrap_or_default());
        numbers.get(name).copied()
    })
}

struct Call {
    arch: Arch,
    number: u32,
    args: [u64; 6],
}

pub(super) fn run(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == SEPARATOR);
    let (profile, calls) = bytes.split_at(end.unwrap_or(bytes.len()));
    let mut input = Input::new(calls);
    input.byte();
    let flags = input.byte();
    let Ok(rules) = filter_rules(profile, flags & 1 == 1, flags & 2 == 2) else {
        return;
    };
    let Ok(program) = compiled_filter(&rules) else {
        return;
    };
    assert!(
        program.len() <= 4096,
        "the program is too long for the kernel"
    );
    for _ in 0..16 {
        let call = call(&rules, &mut input);
        let result = answer_of(&program, &call);
        let Call { arch, number, args } = &call;
        let expected = expected(&rules, &call);
        assert_eq!(
            result, expected,
            "{arch:?} {number} {args:x?} is {result:x}"
        );
    }
}

/// Returns a call, mostly one with a rule.
fn call(rules: &LinuxSeccomp, input: &mut Input<'_>) -> Call {
    let archs = [
        Arch::ScmpArchX86_64,
        Arch::ScmpArchX86,
        Arch::ScmpArchAarch64,
        Arch::ScmpArchArm,
    ];
    let arch = input.choose(&archs);
    let all = rules.syscalls().as_deref().unwrap_or_default();
    let rule = all.get(usize::from(input.byte()));
    let name = rule.and_then(|rule| rule.names().get(usize::from(input.byte())));
    let number = name.and_then(|name| call_number(arch, name));
    let number = number.unwrap_or_else(|| input.u32());
    let number = number.wrapping_add(u32::from(input.byte() & 1));
    let mut args = [0; 6];
    for arg in rule
        .and_then(|rule| rule.args().as_ref())
        .into_iter()
        .flatten()
    {
        let value = arg
            .value()
            .wrapping_add(u64::from(input.byte() & 3))
            .wrapping_sub(1);
        args[arg.index() % 6] = value ^ u64::from(input.byte() & 1) << 32;
    }
    if input.flag() {
        args[usize::from(input.byte()) % 6] = input.u64();
    }
    Call { arch, number, args }
}

/// Runs the program as the kernel does.
fn answer_of(program: &[(u16, u8, u8, u32)], call: &Call) -> u32 {
    let load = |place: u32| match place {
        0 => call.number,
        4 => call.arch as u32,
        _ => {
            let arg = call.args[(place as usize - 16) / 8];
            (arg >> (8 * (place % 8))) as u32
        }
    };
    let (mut at, mut loaded) = (0, 0);
    loop {
        let (code, then, otherwise, value) = program[at];
        at += 1;
        let skip = |is: bool| usize::from(if is { then } else { otherwise });
        match code {
            LOAD => loaded = load(value),
            AND => loaded &= value,
            EQUAL => at += skip(loaded == value),
            GREATER => at += skip(loaded > value),
            AT_LEAST => at += skip(loaded >= value),
            JUMP => at += value as usize,
            ANSWER => return value,
            _ => panic!("the kernel has no instruction {code:x}"),
        }
    }
}

/// Returns the result of the first rule that matches the call.
fn expected(rules: &LinuxSeccomp, call: &Call) -> u32 {
    let Call { arch, number, args } = call;
    let archs = rules.architectures().as_deref().unwrap_or_default();
    if !archs.contains(arch) {
        return KILL_PROCESS;
    }
    if *arch == Arch::ScmpArchX86_64 && *number >= X32 {
        return ERRNO | ENOSYS;
    }
    let all = rules.syscalls().as_deref().unwrap_or_default();
    let mut newest = None;
    let mut is_named = false;
    for rule in all {
        let numbers = rule
            .names()
            .iter()
            .filter_map(|name| call_number(*arch, name));
        for found in numbers {
            newest = newest.max(Some(found).filter(|number| *number < ARM_ONLY));
            is_named |= found == *number;
        }
    }
    for rule in all {
        let mut names = rule.names().iter();
        let is_named_here = names.any(|name| call_number(*arch, name) == Some(*number));
        let args_fit = rule.args().iter().flatten().all(|arg| fits(arg, args));
        if is_named_here && args_fit {
            return answer(rule.action(), rule.errno_ret());
        }
    }
    // A call is unknown if its number is higher than those of all calls in the rules.
    let is_unknown = newest.is_some_and(|newest| *number > newest);
    if is_unknown && !is_named && rules.default_action() == LinuxSeccompAction::ScmpActErrno {
        return ERRNO | ENOSYS;
    }
    answer(rules.default_action(), rules.default_errno_ret())
}

fn fits(arg: &LinuxSeccompArg, args: &[u64; 6]) -> bool {
    let (given, value) = (args[arg.index()], arg.value());
    match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => given != value,
        LinuxSeccompOperator::ScmpCmpLt => given < value,
        LinuxSeccompOperator::ScmpCmpLe => given <= value,
        LinuxSeccompOperator::ScmpCmpEq => given == value,
        LinuxSeccompOperator::ScmpCmpGe => given >= value,
        LinuxSeccompOperator::ScmpCmpGt => given > value,
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            given & value == arg.value_two().unwrap_or_default()
        }
    }
}

fn answer(action: LinuxSeccompAction, number: Option<u32>) -> u32 {
    match action {
        LinuxSeccompAction::ScmpActAllow => ALLOW,
        LinuxSeccompAction::ScmpActLog => LOG,
        LinuxSeccompAction::ScmpActTrap => TRAP,
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => KILL_THREAD,
        LinuxSeccompAction::ScmpActErrno => ERRNO | number.unwrap_or(EPERM) & 0xffff,
        _ => KILL_PROCESS,
    }
}
