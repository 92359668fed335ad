//! A sandbox and a fetcher that do what the test says and complain about all else, and a log that can be read.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bstr::{BStr, BString};
use futures::future::LocalBoxFuture;
use obuilder::builder::BuildLog;
use obuilder::sandbox::{Command, Exit, LimitReached, Sandbox, SandboxError};
use obuilder::{Fetcher, Sink};
use oci::Image;
use oci::fetch::{FetchError, ImportedImage};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::script::{Ended, Expected, Role, Script};

/// A sandbox with a list of the commands to come.
pub(crate) struct MockSandbox {
    expected: Rc<Expected>,
    commands: RefCell<Vec<Command>>,
    /// What commands that fail have reached.
    limit: Cell<Option<LimitReached>>,
}

impl MockSandbox {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            expected: Expected::new("command"),
            commands: RefCell::default(),
            limit: Cell::default(),
        })
    }

    /// Expects a command, by its last word.
    pub(crate) fn expect(&self, command: &str) -> Script {
        self.push(command, Script::new(false))
    }

    /// Expects a command that does not stop at once when it is cancelled.
    pub(crate) fn expect_slow(&self, command: &str) -> Script {
        self.push(command, Script::new(true))
    }

    /// Says that commands that fail from now on have reached a limit.
    pub(crate) fn limit(&self, limit: Option<LimitReached>) {
        self.limit.set(limit);
    }

    fn push(&self, command: &str, (script, role): (Script, Role)) -> Script {
        self.expected.push(command, role);
        script
    }

    /// Returns the last command.
    pub(crate) fn last(&self) -> Command {
        self.commands.borrow().last().unwrap().clone()
    }

    /// No longer expects something, if it has not come.
    pub(crate) fn forget(&self, name: &str) {
        self.expected.forget(name);
    }

    pub(crate) fn check(&self) {
        self.expected.check();
    }
}

impl Sandbox for MockSandbox {
    fn run<'a>(
        &'a self,
        rootfs: &'a Path,
        command: &'a Command,
        output: &'a dyn Sink,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Exit, SandboxError>> {
        self.commands.borrow_mut().push(command.clone());
        Box::pin(async move {
            let role = self
                .expected
                .take(&command.argv.last().unwrap().to_string());
            match role.play(rootfs, output, cancel).await {
                Ended::Exit(0) => Ok(Exit::Status(0)),
                Ended::Exit(status) => match self.limit.get() {
                    Some(limit) => Err(limit.into()),
                    None => Ok(Exit::Status(status)),
                },
                Ended::Cancelled => Err(SandboxError::Cancelled),
                Ended::LogBroken(error) => Err(SandboxError::Log(error)),
            }
        })
    }

    fn interact<'a>(
        &'a self,
        rootfs: &'a Path,
        command: &'a Command,
    ) -> LocalBoxFuture<'a, Result<Exit, SandboxError>> {
        Box::pin(async move {
            struct Terminal;
            impl Sink for Terminal {
                fn write(&self, _: &[u8]) -> io::Result<()> {
                    Ok(())
                }
            }
            let never = CancellationToken::new();
            self.run(rootfs, command, &Terminal, &never).await
        })
    }
}

/// A fetcher with a list of the images to come.
pub(crate) struct MockFetcher {
    expected: Rc<Expected>,
    /// What every image was imported as, if it was.
    pub(crate) imported: RefCell<Option<ImportedImage>>,
}

impl MockFetcher {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            expected: Expected::new("image"),
            imported: RefCell::default(),
        })
    }

    /// Expects an image.
    pub(crate) fn expect(&self, image: &str) -> Script {
        let (script, role) = Script::new(false);
        self.expected.push(image, role);
        script
    }

    /// Expects an image, which comes at once. It has one file, `base-id`.
    pub(crate) fn brings(&self, image: &str) {
        let script = self.expect(image);
        script.write("base-id", &format!("{image}\n")).exit(0);
    }

    /// No longer expects something, if it has not come.
    pub(crate) fn forget(&self, name: &str) {
        self.expected.forget(name);
    }

    pub(crate) fn check(&self) {
        self.expected.check();
    }
}

impl Fetcher for MockFetcher {
    fn imported(&self, _: &BStr) -> Option<ImportedImage> {
        self.imported.borrow().clone()
    }

    fn fetch<'a>(
        &'a self,
        image: &'a str,
        rootfs: &'a Path,
        output: &'a dyn Sink,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Image, FetchError>> {
        Box::pin(async move {
            let role = self.expected.take(image);
            match role.play(rootfs, output, cancel).await {
                Ended::Exit(0) => Ok(Image {
                    env: vec![("PATH".into(), "/usr/bin:/usr/local/bin".into())],
                }),
                Ended::Exit(_) => Err(FetchError::Failed("no such image".to_owned())),
                Ended::Cancelled => Err(FetchError::Cancelled),
                Ended::LogBroken(source) => Err(FetchError::Write {
                    path: rootfs.to_owned(),
                    source,
                }),
            }
        })
    }
}

/// A log that can be read: headings as they are, notes behind a semicolon, and output.
pub(crate) struct TestLog {
    text: watch::Sender<BString>,
    /// How long the steps took of which that was said, in seconds.
    pub(crate) took: RefCell<Vec<u64>>,
    is_broken: Cell<bool>,
    held: RefCell<Option<CancellationToken>>,
}

impl TestLog {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            text: watch::Sender::new(BString::default()),
            took: RefCell::default(),
            is_broken: Cell::new(false),
            held: RefCell::default(),
        })
    }

    /// Takes nothing from now on.
    pub(crate) fn break_down(&self) {
        self.is_broken.set(true);
    }

    /// Takes its time over output from now on, until the answer fires.
    pub(crate) fn hold(&self) -> CancellationToken {
        let open = CancellationToken::new();
        *self.held.borrow_mut() = Some(open.clone());
        open
    }

    pub(crate) fn text(&self) -> String {
        self.text.borrow().to_string()
    }

    /// Waits until something has come.
    pub(crate) async fn has(&self, text: &str) {
        let mut seen = self.text.subscribe();
        let has = |seen: &BString| bstr::ByteSlice::contains_str(seen.as_slice(), text);
        seen.wait_for(has).await.unwrap();
    }

    fn push(&self, parts: &[&[u8]]) -> io::Result<()> {
        if self.is_broken.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.text
            .send_modify(|text| text.extend_from_slice(&parts.concat()));
        Ok(())
    }
}

impl BuildLog for TestLog {
    fn heading(&self, text: &BStr) -> io::Result<()> {
        self.push(&[text, b"\n"])
    }

    fn note(&self, text: &str) -> io::Result<()> {
        self.push(&[b";", text.as_bytes(), b"\n"])
    }

    fn took(&self, time: Duration) -> io::Result<()> {
        self.took.borrow_mut().push(time.as_secs());
        Ok(())
    }

    fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>> {
        Box::pin(async {
            self.push(&[bytes])?;
            let held = self.held.borrow().clone();
            if let Some(open) = held {
                open.cancelled().await;
            }
            Ok(())
        })
    }
}
