//! Hints for unknown names: the names that the scheduler knows.

use cluster_api::UnknownName;
use visible::natural;

use cli::config::closest;
use cli::quote::printable;

/// How many names are listed. The others are only counted.
const LISTED: usize = 20;

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Pools,
    Workers,
    Clients,
}

impl Known {
    /// Returns the kind of the unknown name if a scheduler fails with `reason`.
    pub(super) fn missing(reason: &str) -> Option<Self> {
        UnknownName::of_reason(reason).map(|name| match name {
            UnknownName::Pool => Self::Pools,
            UnknownName::Worker => Self::Workers,
            UnknownName::Client => Self::Clients,
        })
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Pools => "pools",
            Self::Workers => "workers",
            Self::Clients => "clients",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Pools => "'ocluster-admin show CAP'",
            Self::Workers => "'ocluster-admin show --terse CAP POOL'",
            Self::Clients => "'ocluster-admin list-clients CAP'",
        }
    }
}

/// Returns a hint with the known names, and the one that `given` is most similar to.
pub(super) fn hint(kind: Known, given: &str, mut names: Vec<String>) -> String {
    let things = kind.plural();
    if names.is_empty() {
        return format!("there are no {things}");
    }
    names.sort_by(|a, b| natural(a, b));
    let meant = closest(given, names.iter().map(String::as_str));
    let meant = meant.map(|name| format!("did you mean \"{}\"? ", printable(name)));
    let listed: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| printable(name))
        .collect();
    let more = match names.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more ({} lists them)", kind.command()),
    };
    format!(
        "{}the {things} are: {}{more}",
        meant.unwrap_or_default(),
        listed.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_known_and_the_closest() {
        let names = |count: u32| (1..=count).rev().map(|i| format!("worker-{i}")).collect();
        assert_eq!(
            hint(Known::Clients, "bob", Vec::new()),
            "there are no clients"
        );
        assert_eq!(
            hint(Known::Workers, "nobody", names(2)),
            "the workers are: worker-1, worker-2"
        );
        assert_eq!(
            hint(Known::Workers, "wroker-2", names(2)),
            "did you mean \"worker-2\"? the workers are: worker-1, worker-2"
        );
        let many = hint(Known::Workers, "x", names(300));
        assert!(many.contains("worker-9, worker-10, "), "{many}");
        assert!(
            many.ends_with(
                "worker-20 and 280 more ('ocluster-admin show --terse CAP POOL' lists them)"
            ),
            "{many}"
        );
    }
}
