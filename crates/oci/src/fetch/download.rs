//! Downloads blobs, and resumes interrupted downloads.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use visible::Size;

use super::FetchError;
use super::distribution::{Client, RegistryError};
use super::log::Log;
use crate::digest::Hashing;
use crate::documents::Descriptor;

/// How long to wait before each further try: long enough for a registry that is being restarted.
const DELAYS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Interval between progress lines of a long download.
const INTERVAL: Duration = Duration::from_secs(5);

/// Downloads the blobs of an image.
pub(super) struct Downloads<'a> {
    pub(super) client: &'a Client,
}

/// What is to be downloaded into a file.
pub(super) struct Blob<'a> {
    pub(super) descriptor: &'a Descriptor,
    /// What it is called in the log.
    pub(super) name: &'a str,
    /// Where the file is made, which has no name there.
    pub(super) directory: &'a Path,
}

/// Why a download failed.
#[derive(Debug)]
pub(super) enum DownloadError {
    Registry(RegistryError),
    /// What came is not what was asked for.
    Wrong(String),
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    Log(FetchError),
}

/// Where bytes go that can be taken back.
trait Target: Write {
    fn reset(&mut self) -> std::io::Result<()>;
}

impl Target for File {
    fn reset(&mut self) -> std::io::Result<()> {
        self.set_len(0)?;
        self.seek(SeekFrom::Start(0)).map(drop)
    }
}

impl Target for Vec<u8> {
    fn reset(&mut self) -> std::io::Result<()> {
        self.clear();
        Ok(())
    }
}

impl Downloads<'_> {
    /// Downloads a small blob into memory.
    pub(super) async fn bytes(&self, blob: &Descriptor) -> Result<Vec<u8>, DownloadError> {
        let write = |source| DownloadError::Write {
            path: PathBuf::new(),
            source,
        };
        self.to(blob, Vec::new(), write, |_| Ok(())).await
    }

    /// Downloads a blob into a file without a name, and logs its progress.
    pub(super) async fn file(&self, blob: &Blob<'_>, log: Log<'_>) -> Result<File, DownloadError> {
        let Blob {
            descriptor,
            name,
            directory,
        } = blob;
        let write = |source| DownloadError::Write {
            path: directory.to_path_buf(),
            source,
        };
        let file = tempfile::tempfile_in(directory).map_err(write)?;
        let total = Size(descriptor.size);
        let mut last_logged = Instant::now();
        let progress = |length: u64| {
            if last_logged.elapsed() < INTERVAL {
                return Ok(());
            }
            last_logged = Instant::now();
            log.line(format_args!("{name}: {} of {total}", Size(length)))
        };
        let file = self.to(descriptor, file, write, progress).await?;
        log.line(format_args!("{name}: {total}, downloaded"))
            .map_err(DownloadError::Log)?;
        Ok(file)
    }

    async fn to<T: Target>(
        &self,
        blob: &Descriptor,
        target: T,
        write: impl Fn(std::io::Error) -> DownloadError + Copy,
        mut progress: impl FnMut(u64) -> Result<(), FetchError>,
    ) -> Result<T, DownloadError> {
        let mut target = Hashing::new(target);
        let mut delays = DELAYS.iter();
        loop {
            let before = target.length();
            match self.once(blob, target, write, &mut progress).await {
                (got, Ok(())) => {
                    let (target, digest, length) = got.finish();
                    if digest == blob.digest {
                        return Ok(target);
                    }
                    return Err(DownloadError::Wrong(format!(
                        "what the registry sent ({}) has the digest {digest} instead of {}",
                        Size(length),
                        blob.digest
                    )));
                }
                (got, Err(error)) => {
                    target = got;
                    if target.length() > before {
                        // It makes progress, if in pieces.
                        delays = DELAYS.iter();
                    }
                    let delay = delays.next().filter(|_| is_temporary(&error));
                    tokio::time::sleep(*delay.ok_or(error)?).await;
                }
            }
        }
    }

    /// Asks once for what is still missing.
    async fn once<T: Target>(
        &self,
        blob: &Descriptor,
        mut target: Hashing<T>,
        write: impl Fn(std::io::Error) -> DownloadError,
        progress: &mut impl FnMut(u64) -> Result<(), FetchError>,
    ) -> (Hashing<T>, Result<(), DownloadError>) {
        if target.length() == blob.size && blob.size > 0 {
            return (target, Ok(()));
        }
        // Only from the registry: the manifest may name other addresses, which are not trusted.
        let mut download = match self.client.blob(&blob.digest, target.length()).await {
            Ok(download) => download,
            Err(error) => return (target, Err(DownloadError::Registry(error))),
        };
        if !download.is_rest && target.length() > 0 {
            let (mut inner, _, _) = target.finish();
            let reset = inner.reset();
            target = Hashing::new(inner);
            if let Err(error) = reset {
                return (target, Err(write(error)));
            }
        }
        loop {
            let bytes = match download.answer.chunk().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(error) => return (target, Err(DownloadError::Registry(error.into()))),
            };
            if target.length().saturating_add(bytes.len() as u64) > blob.size {
                let size = Size(blob.size);
                let text = format!("the registry sent more than the {size} of the manifest");
                return (target, Err(DownloadError::Wrong(text)));
            }
            let step = target.write_all(&bytes).map_err(&write);
            let step = step.and_then(|()| progress(target.length()).map_err(DownloadError::Log));
            if step.is_err() {
                return (target, step);
            }
        }
        if target.length() < blob.size {
            let cut_off = RegistryError::CutOff(format!(
                "the connection ended after {} of {}",
                Size(target.length()),
                Size(blob.size)
            ));
            return (target, Err(DownloadError::Registry(cut_off)));
        }
        (target, Ok(()))
    }
}

/// Returns whether trying again may help.
fn is_temporary(error: &DownloadError) -> bool {
    matches!(error, DownloadError::Registry(error) if error.is_temporary())
}
