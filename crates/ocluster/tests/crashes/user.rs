//! Who submits jobs and looks at them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::incident::{Incident, Incidents};

/// A user: a connection, and a folder for what their programs read and write.
pub(crate) struct User {
    folder: PathBuf,
    /// The cap file with which their programs submit jobs, and more options of those.
    pub(crate) cap: Vec<String>,
    pub(crate) client: Client,
    incidents: RefCell<Incidents>,
}

impl User {
    /// Returns a user with this folder, whose programs are started with this cap file and these options.
    pub(crate) fn new(folder: &Path, cap: Vec<String>, client: Client) -> Self {
        Self {
            folder: folder.to_owned(),
            cap,
            client,
            incidents: RefCell::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Counts what has happened.
    pub(crate) fn note(&self, incident: Incident) {
        *self.incidents.borrow_mut().entry(incident).or_default() += 1;
    }

    /// Returns whether it has happened.
    pub(crate) fn has_noted(&self, incident: Incident) -> bool {
        self.incidents.borrow().contains_key(&incident)
    }

    /// Returns what has happened since the last call.
    pub(crate) fn take_incidents(&self) -> Incidents {
        self.incidents.take()
    }
}
