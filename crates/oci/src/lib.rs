//! Container images: what they are made of, where they come from, and how they become a root filesystem and back.
//!
//! [`fetch`] gets an image from wherever it is; the [`Library`] keeps those that were imported by hand; [`export`]
//! writes a root filesystem as an image. Only [`fetch`] uses the network. Everything else takes as long as a disk does:
//! call it on a thread that may block.
//!
//! An archive of a root filesystem is imported under a name, and unpacked again by that name, without a network:
//!
//! ```
//! use oci::fetch::{BaseImages, Settings};
//! use oci::{Import, Platform, Reference};
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let name: Reference = "busybox".parse()?;
//! assert_eq!(name.whole(), "docker.io/library/busybox:latest");
//!
//! // A root filesystem with one file, as a tar archive.
//! let folder = tempfile::tempdir()?;
//! let tree = folder.path().join("tree");
//! std::fs::create_dir_all(tree.join("etc"))?;
//! std::fs::write(tree.join("etc/motd"), "hello")?;
//! let archive = folder.path().join("root.tar");
//! oci::export::write_tar(&tree, &mut std::fs::File::create(&archive)?)?;
//!
//! let images = BaseImages::new(Settings::from_vars(folder.path(), []));
//! let imported = images.library().import(&Import {
//!     name: "busybox",
//!     path: &archive,
//!     platform: &Platform::here(),
//!     when: "2026-11-25 10:00:00".to_owned(),
//! })?;
//! assert_eq!(imported.kind, "root filesystem archive");
//!
//! let rootfs = folder.path().join("rootfs");
//! std::fs::create_dir(&rootfs)?;
//! let log = |_: &[u8]| Ok(());
//! images.fetch("busybox", &rootfs, &log, &CancellationToken::new()).await?;
//! assert_eq!(std::fs::read_to_string(rootfs.join("etc/motd"))?, "hello");
//! # Ok(())
//! # }
//! ```

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
pub use layer::{Limits, UnpackError, apply_layer};
pub use library::{Imported, Library, LibraryError};
/// The name of an image, parsed.
pub use oci_spec::distribution::Reference;
pub use platform::Platform;
