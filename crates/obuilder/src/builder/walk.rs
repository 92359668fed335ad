//! Walks a spec, op by op.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice as _};
use futures::future::{FutureExt as _, LocalBoxFuture};
use obuilder_spec::{Copy, Op, Run, Source, Spec, User, build_heading, from_heading, quoted};
use redact::Redactor;
use tokio_util::sync::CancellationToken;

use super::claims::Pin;
use super::context::{Context, OpProgress};
use super::core::Core;
use super::env_file;
use super::error::BuildError;
use super::inputs::StepInputs;
use super::step::Watcher;
use super::variant::Variant;
use super::work::{Nested, Step, Work};
use crate::ImageSettings;
use crate::StepId;
use crate::copy::{self, Manifest, Request};
use crate::sandbox::{Command, Network, SecretFile};
use crate::store::{CacheName, Finished, StoreError};

/// One build, from its beginning to its end.
pub(super) struct Walk<'a> {
    core: &'a Rc<Core>,
    context: &'a Context,
    redactor: Redactor,
    /// All results of the build so far. They stay until it ends: a later step may be based on any of them.
    pins: RefCell<Vec<Pin>>,
    /// The current op, as in the spec.
    op: RefCell<String>,
}

/// The nested builds that may be copied from, by name. A later one hides an earlier one.
type Scope = Vec<(BString, StepId)>;

/// The state of a stage between two ops.
pub(super) struct StageState {
    /// The last result.
    pub(super) base: StepId,
    pub(super) env: Vec<(BString, BString)>,
    pub(super) user: User,
    pub(super) workdir: BString,
    pub(super) shell: Vec<BString>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(core: &'a Rc<Core>, context: &'a Context) -> Self {
        let secrets = context.secrets.iter().map(|(_, value)| value.as_slice());
        Self {
            core,
            context,
            redactor: Redactor::new(secrets),
            pins: RefCell::default(),
            op: RefCell::default(),
        }
    }

