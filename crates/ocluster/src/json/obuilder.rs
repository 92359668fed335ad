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
pub struct Results {
    /// Each after its base.
    pub results: Vec<Result>,
}

/// The result of a step.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Result {
    /// Its id.
    pub id: String,
    /// The id of its base; null for a base image.
    pub base: Option<String>,
    /// When it was made.
    pub created: String,
    /// When it was last used.
    pub used: String,
    /// How much its step added, in bytes: removing it would free that much. Null with `--no-sizes`, or if it was
    /// removed meanwhile.
    pub size: Option<u64>,
    /// The op that made it: in one line, as in the spec, after the working directory. Null if that was not recorded, as
    /// by other programs.
    pub step: Option<String>,
}

/// The disk usage of a store, in bytes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiskUsage {
    /// The directory of the store. U+FFFD replaces invalid UTF-8.
    pub store: String,
    /// How many results there are.
    pub results: u64,
    /// The size of the filesystem: the space in use, and the space free for us.
    pub total: u64,
    /// How much of it is free for us.
    pub free: u64,
}

/// The cache mounts in a store.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Caches {
    /// Sorted by name.
    pub caches: Vec<Cache>,
}

/// A directory that steps share.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cache {
    /// The name, as in specs. U+FFFD replaces invalid UTF-8.
    pub name: String,
}

/// The base images that were imported by hand.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Images {
    /// One for each name.
    pub images: Vec<Image>,
}

/// A base image.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Image {
    /// The whole name: `docker.io/library/busybox:latest`.
    pub name: String,
    /// The file or directory it came from.
    pub source: String,
    /// The kind of that, for people.
    pub kind: String,
    /// The digest of its manifest.
    pub digest: String,
    /// The size of its layers, in bytes.
    pub size: u64,
    /// When it was imported.
    pub imported: String,
}
