//! Cap files: files with one sturdy ref each. They are secret, so their mode is 0600, and they are written atomically.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::{ParseSturdyRefError, SturdyRef};

/// Why a cap file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CapFileError {
    /// There is no such file.
    #[error("File {0:?} does not exist")]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("Error loading {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is a directory.
    #[error(
        "cannot read cap file {}: it is a directory; name a cap file in it, such as {}",
        .0.display(),
        .0.join("admin.cap").display()
    )]
    Directory(PathBuf),
    /// It is empty, as when the command that should have written it has failed.
    #[error(
        "cannot use cap file {}: it is empty; copy it again from the scheduler's --secrets-dir",
        .0.display()
    )]
    Empty(PathBuf),
    /// It holds no sturdy ref.
    #[error("cannot use cap file {}: {source}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The error in the sturdy ref.
        source: ParseSturdyRefError,
    },
    /// It cannot be written.
    #[error("cannot write cap file {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The most that is read of a file, in bytes. A sturdy ref is far shorter, but a wrong path may name a file of any
/// size.
const MAX_SIZE: u64 = 64 * 1024;

/// Reads the sturdy ref in a cap file.
///
/// # Errors
///
/// When the file cannot be read, or holds no sturdy ref.
pub fn load(path: impl AsRef<Path>) -> Result<SturdyRef, CapFileError> {
    let path = path.as_ref();
    let text = read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CapFileError::Missing(path.to_owned()),
        io::ErrorKind::IsADirectory => CapFileError::Directory(path.to_owned()),
        _ => CapFileError::Read {
            path: path.to_owned(),
            source,
        },
    })?;
    if text.trim().is_empty() {
        return Err(CapFileError::Empty(path.to_owned()));
    }
    text.parse().map_err(|source| CapFileError::Malformed {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_SIZE), &mut text)?;
    Ok(text)
}

/// Writes a cap file that only its owner may read.
///
/// Readers see the old file or the new one, never a part of it, and a crash leaves one of the two. The mode of an
/// existing file does not matter, as it is replaced.
///
/// # Errors
///
/// When the file cannot be written.
pub fn save(path: impl AsRef<Path>, sturdy_ref: &SturdyRef) -> Result<(), CapFileError> {
    let path = path.as_ref();
    let text = format!("{}\n", sturdy_ref.to_uri());
    replace(path, text.as_bytes()).map_err(|source| CapFileError::Write {
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    let mut file = tempfile::Builder::new()
        .prefix(".cap-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(directory)?.sync_all()
}

/// Returns the directory that `path` is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn saves_and_loads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.cap");
        let sturdy_ref: SturdyRef = "capnp://insecure@h:1/AAAA".parse().unwrap();
        save(&path, &sturdy_ref).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "capnp://insecure@h:1/AAAA\n"
        );
        assert_eq!(mode(&path), 0o600);
        assert_eq!(load(&path).unwrap(), sturdy_ref);
    }

    #[test]
    fn tightens_an_existing_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.cap");
        std::fs::write(&path, "old, and longer than the new content will ever be").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        save(&path, &"capnp://insecure@h:1/AA".parse().unwrap()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "capnp://insecure@h:1/AA\n"
        );
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file stays behind");
    }

    #[test]
    fn errors_name_the_file_and_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.cap");
        assert_eq!(
            load(&missing).unwrap_err().to_string(),
            format!("File {missing:?} does not exist")
        );
        let empty = dir.path().join("empty.cap");
        std::fs::write(&empty, "").unwrap();
        assert_eq!(
            load(&empty).unwrap_err().to_string(),
            format!(
                "cannot use cap file {}: it is empty; copy it again from the scheduler's --secrets-dir",
                empty.display()
            )
        );
        assert_eq!(
            load(dir.path()).unwrap_err().to_string(),
            format!(
                "cannot read cap file {}: it is a directory; name a cap file in it, such as {}",
                dir.path().display(),
                dir.path().join("admin.cap").display()
            )
        );
        let nowhere = dir.path().join("no-dir").join("x.cap");
        let error = save(&nowhere, &"capnp://insecure@h:1/AA".parse().unwrap()).unwrap_err();
        assert!(matches!(error, CapFileError::Write { .. }), "{error}");
    }
}
