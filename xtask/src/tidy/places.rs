//! No file names a place on the machine where it was written: a path that works for one person only.

use std::fs;
use std::path::{Component, Path};

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
pub(super) fn check(file: &TextFile, places: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        if let Some(place) = places.iter().find(|place| line.contains(*place)) {
            let path = &file.path;
            found.push(format!(
                "{path}:{}: {place} is only on this machine",
                number + 1
            ));
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
        let text = "fine: /home/bob/ocluster\nnot: /home/ada/ocluster/target\n".to_owned();
        let file = TextFile {
            path: "a.md".to_owned(),
            text,
        };
        assert_eq!(
            check(&file, &places),
            ["a.md:2: /home/ada/ocluster is only on this machine"]
        );
    }
}
