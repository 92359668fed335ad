//! What was recorded of the reference's runs, for those that repeat them: with fakes, and for real.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bstr::BString;
use obuilder_spec::Spec;

/// The recorded runs, in their order: later ones found steps of earlier ones in the store.
pub(crate) const NAMES: [&str; 6] = [
    "01-run",
    "02-context",
    "03-copy",
    "04-nested",
    "05-cache-secret",
    "06-multiline",
];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn recorded_spec(name: &str) -> Spec {
    let folder = here("../obuilder-spec/tests/recorded");
    let spec = fs::read(folder.join(format!("{name}.spec"))).unwrap();
    Spec::parse(&spec, name).unwrap()
}

pub(crate) fn recorded_log(name: &str) -> String {
    let folder = here("tests/builder/recorded");
    let log = fs::read(folder.join(format!("{name}.log"))).unwrap();
    BString::from(log).to_string()
}

/// Returns the secrets of the recorded runs.
pub(crate) fn secrets() -> Vec<(BString, Vec<u8>)> {
    vec![
        ("s1".into(), b"s1".into()),
        ("s2".into(), b"two\nlines\n".into()),
    ]
}

/// Makes the source of the recorded runs.
pub(crate) fn make_source(dir: &Path) {
    fs::create_dir_all(dir.join("dir1/dir2")).unwrap();
    fs::create_dir_all(dir.join(".hidden")).unwrap();
    for (file, text) in [
        (".hidden/HEAD", "ref"),
        ("café.txt", "café"),
        ("empty", ""),
        ("hello.txt", "hello\n"),
        ("run.sh", "#!/bin/sh\necho run\n"),
        ("dir1/one", "one"),
        ("dir1/dir2/two", "two"),
    ] {
        fs::write(dir.join(file), text).unwrap();
    }
    symlink("../hello.txt", dir.join("dir1/link")).unwrap();
}

/// Returns a log as it would be if it did not matter what had been built before.
pub(crate) fn without_history(log: &str) -> String {
    let lines = log.lines().map(|line| {
        let line = line.strip_prefix(';').unwrap_or(line);
        let saved = line.strip_prefix("---> saved as ");
        let used = line.strip_prefix("---> using ");
        let used = used.and_then(|line| line.strip_suffix(" from cache"));
        saved
            .or(used)
            .map_or(line.to_owned(), |id| format!("---> {id}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}
