//! A repository in a directory: `blobs/sha256/DIGITS` and `tags/TAG`.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use visible::Size;

use super::RepositoryError;
use crate::digest::{Digest, Hashing};

/// A repository in a directory, which may be on a disk that several machines mount.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn open(root: &Path, writes: bool) -> Result<Self, RepositoryError> {
        let directory = Self {
            root: root.to_owned(),
        };
        if writes {
            for part in ["blobs/sha256", "tags"] {
                let path = root.join(part);
                fs::create_dir_all(&path).map_err(failed(&path))?;
            }
        }
        Ok(directory)
    }

    pub(super) fn document(
        &self,
        tag: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let path = self.tag(tag);
        let file = match open_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed(&path))?,
        };
        let mut bytes = Vec::new();
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(failed(&path))?;
        if bytes.len() as u64 > limit {
            return Err(RepositoryError::Wrong(format!(
                "its manifest is too large: more than {limit} bytes"
            )));
        }
        Ok(Some(bytes))
    }

    pub(super) fn put_document(&self, tag: &str, manifest: &[u8]) -> Result<(), RepositoryError> {
        let path = self.tag(tag);
        let directory = self.root.join("tags");
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&directory)?;
            file.write_all(manifest)?;
            file.persist(&path).map_err(|error| error.error).map(drop)
        };
        write().map_err(failed(&path))
    }

    pub(super) async fn blob(
        &self,
        digest: &Digest,
        size: u64,
        into: &Path,
    ) -> Result<File, RepositoryError> {
        let (path, into, digest) = (self.blob_path(digest), into.to_owned(), *digest);
        on_a_thread(move || {
            let source = match open_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(RepositoryError::Missing(digest));
                }
                file => file.map_err(failed(&path))?,
            };
            let target = tempfile::tempfile_in(&into).map_err(failed(&into))?;
            let mut target = Hashing::new(target);
            // One more, so that a longer file shows.
            let mut source = source.take(size.saturating_add(1));
            io::copy(&mut source, &mut target).map_err(failed(&path))?;
            let (mut file, found, length) = target.finish();
            if (found, length) != (digest, size) {
                return Err(RepositoryError::Wrong(format!(
                    "the blob {digest} is damaged: it has {} and the digest {found}",
                    Size(length)
                )));
            }
            file.rewind().map_err(failed(&into))?;
            Ok(file)
        })
        .await
    }

    pub(super) async fn put_blob(
        &self,
        digest: &Digest,
        mut content: File,
    ) -> Result<bool, RepositoryError> {
        let (path, directory) = (self.blob_path(digest), self.root.join("blobs/sha256"));
        on_a_thread(move || {
            if path.exists() {
                return Ok(false);
            }
            let mut copy = || {
                let mut file = tempfile::NamedTempFile::new_in(&directory)?;
                content.rewind()?;
                io::copy(&mut content, &mut file)?;
                file.persist(&path).map_err(|error| error.error)
            };
            copy().map_err(failed(&path))?;
            Ok(true)
        })
        .await
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    fn tag(&self, tag: &str) -> PathBuf {
        self.root.join("tags").join(tag)
    }
}

/// Opens a file. One that another machine has put there need not be a file, and must not block.
fn open_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a file"))
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RepositoryError> + Send + 'static,
) -> Result<T, RepositoryError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(RepositoryError::Wrong(format!("internal error: {error}"))))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RepositoryError {
    let path = path.to_owned();
    move |source| RepositoryError::Io { path, source }
}
