//! Compiles the rules of a config to a BPF program, which the kernel runs before each system call.
//!
//! The call numbers of an architecture are divided into ranges with the same answer, and the program searches for the
//! range from the lowest on. That is not slow: kernels since 5.11 determine once which calls are always allowed, and do
//! not run the program for these.
//!
//! The answers are the same as those of other runtimes, with libseccomp and runc's addition to it. Calls that are newer
//! than all calls in the rules do not exist (`ENOSYS`), so that a C library falls back to older ones. Calls of an
//! architecture that the rules do not name kill the program. Only calls of x32, which kill the program in other
//! runtimes, do not exist here.

use std::collections::BTreeMap;

use libc::sock_filter;
use libcontainer::oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};

use crate::sandbox::filter;

/// Offsets in the program's input: the call's number, the architecture, and the lower half of the first argument.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The calls of x32 have this bit set.
const X32: u32 = 0x4000_0000;

/// Numbers from here on are specific to 32-bit ARM, far beyond those of all other calls.
const ARM_ONLY: u32 = 0xf_0000;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;

/// Returns the program.
///
/// # Errors
/// If the rules are not supported: the reason.
pub(super) fn compile(rules: &LinuxSeccomp) -> Result<Vec<sock_filter>, String> {
    let mut program = vec![plain(LOAD, ARCHITECTURE)];
    for arch in rules.architectures().iter().flatten() {
        // x32 shares its number with x86_64.
        if *arch == Arch::ScmpArchX32 {
            continue;
        }
        let section = section(rules, *arch)?;
        program.push(compare(EQUAL, *arch as u32, 1, 0));
        program.push(plain(JUMP, length(section.len())?));
        program.extend(section);
    }
    program.push(plain(ANSWER, libc::SECCOMP_RET_KILL_PROCESS));
    if program.len() > usize::try_from(libc::BPF_MAXINSNS).unwrap_or_default() {
        return Err(
            "cannot compile the seccomp profile: it has too many rules for the kernel".to_owned(),
        );
    }
    Ok(program)
}

/// Returns the part of the program for one architecture.
fn section(rules: &LinuxSeccomp, arch: Arch) -> Result<Vec<sock_filter>, String> {
    let numbers = filter::numbers(arch)
        .ok_or_else(|| format!("the built-in runtime has no seccomp filter for {arch}"))?;
    let mut by_number: BTreeMap<u32, Vec<&LinuxSyscall>> = BTreeMap::new();
    for rule in rules.syscalls().iter().flatten() {
        for name in rule.names() {
            if let Some(number) = numbers.get(name.as_str()) {
                by_number.entry(*number).or_default().push(rule);
            }
        }
    }
    let otherwise = answer(rules.default_action(), rules.default_errno_ret());
    let default = vec![plain(ANSWER, otherwise)];
    let missing = vec![plain(ANSWER, errno(libc::ENOSYS))];
    let newest = by_number.keys().rfind(|number| **number < ARM_ONLY);
    let unknown = match (rules.default_action(), newest) {
        (LinuxSeccompAction::ScmpActErrno, Some(newest)) => *newest + 1..ARM_ONLY,
        _ => 0..0,
    };

    // The answers for ranges of numbers, each up to and including its number.
    let mut ranges: Vec<(u32, Vec<sock_filter>)> = Vec::new();
    let mut put = |last: u32, block: Vec<sock_filter>| match ranges.last_mut() {
        Some((end, same)) if *same == block => *end = last,
        _ => ranges.push((last, block)),
    };
    let mut next = 0;
    let between = |first: u32| {
        if unknown.contains(&first) {
            missing.clone()
        } else {
            default.clone()
        }
    };
    for (number, rules) in &by_number {
        if *number > next {
            put(*number - 1, between(next));
        }
        put(*number, block(rules, otherwise)?);
        next = number + 1;
    }
    put(u32::MAX, between(next));

    let mut section = vec![plain(LOAD, NUMBER)];
    if arch == Arch::ScmpArchX86_64 {
        section.push(compare(AT_LEAST, X32, 0, 1));
        section.extend(&missing);
    }
    for (last, block) in ranges {
        if last < u32::MAX {
            match u8::try_from(block.len()) {
                Ok(past) => section.push(compare(GREATER, last, past, 0)),
                Err(_) => {
                    section.push(compare(GREATER, last, 0, 1));
                    section.push(plain(JUMP, length(block.len())?));
                }
            }
        }
        section.extend(block);
    }
    Ok(section)
}

