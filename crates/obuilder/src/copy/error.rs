//! Why files could not be copied.

use std::io;

use bstr::BString;
use obuilder_spec::quoted;

/// Why files could not be copied. Paths are relative to the root of the source, or absolute in the image.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The spec names no source.
    #[error("No source items for copy!")]
    NoSources,
    /// Several sources cannot become one file.
    #[error("When copying multiple items, the destination must end with '/'")]
    ManyToOne,
    /// A source is named by a path that goes up.
    #[error("Can't use .. in source paths! (in {})", quoted(.0))]
    SourceGoesUp(BString),
    /// The destination is a path that goes up.
    #[error("Can't use .. in the destination of a copy! (in {})", quoted(.0))]
    DestinationGoesUp(BString),
    /// It was no longer wanted.
    #[error("cancelled")]
    Cancelled,
    /// There is no such source.
    #[error("Source path {} not found", quoted(.0))]
    NotFound(BString),
    /// A source's path goes on behind a file.
    #[error("Not a directory: {path} (in {})", quoted(.src))]
    NotADirectory {
        /// The file.
        path: BString,
        /// The path, as the spec has it.
        src: BString,
    },
    /// A source is a device or the like, or its path goes through a symlink.
    #[error("Not a regular file: {path} (in {})", quoted(.src))]
    NotARegularFile {
        /// The device or symlink.
        path: BString,
        /// The path, as the spec has it.
        src: BString,
    },
    /// There is a device or the like below a source.
    #[error("Unsupported file type for {}", quoted(.0))]
    UnsupportedType(BString),
    /// A file went away while the directory that it is in was read.
    #[error("File {} not found in source directory", quoted(.0))]
    Vanished(BString),
    /// A file is no longer what it was when the step's id was made from it.
    #[error("{} was changed while it was being copied: retry once the source has stopped changing", quoted(.0))]
    Changed(BString),
    /// Too many directories are in one another.
    #[error("{} is too deep: cannot copy more than {max} nested directories", quoted(.path), max = super::MAX_DEPTH)]
    TooDeep {
        /// The first one that is too deep.
        path: BString,
    },
    /// A directory with something in it is where a file should be.
    #[error("{} cannot be replaced by a file: it is a directory in the image that is not empty", quoted(.0))]
    InTheWay(BString),
    /// The user has numbers that no file can have.
    #[error("user {uid}:{gid} cannot own files: ids go from 0 to 4294967294")]
    Owner {
        /// The user.
        uid: i64,
        /// The group.
        gid: i64,
    },
    /// The system refused to read a source.
    #[error("cannot read {} in the source: {source}", quoted(.path))]
    Read {
        /// What could not be read.
        path: BString,
        /// Why not.
        source: io::Error,
    },
    /// The system refused to write to the image.
    #[error("cannot write {} in the image: {source}", quoted(.path))]
    Write {
        /// What could not be written.
        path: BString,
        /// Why not.
        source: io::Error,
    },
}
