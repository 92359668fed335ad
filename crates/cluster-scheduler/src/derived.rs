//! The services whose ids are derived from the vat's key, so that their cap files stay valid: the one home of their
//! names.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

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
