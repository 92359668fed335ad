//! What the demo builds.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rig::{GitServer, Repository};

/// A repository with one commit, on a server of our own.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) url: String,
    pub(crate) commit: String,
    _server: GitServer,
}

impl Source {
    /// Makes the repository in the new folder `folder`, and serves it.
    ///
    /// # Errors
    /// When git fails.
    pub(crate) fn serve(folder: &Path) -> Result<Self> {
        fs::create_dir(folder)?;
        let repository = Repository::create(folder, "hello")?;
        let commit = repository.commit(&[("greeting.txt", "Hello from a git commit!\n")])?;
        let server = GitServer::http(folder)?;
        Ok(Self {
            url: server.url("hello"),
            commit,
            _server: server,
        })
    }
}

/// Returns the Dockerfile that the client sends. It takes its time, so that one can see the log arrive.
pub(crate) fn dockerfile(base: &str) -> String {
    format!(
        "FROM {base}\n\
         COPY greeting.txt /\n\
         RUN cat /greeting.txt && date\n\
         RUN for n in 1 2 3; do echo \"working, $n of 3\"; sleep 1; done\n"
    )
}

/// Returns the spec that the client sends: the same in OBuilder's words.
pub(crate) fn spec(base: &str) -> String {
    format!(
        "((from {base})\n \
         (shell /bin/sh -c)\n \
         (copy (src greeting.txt) (dst /))\n \
         (run (shell \"cat /greeting.txt && date\"))\n \
         (run (shell \"for n in 1 2 3; do echo working, $n of 3; sleep 1; done\")))\n"
    )
}
