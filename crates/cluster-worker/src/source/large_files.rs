//! Files that a repository keeps in Git LFS: its commits only have pointers to them.

use std::path::{Path, PathBuf};

use crate::outcome::JobError;
use crate::process::ProcessError;

use super::checkout::Checkout;
use super::fetch_config::LargeFiles;
use super::progress::Progress;

impl Checkout<'_> {
    /// Fetches the large files of a job and of its submodules, or logs that they are missing. Returns whether any were
    /// fetched.
    pub(super) async fn fetch_large_files(&self) -> Result<bool, JobError> {
        let mut fetched = false;
        for dir in self.work_trees().await? {
            let paths = self.answer(&self.git.large_files(&dir)).await?;
            let Some((paths, _)) = paths.rsplit_once('\0') else {
                continue;
            };
            let count = paths.split('\0').count();
            let files = if count == 1 { "file is" } else { "files are" };
            let first = paths.split('\0').next().unwrap_or_default();
            let files = format!("{count} {files} kept in Git LFS, such as {first:?}");
            let log = self.network.log;
            if self.large_files == LargeFiles::Never {
                log.line(format_args!(
                    "{files}: --git-lfs=never, so the job gets the pointers to them"
                ))?;
            } else if !self.git.has_lfs() {
                log.line(format_args!(
                    "{files}: this worker has no git-lfs, so the job gets the pointers to them"
                ))?;
            } else {
                log.line(format_args!("{files}: fetching them"))?;
                if !self.fetch_large_files_of(&dir).await? {
                    continue;
                }
                if self.request.include_git && dir == self.context {
                    self.hide_large_files(paths).await?;
                }
                fetched = true;
            }
        }
        Ok(fetched)
    }

    /// Returns the job's directory, and those of its submodules.
    async fn work_trees(&self) -> Result<Vec<PathBuf>, JobError> {
        let mut dirs = vec![self.context.to_owned()];
        if self.context.join(".git/modules").exists() {
            let paths = self.answer(&self.git.submodule_paths(self.context)).await?;
            let paths = paths.split('\0').filter(|path| !path.is_empty());
            dirs.extend(paths.map(|path| self.context.join(path)));
        }
        Ok(dirs)
    }

    /// Fetches the large files of a directory, if their server is known.
    async fn fetch_large_files_of(&self, dir: &Path) -> Result<bool, JobError> {
        let url = &self.request.repository;
        let servers = self.answer(&self.git.lfs_urls(dir)).await?;
        let is_http = |server: &str| {
            ["http://", "https://"]
                .iter()
                .any(|scheme| server.to_ascii_lowercase().starts_with(scheme))
        };
        let servers = servers
            .split('\0')
            .filter_map(|entry| entry.split_once('\n'));
        let servers: Vec<_> = servers.map(|(_, server)| server).collect();
        if servers.is_empty() && !is_http(url.as_str()) {
            self.network.log.line(
                "The git protocol does not serve Git LFS files, and no .lfsconfig names their server, so the job gets \
                 the pointers",
            )?;
            return Ok(false);
        }
        // Other URLs may lead to files on this machine.
        if let Some(server) = servers.into_iter().find(|server| !is_http(server)) {
            return Err(JobError::failed(format!(
                "cannot fetch the Git LFS files of {url}: .lfsconfig names the server {server:?}; name one with an \
                 http or https URL"
            )));
        }
        // Outside of `.git`, which jobs may get a copy of. All jobs share these files, which never change.
        let storage = self.dir.join("lfs");
        let command = self.git.lfs_pull(dir, url, &storage);
        let what = format!("the Git LFS files of {url}");
        let summary = self.network.fetch(&what, &command, Progress::new()).await?;
        self.network
            .log
            .line(format_args!("Fetched {what}: {summary}"))?;
        Ok(true)
    }

    /// Marks large files as unchanged for git, which cannot compare them with their pointers without `git-lfs`.
    async fn hide_large_files(&self, paths: &str) -> Result<(), JobError> {
        let command = self.git.assume_unchanged(self.context, paths);
        self.exec(&command).await
    }

    /// Returns git's output. Empty if it fails.
    async fn answer(&self, command: &crate::process::Command) -> Result<String, JobError> {
        let network = &self.network;
        match network.processes.ask(command, network.cancel).await {
            Ok(answer) => Ok(answer),
            Err(ProcessError::Exit { .. }) => Ok(String::new()),
            Err(error) => Err(error.into()),
        }
    }
}
