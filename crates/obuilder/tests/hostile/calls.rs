//! System calls that no build needs, tried by a step. A bug in their code, or data of other users in the kernel, can be
//! reached without any capability.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use obuilder::sandbox::{Exit, Filter, SandboxOptions};

use crate::room::{Room, command};

crate::for_each_runtime! {
    denied_calls_are_denied
    the_keys_of_root_are_out_of_reach
    new_namespaces_are_denied
    unusual_sockets_are_denied
    calls_of_other_architectures_have_the_same_rules
    a_custom_profile_is_used
}

fn with(filter: &str) -> SandboxOptions {
    SandboxOptions {
        filter: Filter::named(filter.as_ref()).unwrap(),
        ..SandboxOptions::default()
    }
}

/// A call with its arguments, by its numbers on `x86_64` and `aarch64`.
struct Call {
    name: &'static str,
    numbers: (u32, u32),
    args: &'static str,
}

const fn call(name: &'static str, numbers: (u32, u32), args: &'static str) -> Call {
    Call {
        name,
        numbers,
        args,
    }
}

/// No number there.
const NONE: u32 = u32::MAX;

/// Every call that the default denies by its name alone. Where possible, with arguments for which the kernel itself has
/// another error: it checks them before the capabilities.
const DENIED: &[Call] = &[
    call("syslog", (103, 116), "10, 0, 0"),
    call("uselib", (134, NONE), "0"),
    call("ustat", (136, NONE), "0, 0"),
    call("sysfs", (139, NONE), "3"),
    call("vhangup", (153, 58), ""),
    call("pivot_root", (155, 41), "'/tmp', '/tmp'"),
    call("_sysctl", (156, NONE), "0"),
    call("acct", (163, 89), "'/tmp/acct'"),
    call("settimeofday", (164, 170), "0, 0"),
    call("mount", (165, 40), "'none', '/tmp', 'tmpfs', 0, 0"),
    call("umount2", (166, 39), "'/tmp', 0"),
    call("swapon", (167, 224), "'/tmp/x', 0"),
    call("swapoff", (168, 225), "'/tmp/x'"),
    call("reboot", (169, 142), "0, 0, 0, 0"),
    call("sethostname", (170, 161), "'x', 1"),
    call("setdomainname", (171, 162), "'x', 1"),
    call("iopl", (172, NONE), "0"),
    call("ioperm", (173, NONE), "0, 1, 0"),
    call("create_module", (174, NONE), "0"),
    call("init_module", (175, 105), "0, 0, 0"),
    call("delete_module", (176, 106), "'x', 0"),
    call("quotactl", (179, 60), "0, 0, 0, 0"),
    call("nfsservctl", (180, 42), "0, 0, 0"),
    call("lookup_dcookie", (212, 18), "0, 0, 0"),
    call("clock_settime", (227, 112), "99, 0"),
    call("mbind", (237, 235), "0, 0, 0, 0, 0, 0"),
    call("set_mempolicy", (238, 237), "0, 0, 0"),
    call("get_mempolicy", (239, 236), "0, 0, 0, 0, 0"),
    call("kexec_load", (246, 104), "0, 0, 0, 0"),
    call("add_key", (248, 217), "'user', 'hostile', 'x', 1, -4"),
    call("request_key", (249, 218), "'user', 'hostile', 0, 0"),
    call("keyctl", (250, 219), "0, -4, 0"),
    call("migrate_pages", (256, 238), "0, 0, 0, 0"),
    call("move_pages", (279, 239), "0, 0, 0, 0, 0, 0"),
    call("perf_event_open", (298, 241), "0, 0, 0, 0, 0"),
    call("fanotify_init", (300, 262), "0, 0"),
    call("open_by_handle_at", (304, 265), "-1, 0, 0"),
    call("setns", (308, 268), "-1, 0"),
    call("process_vm_readv", (310, 270), "0, 0, 0, 0, 0, 1"),
    call("process_vm_writev", (311, 271), "0, 0, 0, 0, 0, 1"),
    call("kcmp", (312, 272), "1, 1, 99, 0, 0"),
    call("finit_module", (313, 273), "-1, '', 0"),
    call("kexec_file_load", (320, 294), "-1, -1, 0, '', 0"),
    call("bpf", (321, 280), "99, 0, 0"),
    call("userfaultfd", (323, 282), "99"),
    call("io_uring_setup", (425, 425), "0, 0"),
    call("io_uring_enter", (426, 426), "-1, 0, 0, 0, 0, 0"),
    call("io_uring_register", (427, 427), "-1, 0, 0, 0"),
    call("open_tree", (428, 428), "-100, '/', 0"),
    call("move_mount", (429, 429), "-1, '', -1, '', 0"),
    call("fsopen", (430, 430), "'tmpfs', 0"),
    call("fsconfig", (431, 431), "-1, 0, 0, 0, 0"),
    call("fsmount", (432, 432), "-1, 0, 0"),
    call("fspick", (433, 433), "-100, '/', 0"),
    call("pidfd_getfd", (438, 438), "-1, 0, 0"),
    call("process_madvise", (440, 440), "-1, 0, 0, 0, 1"),
    call("mount_setattr", (442, 442), "-1, '', 0, 0, 0"),
    call("quotactl_fd", (443, 443), "-1, 0, 0, 0"),
];

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;

