//! What the fuzzer has found, kept so that every run of the tests tries it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::folder;

/// Keeps what is in a folder of findings with the regressions of a target, made smaller by `shrink` where that is
/// possible. Returns where.
pub(super) fn keep(
    findings: &Path,
    target: &str,
    shrink: impl Fn(&Path, &Path) -> Result<()>,
) -> Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(findings)? {
        let path = entry?.path();
        let Some((kind, digest)) = parts(&path) else {
            continue;
        };
        let mut input = path.clone();
        // One that takes too long would take too long each time.
        if kind == "crash" {
            let smaller = findings.join("smaller");
            shrink(&path, &smaller)?;
            // The fuzzer leaves an empty file when it cannot make the input smaller.
            if fs::metadata(&smaller).is_ok_and(|found| found.len() > 0) {
                input = smaller;
            }
        }
        let regressions = folder().join("regressions").join(target);
        fs::create_dir_all(&regressions)?;
        let name = regressions.join(format!("{kind}-{digest}"));
        fs::copy(&input, &name)?;
        kept.push(name);
    }
    Ok(kept)
}

/// Returns of which kind a finding is, and the beginning of its digest, both of which are in its name.
fn parts(path: &Path) -> Option<(&str, &str)> {
    let (kind, digest) = path.file_name()?.to_str()?.split_once('-')?;
    let is_finding = ["crash", "timeout", "oom"].contains(&kind);
    Some((kind, digest.get(..12)?)).filter(|_| is_finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_the_program_is_a_finding() {
        let name = "f/crash-0123456789abcdef0123456789abcdef01234567";
        assert_eq!(parts(Path::new(name)), Some(("crash", "0123456789ab")));
        let slow = "f/slow-unit-0123456789abcdef0123456789abcdef01234567";
        assert_eq!(parts(Path::new(slow)), None);
        assert_eq!(parts(Path::new("f/smaller")), None);
    }
}
