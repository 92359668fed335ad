//! Jobs as upstream's clients submit them: they end with the connection, so a scheduler that ends waits for them.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use cluster_api::{Action, Description, DockerBuild, Dockerfile, RpcError, Submission};
use tokio::task::LocalSet;
use vat::{DialOptions, Dialer, SturdyRef};

use crate::cluster::{Cluster, POOL};
use crate::harness::LIMIT;

/// A job, and the thread that holds it.
pub(crate) struct AttachedJob {
    log: String,
    /// Brings more of the log.
    pieces: Receiver<String>,
    thread: JoinHandle<Result<String, RpcError>>,
}

impl AttachedJob {
    /// Submits a Dockerfile of the cluster.
    pub(crate) fn submit(cluster: &Cluster, dockerfile: &str) -> Self {
        let place = cluster.place.path();
        let sturdy_ref = vat::cap_file::load(place.join("capnp-secrets/submission.cap"));
        let sturdy_ref = sturdy_ref.expect("a cap file");
        let dockerfile = std::fs::read_to_string(place.join(dockerfile)).expect("a Dockerfile");
        let (sender, pieces) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            LocalSet::new().block_on(&runtime, follow(sturdy_ref, dockerfile, sender))
        });
        Self {
            log: String::new(),
            pieces,
            thread,
        }
    }

    /// Waits until its log has a text.
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        while !self.log.contains(text) {
            let piece = self.pieces.recv_timeout(LIMIT);
            self.log += &piece.unwrap_or_else(|error| panic!("no {text:?} in the log: {error}"));
        }
    }

    /// Waits for its end, and returns its log.
    pub(crate) fn wait(mut self) -> Result<String, RpcError> {
        self.thread.join().expect("it does not panic")?;
        self.log.extend(self.pieces.iter());
        Ok(self.log)
    }
}

async fn follow(
    sturdy_ref: SturdyRef,
    dockerfile: String,
    seen: Sender<String>,
) -> Result<String, RpcError> {
    let session = Dialer::new(DialOptions::default())
        .connect(&sturdy_ref)
        .await;
    let session = session.map_err(|error| RpcError::failed(error.to_string()))?;
    let submission = Submission::from_client(session.bootstrap());
    let mut description = Description::new(Action::Docker(DockerBuild {
        dockerfile: Dockerfile::Contents(dockerfile),
        ..DockerBuild::default()
    }));
    "tutorial".clone_into(&mut description.cache_hint);
    let ticket = submission.submit(POOL, &description, false);
    let job = ticket.job();
    let mut start = 0;
    loop {
        let chunk = job.log(start).await?;
        if chunk.bytes.is_empty() {
            return job.result().await;
        }
        let text = String::from_utf8_lossy(&chunk.bytes).into_owned();
        // An error means that the test has ended.
        drop(seen.send(text));
        start = chunk.next;
    }
}