/// Makes a step call these, and returns the error number of each, or 0. Perl makes system calls by their numbers.
fn errors(room: &Room, options: &SandboxOptions, calls: &[(u32, &str)]) -> Vec<i32> {
    let mut program = String::from("$| = 1; ");
    for (number, args) in calls {
        let comma = if args.is_empty() { "" } else { ", " };
        // Perl passes anything but a number as the address of a text, which it must own.
        writeln!(
            program,
            "{{ my $r = syscall({number}{comma}{args}); print(($r == -1 ? $!+0 : 0), qq(\\n)); }}"
        )
        .unwrap();
    }
    let mut step = command(&["/usr/bin/perl", "-e"]);
    step.argv.push(texts_owned(&program).into());
    let (shown, ended) = room.run_with(options, &step);
    let errors: Vec<i32> = shown.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(errors.len(), calls.len(), "{shown}: {ended:?}");
    errors
}

/// Makes Perl own the texts in a program: it passes no addresses of constants.
fn texts_owned(program: &str) -> String {
    let mut owned = String::new();
    for (index, part) in program.split('\'').enumerate() {
        if index % 2 == 0 {
            owned.push_str(part);
        } else {
            write!(owned, "(my $t{index} = '{part}')").unwrap();
        }
    }
    owned
}

fn denied_calls_are_denied(room: &Room) {
    let here = |call: &Call| {
        let number = if cfg!(target_arch = "x86_64") {
            call.numbers.0
        } else {
            call.numbers.1
        };
        (number != NONE).then_some((call.name, (number, call.args)))
    };
    let (names, calls): (Vec<_>, Vec<_>) = DENIED.iter().filter_map(here).unzip();
    let errors = errors(room, &SandboxOptions::default(), &calls);
    let others: Vec<_> = names
        .iter()
        .zip(errors)
        .filter(|(_, error)| *error != EPERM)
        .collect();
    assert_eq!(others, []);
    // Newer than all calls that the filter knows: a C library must detect that the kernel is too old. For clone3,
    // it then uses another call.
    let missing = [(435, "0, 0"), (999, "0"), (20_000, "0")];
    let errors = self::errors(room, &SandboxOptions::default(), &missing);
    assert_eq!(errors, [ENOSYS; 3]);
}

/// The numbers of `add_key` and `keyctl` on this machine.
fn key_calls() -> (u32, u32) {
    if cfg!(target_arch = "x86_64") {
        (248, 250)
    } else {
        (217, 219)
    }
}

