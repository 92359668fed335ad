//! How many files and connections a program may have open.
//!
//! The usual limit of 1024 is there for programs that use `select`, and the system lets others raise theirs. A scheduler
//! has a connection for each worker and client; a builder copies deep trees.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as a service of systemd may have. Engines let containers have a thousand million, and then those of our
/// children that close every number before they start something take seconds for it.
const MOST: u64 = 524_288;

/// Raises the limit as far as the system lets us, to [`MOST`].
///
/// That it does not is no reason to stop: whoever needs more is told when it is exceeded.
pub fn allow_many() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: Some(maximum.map_or(MOST, |maximum| maximum.min(MOST))),
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("cannot raise the limit of open files: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_the_system_lets_us_have() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let usual = Rlimit {
            current: Some(1024),
            maximum,
        };
        setrlimit(Resource::Nofile, usual).unwrap();
        allow_many();
        let most = maximum.unwrap_or(u64::MAX).min(MOST);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(most));
    }
}
