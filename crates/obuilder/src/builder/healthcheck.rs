//! Checks whether steps can run here, without a network and without a base image.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bstr::{BStr, BString, ByteSlice as _};
use futures::future::LocalBoxFuture;
use obuilder_spec::{Op, Run};

use super::context::{BuildLog, Context};
use super::core::Core;
use super::error::BuildError;
use super::healthcheck_program::{Program, WORD};
use super::remove::RemoveError;
use super::walk::Walk;
use super::work::Work;
use crate::StepId;

/// Why steps cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// It took too long.
    #[error("Timeout running healthcheck")]
    Timeout,
    /// It failed.
    #[error("{reason}{}{log}", if .log.is_empty() { "" } else { "\n" })]
    Failed {
        /// The reason.
        reason: String,
        /// The output of the step.
        log: BString,
    },
}

impl Core {
    pub(super) async fn healthcheck(self: &Rc<Self>, within: Duration) -> Result<(), Unhealthy> {
        // Dropping the check stops it.
        let checked = tokio::time::timeout(within, self.check_health()).await;
        checked.unwrap_or(Err(Unhealthy::Timeout))
    }

    async fn check_health(self: &Rc<Self>) -> Result<(), Unhealthy> {
        let program = Program::here().map_err(|error| Unhealthy::Failed {
            reason: error.to_string(),
            log: BString::default(),
        })?;
        let log = Rc::new(CapturedLog::default());
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
            return Err(unhealthy("the output of the step is missing".to_owned()));
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
        let mut state = walk.base(id, Work::Prepare(program)).await?;
        let run = Op::Run(Run {
            cache: Vec::new(),
            network: Vec::new(),
            secrets: Vec::new(),
            shell: WORD.into(),
        });
        walk.op(&run, &Vec::new(), &mut state).await?;
        Ok(state.base)
    }
}

/// Keeps the output in memory: the program prints little.
#[derive(Default)]
struct CapturedLog(RefCell<BString>);

impl BuildLog for CapturedLog {
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
