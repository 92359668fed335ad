//! The submodules of a job. Their clones are kept in the clone of its repository.
//!
//! A job works on copies of the kept clones (their objects are hard links), and replaces the kept ones if it has
//! fetched something. So no other job waits for a slow server, and kept clones are always complete.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use obuilder::store::remove_tree;

use crate::outcome::JobError;
use crate::process::ProcessError;

use super::checkout::Checkout;
use super::network::NetworkError;
use super::progress::Progress;

/// The name of kept clones that are being removed.
const OLD: &str = "modules.old";

impl Checkout<'_> {
    /// Fetches and checks out the submodules.
    pub(super) async fn check_out_submodules(&self) -> Result<(), JobError> {
        let (git, context) = (self.git, self.context);
        let own = context.join(".git/modules");
        self.copy_kept_modules(&own).await?;
        let had_kept = own.exists();
        if had_kept {
            self.follow_urls(&own).await?;
        }
        let url = &self.request.repository;
        let command = git.submodule_update(context, url);
        let what = format!("the submodules of {url}");
        match self.network.fetch(&what, &command, Progress::new()).await {
            Ok(_) => {}
            // The kept clones may be the cause.
            Err(NetworkError::Refused(error)) if had_kept => {
                self.network.log.line(format_args!(
                    "{error}: trying again with new clones of the submodules"
                ))?;
                self.exec(&git.submodule_deinit(context)).await?;
                let kept = own.clone();
                self.on_disk("remove old submodules", move || remove_tree(&kept))
                    .await?;
                self.network.fetch(&what, &command, Progress::new()).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Copies the kept clones. If the job includes `.git`, they have been copied already.
    async fn copy_kept_modules(&self, own: &Path) -> Result<(), JobError> {
        let kept = self.dir.join(".git/modules");
        if self.request.include_git || !kept.exists() {
            return Ok(());
        }
        let _modules = self.wait(self.lock.modules.lock()).await?;
        let own = own.to_owned();
        self.on_disk("copy the clones of submodules", move || {
            // The clone may have been removed meanwhile.
            link(&kept, &own).or_else(|error| {
                tracing::debug!("Cannot copy {kept:?}: {error}");
                remove_tree(&own)
            })
        })
        .await
    }

    /// Sets the URLs of kept clones to those in the job's commit, which may have changed.
    async fn follow_urls(&self, own: &Path) -> Result<(), JobError> {
        let (git, context) = (self.git, self.context);
        for command in [git.submodule_init(context), git.submodule_sync(context)] {
            match self.exec(&command).await {
                // The update that follows reports the error.
                Ok(()) | Err(JobError::Failed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let urls = git.submodule_urls(context);
        let network = &self.network;
        let urls = match network.processes.ask(&urls, network.cancel).await {
            Ok(urls) => urls,
            Err(ProcessError::Exit { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for (name, url) in urls.split('\0').filter_map(|entry| entry.split_once('\n')) {
            let name = name
                .strip_prefix("submodule.")
                .and_then(|name| name.strip_suffix(".url"));
            let config = name.and_then(|name| Some(own.join(plain(name)?).join("config")));
            if let Some(config) = config.filter(|config| config.exists()) {
                self.exec(&git.config_set(context, &config, "remote.origin.url", url))
                    .await?;
            }
        }
        Ok(())
    }

    /// Keeps the job's clones if it has fetched something, and removes git's files from the source. Returns whether
    /// there is something new to keep.
    pub(super) async fn keep_submodules(&self) -> Result<bool, JobError> {
        let own = self.context.join(".git/modules");
        if !own.exists() {
            return Ok(false);
        }
        let git = self.dir.join(".git");
        let _modules = self.wait(self.lock.modules.lock()).await?;
        let context = self.context.to_owned();
        let include_git = self.request.include_git;
        self.on_disk("remove git's files from the submodules", move || {
            if !include_git {
                remove_git_files(&context)?;
            }
            let kept = git.join("modules");
            let adds = !objects(&kept)?.is_superset(&objects(&own)?);
            // The job does not depend on whether this succeeds.
            if adds && let Err(error) = replace(&kept, &git.join(OLD), &own, include_git) {
                tracing::debug!("Cannot keep {own:?}: {error}");
            }
            Ok(adds)
        })
        .await
    }
}

/// Returns the name of a submodule as a path, if it does not lead out of the directory where it is used.
fn plain(name: &str) -> Option<&Path> {
    let path = Path::new(name);
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    is_plain.then_some(path)
}

fn replace(kept: &Path, old: &Path, own: &Path, copy: bool) -> io::Result<()> {
    remove_tree(old)?;
    if kept.exists() {
        fs::rename(kept, old)?;
    }
    if copy {
        copy_tree(own, kept, &|from, to| fs::copy(from, to).map(drop))?;
    } else {
        fs::rename(own, kept)?;
    }
    remove_tree(old)
}

/// Copies clones, with hard links to files that git never changes.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    copy_tree(from, to, &|from, to| {
        if is_object(from) {
            fs::hard_link(from, to)
        } else {
            fs::copy(from, to).map(drop)
        }
    })
}

/// Copies directories and files. Git's directories have nothing else.
fn copy_tree(
    from: &Path,
    to: &Path,
    copy: &dyn Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        fs::create_dir_all(to.join(&dir))?;
        for entry in fs::read_dir(from.join(&dir))? {
            let entry = entry?;
            let path = dir.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() && path.extension().is_none_or(|name| name != "lock") {
                copy(&from.join(&path), &to.join(&path))?;
            }
        }
    }
    Ok(())
}

/// Returns whether a file of a clone is an object or a pack.
fn is_object(path: &Path) -> bool {
    let parent = path.parent().and_then(Path::parent);
    parent.is_some_and(|dir| dir.ends_with("objects"))
        && !path.parent().is_some_and(|dir| dir.ends_with("info"))
}

/// Lists the objects and packs of clones.
fn objects(top: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let entries = match fs::read_dir(top.join(&dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = dir.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                pending.push(path);
            } else if is_object(&path) {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

/// Removes the files by which submodules find their clones. A commit cannot contain files of that name.
fn remove_git_files(context: &Path) -> io::Result<()> {
    let mut pending = vec![context.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let is_git = entry.file_name() == ".git";
            match entry.file_type()? {
                kind if kind.is_dir() && !is_git => pending.push(entry.path()),
                kind if kind.is_file() && is_git => fs::remove_file(entry.path())?,
                _ => {}
            }
        }
    }
    Ok(())
}
