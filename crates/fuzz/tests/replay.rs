//! Tries all kept inputs: the seeds of the fuzzer, and the regressions that it has found.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fuzz::{TARGETS, Target};

/// Returns the inputs of a target in a folder, sorted by name.
fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(target);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[test]
fn kept_inputs_cause_no_error() {
    let mut failed = Vec::new();
    for Target {
        name, run, longest, ..
    } in TARGETS
    {
        assert!(!inputs("seeds", name).is_empty(), "{name} has no seeds");
        for path in [inputs("seeds", name), inputs("regressions", name)].concat() {
            let bytes = fs::read(&path).unwrap();
            // A regression may be longer if the fuzzer has not found it.
            assert!(
                bytes.len() <= *longest || path.to_string_lossy().contains("/regressions/"),
                "{path:?} is too long"
            );
            if catch_unwind(AssertUnwindSafe(|| run(&bytes))).is_err() {
                failed.push(path);
            }
        }
    }
    fuzz::end();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_folder_belongs_to_a_target() {
    for folder in ["seeds", "regressions", "dictionaries"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.file_stem().unwrap_or_default();
            assert!(
                TARGETS.iter().any(|target| *target.name == *name),
                "{path:?}"
            );
        }
    }
}
