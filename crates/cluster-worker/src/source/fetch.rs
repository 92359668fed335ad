//! Updates a clone.

use job_rules::CommitId;

use crate::outcome::JobError;
use crate::process::{Answer, ProcessError};

use super::checkout::{Checkout, Fault, Fetched, Ready};
use super::clones::{self, is_complete};
use super::git::pull_request_refs;
use super::network::NetworkError;
use super::progress::Progress;

impl Checkout<'_> {
    /// Makes sure that the clone has the job's commits. Only jobs that must fetch too, or copy the whole clone, wait
    /// for a job that fetches.
    pub(super) async fn make_ready(&self) -> Result<Ready<'_>, Fault> {
        let lock = self.lock;
        if !self.request.include_git {
            let content = self.wait(lock.content.read()).await?;
            if self.has_all().await? {
                return self.found(None, content);
            }
        }
        let fetching = self.wait(lock.fetching.lock()).await?;
        let content = self.wait(lock.content.read()).await?;
        // Another job may have fetched them meanwhile.
        if self.has_all().await? {
            return self.found(Some(fetching), content);
        }
        drop(content);
        self.update().await?;
        let include_git = self.request.include_git;
        Ok(Ready {
            fetched: Fetched::Something,
            _content: self.wait(lock.content.read()).await?,
            _fetching: include_git.then_some(fetching),
        })
    }

    fn found<'a>(
        &self,
        fetching: Option<tokio::sync::MutexGuard<'a, ()>>,
        content: tokio::sync::RwLockReadGuard<'a, ()>,
    ) -> Result<Ready<'a>, Fault> {
        self.network.log.line("All commits already cached")?;
        Ok(Ready {
            fetched: Fetched::Nothing,
            _fetching: fetching.filter(|_| self.request.include_git),
            _content: content,
        })
    }

    async fn has_all(&self) -> Result<bool, Fault> {
        Ok(is_complete(self.dir) && self.missing().await?.is_empty())
    }

    /// Returns the job's commits that are not in the clone.
    async fn missing(&self) -> Result<Vec<&CommitId>, Fault> {
        let commits: Vec<_> = self.request.commits().collect();
        let names: Vec<_> = commits.iter().map(|commit| commit.to_string()).collect();
        let Some(Answer { text, errors }) = self.kinds(&names).await? else {
            // The fetch will report what is wrong with it.
            return Ok(commits);
        };
        let mut missing = Vec::new();
        for (commit, line) in commits.into_iter().zip(text.lines()) {
            match line.split(' ').nth(1) {
                Some("commit") => {}
                Some("tag") if self.is_tag_of_commit(commit).await? => {}
                Some(kind @ ("tree" | "blob" | "tag")) => {
                    let kind = if kind == "tag" {
                        "tag of something else"
                    } else {
                        kind
                    };
                    let url = &self.request.repository;
                    return Err(Fault::Job(JobError::failed(format!(
                        "cannot check out {commit} of {url}: it is the id of a {kind}, not of a commit; use the id of \
                         a commit"
                    ))));
                }
                _ => missing.push(commit),
            }
        }
        // Git prints errors only about objects that it cannot read, not about missing ones.
        if !missing.is_empty() && !errors.trim().is_empty() {
            self.check().await?;
        }
        Ok(missing)
    }

    /// Returns git's output about these names, if it can read the clone at all.
    async fn kinds(&self, names: &[String]) -> Result<Option<Answer>, JobError> {
        let command = self.git.kinds(self.dir, names);
        let network = &self.network;
        match network.processes.ask_all(&command, network.cancel).await {
            Ok(answer) => Ok(Some(answer)),
            Err(ProcessError::Exit { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn is_tag_of_commit(&self, tag: &CommitId) -> Result<bool, JobError> {
        let answer = self.kinds(&[format!("{tag}^{{commit}}")]).await?;
        Ok(answer.is_some_and(|answer| answer.text.contains(" commit ")))
    }

    /// Fails if git cannot read the clone, or finds something missing in it.
    async fn check(&self) -> Result<(), Fault> {
        if self.fails(&self.git.check(self.dir)).await? {
            return Err(Fault::Clone(JobError::failed("the clone is damaged")));
        }
        Ok(())
    }

    /// Fetches. The caller holds the lock for that.
    async fn update(&self) -> Result<(), Fault> {
        if is_complete(self.dir) {
            return self.fetch(false).await;
        }
        let content = self.wait(self.lock.content.write()).await?;
        if self.dir.exists() {
            // A worker was killed while it made the clone.
            self.remove_held_clone().await?;
        }
        drop(content);
        let made = async {
            self.create_clone().await?;
            self.fetch(true).await
        };
        let made = made.await;
        // There may be no such repository. But if only the commit is missing, the next job can use the clone.
        let fetched = std::fs::metadata(self.dir.join(".git/FETCH_HEAD"));
        if made.is_err() && fetched.map_or(0, |file| file.len()) == 0 {
            let _content = self.lock.content.write().await;
            if let Err(error) = clones::remove(self.dir.to_owned()).await {
                tracing::warn!("Cannot remove the clone {:?}: {error}", self.dir);
            }
        }
        made
    }

    async fn create_clone(&self) -> Result<(), JobError> {
        let Self {
            git, dir, request, ..
        } = self;
        let url = &request.repository;
        self.exec(&git.init(dir, &request.commit)).await?;
        self.exec(&git.config_add(dir, "remote.origin.url", url.as_str()))
            .await?;
        for refs in [
            "+refs/heads/*:refs/remotes/origin/*",
            pull_request_refs(url),
        ] {
            self.exec(&git.config_add(dir, "remote.origin.fetch", refs))
                .await?;
        }
        Ok(())
    }

    async fn fetch(&self, is_new: bool) -> Result<(), Fault> {
        let (git, dir, url) = (self.git, self.dir, &self.request.repository);
        let (log, shown) = (self.network.log, url.to_string());
        let clone = dir.to_owned();
        self.on_disk("remove stale locks of the clone", move || {
            clones::remove_stale_locks(&clone)
        })
        .await?;
        log.line(format_args!("Fetching {shown}"))?;
        match self
            .network
            .fetch(&shown, &git.fetch(dir, url), Progress::without_refs())
            .await
        {
            Ok(summary) => log.line(format_args!("Fetched {shown}: {summary}"))?,
            Err(NetworkError::Refused(error)) => {
                // Checking a large clone takes long, and usually the server is the cause.
                let may_be_clone =
                    !is_new && self.network.succeeds(&git.ask_server(dir, url)).await?;
                if may_be_clone && self.fails(&git.check(dir)).await? {
                    return Err(Fault::Clone(error));
                }
                return Err(error.into());
            }
            Err(error) => return Err(JobError::from(error).into()),
        }
        for commit in self.missing().await? {
            log.line(format_args!("Fetching {commit} of {shown}"))?;
            match self
                .network
                .fetch(
                    &shown,
                    &git.fetch_commit(dir, url, commit),
                    Progress::without_refs(),
                )
                .await
            {
                Ok(_) | Err(NetworkError::Refused(_)) => {}
                Err(error) => return Err(JobError::from(error).into()),
            }
        }
        if let Some(commit) = self.missing().await?.first() {
            return Err(JobError::failed(format!(
                "cannot find commit {commit} in {shown}: no branch or pull request contains it, and the server does \
                 not serve it by its id; check the id and the URL, and that the commit was pushed"
            ))
            .into());
        }
        self.exec(&git.pack(dir)).await?;
        Ok(())
    }
}