/// Keyrings have no namespace: all processes of root share root's keyring.
fn the_keys_of_root_are_out_of_reach(room: &Room) {
    let (add_key, keyctl) = key_calls();
    // KEY_SPEC_USER_KEYRING is -4. KEYCTL_UNLINK is 9, to clean up if it has worked.
    let leave = [(add_key, "'user', 'hostile-step', 'x', 1, -4")];
    // KEYCTL_SEARCH is 10.
    let find = [(keyctl, "10, -4, 'user', 'hostile-step', 0")];
    let clear = format!(
        "my ($t, $d) = ('user', 'hostile-step'); my $k = syscall({keyctl}, 10, -4, $t, $d, 0); \
         syscall({keyctl}, 9, $k, -4) if $k > 0; print $k"
    );
    let clear = || {
        let output = std::process::Command::new("perl")
            .args(["-e", &clear])
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(errors(room, &SandboxOptions::default(), &leave), [EPERM]);
    assert_eq!(errors(room, &SandboxOptions::default(), &find), [EPERM]);
    assert_eq!(clear(), "-1");
}

fn new_namespaces_are_denied(room: &Room) {
    let (unshare, clone) = if cfg!(target_arch = "x86_64") {
        (272, 56)
    } else {
        (97, 220)
    };
    // CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, and a user's with mounts of its own.
    let flags = [
        0x2_0000_u32,
        0x200_0000,
        0x400_0000,
        0x800_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
        0x1002_0000,
    ];
    let args: Vec<String> = flags
        .iter()
        .map(|flags| format!("{flags}, 0, 0, 0, 0"))
        .collect();
    for number in [unshare, clone] {
        let calls: Vec<_> = args.iter().map(|args| (number, args.as_str())).collect();
        let errors = errors(room, &SandboxOptions::default(), &calls);
        assert!(
            errors.iter().all(|error| *error == EPERM),
            "{number}: {errors:?}"
        );
    }
    // Without the filter, a step can create a user namespace, and with it all others.
    let free = errors(room, &with("none"), &[(unshare, "0x10000000")]);
    let allowed = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap();
    if allowed.trim() != "0" {
        assert_eq!(free, [0]);
    }
    // Other resources of threads may still be separated: CLONE_FILES.
    assert_eq!(
        errors(room, &SandboxOptions::default(), &[(unshare, "0x400")]),
        [0]
    );
}

fn unusual_sockets_are_denied(room: &Room) {
    let (socket, socketpair) = if cfg!(target_arch = "x86_64") {
        (41, 53)
    } else {
        (198, 199)
    };
    let families: Vec<String> = (0..48).map(|family| format!("{family}, 2, 0, 0")).collect();
    let calls: Vec<_> = families
        .iter()
        .map(|args| (socket, args.as_str()))
        .collect();
    let errors = errors(room, &SandboxOptions::default(), &calls);
    let allowed: Vec<_> = (0..48).filter(|family| errors[*family] != EPERM).collect();
    // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. AF_ALG is 38, AF_VSOCK is 40.
    assert_eq!(allowed, [1, 2, 10, 16]);
    let calls: Vec<_> = families
        .iter()
        .map(|args| (socketpair, args.as_str()))
        .collect();
    let errors = self::errors(room, &SandboxOptions::default(), &calls);
    let allowed: Vec<_> = (0..48).filter(|family| errors[*family] != EPERM).collect();
    assert_eq!(allowed, [1]);
}

/// Returns a program that makes one call of 32-bit x86, with no arguments but the first two, and ends with its error.
///
/// It has 64 bits itself, as any of an attacker's can: the architecture is the call's, and not the program's.
fn other_call(number: u32, first: u32, second: u32) -> Vec<u8> {
    const START: u64 = 0x40_0000;
    let mut code = vec![0xb8];
    code.extend(number.to_le_bytes()); // mov eax, number
    code.push(0xbb);
    code.extend(first.to_le_bytes()); // mov ebx, first
    code.push(0xb9);
    code.extend(second.to_le_bytes()); // mov ecx, second
    code.extend([0x31, 0xd2, 0x31, 0xf6, 0x31, 0xff]); // xor edx, edx; xor esi, esi; xor edi, edi
    code.extend([0xcd, 0x80]); // int 0x80
    code.extend([0x85, 0xc0, 0x78, 0x02, 0x31, 0xc0]); // test eax, eax; js +2; xor eax, eax
    code.extend([0xf7, 0xd8, 0x89, 0xc7]); // neg eax; mov edi, eax
    code.push(0xb8);
    code.extend(60_u32.to_le_bytes()); // mov eax, exit
    code.extend([0x0f, 0x05]); // syscall
    let size = 120 + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [START + 120, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0");
    // One segment, to be read and run.
    elf.extend(b"\x01\0\0\0\x05\0\0\0");
    for word in [0, START, START, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

/// Calls of 32-bit x86, by number and first two arguments, with their errors: 1 is EPERM, 14 EFAULT, 38 ENOSYS.
const OTHER_CALLS: &[(&str, (u32, u32, u32), &str)] = &[
    ("getpid", GETPID, "0"),
    ("mount", (21, 0, 0), "1"),
    ("umount2", (52, 0, 0), "1"),
    ("setns", (346, u32::MAX, 0), "1"),
    ("unshare a user namespace", (310, 0x1000_0000, 0), "1"),
    ("clone a user namespace", (120, 0x1000_0011, 0), "1"),
    ("clone3", (435, 0, 0), "38"),
    ("keyctl", (288, 0, 0), "1"),
    ("add_key", (286, 0, 0), "1"),
    ("bpf", (357, 0, 0), "1"),
    ("userfaultfd", (374, 0, 0), "1"),
    ("kcmp", (349, 1, 1), "1"),
    ("io_uring_setup", (425, 0, 0), "1"),
    ("a socket of AF_ALG", (359, 38, 5), "1"),
    ("a socket of AF_UNIX", (359, 1, 1), "0"),
    ("socketcall", (102, 1, 0), "14"),
    ("unknown", (999, 0, 0), "38"),
];

const GETPID: (u32, u32, u32) = (20, 0, 0);

fn calls_of_other_architectures_have_the_same_rules(room: &Room) {
    if !cfg!(target_arch = "x86_64") {
        return rig::report_not_run("calls_of_other_architectures", "x86_64");
    }
    let end = |options: &SandboxOptions, (number, first, second): (u32, u32, u32)| {
        let program = room.rootfs().join("call");
        drop(fs::remove_file(&program));
        fs::write(&program, other_call(number, first, second)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        // In a shell, which reports a signal as a status in both runtimes.
        let step = command(&["/bin/bash", "-c", "exec 2> /dev/null; /call; echo $?"]);
        let (shown, _) = room.run_with(options, &step);
        shown.lines().last().unwrap_or_default().to_owned()
    };
    // Checks whether the kernel has such calls at all.
    let getpid = GETPID;
    if end(&with("none"), getpid) != "0" {
        return rig::report_not_run(
            "calls_of_other_architectures",
            "a kernel that runs 32-bit programs",
        );
    }
    for (name, call, error) in OTHER_CALLS {
        assert_eq!(end(&SandboxOptions::default(), *call), *error, "{name}");
    }
    // 159 is SIGSYS.
    assert_eq!(end(&with("native"), getpid), "159");
    // x32 has the numbers of x86_64 with a bit set: getpid, keyctl.
    for (number, args) in [(0x4000_0027, ""), (0x4000_00fa, ", 0, -4, 0")] {
        let ask = format!("syscall({number}{args}); exit($! + 0)");
        let ended = room.run(&command(&["/usr/bin/perl", "-e", &ask])).1;
        // With runc, libseccomp kills the program instead.
        let expected = if room.is_builtin() { ENOSYS } else { 159 };
        assert!(
            matches!(ended, Ok(Exit::Status(end)) if end == expected),
            "{ended:?}"
        );
    }
}

fn a_custom_profile_is_used(room: &Room) {
    let file = room.dir.path().join("profile.json");
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [{"names": ["sync", "chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}]}"#;
    fs::write(&file, profile).unwrap();
    let (sync, chroot, getpid) = if cfg!(target_arch = "x86_64") {
        (162, 161, 39)
    } else {
        (81, 51, 172)
    };
    let calls = [(sync, ""), (chroot, "'/'"), (getpid, "")];
    let options = with(file.to_str().unwrap());
    assert_eq!(errors(room, &options, &calls), [77, 77, 0]);
    // Together with `fast_sync`, which takes precedence.
    let quick = SandboxOptions {
        fast_sync: true,
        ..options
    };
    assert_eq!(errors(room, &quick, &calls), [0, 77, 0]);
    assert_eq!(errors(room, &with("none"), &calls), [0, 0, 0]);
    assert_eq!(errors(room, &SandboxOptions::default(), &calls), [0, 0, 0]);
}
