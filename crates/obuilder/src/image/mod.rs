//! Images: what they are made of, how they become a root filesystem, and how a root filesystem becomes one.
//!
//! Nothing here waits for a network: that is [`fetch`](crate::fetch). All of it may take as long as a disk does, so it is
//! for a thread where that disturbs nobody.

pub(crate) mod archive;
pub(crate) mod compression;
mod digest;
pub mod export;
mod import;
pub(crate) mod layer;
mod library;
pub(crate) mod model;
pub(crate) mod platform;
mod records;
mod rootfs;

pub use digest::{BadDigest, Digest};
pub use import::Import;
pub use layer::{Limits, UnpackError};
pub use library::{Imported, Library, LibraryError};
pub use model::{Image, RunConfig};
pub use platform::Platform;

pub(crate) use digest::Hashing;
pub(crate) use rootfs::empty;
