//! The known name most similar to a misspelt one.

/// From here on two names are alike; the measure is the one that clap uses for flags.
const ALIKE: f64 = 0.8;

/// Returns the one of `known` that is most like `name`, if any is.
pub fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = plain(name);
    let alike = known.map(|known| (strsim::jaro(&name, &plain(known)), known));
    alike
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Underscores for dashes and capitals are no misspelling that makes a name another.
fn plain(name: &str) -> String {
    name.replace('_', "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn a_slip_is_seen_and_another_word_is_not() {
        let known = ["state-dir", "capacity", "pool", "name"];
        let meant = |name| closest(name, known.into_iter());
        assert_eq!(meant("state_dir"), Some("state-dir"));
        assert_eq!(meant("Capasity"), Some("capacity"));
        assert_eq!(meant("pools"), Some("pool"));
        // What Kubernetes sets for a service called "ocluster".
        assert_eq!(meant("port"), None);
        assert_eq!(meant("service_host"), None);
    }
}
