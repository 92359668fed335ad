//! Errors of copies.

use std::io;

use bstr::BString;
use obuilder_spec::quoted;

/// Why files cannot be copied. Paths are relative to the root of the source, or absolute in the image.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The spec names no source.
    #[error("No source items for copy!")]
    NoSources,
    /// Several sources cannot become one file.
    #[error("When copying multiple items, the destination must end with '/'")]
    ManyToOne,
    /// The path of a source has a `..`.
    #[error("Can't use .. in source paths! (in {})", quoted(.0))]
    SourceGoesUp(BString),
    /// The path of the destination has a `..`.
    #[error("cannot copy to {}: the path must not have ..", quoted(.0))]
    DestinationGoesUp(BString),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// There is no such source.
    #[error("Source path {} not found", quoted(.0))]
    NotFound(BString),
    /// A source's path continues after a file.
    #[error("Not a directory: {path} (in {})", quoted(.src))]
    NotADirectory {
        /// The file.
        path: BString,
        /// The path, as in the spec.
        src: BString,
    },
    /// A source is a device or the like, or its path goes through a symlink.
    #[error("Not a regular file: {path} (in {})", quoted(.src))]
    NotARegularFile {
        /// The device or symlink.
        path: BString,
        /// The path, as in the spec.
        src: BString,
    },
    /// There is a device or the like below a source.
    #[error("Unsupported file type for {}", quoted(.0))]
    UnsupportedType(BString),
    /// A file was removed while its directory was read.
    #[error("File {} not found in source directory", quoted(.0))]
    Vanished(BString),
    /// A file has changed since the step's id was computed.
    #[error("cannot copy {}: it has changed during the copy; retry once the source has stopped changing", quoted(.0))]
    Changed(BString),
    /// Too many directories are nested.
    #[error("cannot copy {}: more than {max} nested directories", quoted(.path), max = super::MAX_DEPTH)]
    TooDeep {
        /// The first one that is too deep.
        path: BString,
    },
    /// A directory that is not empty is at the path of a file.
    #[error("cannot replace {} by a file: it is a directory in the image that is not empty", quoted(.0))]
    InTheWay(BString),
    /// The user has ids that no file can have.
    #[error("cannot give files to the user {uid}:{gid}: ids go from 0 to 4294967294")]
    Owner {
        /// The user.
        uid: i64,
        /// The group.
        gid: i64,
    },
    /// A source cannot be read.
    #[error("cannot read {} in the source: {source}", quoted(.path))]
    Read {
        /// What could not be read.
        path: BString,
        /// Why not.
        source: io::Error,
    },
    /// A file of the image cannot be written.
    #[error("cannot write {} in the image: {source}", quoted(.path))]
    Write {
        /// What could not be written.
        path: BString,
        /// Why not.
        source: io::Error,
    },
}
