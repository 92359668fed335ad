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
    /// Each after what it was made from.
    pub results: Vec<Result>,
}

/// What a step left.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Result {
    /// Its id.
    pub id: String,
    /// The id of what it was made from; null for a base image.
    pub base: Option<String>,
    /// When it was made.
    pub created: String,
    /// When it was last used.
    pub used: String,
    /// What its step added, in bytes: what would be free without it. Null with `--no-sizes`, or if it went away meanwhile.
    pub size: Option<u64>,
    /// What it is of: the op as its spec has it, in one line, after the working directory. Null if that was not kept, as by other
    /// programs.
    pub step: Option<String>,
}

/// How much room a store has, in bytes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiskUsage {
    /// The directory of the store. U+FFFD stands for what is not UTF-8.
    pub store: String,
    /// How many results there are.
    pub results: u64,
    /// What is in use of the filesystem, or free for us.
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
    /// The name, as specs have it. U+FFFD stands for what is not UTF-8.
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
    /// What that was, in words.
    pub kind: String,
    /// The digest of its manifest.
    pub digest: String,
    /// How much room its layers take, in bytes.
    pub size: u64,
    /// When it was imported.
    pub imported: String,
}
