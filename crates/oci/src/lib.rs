//! Container images: what they are made of, where they come from, and how they become a root filesystem and back.
//!
//! [`fetch`] gets an image from wherever it is; the [`Library`] keeps those that were imported by hand; [`export`] writes a
//! root filesystem as an image. Only [`fetch`] uses the network. Everything else takes as long as a disk does: call it on a
//! thread that may block.

mod archive;
mod compression;
mod digest;
mod documents;
pub mod export;
pub mod fetch;
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod layer;
mod library;
mod platform;
mod rootfs;

pub use digest::{BadDigest, Digest};
pub use documents::{Image, RunConfig};
pub use import::Import;
pub use layer::{Limits, UnpackError};
pub use library::{Imported, Library, LibraryError};
pub use platform::Platform;
