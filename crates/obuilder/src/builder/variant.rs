//! Inputs of a result that its id does not include: the record that is kept beside each result.
//!
//! Ids are the reference's. They do not include the caches of a command with their targets, nor which copied files are
//! executable. An attacker who runs another user's command word for word, with a prepared cache over `/bin`, would give
//! that user a manipulated result. So each result has a file `variant`, and a step that differs in it does not get that
//! result: its own result gets an id that includes the variant, and so do all results based on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bstr::BString;
use jiff::Timestamp;
use obuilder_spec::Sexp;
use oci::fetch::ImportedImage;

use crate::StepId;
use crate::copy::Manifest;
use crate::store::CacheName;

/// The name of the record in the directory of a result.
const FILE: &str = "variant";

/// The inputs of a result that its id does not include. Base images have none, unless they were imported by hand:
/// then it is the import.
///
/// The times of copied files are in neither: they differ with every checkout, and no step would ever be found in the
/// store.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    record: Sexp,
    /// Results that are older are not of it. `None` if their age does not matter.
    since: Option<Timestamp>,
}

impl PartialEq for Variant {
    fn eq(&self, other: &Self) -> bool {
        self.record == other.record
    }
}

/// The comparison with the record beside a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// The result is of this variant.
    Same,
    /// The result is of another variant.
    Other,
    /// There is no record: another program made the result.
    Unknown,
}

/// A record that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}: {source}", .path.display())]
pub(super) struct VariantError {
    path: PathBuf,
    source: io::Error,
}

impl Variant {
    /// Returns the variant of a command with these caches at these paths, in the order in which they are mounted.
    pub(super) fn of_run(caches: &[(CacheName, BString)]) -> Self {
        let cache =
            |(name, target): &(CacheName, BString)| Sexp::atoms([name.0.clone(), target.clone()]);
        Self::of(Sexp::field("caches", Sexp::list(caches.iter().map(cache))))
    }

    /// Returns the variant of a copy.
    pub(super) fn of_copy(manifest: &Manifest) -> Self {
        // As a digest: a copy may have very many files.
        let digest = StepId::of(&manifest.modes());
        Self::of(Sexp::field("modes", Sexp::atom(digest.to_string())))
    }

    /// Returns the variant of a base image that was imported by hand.
    pub(super) fn of_import(import: &ImportedImage) -> Self {
        Self {
            since: import.when,
            ..Self::of(Sexp::field("imported", Sexp::atom(import.digest.clone())))
        }
    }

    fn of(record: Sexp) -> Self {
        Self {
            record,
            since: None,
        }
    }

    /// Returns whether a result without a record is older than this variant, and so must be of another.
    pub(super) fn is_newer_than(&self, dir: &Path) -> bool {
        let Some(since) = self.since else {
            return false;
        };
        let made = fs::metadata(dir).and_then(|dir| dir.modified()).ok();
        made.and_then(|made| Timestamp::try_from(made).ok())
            .is_some_and(|made| made < since)
    }

    /// Returns the id of the step `id` in this variant, for when another variant has `id` itself.
    pub(super) fn id(&self, id: StepId) -> StepId {
        StepId::of(&self.record(id))
    }

    /// Writes the record of the result `id` into the directory of its draft.
    pub(super) fn write(&self, dir: &Path, id: StepId) -> Result<(), VariantError> {
        let path = dir.join(FILE);
        fs::write(&path, self.record(id)).map_err(|source| VariantError { path, source })
    }

    /// Compares this with the record in the directory of the result `id`.
    pub(super) fn compare(&self, dir: &Path, id: StepId) -> Result<Recorded, VariantError> {
        let path = dir.join(FILE);
        let record = match fs::read(&path) {
            Ok(record) => record,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recorded::Unknown),
            Err(source) => return Err(VariantError { path, source }),
        };
        Ok(if record == self.record(id) {
            Recorded::Same
        } else if record.starts_with(&beginning(id)) {
            Recorded::Other
        } else {
            // Of the base: in the reference's btrfs stores a step starts with a copy of all files of its base.
            Recorded::Unknown
        })
    }

    fn record(&self, id: StepId) -> Vec<u8> {
        let mut record = beginning(id);
        record.extend(self.record.to_machine());
        record.extend(b")\n");
        record
    }
}

fn beginning(id: StepId) -> Vec<u8> {
    format!("((id {id})").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caches(caches: &[(&str, &str)]) -> Variant {
        let pair = |(name, target): &(&str, &str)| (CacheName((*name).into()), (*target).into());
        Variant::of_run(&caches.iter().map(pair).collect::<Vec<_>>())
    }

    #[test]
    fn a_record_is_of_one_result_and_one_variant() {
        let dir = tempfile::tempdir().unwrap();
        let (id, other_id) = (StepId::of(b"a step"), StepId::of(b"another"));
        let variant = caches(&[("a", "/bin"), ("b", "/x y")]);
        let compare = |variant: &Variant, id| variant.compare(dir.path(), id).unwrap();
        assert_eq!(compare(&variant, id), Recorded::Unknown);
        variant.write(dir.path(), id).unwrap();
        let record = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(
            record,
            format!("((id {id})(caches((a /bin)(b\"/x y\"))))\n")
        );
        assert_eq!(compare(&variant, id), Recorded::Same);
        assert_eq!(compare(&variant, other_id), Recorded::Unknown);
        for other in [
            caches(&[]),
            caches(&[("b", "/x y"), ("a", "/bin")]),
            caches(&[("a", "/bin")]),
            caches(&[("c", "/bin"), ("b", "/x y")]),
        ] {
            assert_eq!(compare(&other, id), Recorded::Other, "{other:?}");
            assert_ne!(other.id(id), variant.id(id));
        }
        assert_ne!(variant.id(id), id);
    }
}
