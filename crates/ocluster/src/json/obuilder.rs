//! What the commands of `obuilder` print.

use schemars::JsonSchema;
use serde::Serialize;

use super::Output;
use super::Shape::Object;

/// Returns what each command prints.
pub(super) fn schemas() -> Vec<Output> {
    fn of<T: JsonSchema>(command: &'static str) -> Output {
        Output::new::<T>("obuilder", command, Object)
    }
    vec![
        of::<Results>("ls"),
        of::<DiskUsage>("df"),
        of::<Caches>("cache ls"),
        of::<Images>("image ls"),
    ]
}

/// The results in a store.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Results {
    /// Each after its base.
    pub(crate) results: Vec<Result>,
}

/// The result of a step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Result {
    /// Its id.
    pub(crate) id: String,
    /// The id of its base; null for a base image.
    pub(crate) base: Option<String>,
    /// When it was made.
    pub(crate) created: String,
    /// When it was last used.
    pub(crate) used: String,
    /// How much its step added, in bytes: removing it would free that much. Null with `--no-sizes`, or if it was
    /// removed meanwhile.
    pub(crate) size: Option<u64>,
    /// The op that made it: in one line, as in the spec, after the working directory. Null if that was not recorded, as
    /// by other programs.
    pub(crate) step: Option<String>,
}

/// The disk usage of a store, in bytes.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DiskUsage {
    /// The directory of the store. U+FFFD replaces invalid UTF-8.
    pub(crate) store: String,
    /// How many results there are.
    pub(crate) results: u64,
    /// The size of the filesystem: the space in use, and the space free for us.
    pub(crate) total: u64,
    /// How much of it is free for us.
    pub(crate) free: u64,
}

/// The cache mounts in a store.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Caches {
    /// Sorted by name.
    pub(crate) caches: Vec<Cache>,
}

/// A directory that steps share.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Cache {
    /// The name, as in specs. U+FFFD replaces invalid UTF-8.
    pub(crate) name: String,
}

/// The base images that were imported by hand.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Images {
    /// One for each name.
    pub(crate) images: Vec<Image>,
}

/// A base image.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Image {
    /// The whole name: `docker.io/library/busybox:latest`.
    pub(crate) name: String,
    /// The file or directory it came from.
    pub(crate) source: String,
    /// The kind of that, for people.
    pub(crate) kind: String,
    /// The digest of its manifest.
    pub(crate) digest: String,
    /// The size of its layers, in bytes.
    pub(crate) size: u64,
    /// When it was imported.
    pub(crate) imported: String,
}
