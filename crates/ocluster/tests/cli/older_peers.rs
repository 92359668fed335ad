//! Schedulers and workers that know nothing of ours but upstream's calls, for tests of what our programs say then.

use std::rc::Rc;
use std::thread::JoinHandle;

use capnp::capability::Client;
use cluster_api::{
    EncodedDescription, Job, LogChunk, Metric, MetricsSource, Registration, RpcError, ServeJob,
    ServeSubmission, ServeWorker, Submission, Ticket, Worker,
};
use futures::future::LocalBoxFuture;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use vat::{
    Address, Auth, DialOptions, Dialer, Identity, Listener, Peer, Restore, RestoreError, Security,
    ServeOptions, ServiceId, SturdyRef,
};

use crate::harness::Place;

/// A thread with a peer, which ends when this is dropped.
pub(crate) struct OlderPeer {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OlderPeer {
    fn start<F: Future<Output = ()> + 'static>(peer: impl FnOnce() -> F + Send + 'static) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = peer() => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Starts a scheduler that keeps no jobs and refuses all, and writes `old.cap`.
    pub(crate) fn scheduler(place: &Place) -> Self {
        let cap = place.path().join("old.cap");
        let (ready, is_ready) = std::sync::mpsc::channel();
        let peer = Self::start(async move || {
            let identity = Identity::ephemeral();
            let security = Security::Tls(identity.clone());
            let listener = Listener::bind(&Address::tcp("127.0.0.1", 0), security).expect("bound");
            let sturdy_ref = SturdyRef {
                auth: Auth::Sha256(identity.fingerprint()),
                address: listener.local_address(),
                service: identity.derive("submission"),
            };
            vat::cap_file::save(&cap, &sturdy_ref).expect("saved");
            let service = Submission::serve(Rc::new(RefusesAll)).into_client();
            let services = OneService(sturdy_ref.service, service);
            ready.send(()).expect("the test waits");
            listener
                .serve(Rc::new(services), ServeOptions::default())
                .await;
        });
        is_ready.recv().expect("it listens");
        peer
    }

    /// Starts a worker of a pool that runs jobs at once, and tells nothing but their logs and results.
    pub(crate) fn worker(place: &Place, pool: &str) -> Self {
        let cap = place.path().join(format!("capnp-secrets/pool-{pool}.cap"));
        Self::start(async move || {
            let target = vat::cap_file::load(cap).expect("a cap file");
            let dialer = Dialer::new(DialOptions::default());
            let session = dialer.connect(&target).await.expect("connected");
            let registration = Registration::from_client(session.bootstrap());
            let queue = registration.register("old", Worker::serve(Rc::new(TellsNothing)), 1);
            let queue = queue.await.expect("registered");
            // It ends with the scheduler.
            while queue.pop(Job::serve(Rc::new(HasEnded))).await.is_ok() {}
        })
    }
}

impl Drop for OlderPeer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported, and made the test fail.
            drop(thread.join());
        }
    }
}

struct OneService(ServiceId, Client);

impl Restore for OneService {
    fn restore(
        &self,
        id: &ServiceId,
        _peer: &Peer,
    ) -> LocalBoxFuture<'static, Result<Client, RestoreError>> {
        let Self(known, client) = self;
        let service = (id == known).then(|| client.clone());
        Box::pin(async { service.ok_or(RestoreError::UnknownService) })
    }
}

struct RefusesAll;

impl ServeSubmission for RefusesAll {
    async fn submit(
        self: Rc<Self>,
        _: String,
        _: EncodedDescription,
        _: bool,
    ) -> Result<Ticket, RpcError> {
        Err(RpcError::failed("not here"))
    }
}

struct TellsNothing;

impl ServeWorker for TellsNothing {
    async fn metrics(self: Rc<Self>, _: MetricsSource) -> Result<Metric, RpcError> {
        Err(RpcError::failed("no metrics"))
    }

    async fn self_update(self: Rc<Self>) -> Result<std::convert::Infallible, RpcError> {
        Err(RpcError::failed("no update"))
    }

    async fn additional_metric(self: Rc<Self>, _: String) -> Result<Option<Metric>, RpcError> {
        Ok(None)
    }

    async fn cancel_job(self: Rc<Self>, _: u64) -> Result<(), RpcError> {
        Err(RpcError::unimplemented("jobs cannot be cancelled here"))
    }
}

/// A job that has ended at once.
struct HasEnded;

impl ServeJob for HasEnded {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let bytes = match start {
            0 => b"built by an old worker\n".to_vec(),
            _ => Vec::new(),
        };
        let next = start + i64::try_from(bytes.len()).expect("short");
        Ok(LogChunk { bytes, next })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        Ok(String::new())
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}
