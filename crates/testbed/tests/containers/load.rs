//! Jobs without end, of which none may be lost.

use anyhow::Result;
use rig::wait_for;
use testbed::{PATIENCE, Running, Said, Site, busybox};

/// How many jobs are under way at any time: as many as three workers with room for two can run.
const AT_ONCE: usize = 6;

/// Clients that submit one job after the other.
pub(crate) struct Load<'a> {
    site: &'a Site,
    clients: Vec<Running>,
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

    /// Keeps submitting until `more` jobs have been built.
    pub(crate) fn until_ended(&mut self, more: usize) -> Result<()> {
        let enough = self.built + more;
        wait_for("jobs", PATIENCE, || {
            self.tend()?;
            Ok((self.built >= enough).then_some(()))
        })
    }

    /// Keeps submitting while an admin's command runs, and returns what that said.
    pub(crate) fn during(&mut self, command: &str) -> Result<Said> {
        let mut admin = self.site.begin_admin(command)?;
        wait_for("end of the command", 2 * PATIENCE, || {
            self.tend()?;
            Ok(admin.has_ended()?.then_some(()))
        })?;
        admin.end()
    }

    /// Lets those that are under way end, and returns how many jobs there were in all.
    pub(crate) fn finish(mut self) -> Result<usize> {
        for client in std::mem::take(&mut self.clients) {
            self.count(client)?;
        }
        Ok(self.built)
    }

    /// Counts the jobs that have ended, and submits others for them.
    fn tend(&mut self) -> Result<()> {
        let mut still = Vec::new();
        for mut client in std::mem::take(&mut self.clients) {
            if client.has_ended()? {
                self.count(client)?;
            } else {
                still.push(client);
            }
        }
        while still.len() < AT_ONCE {
            still.push(self.site.dockerfile(&busybox("RUN sleep 1")?)?.begin()?);
        }
        self.clients = still;
        Ok(())
    }

    fn count(&mut self, client: Running) -> Result<()> {
        client.end()?.check(0, &["Job succeeded"]);
        self.built += 1;
        Ok(())
    }
}
