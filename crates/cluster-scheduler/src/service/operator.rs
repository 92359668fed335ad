//! Who administers, over one connection: what is recorded of it in the audit log.

use std::cell::RefCell;
use std::rc::Rc;

use cluster_api::RpcError;
use job_store::AuditEntry;
use vat::Peer;

use crate::durable::DurableJobs;

/// The services that operators use.
const ADMIN: &str = "admin";
const PAGES: &str = "pages";

/// The longest text of an entry, in bytes: names are shorter, and others are cut.
const MAX_TEXT_BYTES: usize = 1_000;

/// An operator, at the other end of one connection or of a browser's.
pub(crate) struct Operator {
    origin: Origin,
    /// As the operator's program reported; empty until it has.
    by: RefCell<String>,
    jobs: Rc<DurableJobs>,
}

/// Where an operator's calls come from.
enum Origin {
    Peer(Peer),
    /// The pages, for a browser at this address.
    Pages(String),
}

/// What an operator does to something.
#[derive(Default)]
pub(crate) struct Action<'a> {
    /// In a word, such as "pause".
    pub(crate) word: &'static str,
    /// In which pool; empty if it is about no pool.
    pub(crate) pool: &'a str,
    /// To which worker, client or job.
    pub(crate) object: &'a str,
    /// More about it; empty for nothing more.
    pub(crate) detail: &'a str,
    /// Who does it, if the call itself says so; empty if it does not.
    pub(crate) by: &'a str,
}

impl Operator {
    pub(crate) fn new(peer: Peer, jobs: Rc<DurableJobs>) -> Rc<Self> {
        Self::from(Origin::Peer(peer), jobs)
    }

    /// Returns one who uses the pages, from this address.
    pub(crate) fn of_pages(address: String, jobs: Rc<DurableJobs>) -> Rc<Self> {
        Self::from(Origin::Pages(address), jobs)
    }

    fn from(origin: Origin, jobs: Rc<DurableJobs>) -> Rc<Self> {
        Rc::new(Self {
            origin,
            by: RefCell::default(),
            jobs,
        })
    }

    /// Returns who this is, as the operator's program reported; empty until it has.
    pub(crate) fn by(&self) -> String {
        self.by.borrow().clone()
    }

    /// The operator's program reports whose it is.
    pub(crate) fn identify(&self, by: String) {
        self.by.replace(by);
    }

    /// Does something, and records it. When this returns, the record is on disk; it is written also if the operator
    /// does not wait.
    pub(crate) async fn audited<T>(
        &self,
        action: Action<'_>,
        done: impl Future<Output = Result<T, RpcError>>,
    ) -> Result<T, RpcError> {
        let (time, recorded) = self.jobs.audit(self.entry(&action));
        let result = done.await;
        if let Err(error) = &result {
            let failure = self.jobs.audit_failed(time, &shortened(&error.reason));
            failure.await;
        }
        recorded.await;
        result
    }

    fn entry(&self, action: &Action<'_>) -> AuditEntry {
        let by = match action.by {
            "" => self.by(),
            by => by.to_owned(),
        };
        let (service, address) = match &self.origin {
            Origin::Peer(peer) => (ADMIN, peer.address()),
            Origin::Pages(address) => (PAGES, address.clone()),
        };
        AuditEntry {
            service: service.to_owned(),
            address: shortened(&address),
            by: shortened(&by),
            action: action.word.to_owned(),
            pool: shortened(action.pool),
            object: shortened(action.object),
            detail: shortened(action.detail),
            ..AuditEntry::default()
        }
    }
}

fn shortened(text: &str) -> String {
    visible::shortened(text, MAX_TEXT_BYTES).into_owned()
}
