//! The names and numbers of system calls.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use oci_spec::runtime::Arch;
use syscalls::{aarch64, arm, riscv64, x86, x86_64};

/// A set of system calls and their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Architecture {
    /// `x86_64`, without x32: calls of x32 do not exist, as in a kernel without it.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit RISC-V.
    Riscv64,
}

/// System calls that only 32-bit ARM has.
const ARM_ONLY: [(&str, u32); 3] = [
    ("breakpoint", 0xf_0001),
    ("cacheflush", 0xf_0002),
    ("set_tls", 0xf_0005),
];

impl Architecture {
    const ALL: [Self; 5] = [
        Self::X86_64,
        Self::X86,
        Self::Aarch64,
        Self::Arm,
        Self::Riscv64,
    ];

    /// Returns the architecture of this program.
    pub(super) fn this() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            "riscv64" => Some(Self::Riscv64),
            _ => None,
        }
    }

    /// Returns the architecture with the name `arch` in a runtime's config.
    pub(super) fn of(arch: Arch) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.oci() == arch)
    }

    /// Returns its name in a runtime's config.
    pub(super) fn oci(self) -> Arch {
        match self {
            Self::X86_64 => Arch::ScmpArchX86_64,
            Self::X86 => Arch::ScmpArchX86,
            Self::Aarch64 => Arch::ScmpArchAarch64,
            Self::Arm => Arch::ScmpArchArm,
            Self::Riscv64 => Arch::ScmpArchRiscv64,
        }
    }

    /// Returns its name in the conditions of Docker's profiles.
    pub(super) fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::X86 => "386",
            Self::Aarch64 => "arm64",
            Self::Arm => "arm",
            Self::Riscv64 => "riscv64",
        }
    }

    /// Returns the numbers of all calls, by their names. Searching them one by one would take a
    /// millisecond of every step.
    pub(super) fn numbers(self) -> HashMap<&'static str, u32> {
        let mut numbers: HashMap<&'static str, u32> = match self {
            Self::X86_64 => with_id(x86_64::Sysno::iter().map(|call| (call.name(), call.id()))),
            Self::X86 => with_id(x86::Sysno::iter().map(|call| (call.name(), call.id()))),
            Self::Aarch64 => with_id(aarch64::Sysno::iter().map(|call| (call.name(), call.id()))),
            Self::Riscv64 => with_id(riscv64::Sysno::iter().map(|call| (call.name(), call.id()))),
            Self::Arm => with_id(arm::Sysno::iter().map(|call| (call.name(), call.id()))),
        };
        match self {
            // The table has it under its name on 32-bit machines.
            Self::Aarch64 => numbers
                .get("fstatat")
                .copied()
                .and_then(|number| numbers.insert("newfstatat", number)),
            Self::Arm => {
                numbers.extend(ARM_ONLY);
                None
            }
            _ => None,
        };
        numbers
    }

    /// Returns whether any architecture has a call with this name.
    pub(super) fn any_has(name: &str) -> bool {
        static ALL: OnceLock<HashSet<&str>> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            let calls = Self::ALL.into_iter().flat_map(Self::numbers);
            calls.map(|(name, _)| name).collect()
        });
        all.contains(name)
    }
}

fn with_id(calls: impl Iterator<Item = (&'static str, i32)>) -> HashMap<&'static str, u32> {
    let numbers = calls.filter_map(|(name, id)| Some((name, u32::try_from(id).ok()?)));
    numbers.collect()
}
