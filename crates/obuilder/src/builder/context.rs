//! The inputs of a build, and its log.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bstr::{BStr, BString};
use futures::future::LocalBoxFuture;
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

/// The inputs of a build. Each stage of its spec, nested ones included, starts from them.
#[derive(Clone)]
pub struct Context {
    /// The environment, before the variables of the image.
    pub env: Vec<(BString, BString)>,
    /// The user that runs commands and owns copied files.
    pub user: User,
    /// The working directory.
    pub workdir: BString,
    /// The words before the command of a `run`. `None` for the sandbox's default.
    pub shell: Option<Vec<BString>>,
    /// The directory that `copy` takes files from.
    pub source: PathBuf,
    /// The values of the secrets that the spec may use, by id. If an id occurs twice, the first counts.
    pub secrets: Vec<(BString, Vec<u8>)>,
    /// Cancels the build.
    pub cancel: CancellationToken,
    /// How long a cancelled build waits for its step to stop; zero not to wait. After that the build ends, and
    /// the step stops later.
    pub stop_limit: Duration,
    /// Receives its progress.
    pub log: Rc<dyn BuildLog>,
}

impl Context {
    /// Returns the default context: root, in `/`, with an empty environment, the sandbox's shell and no secrets.
    pub fn new(source: PathBuf, log: Rc<dyn BuildLog>) -> Self {
        Self {
            env: Vec::new(),
            user: User::ROOT,
            workdir: "/".into(),
            shell: None,
            source,
            secrets: Vec::new(),
            cancel: CancellationToken::new(),
            stop_limit: Duration::ZERO,
            log,
        }
    }
}

/// The log of a build. An error ends this build, and no other that waits for the same step.
pub trait BuildLog {
    /// Writes the heading of an op, as in the spec; without a newline at its end.
    ///
    /// # Errors
    /// If it cannot be written.
    fn heading(&self, text: &BStr) -> io::Result<()>;

    /// Writes a line of the builder; without a newline at its end.
    ///
    /// # Errors
    /// If it cannot be written.
    fn note(&self, text: &str) -> io::Result<()>;

    /// Receives the duration of a step that has ended now, before the note that its result was saved, or its failure.
    /// For a step that another build has started, it counts from that start. Does nothing unless implemented.
    ///
    /// # Errors
    /// If it cannot be written.
    fn took(&self, time: Duration) -> io::Result<()> {
        let _: Duration = time;
        Ok(())
    }

    /// Receives the progress of an op that makes a result, or of a base image. Does nothing unless implemented.
    ///
    /// # Errors
    /// If it cannot be recorded.
    fn progress(&self, progress: OpProgress) -> io::Result<()> {
        let _: OpProgress = progress;
        Ok(())
    }

    /// Writes a part of a step's output. It may begin and end in the middle of a line, or of a character. A slow log
    /// delays its own build only.
    ///
    /// # Errors
    /// If it cannot be written.
    fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>>;
}

/// The progress of an op that makes a result, or of a base image. They follow each other: none begins before the one
/// before it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpProgress {
    /// A base image is fetched, or looked up. Its heading was written just before.
    ImageBegan,
    /// A step is run, or looked up. Its heading was written just before.
    StepBegan,
    /// Its result was there already.
    Reused,
    /// It has ended, in any way.
    Ended,
}
