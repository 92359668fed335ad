//! Finds out whether steps can be run here: without a network, and without an image that somebody would have to bring.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bstr::{BStr, BString, ByteSlice as _};
use futures::future::LocalBoxFuture;
use obuilder_spec::{Op, Run};

use super::BuildError;
use super::context::{BuildLog, Context};
use super::core::Core;
use super::healthcheck_program as programs;
use super::remove::RemoveError;
use super::step::Work;
use super::walk::Walk;
use crate::StepId;

/// What the command prints.
const WORD: &str = "healthcheck";

/// Why no steps can be run here.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// It took too long.
    #[error("Timeout running healthcheck")]
    Timeout,
    /// It failed.
    #[error("{reason}{}{log}", if .log.is_empty() { "" } else { "\n" })]
    Failed {
        /// Why.
        reason: String,
        /// What was printed.
        log: BString,
    },
}

/// A program that prints [`WORD`], and how to call it.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Where it is in the image.
    path: &'static str,
    /// What stands before the command [`WORD`].
    shell: Vec<BString>,
    content: Vec<u8>,
}

impl Program {
    /// Returns one for this machine.
    fn here() -> Result<Self, Unhealthy> {
        let own = match std::env::consts::ARCH {
            "x86_64" => Some(programs::x86_64()),
            "aarch64" => Some(programs::aarch64()),
            _ => None,
        };
        let shell = |words: &[&str]| words.iter().copied().map(BString::from).collect();
        if let Some(content) = own {
            return Ok(Self {
                path: "healthcheck",
                shell: shell(&["/healthcheck"]),
                content,
            });
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"];
        let found = busybox.iter().find_map(|path| fs::read(path).ok());
        let content = found.ok_or_else(|| Unhealthy::Failed {
            reason: format!(
                "there is no program to run on {}: install a busybox that is linked statically as {}",
                std::env::consts::ARCH,
                busybox[0]
            ),
            log: BString::default(),
        })?;
        Ok(Self {
            path: "busybox",
            shell: shell(&["/busybox", "echo"]),
            content,
        })
    }

    /// Returns the id of the base image that has nothing else in it.
    fn base_id(&self) -> StepId {
        let text = format!("ocluster healthcheck base {}", StepId::of(&self.content));
        StepId::of(text.as_bytes())
    }

    /// Puts it into an empty root filesystem.
    pub(super) fn install(&self, rootfs: &Path) -> Result<(), InstallError> {
        let path = rootfs.join(self.path);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o755);
        let written = options
            .open(&path)
            .and_then(|mut file| file.write_all(&self.content));
        written.map_err(|source| InstallError { path, source })
    }
}

/// The program could not be put into the image.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path:?}: {source}")]
pub(super) struct InstallError {
    path: PathBuf,
    source: io::Error,
}

impl Core {
    pub(super) async fn healthcheck(self: &Rc<Self>, within: Duration) -> Result<(), Unhealthy> {
        // Dropping the check is what stops it.
        let checked = tokio::time::timeout(within, self.check_health()).await;
        checked.unwrap_or(Err(Unhealthy::Timeout))
    }

    async fn check_health(self: &Rc<Self>) -> Result<(), Unhealthy> {
        let program = Program::here()?;
        let log = Rc::new(Output::default());
        let mut context = Context::new(PathBuf::from("/"), Rc::clone(&log) as Rc<dyn BuildLog>);
        context.shell = Some(program.shell.clone());
        let unhealthy = |reason: String| Unhealthy::Failed {
            reason,
            log: log.0.borrow().trim_end_with(char::is_whitespace).into(),
        };
        let ran = self.run_program(program, &context).await;
        let id = ran.map_err(|error| unhealthy(error.to_string()))?;
        match self.delete(&id, &mut |_| ()).await {
            // In use by another healthcheck, which removes it.
            Ok(()) | Err(RemoveError::InUse(_)) => {}
            Err(error) => return Err(unhealthy(error.to_string())),
        }
        if !log.0.borrow().contains_str(WORD) {
            return Err(unhealthy("what the step printed is lost".to_owned()));
        }
        Ok(())
    }

    async fn run_program(
        self: &Rc<Self>,
        program: Program,
        context: &Context,
    ) -> Result<StepId, BuildError> {
        let walk = Walk::new(self, context);
        let id = program.base_id();
        let mut position = walk.base(id, Work::Prepare(program)).await?;
        let run = Op::Run(Run {
            cache: Vec::new(),
            network: Vec::new(),
            secrets: Vec::new(),
            shell: WORD.into(),
        });
        walk.op(&run, &Vec::new(), &mut position).await?;
        Ok(position.base)
    }
}

/// Keeps what was printed: little, since we know the program.
#[derive(Default)]
struct Output(RefCell<BString>);

impl BuildLog for Output {
    fn heading(&self, _: &BStr) -> io::Result<()> {
        Ok(())
    }

    fn note(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Box::pin(async { Ok(()) })
    }
}
