//! The known name most similar to a misspelt one.

/// The least likeness of two names that are alike, by the measure that clap uses for flags.
const MIN_LIKENESS: f64 = 0.8;

/// Returns the name in `known` that is most similar to `name`, if any is similar.
pub fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = normalized(name);
    let alike = known.map(|known| (strsim::jaro(&name, &normalized(known)), known));
    alike
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Returns `name` with dashes for underscores and in lower case, as differences in these are no misspelling.
fn normalized(name: &str) -> String {
    name.replace('_', "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn a_misspelt_name_is_found_and_another_word_is_not() {
        let known = ["state-dir", "capacity", "pool", "name"];
        let meant = |name| closest(name, known.into_iter());
        assert_eq!(meant("state_dir"), Some("state-dir"));
        assert_eq!(meant("Capasity"), Some("capacity"));
        assert_eq!(meant("pools"), Some("pool"));
        // Kubernetes sets such variables for a service called "ocluster".
        assert_eq!(meant("port"), None);
        assert_eq!(meant("service_host"), None);
    }
}
