//! Mount points and filters of system calls, for a fuzzer.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bstr::BStr;
use oci_spec::runtime::Arch;

use super::mount_points::{Kind, Tree};

pub use super::builtin::compiled_filter;
pub use super::filter::rules_of as filter_rules;

/// Creates mount points for the directory `source` at paths of an image, in order, and possibly one for a file.
///
/// # Errors
/// If a mount point cannot be created.
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

/// Returns the numbers of an architecture's calls, by their names in rules.
pub fn call_numbers(arch: Arch) -> Option<HashMap<&'static str, u32>> {
    super::filter::numbers(arch)
}