    /// Builds a stage, and before it the stages nested in it.
    pub(super) fn stage<'b>(
        &'b self,
        spec: &'b Spec,
        mut scope: Scope,
    ) -> LocalBoxFuture<'b, Result<StepId, BuildError>> {
        async move {
            for (name, nested) in &spec.builds {
                self.heading(build_heading(name.as_ref()).as_ref())?;
                let id = self.stage(nested, scope.clone()).await?;
                let finished = format!("--> finished {}", quoted(name));
                self.watcher().note(&finished)?;
                scope.push((name.clone(), id));
            }
            self.heading(from_heading(spec.from.as_ref()).as_ref())?;
            let id = StepInputs::Base(spec.from.as_ref()).id();
            let import = Work::Import(spec.from.clone());
            let based = self.reported(OpProgress::ImageBegan, self.base(id, import));
            let mut state = based.await?;
            for op in &spec.ops {
                self.heading(op.heading(state.workdir.as_ref()).as_ref())?;
                if matches!(op, Op::Run(_) | Op::Copy(_)) {
                    self.keep_settings(&state);
                    let made = self.op(op, &scope, &mut state);
                    self.reported(OpProgress::StepBegan, made).await?;
                } else {
                    self.op(op, &scope, &mut state).await?;
                }
            }
            self.keep_settings(&state);
            Ok(state.base)
        }
        .boxed_local()
    }

    /// Makes sure that there is a base image, and returns the state of a stage that starts from it.
    pub(super) async fn base(&self, id: StepId, import: Work) -> Result<StageState, BuildError> {
        // A name means the newest import. Results of an earlier one stay, under their own ids.
        let imported = match &import {
            Work::Import(name) => self.core.parts.fetcher.imported(name.as_ref()),
            _ => None,
        };
        let variant = imported.as_ref().map(Variant::of_import);
        let finished = self.step(id, None, variant, import).await?;
        let id = finished.id;
        let image_env = env_file::read(&finished.dir).map_err(BuildError::failed)?;
        let Context {
            env,
            user,
            workdir,
            shell,
            ..
        } = self.context;
        let default_shell = || self.core.parts.sandbox.default_shell();
        Ok(StageState {
            base: id,
            env: env.iter().cloned().chain(image_env).collect(),
            user: user.clone(),
            workdir: workdir.clone(),
            shell: shell.clone().unwrap_or_else(default_shell),
        })
    }

    pub(super) async fn op(
        &self,
        op: &Op,
        scope: &Scope,
        state: &mut StageState,
    ) -> Result<(), BuildError> {
        match op {
            Op::Comment(_) => {}
            Op::Workdir(dir) if is_absolute(dir) => state.workdir = dir.clone(),
            Op::Workdir(dir) => state.workdir = join(&state.workdir, dir),
            Op::Shell(words) => state.shell = words.clone(),
            Op::User(user) => state.user = user.clone(),
            Op::Env(name, value) => {
                if let Some(old) = state.env.iter().position(|(known, _)| known == name) {
                    state.env.remove(old);
                }
                state.env.insert(0, (name.clone(), value.clone()));
            }
            Op::Run(run) => state.base = self.run(run, state).await?,
            Op::Copy(copy) => state.base = self.copy(copy, scope, state).await?,
        }
        Ok(())
    }

    async fn run(&self, run: &Run, state: &StageState) -> Result<StepId, BuildError> {
        let secrets = self.secrets(run)?;
        let mut argv = state.shell.clone();
        argv.push(run.shell.clone());
        let command = Command {
            argv,
            cwd: state.workdir.clone(),
            user: state.user.clone(),
            env: state.env.clone(),
            network: network(&run.network)?,
            secrets,
            mounts: Vec::new(),
        };
        let id = command.inputs(state.base).id();
        let caches = run.cache.iter();
        let caches: Vec<_> = caches
            .map(|cache| (CacheName(cache.id.clone()), cache.target.clone()))
            .collect();
        let variant = Variant::of_run(&caches);
        let work = Work::Run(Box::new(command), caches);
        let made = self.step(id, Some(state.base), Some(variant), work);
        made.await.map(|finished| finished.id)
    }

    /// Returns the secrets of a command, in the order of the spec.
    fn secrets(&self, run: &Run) -> Result<Vec<SecretFile>, BuildError> {
        let find = |id: &BString| self.context.secrets.iter().find(|(known, _)| known == id);
        run.secrets
            .iter()
            .map(|wanted| match find(&wanted.id) {
                Some((_, value)) => Ok(SecretFile {
                    value: value.clone(),
                    target: wanted.target.clone(),
                }),
                None => Err(BuildError::Failed(format!(
                    "Couldn't find value for requested secret '{}'",
                    wanted.id
                ))),
            })
            .collect()
    }

    async fn copy(
        &self,
        copy: &Copy,
        scope: &Scope,
        state: &StageState,
    ) -> Result<StepId, BuildError> {
        let nested = match &copy.from {
            Source::Context => None,
            Source::Build(name) => Some(self.nested(name, scope).await?),
        };
        let root = match &nested {
            None => self.context.source.clone(),
            Some(nested) => nested.view.rootfs().to_owned(),
        };
        let dst = match copy.dst.first() {
            Some(b'/') => copy.dst.clone(),
            _ => join(&state.workdir, &copy.dst),
        };
        let request = Request {
            root,
            src: copy.src.clone(),
            dst,
            exclude: copy.exclude.clone(),
        };
        let manifest = self.read(request, nested.clone()).await?;
        let id = StepInputs::Copy {
            base: state.base,
            user: &state.user,
            manifest: &manifest.sexp(),
        }
        .id();
        let variant = Variant::of_copy(&manifest);
        let work = Work::Copy {
            manifest: Arc::new(manifest),
            owner: state.user.clone(),
            _source: nested,
        };
        let made = self.step(id, Some(state.base), Some(variant), work);
        made.await.map(|finished| finished.id)
    }

    /// Mounts the result of a nested build.
    async fn nested(&self, name: &BString, scope: &Scope) -> Result<Rc<Nested>, BuildError> {
        let found = scope.iter().rev().find(|(known, _)| known == name);
        let (_, id) =
            found.ok_or_else(|| BuildError::Failed(format!("Unknown build {}", quoted(name))))?;
        let (store, id) = (Rc::clone(&self.core.parts.store), *id);
        let pin = self.core.claims.pin(id);
        // A task of its own, so that nothing is left half mounted if the build is dropped.
        let viewing = tokio::task::spawn_local(async move {
            let view = store.view(&id).await?;
            Ok::<_, StoreError>(Rc::new(Nested { view, _pin: pin }))
        });
        let viewed = self.watcher().wait(viewing).await?;
        viewed
            .map_err(BuildError::failed)?
            .map_err(BuildError::failed)
    }

    /// Reads the files to copy.
    async fn read(
        &self,
        request: Request,
        nested: Option<Rc<Nested>>,
    ) -> Result<Manifest, BuildError> {
        let digests = Arc::clone(&self.core.digests);
        let cancel = CancellationToken::new();
        // Cancels the thread however the wait ends.
        let _stop = cancel.clone().drop_guard();
        let reading = tokio::task::spawn_local(async move {
            let read = tokio::task::spawn_blocking(move || copy::read(&request, &digests, &cancel));
            let read = read.await;
            // The thread may outlive the build, and needs the view until it ends.
            drop(nested);
            read
        });
        let read = self.watcher().wait(reading).await?;
        read.map_err(BuildError::failed)?
            .map_err(BuildError::failed)?
            .map_err(BuildError::failed)
    }

    async fn step(
        &self,
        id: StepId,
        base: Option<StepId>,
        variant: Option<Variant>,
        work: Work,
    ) -> Result<Finished, BuildError> {
        // The result may get either id.
        let ids = [Some(id), variant.as_ref().map(|variant| variant.id(id))];
        let pins = ids.into_iter().flatten().map(|id| self.core.claims.pin(id));
        self.pins.borrow_mut().extend(pins);
        let step = Step {
            id,
            base,
            variant,
            op: self.op.borrow().clone(),
            work,
        };
        self.core.step(step, self.watcher()).await
    }

    /// Keeps the settings with which the next command would run in the last result.
    fn keep_settings(&self, state: &StageState) {
        let StageState {
            base,
            env,
            user,
            workdir,
            shell,
        } = state;
        let settings = ImageSettings {
            env: env.clone(),
            user: user.clone(),
            workdir: workdir.clone(),
            shell: shell.clone(),
        };
        self.core.settings.keep(base, &settings);
    }

    /// Waits for what is made, and reports its beginning and its end.
    async fn reported<T>(
        &self,
        begin: OpProgress,
        made: impl Future<Output = Result<T, BuildError>>,
    ) -> Result<T, BuildError> {
        let report = |progress| {
            let reported = self.context.log.progress(progress);
            reported.map_err(BuildError::Log)
        };
        report(begin)?;
        let made = made.await;
        // The error of what was made counts.
        let ended = report(OpProgress::Ended);
        made.and_then(|made| ended.map(|()| made))
    }

    fn heading(&self, text: &BStr) -> Result<(), BuildError> {
        *self.op.borrow_mut() = text.to_string();
        self.context.log.heading(text).map_err(BuildError::Log)
    }

    fn watcher(&self) -> Watcher<'_> {
        Watcher {
            cancel: &self.context.cancel,
            log: &*self.context.log,
            redactor: &self.redactor,
            stop_limit: self.context.stop_limit,
        }
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        self.core.database.flush();
    }
}

fn network(wanted: &[BString]) -> Result<Network, BuildError> {
    let all = [Network::None, Network::Host];
    match all.into_iter().find(|network| network.words() == wanted) {
        Some(network) => Ok(network),
        None => {
            let others = wanted.iter();
            let names: Vec<String> = others.map(|name| quoted(name).to_string()).collect();
            Err(BuildError::Failed(format!(
                "Unsupported network configuration [{}]: a step has no network, or (network host)",
                names.join("; ")
            )))
        }
    }
}

/// Returns whether a working directory is absolute, on Unix or Windows.
fn is_absolute(dir: &BString) -> bool {
    match dir.as_bytes() {
        [b'/', ..] => true,
        [drive, b':', b'/' | b'\\', ..] => drive.is_ascii_alphabetic(),
        _ => false,
    }
}

/// Joins paths without normalizing them: the result is part of ids.
fn join(dir: &BString, path: &BString) -> BString {
    let mut joined = dir.clone();
    if !dir.is_empty() && dir.last() != Some(&b'/') {
        joined.push(b'/');
    }
    joined.extend_from_slice(path);
    joined
}
