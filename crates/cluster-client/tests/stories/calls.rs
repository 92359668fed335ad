//! How many calls it takes to follow a job.

use std::cell::Cell;
use std::rc::Rc;

use capnp::capability::Client;
use cluster_api::{
    DurableDetails, DurableJob, DurableLogChunk, DurableOutcome, DurableStage, DurableStatus,
    EncodedDescription, Outcome, RpcError, ServeDurableJob, ServeSubmission, Submission, Ticket,
};
use cluster_client::{Cluster, LogEvent, Options};
use futures::future::{FutureExt as _, LocalBoxFuture, ready};
use testkit::story;
use tokio::sync::Notify;
use vat::{
    Address, Auth, Listener, Peer, Restore, RestoreError, Security, ServeOptions, ServiceId,
    SturdyRef,
};

/// How many pieces the log has.
const PIECES: u64 = 100;

/// A scheduler with one job, which counts calls.
#[derive(Default)]
struct MockJobs {
    watches: Cell<u32>,
    has_ended: Cell<bool>,
    changed: Notify,
}

impl MockJobs {
    fn status(&self) -> DurableStatus {
        let stage = match self.has_ended.get() {
            false => DurableStage::Running {
                attempt: 1,
                worker: "w1".to_owned(),
            },
            true => DurableStage::Ended {
                attempt: 1,
                outcome: DurableOutcome::Done(Outcome::Succeeded("done".to_owned())),
            },
        };
        DurableStatus {
            version: 1 + u64::from(self.has_ended.get()),
            stage,
        }
    }
}

impl ServeSubmission for MockJobs {
    async fn submit(
        self: Rc<Self>,
        _: String,
        _: EncodedDescription,
        _: bool,
    ) -> Result<Ticket, RpcError> {
        Err(RpcError::failed("not here"))
    }

    async fn find_durable(
        self: Rc<Self>,
        id: String,
        _: bool,
    ) -> Result<(String, DurableJob), RpcError> {
        Ok((id, DurableJob::serve(self)))
    }
}

impl ServeExplained for MockJobs {}

impl ServeDurableJob for MockJobs {
    async fn watch(self: Rc<Self>, version: Option<u64>) -> Result<DurableStatus, RpcError> {
        self.watches.set(self.watches.get() + 1);
        loop {
            let changed = self.changed.notified();
            let status = self.status();
            if version.is_none_or(|version| status.version > version) {
                return Ok(status);
            }
            changed.await;
        }
    }

    async fn log(self: Rc<Self>, _: u32, start: u64) -> Result<DurableLogChunk, RpcError> {
        let length = u64::from(start < PIECES);
        if length == 0 {
            self.has_ended.set(true);
            self.changed.notify_waiters();
        }
        Ok(DurableLogChunk {
            bytes: vec![b'.'; usize::try_from(length).unwrap()],
            next: start + length,
        })
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Err(RpcError::failed("not here"))
    }

    async fn retry(
        self: Rc<Self>,
        _: Option<String>,
        _: bool,
    ) -> Result<(String, DurableJob), RpcError> {
        Err(RpcError::failed("not here"))
    }

    async fn share(self: Rc<Self>) -> Result<String, RpcError> {
        Err(RpcError::failed("not here"))
    }

    /// Neither finding a job nor reading its log needs its details, which an older scheduler does not have.
    async fn describe(self: Rc<Self>) -> Result<DurableDetails, RpcError> {
        Err(RpcError::unimplemented("not here"))
    }

    fn released(&self) {}
}

/// The service of a client.
struct OneService(Client);

impl Restore for OneService {
    fn restore(
        &self,
        _: &ServiceId,
        _: &Peer,
    ) -> LocalBoxFuture<'static, Result<Client, RestoreError>> {
        ready(Ok(self.0.clone())).boxed_local()
    }
}

#[test]
fn a_log_is_read_with_one_watch_for_each_change() {
    story(async {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::Unix(directory.path().join("socket"));
        let listener = Listener::bind(&address, Security::Plaintext).unwrap();
        let jobs = Rc::new(MockJobs::default());
        let submission = Submission::serve(Rc::clone(&jobs)).into_client();
        let services = Rc::new(OneService(submission));
        let serving = tokio::task::spawn_local(listener.serve(services, ServeOptions::default()));
        let sturdy_ref = SturdyRef {
            auth: Auth::Insecure,
            address,
            service: ServiceId::from_bytes(*b"submission"),
        };
        let cluster = Cluster::connect(sturdy_ref, Options::default())
            .await
            .unwrap();
        let job = cluster.observe_durable("28t5cy4tqkff").await.unwrap();
        assert_eq!(job.id(), Some("28t5cy4tqkff"));
        let (mut log, mut pieces) = (job.log(), 0);
        while let Some(event) = log.next().await.unwrap() {
            assert!(matches!(event, LogEvent::Bytes(_)), "{event}");
            pieces += 1;
        }
        assert_eq!(pieces, PIECES);
        // The first status, and the end.
        assert_eq!(jobs.watches.get(), 2);
        serving.abort();
    });
}
