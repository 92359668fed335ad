//! No file names a place on the machine where it was written: a path that works for one person only.

use std::fs;
use std::path::{Component, Path};

use super::finding::Finding;
use super::tree::TextFile;

/// Top folders that every machine has. A path below one of them may well be meant for all machines.
const EVERYWHERE: &[&str] = &[
    "bin",
    "boot",
    "builds",
    "data",
    "dev",
    "etc",
    "home",
    "lib",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "src",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "workspace",
];

/// Returns the paths that only this machine has: the checkout's, and what lies beside it under a top folder of its own.
pub(super) fn of(root: &Path) -> Vec<String> {
    let mut found = vec![root.display().to_string()];
    let mut components = root.components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    if let Some(top) = components.next().filter(|top| !EVERYWHERE.contains(top)) {
        let entries = fs::read_dir(format!("/{top}"))
            .into_iter()
            .flatten()
            .flatten();
        found
            .extend(entries.map(|entry| format!("/{top}/{}", entry.file_name().to_string_lossy())));
    }
    found
}

/// Returns where a file names one of these places.
pub(super) fn check(file: &TextFile, places: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        if let Some(place) = places.iter().find(|place| line.contains(*place)) {
            let message =
                format!("{place} is only on this machine; name a place that every machine has");
            found.push(Finding::strict(&file.path, number + 1, message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_such_a_place() {
        let places = of(Path::new("/home/ada/ocluster"));
        assert_eq!(places, ["/home/ada/ocluster"]);
        let text = "fine: /home/bob/ocluster
not: /home/ada/ocluster/target
";
        let found = check(&TextFile::new("a.md", text), &places);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(
            found,
            [
                "a.md:2: /home/ada/ocluster is only on this machine; name a place that every machine has"
            ]
        );
    }
}
