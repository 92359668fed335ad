//! A clock that a test sets forward while a program runs by it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// What is preloaded into the program.
const SOURCE: &str = include_str!("clock.c");

/// The clock of programs that a test starts: all that they measure by it is time that goes by.
///
/// The kernel has a clock of its own. By that, a TCP connection is lost when nothing was acknowledged for 150 s, and is
/// probed after 20 s without data; the programs ask for 2 s and for 1 s instead.
pub(crate) struct Clock {
    folder: TempDir,
    seconds: AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("clock.c");
        fs::write(&source, SOURCE).expect("wrote the source");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
            .arg(folder.path().join("clock.so"))
            .arg(source);
        let output = compiler
            .output()
            .expect("the compiler that Cargo links with");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let clock = Self {
            folder,
            seconds: AtomicI64::new(0),
        };
        File::create(clock.ahead()).expect("made a file");
        clock.advance(Duration::ZERO);
        clock
    }

    fn ahead(&self) -> PathBuf {
        self.folder.path().join("ahead")
    }

    /// Returns the command that runs a program by this clock.
    pub(crate) fn command(&self) -> Vec<String> {
        let library = self.folder.path().join("clock.so");
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", library.display()),
            format!("CLOCK_AHEAD={}", self.ahead().display()),
        ]
        .to_vec()
    }

    /// Sets it forward. A program that waits notices when it wakes up.
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_secs()).expect("not for ever");
        let seconds = self.seconds.fetch_add(by, Ordering::Relaxed) + by;
        let file = File::options().write(true).open(self.ahead());
        file.and_then(|file| file.write_all_at(&seconds.to_ne_bytes(), 0))
            .expect("set the clock");
    }
}
