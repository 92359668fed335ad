//! Checks of what any worker needs: git, a clock, memory, open files, control groups.

use std::ffi::OsStr;
use std::path::Path;

use visible::BinarySize;

use super::check::Check;
use super::probe::{Answer, ask};

/// With less memory than this, a build of any size will be killed.
const MIN_MEMORY: u64 = 1 << 30;

/// A worker needs a dozen files for each job and connection; the usual hard limit is far above.
const MIN_FILES: u64 = 4096;

pub(super) async fn checks(runtime: &OsStr) -> Vec<Check> {
    let (git, clock) = futures::join!(
        ask("git", &["--version"]),
        ask(
            "timedatectl",
            &["show", "--property=NTPSynchronized", "--value"]
        ),
    );
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let kernel = rustix::system::uname();
    vec![
        judge_git(&git),
        judge_clock(&clock),
        judge_memory(&memory),
        judge_open_files(files.maximum),
        judge_cgroups(Cgroups::probe(Path::new("/sys/fs/cgroup")), runtime),
        Check::fit(
            "versions",
            format!(
                "ocluster {}, Linux {} on {}",
                env!("CARGO_PKG_VERSION"),
                kernel.release().to_string_lossy(),
                kernel.machine().to_string_lossy()
            ),
        ),
    ]
}

fn judge_git(answer: &Answer) -> Check {
    match answer {
        Answer::Printed(version) => Check::fit("git", version.clone()),
        Answer::Absent => Check::problem(
            "git",
            "there is no git: jobs with a repository would fail",
            "install it (on Debian: apt-get install git)",
        ),
        Answer::TimedOut => Check::problem(
            "git",
            "git --version does not end",
            "check what it waits for",
        ),
        Answer::Failed(message) => {
            Check::problem("git", message.clone(), "make git --version work")
        }
    }
}

fn judge_clock(answer: &Answer) -> Check {
    match answer {
        Answer::Printed(yes) if yes == "yes" => {
            Check::fit("clock", "synchronised over the network")
        }
        Answer::Printed(_) => Check::warning(
            "clock",
            "not synchronised: log lines of this machine and the scheduler's will not match",
            "install a time service (on Debian: apt-get install systemd-timesyncd, or chrony)",
        ),
        Answer::Absent | Answer::TimedOut | Answer::Failed(_) => Check::skipped(
            "clock",
            "timedatectl does not report whether it is synchronised",
        ),
    }
}

fn judge_memory(meminfo: &str) -> Check {
    let value = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line
            .trim_start_matches(':')
            .split_whitespace()
            .next()?
            .parse()
            .ok()?;
        Some(kilobytes.saturating_mul(1024))
    };
    let (Some(all), Some(available)) = (value("MemTotal"), value("MemAvailable")) else {
        return Check::skipped("memory", "cannot read /proc/meminfo");
    };
    let found = format!("{} of {} available", BinarySize(available), BinarySize(all));
    if available < MIN_MEMORY {
        Check::warning(
            "memory",
            found,
            "builds may be killed: lower --capacity, or add memory",
        )
    } else {
        Check::fit("memory", found)
    }
}

/// `limit` is how many files a process may have open; `None` for no limit.
fn judge_open_files(limit: Option<u64>) -> Check {
    match limit {
        Some(limit) if limit < MIN_FILES => Check::warning(
            "open files",
            format!("limited to {limit} for a process"),
            "raise the hard limit (LimitNOFILE=65536 in the unit, or ulimit -Hn)",
        ),
        Some(limit) => Check::fit("open files", format!("up to {limit} for a process")),
        None => Check::fit("open files", "no limit"),
    }
}

/// Which versions of control groups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cgroups {
    None,
    One,
    Two,
    Both,
}

impl Cgroups {
    fn probe(root: &Path) -> Self {
        let is_second = |path: &Path| path.join("cgroup.controllers").exists();
        match (
            root.join("memory").join("tasks").exists(),
            is_second(&root.join("unified")),
        ) {
            _ if is_second(root) => Self::Two,
            (true, true) => Self::Both,
            (true, false) => Self::One,
            (false, _) => Self::None,
        }
    }
}

fn judge_cgroups(cgroups: Cgroups, runtime: &OsStr) -> Check {
    let name = "cgroups";
    let is_crun = Path::new(runtime).file_name() == Some(OsStr::new("crun"));
    match cgroups {
        Cgroups::Two => Check::fit(name, "version 2"),
        Cgroups::One => Check::fit(name, "version 1"),
        Cgroups::Both if is_crun => Check::warning(
            name,
            "versions 1 and 2 at once, which Debian's crun does not support",
            "use another runtime: --obuilder-runtime=runc or builtin",
        ),
        Cgroups::Both => Check::fit(name, "versions 1 and 2 at once"),
        Cgroups::None => Check::warning(
            name,
            "none at /sys/fs/cgroup: containers may not start",
            "mount them (in a container: give it --cgroupns=host and /sys/fs/cgroup)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::doctor::testing::folded_text;

    #[test]
    fn each_finding_has_a_verdict() {
        let printed = |text: &str| Answer::Printed(text.to_owned());
        let memory = |available: u64| {
            format!("MemTotal:  8388608 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")
        };
        let checks = [
            judge_git(&printed("git version 2.39.5")),
            judge_git(&Answer::Absent),
            judge_clock(&printed("yes")),
            judge_clock(&printed("no")),
            judge_clock(&Answer::Absent),
            judge_memory(&memory(4_194_304)),
            judge_memory(&memory(524_288)),
            judge_memory(""),
            judge_open_files(Some(1024)),
            judge_open_files(Some(1_048_576)),
            judge_open_files(None),
            judge_cgroups(Cgroups::Two, "crun".as_ref()),
            judge_cgroups(Cgroups::Both, "/usr/bin/crun".as_ref()),
            judge_cgroups(Cgroups::Both, "runc".as_ref()),
            judge_cgroups(Cgroups::One, "runc".as_ref()),
            judge_cgroups(Cgroups::None, "runc".as_ref()),
        ];
        expect![[r#"
            ok       git         git version 2.39.5
            problem  git         there is no git: jobs with a repository would fail
                     -> install it (on Debian: apt-get install git)
            ok       clock       synchronised over the network
            warning  clock       not synchronised: log lines of this machine and the scheduler's will not match
                     -> install a time service (on Debian: apt-get install systemd-timesyncd, or chrony)
            skipped  clock       timedatectl does not report whether it is synchronised
            ok       memory      4 GiB of 8 GiB available
            warning  memory      512 MiB of 8 GiB available
                     -> builds may be killed: lower --capacity, or add memory
            skipped  memory      cannot read /proc/meminfo
            warning  open files  limited to 1024 for a process
                     -> raise the hard limit (LimitNOFILE=65536 in the unit, or ulimit -Hn)
            ok       open files  up to 1048576 for a process
            ok       open files  no limit
            ok       cgroups     version 2
            warning  cgroups     versions 1 and 2 at once, which Debian's crun does not support
                     -> use another runtime: --obuilder-runtime=runc or builtin
            ok       cgroups     versions 1 and 2 at once
            ok       cgroups     version 1
            warning  cgroups     none at /sys/fs/cgroup: containers may not start
                     -> mount them (in a container: give it --cgroupns=host and /sys/fs/cgroup)

            1 problem, 5 warnings.
        "#]]
        .assert_eq(&folded_text(&checks));
    }
}
