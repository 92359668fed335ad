//! Git repositories for tests, with commits, branches, conflicts and submodules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::checked;

/// A repository that a server can serve, with a work tree for its commits.
///
/// Each commit is pushed at once, so that the server has it.
#[derive(Clone, Debug)]
pub struct Repository {
    name: String,
    work: PathBuf,
}

impl Repository {
    /// Creates an empty repository, which a server of `base` serves as `NAME.git`. Its first branch is `main`.
    ///
    /// # Errors
    /// When git fails, for example because the repository exists.
    pub fn create(base: &Path, name: &str) -> Result<Self> {
        let bare = base.join(format!("{name}.git"));
        let work = base.join("work").join(name);
        fs::create_dir_all(&work)?;
        checked(
            git(base)
                .args(["init", "--quiet", "--bare", "-b", "main"])
                .arg(&bare),
        )?;
        let repository = Self {
            name: name.to_owned(),
            work,
        };
        repository.git(&["init", "--quiet", "-b", "main"])?;
        checked(
            git(&repository.work)
                .args(["remote", "add", "origin"])
                .arg(&bare),
        )?;
        Ok(repository)
    }

    /// Returns its name, without `.git`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the work tree, in which a test can create what `commit` cannot: symbolic links, unusual names, modes.
    pub fn work_tree(&self) -> &Path {
        &self.work
    }

    /// Writes `files`, as (path, content), commits them with all other changes of the work tree, and returns the hash.
    ///
    /// # Errors
    /// When git fails, for example because nothing has changed.
    pub fn commit(&self, files: &[(&str, &str)]) -> Result<String> {
        for (path, content) in files {
            let path = self.work.join(path);
            fs::create_dir_all(
                path.parent()
                    .context("cannot write a file: its path has no folder")?,
            )?;
            fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.git(&["add", "--all"])?;
        let names: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        self.git(&[
            "commit",
            "--quiet",
            "-m",
            &format!("write {}", names.join(", ")),
        ])?;
        self.publish()
    }

    /// Creates the branch `name` at `commit`, and checks it out.
    ///
    /// # Errors
    /// When git fails.
    pub fn branch(&self, name: &str, commit: &str) -> Result<()> {
        self.git(&["checkout", "--quiet", "-b", name, commit])
            .map(drop)
    }

    /// Checks out the branch `name`.
    ///
    /// # Errors
    /// When there is no such branch.
    pub fn checkout(&self, name: &str) -> Result<()> {
        self.git(&["checkout", "--quiet", name, "--"]).map(drop)
    }

    /// Makes two commits on the newest one with different contents of `path`, so that they cannot be merged.
    ///
    /// # Errors
    /// When git fails, or there is no commit yet.
    pub fn conflict(&self, path: &str) -> Result<[String; 2]> {
        let base = self.git(&["rev-parse", "HEAD"])?;
        let side = |name: &str| {
            self.branch(&format!("conflict-{name}"), &base)?;
            self.commit(&[(path, name)])
        };
        Ok([side("left")?, side("right")?])
    }

    /// Commits a submodule at `path` from `url`, and returns the hash.
    ///
    /// # Errors
    /// When git fails, for example because nothing is served at `url`.
    pub fn add_submodule(&self, url: &str, path: &str) -> Result<String> {
        self.git(&["submodule", "--quiet", "add", url, path])?;
        self.git(&["commit", "--quiet", "-m", &format!("add submodule {path}")])?;
        self.publish()
    }

    /// Runs git in the work tree and returns its standard output, trimmed.
    ///
    /// # Errors
    /// When it fails, with its standard error.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        checked(git(&self.work).args(args))
    }

    /// Pushes the current branch, and returns its newest commit.
    fn publish(&self) -> Result<String> {
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"])?;
        self.git(&["rev-parse", "HEAD"])
    }
}

/// Returns a git command without the configuration of this machine and user, so that tests are the same everywhere.
pub(crate) fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org");
    git
}
