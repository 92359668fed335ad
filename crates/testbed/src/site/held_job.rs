//! A job that builds until the test releases it.

use anyhow::{Context as _, Result};
use rig::{traces, wait_for};

use super::Site;
use crate::program::{Output, Program};
use crate::{WAIT_LIMIT, busybox, unique};

/// A job in the middle of its build, until the test releases it.
#[derive(Debug)]
pub struct HeldJob<'a> {
    site: &'a Site,
    /// The client that submitted it.
    pub client: Program,
    mark: String,
}

impl<'a> HeldJob<'a> {
    pub(crate) fn start(site: &'a Site, args: &[&str]) -> Result<Self> {
        let mark = unique("held")?;
        // The shell joins the quoted text, so that it is in the output and not in the log's copy of the step.
        let steps = format!(
            "RUN m={mark}; trap go=1 USR1; echo 'now 'building; while test -z \"$go\"; do sleep 0.1; done; \
             echo 'now 'released"
        );
        let mut client = site.dockerfile(&busybox(&steps)?)?.args(args).begin()?;
        client.wait_for("now building")?;
        Ok(Self { site, client, mark })
    }

    /// Lets the build succeed, and returns the output of its client. Only for the classic builder.
    ///
    /// # Errors
    /// When the build has ended, or its client does not end.
    pub fn release(self) -> Result<Output> {
        let container = self
            .container()?
            .context("cannot release the job: it has no container")?;
        let docker = &self.site.rig.docker;
        docker.run(&["kill", "--signal=USR1", &container])?;
        self.client.end()
    }

    /// Leaves the job, so that the site can be changed meanwhile.
    pub fn leave(self) -> LeftJob {
        let Self { client, mark, .. } = self;
        LeftJob { client, mark }
    }

    /// Returns the container of the build, if there is one.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn container(&self) -> Result<Option<String>> {
        let format = "{{.ID}} {{.Command}}";
        let listed = self
            .site
            .rig
            .docker
            .run(&["ps", "--no-trunc", "--format", format])?;
        let mine = listed.lines().find(|line| line.contains(&self.mark));
        Ok(mine.and_then(|line| Some(line.split_once(' ')?.0.to_owned())))
    }

    /// Returns a word that is among the arguments of every process of this job.
    pub fn mark(&self) -> &str {
        &self.mark
    }
}

/// A job in the middle of its build, of a site that may change.
#[derive(Debug)]
pub struct LeftJob {
    /// The client that submitted it.
    pub client: Program,
    mark: String,
}

impl LeftJob {
    /// Returns to the job.
    pub fn at(self, site: &Site) -> HeldJob<'_> {
        let Self { client, mark } = self;
        HeldJob { site, client, mark }
    }
}

/// Waits until nothing on this machine contains `mark` any more: no process of a build, in a container or not.
///
/// # Errors
/// When something still does, with its traces.
pub fn wait_until_gone(mark: &str) -> Result<()> {
    let mut left = Vec::new();
    let gone = wait_for("end of the build", WAIT_LIMIT, || {
        left = traces(mark)?;
        Ok(left.is_empty().then_some(()))
    });
    gone.with_context(|| format!("left behind: {left:#?}"))
}
