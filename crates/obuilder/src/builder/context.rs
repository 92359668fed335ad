//! What a build starts from, and whom it tells.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bstr::{BStr, BString};
use futures::future::LocalBoxFuture;
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

/// What a build starts from. Each stage of its spec, the nested ones too, starts from it afresh.
#[derive(Clone)]
pub struct Context {
    /// The environment before the image's.
    pub env: Vec<(BString, BString)>,
    /// Who runs commands and owns what is copied.
    pub user: User,
    /// The working directory.
    pub workdir: BString,
    /// The words before the command of a `run`. `None` for the sandbox's default.
    pub shell: Option<Vec<BString>>,
    /// The directory that `copy` takes files from.
    pub source: PathBuf,
    /// The values of the secrets that the spec may ask for, by id. Of two with one id the first counts.
    pub secrets: Vec<(BString, Vec<u8>)>,
    /// Fires when the build is no longer wanted.
    pub cancel: CancellationToken,
    /// How long to wait, when it is no longer wanted, for the step in progress to stop; not at all if zero. The build ends then in any
    /// case, and the step when it does.
    pub stop_limit: Duration,
    /// Who is told of its progress.
    pub log: Rc<dyn BuildLog>,
}

impl Context {
    /// Returns the usual context: root, in `/`, with an empty environment, the sandbox's shell and no secrets.
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

/// Who watches a build. An error ends this watcher's build, and nobody else's.
pub trait BuildLog {
    /// A new op, as the spec has it; without a newline at its end.
    fn heading(&self, text: &BStr) -> io::Result<()>;

    /// Something that the builder has to say; without a newline at its end.
    fn note(&self, text: &str) -> io::Result<()>;

    /// How long a step took that was not done yet, and has ended now: before the note that its result was saved, or its failure. Of one
    /// that another build has begun, all of its time. Nothing is said of it unless this is implemented.
    fn took(&self, time: Duration) -> io::Result<()> {
        let _: Duration = time;
        Ok(())
    }

    /// Some of what a step printed. It may begin and end in the middle of a line, or of a character. A watcher that
    /// takes its time keeps nobody waiting but itself.
    fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>>;
}
