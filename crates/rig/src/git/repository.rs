//! Making repositories: commits, branches, conflicts and submodules, each in a line of a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::checked;

/// A repository that a server can offer, with a work tree to make its commits in.
///
/// Each commit can be had from the server as soon as it is made.
#[derive(Clone, Debug)]
pub struct Repository {
    name: String,
    work: PathBuf,
}

impl Repository {
    /// Makes an empty repository, which a server of `base` offers as `NAME.git`. Its first branch is `main`.
    ///
    /// # Errors
    /// When git fails, as it does when there is one of that name.
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

    /// Returns the work tree, where a test may make what `commit` cannot: symbolic links, odd names, modes.
    pub fn work_tree(&self) -> &Path {
        &self.work
    }

    /// Writes `files`, of (path, content), commits them with whatever else is in the work tree, and returns the hash.
    ///
    /// # Errors
    /// When git fails; it does when nothing has changed.
    pub fn commit(&self, files: &[(&str, &str)]) -> Result<String> {
        for (path, content) in files {
            let path = self.work.join(path);
            fs::create_dir_all(path.parent().context("a file needs a folder")?)?;
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

    /// Starts the branch `name` at `commit` and goes on there.
    ///
    /// # Errors
    /// When git fails.
    pub fn branch(&self, name: &str, commit: &str) -> Result<()> {
        self.git(&["checkout", "--quiet", "-b", name, commit])
            .map(drop)
    }

    /// Goes on with the branch `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn checkout(&self, name: &str) -> Result<()> {
        self.git(&["checkout", "--quiet", name, "--"]).map(drop)
    }

    /// Makes two commits from the newest one, each with another `content` for `path`, so that they cannot be merged.
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

    /// Commits a submodule at `path` that is to be fetched from `url`, and returns the hash.
    ///
    /// # Errors
    /// When git fails, as it does when nothing answers at `url`.
    pub fn add_submodule(&self, url: &str, path: &str) -> Result<String> {
        self.git(&["submodule", "--quiet", "add", url, path])?;
        self.git(&["commit", "--quiet", "-m", &format!("add submodule {path}")])?;
        self.publish()
    }

    /// Runs git in the work tree and returns what it printed, trimmed.
    ///
    /// # Errors
    /// When it fails, with what it wrote to standard error.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        checked(git(&self.work).args(args))
    }

    /// Pushes the branch we are on, and returns its newest commit.
    fn publish(&self) -> Result<String> {
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"])?;
        self.git(&["rev-parse", "HEAD"])
    }
}

/// Returns git as it would be on a machine where nobody has configured it, so that a test means the same everywhere.
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
