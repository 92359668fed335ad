//! The lock file of the fuzzer, which is in a workspace of its own, is up to date with our manifests. Otherwise Cargo
//! changes it whenever somebody fuzzes.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::tree::TextFile;

const LOCK: &str = "crates/fuzz/libfuzzer/Cargo.lock";

/// What brings it up to date.
const COMMAND: &str = "cp Cargo.lock crates/fuzz/libfuzzer/ && \
    cargo update --workspace --manifest-path crates/fuzz/libfuzzer/Cargo.toml";

/// Returns which of our crates the lock file has other dependencies for than their manifests.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let text_of = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map(|file| file.text.as_str())
    };
    let Some(lock) = text_of(LOCK) else {
        let message = "no lock file seen".to_owned();
        return vec![Finding::strict(LOCK, None, message)];
    };
    let locked = of_ours(lock);
    let mut found = Vec::new();
    for (name, locked) in &locked {
        let path = match name.as_str() {
            "fuzz-libfuzzer" => "crates/fuzz/libfuzzer/Cargo.toml".to_owned(),
            name => format!("crates/{name}/Cargo.toml"),
        };
        let needed = text_of(&path).map(needed).unwrap_or_default();
        if needed != *locked {
            let other: Vec<&str> = needed.symmetric_difference(locked).copied().collect();
            let message = format!(
                "{name} depends on other crates now ({}); run {COMMAND}",
                other.join(", ")
            );
            found.push(Finding::strict(LOCK, None, message));
        }
    }
    if locked.is_empty() {
        let message = "no crate of ours seen".to_owned();
        found.push(Finding::strict(LOCK, None, message));
    }
    found
}

/// Returns the dependencies of our crates in a lock file: those that come from no registry.
fn of_ours(lock: &str) -> BTreeMap<String, BTreeSet<&str>> {
    let packages = lock.split("[[package]]").skip(1);
    let ours = packages.filter(|package| !package.contains("\nsource = "));
    let read = |package| {
        let mut lines = str::lines(package);
        let name = lines.find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        // A name, or a name and a version if there are several.
        let listed = lines.filter_map(|line| line.strip_prefix(" \"")?.split(['"', ' ']).next());
        Some((name?.to_owned(), listed.collect()))
    };
    ours.filter_map(read).collect()
}

/// Returns the dependencies that a manifest has in any case, but for its tests.
fn needed(manifest: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut is_inside = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            let kind = section.trim_end_matches(']').rsplit('.').next();
            is_inside = matches!(kind, Some("dependencies" | "build-dependencies"));
        } else if is_inside
            && !line.starts_with('#')
            && !line.contains("optional = true")
            && let Some((name, _)) = line.split_once(['.', ' ', '='])
        {
            names.insert(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(manifest: &str) -> Vec<String> {
        let lock = r#"
[[package]]
name = "a"
version = "0.1.0"
dependencies = [
 "b",
 "c 1.0.0",
]

[[package]]
name = "b"
version = "1.0.0"
source = "registry"
dependencies = [
 "d",
]
"#;
        let files = [
            TextFile::new(LOCK, lock),
            TextFile::new("crates/a/Cargo.toml", manifest),
        ];
        check(&files).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_new_dependency_is_in_the_lock_file() {
        let manifest = "[dependencies]\n# Why.\nb = { workspace = true }\n\
                        [target.'cfg(unix)'.dependencies]\nc.workspace = true\n[dev-dependencies]\nd = \"1\"\n";
        assert!(found(manifest).is_empty(), "{:?}", found(manifest));
        let more = manifest.replace("[dev-", "e = \"1\"\nf = { optional = true }\n[dev-");
        let finding = format!("{LOCK}: a depends on other crates now (e); run {COMMAND}");
        assert_eq!(found(&more), [finding]);
        let fewer = manifest.replace("c.workspace", "#");
        assert_eq!(found(&fewer).len(), 1);
        assert_eq!(check(&[]).len(), 1);
    }
}