/// Returns the code for a call with these rules: the first rule whose arguments match counts.
fn block(rules: &[&LinuxSyscall], otherwise: u32) -> Result<Vec<sock_filter>, String> {
    let mut block = Vec::new();
    for rule in rules {
        let mut code = vec![plain(ANSWER, answer(rule.action(), rule.errno_ret()))];
        let args = rule.args().as_deref().unwrap_or_default();
        for arg in args.iter().rev() {
            let rest = u8::try_from(code.len()).map_err(|_| "a rule has too many arguments")?;
            code.splice(0..0, condition(arg, rest)?);
        }
        block.extend(code);
        if args.is_empty() {
            return Ok(block);
        }
    }
    block.push(plain(ANSWER, otherwise));
    Ok(block)
}

/// Returns code that continues after itself if an argument matches, and `rest` instructions later if it does not.
/// Arguments have 64 bits and registers 32, so the upper halves are compared first.
fn condition(arg: &LinuxSeccompArg, rest: u8) -> Result<Vec<sock_filter>, String> {
    let halves = |value: u64| (value as u32, (value >> 32) as u32);
    let index = u32::try_from(arg.index()).map_err(|error| error.to_string())?;
    let place = ARGUMENTS + 8 * index;
    let (load_low, load_high) = if cfg!(target_endian = "little") {
        (plain(LOAD, place), plain(LOAD, place + 4))
    } else {
        (plain(LOAD, place + 4), plain(LOAD, place))
    };
    let (low, high) = halves(arg.value());
    // The distances of the second, third and last of five instructions to the end of the rule.
    let past = |instructions: u8| {
        rest.checked_add(instructions)
            .ok_or_else(|| "a rule has too many arguments".to_owned())
    };
    // The result of the upper halves, unless they are equal: then the last instruction decides.
    let ordered = |greater_fits: bool, last: sock_filter| {
        let (greater, less) = if greater_fits {
            ((3, 0), (0, past(2)?))
        } else {
            ((past(3)?, 0), (0, 2))
        };
        Ok::<_, String>(vec![
            load_high,
            compare(GREATER, high, greater.0, greater.1),
            compare(EQUAL, high, less.0, less.1),
            load_low,
            last,
        ])
    };
    match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => Ok(vec![
            load_high,
            compare(EQUAL, high, 0, past(2)?),
            load_low,
            compare(EQUAL, low, 0, rest),
        ]),
        LinuxSeccompOperator::ScmpCmpNe => Ok(vec![
            load_high,
            compare(EQUAL, high, 0, 2),
            load_low,
            compare(EQUAL, low, rest, 0),
        ]),
        LinuxSeccompOperator::ScmpCmpGt => ordered(true, compare(GREATER, low, 0, rest)),
        LinuxSeccompOperator::ScmpCmpGe => ordered(true, compare(AT_LEAST, low, 0, rest)),
        LinuxSeccompOperator::ScmpCmpLt => ordered(false, compare(AT_LEAST, low, rest, 0)),
        LinuxSeccompOperator::ScmpCmpLe => ordered(false, compare(GREATER, low, rest, 0)),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let (wanted_low, wanted_high) = halves(arg.value_two().unwrap_or_default());
            Ok(vec![
                load_high,
                plain(AND, high),
                compare(EQUAL, wanted_high, 0, past(3)?),
                load_low,
                plain(AND, low),
                compare(EQUAL, wanted_low, 0, rest),
            ])
        }
    }
}

fn answer(action: LinuxSeccompAction, number: Option<u32>) -> u32 {
    match action {
        LinuxSeccompAction::ScmpActAllow => libc::SECCOMP_RET_ALLOW,
        LinuxSeccompAction::ScmpActLog => libc::SECCOMP_RET_LOG,
        LinuxSeccompAction::ScmpActTrap => libc::SECCOMP_RET_TRAP,
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            libc::SECCOMP_RET_KILL_THREAD
        }
        LinuxSeccompAction::ScmpActErrno => match number {
            Some(number) => libc::SECCOMP_RET_ERRNO | (number & libc::SECCOMP_RET_DATA),
            None => errno(libc::EPERM),
        },
        // The last two are refused when the profile is read.
        LinuxSeccompAction::ScmpActKillProcess
        | LinuxSeccompAction::ScmpActNotify
        | LinuxSeccompAction::ScmpActTrace => libc::SECCOMP_RET_KILL_PROCESS,
    }
}

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::try_from(number).unwrap_or_default()
}

fn length(instructions: usize) -> Result<u32, String> {
    u32::try_from(instructions).map_err(|error| error.to_string())
}

/// Returns an instruction without a comparison.
fn plain(code: u32, value: u32) -> sock_filter {
    compare(code, value, 0, 0)
}

/// Returns an instruction that skips `then` or `otherwise` others, depending on a comparison.
fn compare(code: u32, value: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: then,
        jf: otherwise,
        k: value,
    }
}

#[cfg(test)]
mod tests;
