//! Places for mounts, and filters of system calls, made for a fuzzer to look at.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bstr::BStr;
use oci_spec::runtime::Arch;

use super::inside::{Kind, Tree};

pub use super::builtin::compiled_filter;
pub use super::filter::rules_of as filter_rules;

/// Makes places for mounts of the directory `source` at paths of an image, one after the other, and one for a file perhaps.
///
/// # Errors
/// When something is in the way.
pub fn mount_points(
    rootfs: &Path,
    source: &Path,
    paths: &[&BStr],
    file: Option<&BStr>,
) -> io::Result<()> {
    let mut tree = Tree::open(rootfs)?;
    for path in paths {
        let target = tree.ensure(path, Kind::Directory)?;
        tree.mount(&target, source)?;
    }
    file.map_or(Ok(()), |path| tree.ensure(path, Kind::File).map(drop))
}

/// Returns the numbers of an architecture's calls, by the names that rules have for them.
pub fn call_numbers(arch: Arch) -> Option<HashMap<&'static str, u32>> {
    super::filter::numbers(arch)
}
