//! The process of a browser.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::{find_program, report_not_run, wait_for};
use serde_json::json;
use tempfile::TempDir;

use crate::connection::Connection;
use crate::profile::Profile;

/// The program, and Debian's package of it.
const PROGRAM: &str = "chromium";
/// How long it may take to end by itself. After that it is killed.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Connects its pipes for calls to the shell's input and output. Its own output goes where the shell's errors go.
const LAUNCH: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>&2"#;

/// Names of this machine, for tests of several hosts: `*.test`. There are no others.
const HOSTS: &str = "MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost";

/// Options that keep it from everything that is not asked for: without them it calls its maker's hosts at every start.
const OPTIONS: &[&str] = &[
    "--headless",
    "--remote-debugging-pipe",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--lang=en-GB",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
];

/// A running browser. It ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    connection: Arc<Connection>,
    child: Child,
    folder: TempDir,
}

impl Browser {
    /// Starts a browser for the test `name`; `None` if there is none on this machine, which is reported.
    ///
    /// # Errors
    /// When it does not start.
    ///
    /// # Panics
    /// When there is none in CI, where every test must run.
    pub fn or_not_run(name: &str) -> Result<Option<Self>> {
        if find_program(PROGRAM).is_none() {
            report_not_run(name, "chromium, of Debian's package chromium");
            return Ok(None);
        }
        Self::start().map(Some)
    }

    /// Starts a browser.
    ///
    /// # Errors
    /// When it does not start; then with its output.
    pub fn start() -> Result<Self> {
        let program = find_program(PROGRAM).context("cannot find chromium: install it")?;
        let folder = TempDir::with_prefix("browser-")?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "sh", "-c", LAUNCH, "sh"])
            .arg(program)
            .args(OPTIONS)
            .arg(format!("--host-resolver-rules={HOSTS}"))
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            // Its sandbox refuses to run as root; what it shows are our own pages.
            .args(rig::is_root().then_some("--no-sandbox"))
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("output"))?);
        let mut child = command.spawn().context("cannot start chromium")?;
        let calls = child.stdin.take().context("no standard input")?;
        let messages = child.stdout.take().context("no standard output")?;
        let browser = Self {
            connection: Arc::new(Connection::new(calls, messages)),
            child,
            folder,
        };
        let version = browser
            .connection
            .call("", "Browser.getVersion", &json!({}));
        version.with_context(|| format!("chromium does not start:\n{}", browser.output()))?;
        Ok(browser)
    }

    /// Starts a visitor without cookies.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn profile(&self) -> Result<Profile> {
        Profile::new(Arc::clone(&self.connection))
    }

    /// Returns what it has printed.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("output")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has ended already if this fails.
        drop(self.connection.call("", "Browser.close", &json!({})));
        let ended = wait_for("end of chromium", CLOSE_LIMIT, || {
            Ok(self.child.try_wait()?)
        });
        if ended.is_err() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
