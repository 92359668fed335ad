//! The pages: what a web server, in a thread of its own, asks the thread of the capabilities for.
//!
//! Questions are closures in a channel, as those to the store are, and answers are plain data. What many ask for is
//! computed at most once a second, and shared.

mod actions;
mod changes;
mod handle;
mod log;
mod pool_states;
mod pools;
mod readings;
mod service;
mod shared;
mod submitted;

use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use cluster_web::access::SessionKey;
use cluster_web::{Server, ServerError, WebSettings};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::sync::{mpsc, watch};
use vat::Identity;

use self::changes::{Changes, Receivers};
use self::handle::Handle;
use self::service::WebService;
use crate::cluster::Cluster;
use crate::leading::LeaseState;
use crate::web_delays::Delays;

/// How many questions wait at most. Each browser has few at a time.
const MAX_QUESTIONS: usize = 2_000;

/// A question, which the thread of the capabilities answers.
type Question = Box<dyn FnOnce(Rc<WebService>) -> LocalBoxFuture<'static, ()> + Send>;

/// The pages of a scheduler that may not lead yet: then each says so.
pub(crate) struct Pages {
    server: Server,
    url: String,
    asked: mpsc::Receiver<Question>,
    leader: Arc<OnceLock<Receivers>>,
}

impl Pages {
    /// Starts to serve pages. `lease_state` is `None` if this scheduler cannot be a standby.
    pub(crate) fn start(
        settings: WebSettings,
        identity: &Identity,
        lease_state: Option<watch::Receiver<LeaseState>>,
    ) -> Result<Self, ServerError> {
        let key = SessionKey::new(identity.derive("web-sessions").digest());
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        let leader = Arc::new(OnceLock::new());
        let handle = Handle::new(questions, Arc::clone(&leader), lease_state);
        let url = settings.url.clone();
        let scheme = if settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let server = Server::start(settings, key, Arc::new(handle))?;
        let url = url.unwrap_or_else(|| format!("{scheme}://{}", server.address()));
        tracing::info!(target: "scheduler", "Serving pages at {url}");
        Ok(Self {
            server,
            url,
            asked,
            leader,
        })
    }

    /// Returns the address for browsers.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// This scheduler leads. Returns the server, and what must run in the thread of the capabilities meanwhile.
    pub(crate) fn lead(self, cluster: &Rc<Cluster>) -> (Server, LocalBoxFuture<'static, ()>) {
        let Self {
            server,
            url,
            asked,
            leader,
        } = self;
        let changes = Changes::new(cluster.pools());
        cluster.web_links().serve_at(url);
        cluster.serve_web(server.stats());
        let delays = cluster.web_delays().clone();
        let service = WebService::new(Rc::clone(cluster));
        let readings = Rc::clone(&service.readings);
        // An error means that it led before.
        leader.set(changes.receivers()).ok();
        let cluster = Rc::clone(cluster);
        let work = async move {
            for pool in cluster.pools().values() {
                service.activity(pool);
            }
            tokio::join!(
                answer(asked, service, delays),
                changes.run(),
                readings.run(cluster)
            );
        };
        (server, work.boxed_local())
    }
}

/// Answers questions. Ends with the server.
async fn answer(mut questions: mpsc::Receiver<Question>, service: Rc<WebService>, delays: Delays) {
    while let Some(question) = questions.recv().await {
        let answer = question(Rc::clone(&service));
        tokio::task::spawn_local(delays.clone().measure(answer));
    }
}
