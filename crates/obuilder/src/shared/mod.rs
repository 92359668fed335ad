//! Results that workers share: a step that another worker has run is fetched rather than run.
//!
//! A repository has, for each step, a *chain*: the signed records of all steps from the base image to it, with their
//! layers and logs. `record` says what is in them and checks it, `keys` signs, `fetching` looks up and downloads,
//! `sharing` uploads. What a result's content is, is kept beside the results (`notes`). The builder decides when
//! (`builder/fetch_shared.rs` and `builder/share.rs`). `docs/design/0027-shared-results.md` gives the reasons.

mod fetching;
pub(crate) mod fuzzing;
mod keys;
mod notes;
mod options;
mod outage;
mod record;
mod sharing;
mod speed;
mod stats;

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::PathBuf;

use oci::fetch::{Repository, RepositoryError};

pub(crate) use self::fetching::{Fetched, unpack};
pub use self::keys::{BadKey, KeyError, PublicKey, SigningKey, accepted_keys};
pub(crate) use self::notes::{Note, Notes};
pub use self::options::{SharedError, SharedMode, SharedOptions};
use self::outage::Outage;
pub(crate) use self::record::{Chain, CheckedChain, Record};
pub(crate) use self::sharing::{NotShared, Own};
use self::speed::Speed;
use self::stats::Counts;
pub use self::stats::{MissCause, SharedStats};

/// The shared results, as a worker uses them.
pub struct Shared {
    repository: Repository,
    mode: SharedMode,
    key: SigningKey,
    accepted: Vec<PublicKey>,
    /// The name of this worker.
    worker: String,
    platform: String,
    /// The oldest that a record may be, in seconds. `None` for any age.
    max_age: Option<i64>,
    with_secrets: bool,
    notes: Notes,
    /// Where files without a name are made.
    scratch: PathBuf,
    counts: Counts,
    speed: RefCell<Speed>,
    outage: Outage,
    /// The causes that were warned about.
    warned: RefCell<HashSet<MissCause>>,
}

impl Shared {
    /// Returns the public key of this worker, for the lists of others.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Returns what was fetched and shared so far.
    pub fn stats(&self) -> SharedStats {
        self.counts.get()
    }

    /// Returns whether a step with secrets is fetched and shared like others.
    pub(crate) fn takes_secrets(&self) -> bool {
        self.with_secrets
    }

    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Counts results that wait to be shared.
    pub(crate) fn waiting(&self, count: usize) {
        self.counts.change(|stats| stats.waiting = count as u64);
    }

    /// Records that a result was not fetched. The first time for each cause it is a warning, if an operator can do
    /// something.
    pub(crate) fn missed(&self, cause: MissCause, reason: &str) {
        self.counts.missed(cause);
        let is_trouble = match cause {
            MissCause::Unsigned | MissCause::Invalid | MissCause::Unavailable => true,
            MissCause::Absent | MissCause::Expired | MissCause::OtherBase | MissCause::Slower => {
                false
            }
        };
        if is_trouble && self.warned.borrow_mut().insert(cause) {
            tracing::warn!("Cannot use a shared result: {reason}; the step runs here instead");
        } else {
            tracing::debug!("Not using a shared result ({}): {reason}", cause.word());
        }
    }

    /// Returns the tag of a step's chain: format, platform, and the step with its variant.
    fn tag(&self, step: &str) -> String {
        format!("v1-{}-{step}", self.platform.replace('/', "-"))
    }

    /// Records whether the repository answered.
    fn observe<T>(&self, answer: &Result<T, RepositoryError>) {
        match answer {
            Err(RepositoryError::Unavailable { .. }) => {
                self.outage.failed(tokio::time::Instant::now());
            }
            Ok(_) | Err(_) => self.outage.answered(),
        }
    }
}

/// Returns the time, in seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
