//! A builder for the command line of a client that submits a job.

use std::ffi::OsString;

use anyhow::Result;

use super::{POOL, Site};
use crate::program::{Output, Program};

/// A job to submit with `ocluster-client`.
#[derive(Debug)]
pub struct Submit<'a> {
    site: &'a Site,
    command: &'static str,
    cap: String,
    pool: OsString,
    options: Vec<OsString>,
    source: Vec<OsString>,
}

impl<'a> Submit<'a> {
    pub(crate) fn new(site: &'a Site, command: &'static str) -> Self {
        Self {
            site,
            command,
            cap: "./capnp-secrets/submission.cap".to_owned(),
            pool: POOL.into(),
            options: Vec::new(),
            source: Vec::new(),
        }
    }

    /// Adds options.
    #[must_use]
    pub fn args(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(OsString::from));
        self
    }

    /// Sets commits of a repository as the context.
    #[must_use]
    pub fn source(mut self, url: &str, commits: &[&str]) -> Self {
        self.source = std::iter::once(&url)
            .chain(commits)
            .map(OsString::from)
            .collect();
        self
    }

    /// Sets the pool, instead of [`POOL`].
    #[must_use]
    pub fn pool(mut self, pool: impl Into<OsString>) -> Self {
        self.pool = pool.into();
        self
    }

    /// Sets the cap file, and so the client.
    #[must_use]
    pub fn cap(mut self, cap_file: &str) -> Self {
        cap_file.clone_into(&mut self.cap);
        self
    }

    /// Submits the job, and waits until the client has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub fn run(self) -> Result<Output> {
        self.begin()?.end()
    }

    /// Starts the client that submits the job.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn begin(self) -> Result<Program> {
        let mut pool = OsString::from("--pool=");
        pool.push(&self.pool);
        let mut command = self.site.cluster.program("ocluster-client");
        command
            .arg(self.command)
            .arg(&self.cap)
            .arg(pool)
            .args(&self.options)
            .args(&self.source);
        Program::start(&command, self.site.folder(), &self.site.next_name("client"))
    }
}
