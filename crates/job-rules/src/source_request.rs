//! The commits that a job is built from.

use cluster_api::Description;

use crate::commit_id::{CommitId, CommitIdError};
use crate::git_url::{GitUrl, GitUrlError};

/// What to check out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRequest {
    /// Where the commits are.
    pub repository: GitUrl,
    /// The commit to check out.
    pub commit: CommitId,
    /// The commits to merge into `commit`, in this order.
    pub merge: Vec<CommitId>,
    /// Whether the job gets the `.git` directory too.
    pub include_git: bool,
}

/// Why a job's source is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Workers do not fetch from the repository.
    #[error(transparent)]
    Url(#[from] GitUrlError),
    /// An id is not that of a commit.
    #[error(transparent)]
    Commit(#[from] CommitIdError),
    /// The commits are from repositories of different formats.
    #[error("commits {0} and {1} cannot be of one repository, as their ids differ in length")]
    MixedFormats(CommitId, CommitId),
}

impl SourceRequest {
    /// Returns what to check out for a job. `None` if it names no commits: then its source is empty.
    ///
    /// # Errors
    /// When the source is invalid.
    pub fn of(job: &Description, include_git: bool) -> Result<Option<Self>, SourceError> {
        let Some((first, others)) = job.commits.split_first() else {
            return Ok(None);
        };
        let repository = GitUrl::parse(&job.repository)?;
        let commit = CommitId::parse(first)?;
        let merge = others
            .iter()
            .map(|id| CommitId::parse(id))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(other) = merge
            .iter()
            .find(|other| other.is_sha256() != commit.is_sha256())
        {
            return Err(SourceError::MixedFormats(commit, other.clone()));
        }
        Ok(Some(Self {
            repository,
            commit,
            merge,
            include_git,
        }))
    }

    /// Returns all commits of the job.
    pub fn commits(&self) -> impl Iterator<Item = &CommitId> {
        std::iter::once(&self.commit).chain(&self.merge)
    }
}

#[cfg(test)]
mod tests {
    use cluster_api::{Action, Description, DockerBuild};

    use super::SourceRequest;

    #[test]
    fn invalid_sources_are_refused() {
        let url = "https://example.com/x";
        let (short, long) = ("0".repeat(40), "0".repeat(64));
        let (injected, not_hex) = ("--upload-pack=touch /tmp/x", "g".repeat(40));
        for (repository, commits, error) in [
            (
                url,
                vec!["abc"],
                "commit \"abc\" is not a full 40-digit hexadecimal id".to_owned(),
            ),
            (
                url,
                vec![&short, injected],
                format!("commit \"{injected}\" is not a full 40-digit hexadecimal id"),
            ),
            (
                url,
                vec![&not_hex],
                format!("commit \"{not_hex}\" is not a full 40-digit hexadecimal id"),
            ),
            (
                url,
                vec![&short, &long],
                format!(
                    "commits {short} and {long} cannot be of one repository, as their ids differ in length"
                ),
            ),
            (
                "",
                vec![&short],
                "Missing scheme in URL : the worker fetches from http, https and git URLs".to_owned(),
            ),
            (
                "file:///etc",
                vec![&short],
                "Unsupported scheme \"file\" in URL file:///etc: the worker fetches from http, https and git \
                 URLs"
                    .to_owned(),
            ),
        ] {
            let mut job = Description::new(Action::Docker(DockerBuild::default()));
            job.repository = repository.to_owned();
            job.commits = commits.into_iter().map(str::to_owned).collect();
            let refused = SourceRequest::of(&job, false).unwrap_err();
            assert_eq!(refused.to_string(), error);
        }
    }
}
