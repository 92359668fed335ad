//! The services whose ids are derived from the vat's key, so that their cap files stay valid: the one home of their
//! names.

use std::fmt;

use jobs::JobId;
use vat::{Identity, ServiceId};

use crate::config::PoolName;

/// A service with a derived id.
///
/// Its name (`Display`) is what the id is derived from and what its cap file is called, both as upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DerivedService {
    /// Administration of the whole cluster: `admin`.
    Admin,
    /// The submission endpoint that all clients with its cap file share: `submission`.
    SharedSubmission,
    /// The registration of workers in a pool: `pool-NAME`.
    Registration(PoolName),
}

impl DerivedService {
    /// Returns all of a scheduler's, in the order in which their cap files are written.
    pub(crate) fn all<'a>(pools: impl Iterator<Item = &'a PoolName>) -> impl Iterator<Item = Self> {
        [Self::SharedSubmission, Self::Admin]
            .into_iter()
            .chain(pools.cloned().map(Self::Registration))
    }

    /// Returns its secret id.
    pub(crate) fn id(&self, identity: &Identity) -> ServiceId {
        identity.derive(&self.to_string())
    }

    /// Returns the name of its cap file in the secrets directory.
    pub fn cap_file(&self) -> String {
        format!("{self}.cap")
    }
}

impl fmt::Display for DerivedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin"),
            Self::SharedSubmission => f.write_str("submission"),
            Self::Registration(pool) => write!(f, "pool-{pool}"),
        }
    }
}

/// Jobs whose clients share them: the id of each is the job's id and a MAC of it, so nothing about it is stored.
pub(crate) struct SharedJobs(Identity);

impl SharedJobs {
    /// Shares jobs of the scheduler with this key.
    pub(crate) fn new(identity: &Identity) -> Self {
        Self(identity.clone())
    }

    /// Returns the secret id of a shared job.
    pub(crate) fn id(&self, job: JobId) -> ServiceId {
        let mac = self.0.derive(&format!("shared-job-{job}"));
        ServiceId::from_bytes([&job.bits().to_be_bytes(), mac.as_bytes()].concat())
    }

    /// Returns the job that is shared under this id.
    pub(crate) fn job(&self, id: &ServiceId) -> Option<JobId> {
        let bits = id.as_bytes().first_chunk()?;
        let job = JobId::from_bits(u64::from_be_bytes(*bits));
        // Of digests, the time of a comparison gives nothing away.
        (self.id(job).digest() == id.digest()).then_some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_job_is_found_by_its_whole_id_only() {
        let shared = SharedJobs::new(&Identity::ephemeral());
        let job = JobId::from_bits(0x5eed);
        let id = shared.id(job);
        assert_eq!(shared.job(&id), Some(job));
        for place in 0..id.as_bytes().len() {
            let mut forged = id.as_bytes().to_vec();
            forged[place] ^= 1;
            assert_eq!(shared.job(&ServiceId::from_bytes(forged)), None);
        }
        let other = SharedJobs::new(&Identity::ephemeral());
        assert_eq!(other.job(&id), None);
        assert_eq!(shared.job(&ServiceId::random()), None);
    }

    #[test]
    fn names_are_upstreams() {
        let pools = ["a".parse().unwrap(), "b".parse().unwrap()];
        let files: Vec<_> = DerivedService::all(pools.iter())
            .map(|service| service.cap_file())
            .collect();
        assert_eq!(
            files,
            ["submission.cap", "admin.cap", "pool-a.cap", "pool-b.cap"]
        );
    }
}
