//! A job that builds until the test lets it end.

use anyhow::{Context as _, Result};
use rig::{traces, wait_for};

use crate::program::{Running, Said};
use crate::site::Site;
use crate::{PATIENCE, busybox, unique};

/// A job in the middle of its build, for as long as a test wants.
#[derive(Debug)]
pub struct Held<'a> {
    site: &'a Site,
    /// The client that submitted it.
    pub client: Running,
    mark: String,
}

impl<'a> Held<'a> {
    pub(crate) fn start(site: &'a Site, args: &[&str]) -> Result<Self> {
        let mark = unique("held")?;
        // The text is put together by the shell, so that only what it prints has it, and not the log's copy of the
        // step.
        let steps = format!(
            "RUN m={mark}; trap go=1 USR1; echo 'now 'building; while test -z \"$go\"; do sleep 0.1; done; echo 'now 'released"
        );
        let mut client = site.dockerfile(&busybox(&steps)?)?.args(args).begin()?;
        client.wait_for("now building")?;
        Ok(Self { site, client, mark })
    }

    /// Lets the build end well, and returns what its client said. Only for the classic builder.
    ///
    /// # Errors
    /// When there is no such build any more, or its client does not end.
    pub fn release(self) -> Result<Said> {
        let container = self.container()?.context("nothing of the job runs")?;
        let docker = &self.site.rig.docker;
        docker.run(&["kill", "--signal=USR1", &container])?;
        self.client.end()
    }

    /// Returns the container that it builds in, if there is one.
    ///
    /// # Errors
    /// When the engine does not say.
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

    /// Returns a word that is among the arguments of everything the engine runs for this job.
    pub fn mark(&self) -> &str {
        &self.mark
    }
}

/// Waits until nothing on this machine bears `mark` any more: no process of a build, in a container or not.
///
/// # Errors
/// When something still does, with what it is.
pub fn wait_until_gone(mark: &str) -> Result<()> {
    let mut left = Vec::new();
    let gone = wait_for("end of the build", PATIENCE, || {
        left = traces(mark)?;
        Ok(left.is_empty().then_some(()))
    });
    gone.with_context(|| format!("still there: {left:#?}"))
}
