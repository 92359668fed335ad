//! What the demo builds.

use anyhow::Result;
use rig::{GitServer, Repository};

/// A repository with one commit, on a server of our own.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) url: String,
    pub(crate) commit: String,
    _server: GitServer,
    _folder: tempfile::TempDir,
}

impl Source {
    /// Makes the repository and serves it.
    ///
    /// # Errors
    /// When git fails.
    pub(crate) fn serve() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ocluster-demo-")
            .tempdir()?;
        let repository = Repository::create(folder.path(), "hello")?;
        let commit = repository.commit(&[("greeting.txt", "Hello from a git commit!\n")])?;
        let server = GitServer::http(folder.path())?;
        Ok(Self {
            url: server.url("hello"),
            commit,
            _server: server,
            _folder: folder,
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
