//! A scheduler in a process of its own, and what an attack costs it.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests poll what other processes do, and show what they measured"
)]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vat::{SturdyRef, cap_file};

use crate::bystander::Bystander;

/// How long anything may take that is not an attack. Far longer than it does, so that a slow machine fails no test.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// How long memory has to go back to the system.
const SETTLING: Duration = Duration::from_secs(20);

/// How often something is looked at that we wait for.
const GLANCE: Duration = Duration::from_millis(50);

/// How much longer others may wait than what is promised for a release build on a machine of its own.
const SLOWNESS: u32 = 20;

const MIB: u64 = 1024 * 1024;

/// What an attack may cost at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// By how many bytes the program may grow meanwhile.
    pub(crate) peak: u64,
    /// How many bytes more than before it may have afterwards.
    pub(crate) kept: u64,
    /// How many bytes it may log.
    pub(crate) logged: u64,
    /// How long a bystander may wait for an answer, before [`SLOWNESS`].
    pub(crate) waiting: Duration,
}

impl Bounds {
    /// For a peer that knows no secret.
    pub(crate) const STRANGER: Self = Self {
        peak: 64 * MIB,
        kept: 32 * MIB,
        logged: 64 * 1024,
        waiting: Duration::from_millis(100),
    };

    /// For a peer with a cap file: it may use up what it may queue, so each test has its own limits of memory and log.
    pub(crate) const fn friend(peak_mib: u64, logged: u64) -> Self {
        Self {
            peak: peak_mib * MIB,
            kept: 32 * MIB,
            logged,
            waiting: Duration::from_millis(250),
        }
    }
}

/// A scheduler that runs, with its log in a file. It is killed when this is dropped.
pub(crate) struct Target {
    dir: tempfile::TempDir,
    child: Child,
}

impl Target {
    /// Starts one with encryption and with these options besides. The bystander works in the pool `p`, attackers in
    /// `q`.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::launch("", options)
    }

    /// Starts one that may have `limits` as a shell's `ulimit` takes them, as in `-n 64`.
    pub(crate) fn start_with_limits(limits: &str, options: &[&str]) -> Self {
        Self::launch(&format!("ulimit {limits}; "), options)
    }

    fn launch(before: &str, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let secrets = dir.path().join("secrets");
        fs::create_dir(&secrets).expect("made a directory");
        let log = File::create(dir.path().join("log")).expect("made the log");
        let program = env!("CARGO_BIN_EXE_ocluster-scheduler");
        let child = Command::new("sh")
            .args(["-c", &format!("{before}exec \"$0\" \"$@\""), program])
            .args(["--capnp-secret-key-file", "key.pem", "--secrets-dir"])
            .arg(&secrets)
            .args(["--state-dir", "state", "--pools=p,q"])
            .args(["--capnp-listen-address", "tcp:127.0.0.1:0"])
            .args(options)
            .current_dir(dir.path())
            .env_clear()
            .env("OCLUSTER_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("started the scheduler");
        let mut target = Self { dir, child };
        // It is the last that is written.
        let last = target.cap_path("pool-q");
        target.wait_until("it is ready", || last.exists());
        target
    }

    pub(crate) fn cap_path(&self, name: &str) -> PathBuf {
        self.dir.path().join("secrets").join(format!("{name}.cap"))
    }

    /// Returns the sturdy ref in a cap file: `submission`, `admin`, `pool-p` or `pool-q`.
    pub(crate) fn cap(&self, name: &str) -> SturdyRef {
        cap_file::load(self.cap_path(name)).expect("a cap file")
    }

    /// Returns all that it has logged.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.dir.path().join("log")).expect("read the log");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Returns the address of its metrics and health endpoint.
    pub(crate) fn metrics_address(&self) -> String {
        let log = self.log();
        let (_, rest) = log
            .split_once("Serving metrics at http://")
            .expect("it serves metrics");
        let (address, _) = rest.split_once('/').expect("an address");
        address.to_owned()
    }

    /// Returns how many sockets it has open.
    pub(crate) fn sockets(&self) -> usize {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs");
        let sockets = descriptors.filter(|descriptor| {
            let target = descriptor.as_ref().map(|d| fs::read_link(d.path()));
            matches!(target, Ok(Ok(target)) if target.to_string_lossy().starts_with("socket:"))
        });
        sockets.count()
    }

    fn logged(&self) -> u64 {
        let log = fs::metadata(self.dir.path().join("log"));
        log.expect("there is a log").len()
    }

    /// Returns a line of `/proc/PID/status` in bytes.
    fn memory(&self, line: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("it runs");
        let kib = status.lines().find_map(|l| {
            let value = l.strip_prefix(line)?.strip_prefix(':')?;
            value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        kib.unwrap_or_else(|| panic!("it has ended: {}", self.log_end())) * 1024
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let skipped = log.chars().count().saturating_sub(4000);
        log.chars().skip(skipped).collect()
    }

    pub(crate) fn wait_until(&mut self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            self.assert_running();
            assert!(start.elapsed() < LIMIT, "never: {what}\n{}", self.log_end());
            std::thread::sleep(GLANCE);
        }
    }

    pub(crate) fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().expect("looked") {
            panic!("the scheduler has ended ({status}):\n{}", self.log_end());
        }
    }

    /// Runs an attack while a bystander works, and asserts that it cost others no more than `bounds`.
    ///
    /// Returns how much it has logged meanwhile.
    pub(crate) fn suffers(&mut self, bounds: Bounds, attack: impl AsyncFnOnce(&Self)) -> u64 {
        let bystander = Bystander::start(self);
        let before = self.memory("VmRSS");
        // From here on, the peak is that of the attack.
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("forgot the peak");
        let logged = self.logged();
        run(attack(self));
        self.assert_running();
        let peak = self.memory("VmHWM").saturating_sub(before);
        let waiting = bystander.finish();
        let start = Instant::now();
        let kept = loop {
            let kept = self.memory("VmRSS").saturating_sub(before);
            if kept <= bounds.kept || start.elapsed() > SETTLING {
                break kept;
            }
            std::thread::sleep(GLANCE);
        };
        // The bystander's own jobs are logged, too.
        let logged = (self.logged() - logged).saturating_sub(waiting.logged);
        println!("peak {peak}, kept {kept}, logged {logged}, {waiting:?}");
        self.assert_running();
        assert!(peak <= bounds.peak, "it grew by {peak} bytes at most");
        assert!(kept <= bounds.kept, "it kept {kept} bytes");
        assert!(
            logged <= bounds.logged,
            "it logged {logged} bytes:\n{}",
            self.log_end()
        );
        let longest = waiting.longest;
        assert!(
            longest <= bounds.waiting * SLOWNESS,
            "others waited {longest:?}"
        );
        logged
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs what needs capabilities or sockets, and never for ever.
pub(crate) fn run<T>(task: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let done = tokio::time::timeout(LIMIT, task).await;
        done.expect("it hangs")
    })
}
