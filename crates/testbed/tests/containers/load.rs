//! A continuous load of jobs, of which none may be lost.

use anyhow::Result;
use rig::wait_for;
use testbed::{Output, Program, Site, WAIT_LIMIT, busybox};

/// How many jobs are submitted at any time: as many as three workers with capacity 2 can run.
const CONCURRENT_JOBS: usize = 6;

/// Clients that submit one job after the other.
pub(crate) struct Load<'a> {
    site: &'a Site,
    clients: Vec<Program>,
    built: usize,
}

impl<'a> Load<'a> {
    /// Prepares to submit jobs at `site`.
    pub(crate) fn on(site: &'a Site) -> Self {
        Self {
            site,
            clients: Vec::new(),
            built: 0,
        }
    }

    /// Submits jobs until `more` of them have succeeded.
    pub(crate) fn until_ended(&mut self, more: usize) -> Result<()> {
        let enough = self.built + more;
        wait_for("jobs", WAIT_LIMIT, || {
            self.replace_ended()?;
            Ok((self.built >= enough).then_some(()))
        })
    }

    /// Submits jobs while an admin's command runs, and returns its output.
    pub(crate) fn during(&mut self, command: &str) -> Result<Output> {
        let mut admin = self.site.begin_admin(command)?;
        wait_for("end of the command", 2 * WAIT_LIMIT, || {
            self.replace_ended()?;
            Ok(admin.has_ended()?.then_some(()))
        })?;
        admin.end()
    }

    /// Waits for the submitted jobs, and returns how many there were in total.
    pub(crate) fn finish(mut self) -> Result<usize> {
        for client in std::mem::take(&mut self.clients) {
            self.count(client)?;
        }
        Ok(self.built)
    }

    /// Counts the jobs that have ended, and replaces them with new ones.
    fn replace_ended(&mut self) -> Result<()> {
        let mut still = Vec::new();
        for mut client in std::mem::take(&mut self.clients) {
            if client.has_ended()? {
                self.count(client)?;
            } else {
                still.push(client);
            }
        }
        while still.len() < CONCURRENT_JOBS {
            still.push(self.site.dockerfile(&busybox("RUN sleep 1")?)?.begin()?);
        }
        self.clients = still;
        Ok(())
    }

    fn count(&mut self, client: Program) -> Result<()> {
        client.end()?.check(0, &["Job succeeded"]);
        self.built += 1;
        Ok(())
    }
}
