//! A builder among fakes, and what its stories have in common.

use std::cell::Cell;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bstr::BString;
use jiff::{SignedDuration, Timestamp};
use obuilder::StepId;
use obuilder::builder::{BuildError, Builder, Context, Parts};
use obuilder_spec::{CacheMount, Op, Run, SecretMount, Spec};
use tokio::task::JoinHandle;

use super::mock_store::MockStore;
use super::mocks::{MockFetcher, MockSandbox, TestLog};

/// When every story begins.
pub(crate) const BEGIN: &str = "2026-11-25T12:00:00Z";

/// How long a story may take, on the clock of the story: that of what never ends is at its end at once.
const LIMIT: Duration = Duration::from_secs(3600);

/// A builder among fakes.
pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Rc<MockStore>,
    pub(crate) sandbox: Rc<MockSandbox>,
    pub(crate) fetcher: Rc<MockFetcher>,
    pub(crate) builder: Builder,
    clock: Rc<Cell<Timestamp>>,
}

/// Tells a story. Fails if it does not end, if something that was expected never came, and if anything is left behind.
pub(crate) fn story<F: Future<Output = ()>>(tell: impl FnOnce(Rc<House>) -> F) {
    let house = Rc::new(House::open(tempfile::tempdir().unwrap()));
    block_on(async {
        tell(Rc::clone(&house)).await;
        house.quiet().await;
    });
    house.store.check();
    house.sandbox.check();
    house.fetcher.check();
}

impl House {
    pub(crate) fn open(dir: tempfile::TempDir) -> Self {
        let store = MockStore::new(&dir.path().join("store"));
        let (sandbox, fetcher) = (MockSandbox::new(), MockFetcher::new());
        let clock = Rc::new(Cell::new(BEGIN.parse().unwrap()));
        let parts = Parts {
            store: store.clone(),
            sandbox: sandbox.clone(),
            fetcher: fetcher.clone(),
        };
        let time = Rc::clone(&clock);
        let builder = Builder::with_clock(parts, Box::new(move || time.get())).unwrap();
        Self {
            dir,
            store,
            sandbox,
            fetcher,
            builder,
            clock,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.get()
    }

    /// Lets time pass for the database.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock
            .set(self.clock.get() + SignedDuration::from_secs(seconds));
    }

    /// Returns a context with a log of its own.
    pub(crate) fn context(&self) -> (Context, Rc<TestLog>) {
        let log = TestLog::new();
        (Context::new(self.source(), log.clone()), log)
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    /// Waits until no step is in progress: those that were cancelled take their time.
    pub(crate) async fn quiet(&self) {
        for _ in 0..10_000 {
            if !self.store.is_busy() {
                // What follows the store's part waits for nothing.
                return tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("a step has no end");
    }

    /// Builds to the end.
    pub(crate) async fn build(&self, spec: &Spec) -> (Result<StepId, BuildError>, String) {
        let (context, log) = self.context();
        let result = self.builder.build(&context, spec).await;
        (result, log.text())
    }

    /// Starts a build.
    pub(crate) fn start(&self, spec: &Spec) -> Build {
        self.start_from(self.source(), spec)
    }

    /// Starts a build of this source.
    pub(crate) fn start_from(&self, source: PathBuf, spec: &Spec) -> Build {
        let log = TestLog::new();
        let context = Context::new(source, log.clone());
        let (builder, cancel) = (self.builder.clone(), context.cancel.clone());
        let spec = spec.clone();
        let task = tokio::task::spawn_local(async move { builder.build(&context, &spec).await });
        Build { log, cancel, task }
    }
}

/// Waits for something, with tasks that go when it has come.
pub(crate) fn block_on<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let tasks = tokio::task::LocalSet::new();
    let ended = tasks.block_on(&runtime, async { tokio::time::timeout(LIMIT, what).await });
    ended.expect("it has no end")
}

/// A build in the background.
pub(crate) struct Build {
    pub(crate) log: Rc<TestLog>,
    pub(crate) cancel: tokio_util::sync::CancellationToken,
    pub(crate) task: JoinHandle<Result<StepId, BuildError>>,
}

impl Build {
    pub(crate) async fn end(self) -> Result<StepId, BuildError> {
        self.task.await.unwrap()
    }
}

pub(crate) fn spec(from: &str, ops: impl IntoIterator<Item = Op>) -> Spec {
    Spec {
        builds: Vec::new(),
        from: from.into(),
        ops: ops.into_iter().collect(),
    }
}

pub(crate) fn run(command: &str) -> Op {
    run_with(command, &[], &[])
}

/// Returns a `run` with caches and secrets, each with where it goes.
pub(crate) fn run_with(command: &str, caches: &[(&str, &str)], secrets: &[(&str, &str)]) -> Op {
    let pair = |(id, target): &(&str, &str)| (BString::from(*id), BString::from(*target));
    Op::Run(Run {
        cache: caches
            .iter()
            .map(pair)
            .map(|(id, target)| CacheMount {
                id,
                target,
                buildkit_options: Vec::new(),
            })
            .collect(),
        network: Vec::new(),
        secrets: secrets
            .iter()
            .map(pair)
            .map(|(id, target)| SecretMount {
                id,
                target,
                buildkit_options: Vec::new(),
            })
            .collect(),
        shell: command.into(),
    })
}

/// Returns why a build failed.
pub(crate) fn reason(result: Result<StepId, BuildError>) -> String {
    match result {
        Ok(id) => panic!("it has a result: {id}"),
        Err(BuildError::Failed(reason) | BuildError::CommandFailed { reason, .. }) => reason,
        Err(BuildError::LimitReached(limit)) => limit.to_string(),
        Err(BuildError::Cancelled) => "Cancelled".to_owned(),
        Err(BuildError::Log(error)) => format!("log: {error}"),
    }
}

/// Replaces ids by short names, in the order in which they come.
pub(crate) fn short(text: &str) -> String {
    let mut ids: Vec<&str> = Vec::new();
    let mut shortened = String::new();
    for (index, part) in text.split('"').enumerate() {
        let quote = if index > 0 { "\"" } else { "" };
        if part.parse::<StepId>().is_err() {
            shortened += quote;
            shortened += part;
            continue;
        }
        let number = ids.iter().position(|id| *id == part).unwrap_or_else(|| {
            ids.push(part);
            ids.len() - 1
        });
        shortened += &format!("{quote}@{number}");
    }
    shortened
}
