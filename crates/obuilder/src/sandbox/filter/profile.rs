//! Profiles in the format of Docker's: rules with conditions. A runtime gets the rules whose conditions hold.

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder,
    LinuxSyscall, LinuxSyscallBuilder,
};
use serde::Deserialize;

use super::{Architecture, Machine};

/// The calls that wait for a disk. With `--fast-sync` they succeed at once.
const SYNC_CALLS: [&str; 7] = [
    "fsync",
    "fdatasync",
    "msync",
    "sync",
    "syncfs",
    "sync_file_range",
    "arm_sync_file_range",
];

/// The most arguments of a call.
const ARGUMENTS: usize = 6;

/// A profile, as in its file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    /// The name of that number, as in Podman's profiles. The number counts.
    #[serde(default, rename = "defaultErrno")]
    _default_errno: Option<String>,
    #[serde(default)]
    arch_map: Option<Vec<Machines>>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
}

/// An architecture, and the others whose programs it can run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Machines {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default, rename = "errno")]
    _errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(default, rename = "comment")]
    _comment: Option<String>,
    /// All of them must hold.
    #[serde(default)]
    includes: Conditions,
    /// None of them may hold.
    #[serde(default)]
    excludes: Conditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Conditions {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// If it is not a profile, or uses a feature that not all runtimes have: the reason.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let profile: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        is_usable(profile.default_action)?;
        for rule in profile.syscalls.iter().flatten() {
            rule.check()?;
        }
        Ok(profile)
    }

    /// Returns the profile that allows every call.
    pub(super) fn all_allowed() -> Self {
        Self {
            default_action: LinuxSeccompAction::ScmpActAllow,
            default_errno_ret: None,
            _default_errno: None,
            arch_map: Some(
                [
                    ("SCMP_ARCH_X86_64", &["SCMP_ARCH_X86", "SCMP_ARCH_X32"][..]),
                    ("SCMP_ARCH_AARCH64", &["SCMP_ARCH_ARM"]),
                ]
                .map(|(architecture, others)| Machines {
                    architecture: architecture.to_owned(),
                    sub_architectures: Some(others.iter().map(|&name| name.to_owned()).collect()),
                })
                .into(),
            ),
            architectures: None,
            syscalls: None,
        }
    }

    /// Returns the rules for a command with these capabilities, on this machine.
    pub(super) fn rules(
        &self,
        capabilities: &[Capability],
        machine: Machine,
        only_native: bool,
        fast_sync: bool,
    ) -> Result<LinuxSeccomp, OciSpecError> {
        let mut calls = Vec::new();
        if fast_sync {
            let done = LinuxSyscallBuilder::default()
                .names(SYNC_CALLS.map(str::to_owned))
                .action(LinuxSeccompAction::ScmpActErrno)
                .errno_ret(0_u32)
                .build()?;
            calls.push(done);
        }
        for rule in self.syscalls.iter().flatten() {
            if rule.holds(capabilities, machine) {
                calls.extend(rule.for_runtime(fast_sync)?);
            }
        }
        let mut seccomp = LinuxSeccompBuilder::default().default_action(self.default_action);
        if let Some(number) = self.default_errno_ret {
            seccomp = seccomp.default_errno_ret(number);
        }
        let architectures = self.architectures(machine.architecture, only_native);
        let mut seccomp = seccomp.architectures(architectures).build()?;
        seccomp.set_syscalls((!calls.is_empty()).then_some(calls));
        Ok(seccomp)
    }

    fn architectures(&self, native: Architecture, only_native: bool) -> Vec<Arch> {
        if only_native {
            return vec![native.oci()];
        }
        let known = |name: &String| serde_json::from_value(name.as_str().into()).ok();
        let is_this = |machines: &&Machines| known(&machines.architecture) == Some(native.oci());
        let mapped = self.arch_map.iter().flatten().find(is_this);
        let others = mapped.and_then(|machines| machines.sub_architectures.as_ref());
        let mut found = vec![native.oci()];
        let named = others.into_iter().chain(&self.architectures).flatten();
        for arch in named.filter_map(known) {
            if !found.contains(&arch) {
                found.push(arch);
            }
        }
        found
    }
}

impl Rule {
    fn names(&self) -> impl Iterator<Item = &String> {
        self.name.iter().chain(self.names.iter().flatten())
    }

    fn check(&self) -> Result<(), String> {
        is_usable(self.action)?;
        if let Some(arg) = self.args.iter().flatten().find(|a| a.index() >= ARGUMENTS) {
            return Err(format!("a call has no argument {}", arg.index()));
        }
        if self.names().next().is_none() {
            return Err("a rule has no call".to_owned());
        }
        // A call that this program is too old to know stays denied. A misspelled name must not allow a call.
        let denies = self.action != LinuxSeccompAction::ScmpActAllow;
        match self.names().find(|name| !Architecture::any_has(name)) {
            Some(name) if denies => Err(format!("there is no call {name:?} to deny")),
            _ => Ok(()),
        }
    }

    fn holds(&self, capabilities: &[Capability], machine: Machine) -> bool {
        let has = |cap: &String| capabilities.iter().any(|c| cap_name(*c) == *cap);
        let is = |arch: &String| arch == machine.architecture.go_name();
        let Conditions {
            caps,
            arches,
            min_kernel,
        } = &self.includes;
        let included = caps.iter().flatten().all(has)
            && arches.as_ref().is_none_or(|arches| arches.iter().any(is))
            && min_kernel
                .as_ref()
                .is_none_or(|least| is_since(machine, least));
        let Conditions {
            caps,
            arches,
            min_kernel,
        } = &self.excludes;
        let excluded = caps.iter().flatten().any(has)
            || arches.iter().flatten().any(is)
            || min_kernel
                .as_ref()
                .is_some_and(|least| is_since(machine, least));
        included && !excluded
    }

    /// Returns the rule for a runtime, without the calls that do nothing.
    fn for_runtime(&self, fast_sync: bool) -> Result<Option<LinuxSyscall>, OciSpecError> {
        let is_wanted = |name: &&String| !fast_sync || !SYNC_CALLS.contains(&name.as_str());
        let names: Vec<_> = self.names().filter(is_wanted).cloned().collect();
        if names.is_empty() {
            return Ok(None);
        }
        let mut call = LinuxSyscallBuilder::default()
            .names(names)
            .action(self.action)
            .build()?;
        call.set_errno_ret(self.errno_ret);
        call.set_args(self.args.clone().filter(|args| !args.is_empty()));
        Ok(Some(call))
    }
}

fn is_usable(action: LinuxSeccompAction) -> Result<(), String> {
    match action {
        LinuxSeccompAction::ScmpActNotify | LinuxSeccompAction::ScmpActTrace => Err(
            "SCMP_ACT_NOTIFY and SCMP_ACT_TRACE are not supported: they need another program"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

fn is_since(machine: Machine, least: &str) -> bool {
    version(least).is_some_and(|least| machine.kernel >= least)
}

/// Returns the first two numbers of a kernel's version.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

fn cap_name(capability: Capability) -> String {
    // As `CAP_SYS_CHROOT`, the form in profiles.
    match serde_json::to_value(capability) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
