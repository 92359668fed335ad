//! Results as copies, which any filesystem can hold.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::backend::{Backend, BackendSetup, beside};
use super::caches::Owner;
use super::error::Cannot as _;
use super::layout::make_directory as make;
use super::trash::Trash;
use super::{RsyncMode, StoreError, Usage, program, tree};

/// Results as copies.
#[derive(Debug)]
pub(super) struct Rsync {
    trash: Arc<Trash>,
    mode: RsyncMode,
}

impl Rsync {
    /// Returns the backend for the store with these directories.
    pub(super) fn new(setup: BackendSetup, mode: RsyncMode) -> Self {
        Self {
            trash: setup.trash,
            mode,
        }
    }

    /// Returns the options that make equal files links when a result is published. `None` if they stay copies.
    fn linking(&self) -> Option<&'static [&'static str]> {
        match self.mode {
            RsyncMode::Copy => None,
            RsyncMode::Hardlink => Some(&["--checksum"]),
            RsyncMode::HardlinkUnsafe => Some(&[]),
        }
    }
}

impl Backend for Rsync {
    fn begin(&self, place: &Path, base: Option<&Path>) -> Result<PathBuf, StoreError> {
        let rootfs = place.join("rootfs");
        make(place)?;
        match base {
            None => make(&rootfs)?,
            Some(base) => {
                tree::copy_if_there(&base.join("env"), &place.join("env")).cannot("copy", base)?;
                program::run(&copy_args(&base.join("rootfs"), &rootfs), &rootfs)?;
            }
        }
        Ok(rootfs)
    }

    fn finalize(
        &self,
        place: &Path,
        copy: &Path,
        base: Option<&Path>,
        is_exposed: bool,
    ) -> Result<bool, StoreError> {
        // Not with rsync, which would follow a link that replaces a directory meanwhile.
        let copy_to = |to: &Path| tree::copy_tree(place, to).cannot("copy", place);
        let Some((base, how)) = base.zip(self.linking()) else {
            if is_exposed {
                copy_to(copy)?;
            }
            return Ok(is_exposed);
        };
        let link = |from: &Path| program::run(&link_args(how, base, from, copy), copy);
        if !is_exposed {
            return link(place).map(|_| true);
        }
        let unshared = beside(copy);
        let linked = copy_to(&unshared).and_then(|()| link(&unshared));
        self.remove(&unshared)?;
        linked.map(|_| true)
    }

    fn remove(&self, place: &Path) -> Result<(), StoreError> {
        self.trash.put(place).cannot("remove", place)
    }

    fn take_cache(&self, cache: &Path, copy: &Path, owner: Owner) -> Result<PathBuf, StoreError> {
        if !cache.exists() {
            make(cache)?;
        }
        // Not with rsync: the last step may have passed a descriptor of it to another process.
        tree::copy_tree(cache, copy).cannot("copy", cache)?;
        owner.give(copy)?;
        Ok(copy.to_owned())
    }

    fn usage(&self, result: &Path, base: Option<&Path>) -> io::Result<Usage> {
        let base = base.filter(|_| self.linking().is_some());
        tree::usage(result, base.map(|base| (base, tree::Sharing::Links)))
    }
}

/// All attributes of the files: hard links, access lists, extended attributes, owners by number, holes, and times to
/// the nanosecond. Without the last, files of the same second and size count as equal.
const ALL: [&str; 4] = ["rsync", "-aHAXSq", "--numeric-ids", "--modify-window=-1"];

/// Returns the command that makes `to` a copy of `from`.
fn copy_args(from: &Path, to: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = ALL.map(Into::into).into();
    args.extend(["--".into(), inside(from), to.into()]);
    args
}

/// Returns the command that makes `to` a copy of `from` whose files are links to the equal ones of `base`.
fn link_args(how: &[&str], base: &Path, from: &Path, to: &Path) -> Vec<OsString> {
    let mut link = OsString::from("--link-dest=");
    link.push(base);
    let mut args: Vec<OsString> = ALL.map(Into::into).into();
    args.extend(how.iter().map(Into::into));
    args.extend([link, "--".into(), inside(from), to.into()]);
    args
}

/// Returns the path by which rsync copies the content of a directory.
fn inside(dir: &Path) -> OsString {
    let mut path = dir.as_os_str().to_owned();
    path.push("/");
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn text(args: &[OsString]) -> String {
        let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn command_lines() {
        let [base, draft, result] = [
            "/s/result/B",
            "/s/result-tmp/A.0",
            "/s/result-tmp/A.0.linked",
        ]
        .map(Path::new);
        expect!["rsync -aHAXSq --numeric-ids --modify-window=-1 -- /s/result/B/ /s/result-tmp/A.0"]
            .assert_eq(&text(&copy_args(base, draft)));
        expect![[r#"
            rsync -aHAXSq --numeric-ids --modify-window=-1 --checksum --link-dest=/s/result/B --
              /s/result-tmp/A.0/ /s/result-tmp/A.0.linked"#]]
        .assert_eq(
            &text(&link_args(&["--checksum"], base, draft, result)).replace("-- /", "--\n  /"),
        );
    }
}
