//! Logs that are whole, in an object store that several schedulers can reach: S3, GCS, Azure, or a directory.
//!
//! The log of an attempt is one object, `PREFIX/CLUSTER/abcdefghjkmn/1.zst`, where CLUSTER is derived from the
//! scheduler's key, so that two clusters can have the same prefix and neither removes what is the other's. An object is
//! written once, wholly, and never changed. It is read by range: the manifest at its end says which bytes
//! are which part of the log, and what their digests are; nothing is returned that does not have its digest.
//!
//! All of this is for one thread that waits for the network. Memory is bounded: a part of an upload, some parts of logs
//! and some manifests.

mod address;
mod error;
mod manifest;
mod recent;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt as _;
use jobs::AttemptId;
use object_store::path::{Path as Key, PathPart};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;

pub use self::address::{LogStoreAddress, LogStoreCredentials, ParseLogStoreError};
pub use self::error::LogStoreError;
use self::manifest::{Manifest, Piece, TAIL_BYTES, Tail};
use self::recent::Recent;
use crate::logs::{LogTime, MAX_READ_BYTES, times_in};

/// How much is uploaded at once, in bytes: the least that S3 takes as a part.
const UPLOAD_BYTES: u64 = 5 << 20;

/// How long one part may take to be uploaded.
const UPLOAD_LIMIT: Duration = Duration::from_secs(60);

/// How long a read may take, with all its requests.
const READ_LIMIT: Duration = Duration::from_secs(15);

/// How much of the end of an object is read at first, in bytes: the manifest of a log of 400 MiB.
const END_BYTES: u64 = 64 << 10;

/// How much memory the parts of logs take that were read lately, in bytes.
const RECENT_PARTS_BYTES: usize = 8 << 20;

/// How much memory the manifests take that were read lately, in bytes.
const RECENT_MANIFESTS_BYTES: usize = 8 << 20;

/// The context in which keys are derived.
const SALT: &[u8] = b"ocluster logs in an object store, version 1";

/// Bytes that are in memory once, for all who read them.
type Shared = Rc<Vec<u8>>;

/// A store of logs.
#[derive(Debug)]
pub struct LogStore {
    objects: Arc<dyn ObjectStore>,
    /// What stands before the keys of this cluster's logs.
    folder: Key,
    lists_in_order: bool,
    key: hmac::Key,
    manifests: RefCell<Recent<AttemptId, Rc<Manifest>>>,
    parts: RefCell<Recent<(AttemptId, usize), Shared>>,
    times: RefCell<Recent<AttemptId, Shared>>,
}

/// A log that was uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadedLog {
    /// How many bytes the object has.
    pub bytes: u64,
    /// How long the log is, in bytes.
    pub length: u64,
}

/// A log that is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredLog {
    /// Its attempt.
    pub attempt: AttemptId,
    /// When it was uploaded.
    pub since: SystemTime,
    /// How many bytes the object has.
    pub bytes: u64,
}

impl LogStore {
    /// Opens a store. Nothing is read or written yet; a store that is away is found when it is used.
    ///
    /// # Errors
    ///
    /// [`LogStoreError::Unusable`] when the settings cannot be right.
    pub fn open(
        address: &LogStoreAddress,
        credentials: &LogStoreCredentials,
        secret: &[u8],
    ) -> Result<Self, LogStoreError> {
        // The first caller decides for the process. All callers install the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
        let key: hmac::Key = Salt::new(HKDF_SHA256, SALT)
            .extract(secret)
            .expand(&[b"manifests"], hmac::HMAC_SHA256)
            .map_err(|_| LogStoreError::Unusable("no key can be derived".to_owned()))?
            .into();
        let cluster = hmac::sign(&key, b"name of the cluster");
        let cluster: String = cluster
            .as_ref()
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            objects: address.open(credentials)?,
            folder: address.prefix().clone().join(cluster.as_str()),
            lists_in_order: address.lists_in_order(),
            key,
            manifests: RefCell::new(Recent::new(RECENT_MANIFESTS_BYTES)),
            parts: RefCell::new(Recent::new(RECENT_PARTS_BYTES)),
            times: RefCell::new(Recent::new(RECENT_MANIFESTS_BYTES)),
        })
    }

    /// Uploads the archive of a log with its times, and reads back what says that it is whole.
    ///
    /// # Errors
    ///
    /// Any [`LogStoreError`]. Then there is nothing in the store, or what is there is not whole and is refused, until
    /// it is uploaded again.
    pub async fn upload(
        &self,
        attempt: AttemptId,
        archive: File,
        times: Vec<u8>,
    ) -> Result<UploadedLog, LogStoreError> {
        let cannot_read = |source| LogStoreError::File { attempt, source };
        let key = self.key.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            let mut archive = archive;
            let archive_bytes = archive.metadata()?.len();
            let manifest = Manifest::of(&mut archive, &times)?;
            let trailer = manifest.trailer(attempt, &times, &key);
            let body = Body {
                archive,
                archive_bytes,
                trailer,
            };
            Ok((manifest, Arc::new(body)))
        });
        let prepared = prepared.await.map_err(io::Error::other);
        let (manifest, body) = prepared.flatten().map_err(cannot_read)?;
        let location = self.location(attempt);
        let bytes = body.length();
        if bytes <= UPLOAD_BYTES {
            let content = read_body(&body, 0..bytes).await.map_err(cannot_read)?;
            let put = self.objects.put(&location, PutPayload::from(content));
            within(UPLOAD_LIMIT, put)
                .await?
                .map_err(|error| LogStoreError::of_store(&error))?;
        } else {
            self.upload_parts(attempt, &location, &body).await?;
        }
        // What was there before, if it was damaged.
        self.forget(attempt);
        let stored = within(READ_LIMIT, self.read_manifest(attempt)).await??;
        if stored != manifest {
            return Err(LogStoreError::Damaged {
                attempt,
                detail: "it is not what was uploaded just now".to_owned(),
            });
        }
        Ok(UploadedLog {
            bytes,
            length: manifest.log_bytes(),
        })
    }

    /// Uploads a large log in parts. It is there when all of them are.
    async fn upload_parts(
        &self,
        attempt: AttemptId,
        location: &Key,
        body: &Arc<Body>,
    ) -> Result<(), LogStoreError> {
        let of_store = |error: object_store::Error| LogStoreError::of_store(&error);
        let started = self.objects.put_multipart(location);
        let mut upload = within(UPLOAD_LIMIT, started).await?.map_err(of_store)?;
        let length = body.length();
        let mut start = 0;
        let uploaded = loop {
            if start >= length {
                let completed = within(UPLOAD_LIMIT, upload.complete()).await;
                break completed.and_then(|completed| completed.map(drop).map_err(of_store));
            }
            let end = length.min(start + UPLOAD_BYTES);
            let content = match read_body(body, start..end).await {
                Ok(content) => content,
                Err(source) => break Err(LogStoreError::File { attempt, source }),
            };
            let put = within(UPLOAD_LIMIT, upload.put_part(content.into())).await;
            if let Err(error) = put.and_then(|put| put.map_err(of_store)) {
                break Err(error);
            }
            start = end;
        };
        if uploaded.is_err() {
            // The parts that are there take room. If this fails, too, the store's own rules may remove them.
            let aborted = within(READ_LIMIT, upload.abort()).await;
            if let Err(error) = aborted.and_then(|aborted| aborted.map_err(of_store)) {
                tracing::debug!(target: "scheduler", "Cannot abort the upload of the log of {attempt}: {error}");
            }
        }
        uploaded
    }

    /// Returns how long the log of an attempt is.
    ///
    /// # Errors
    ///
    /// Any [`LogStoreError`].
    pub async fn length(&self, attempt: AttemptId) -> Result<u64, LogStoreError> {
        let manifest = within(READ_LIMIT, self.manifest(attempt)).await??;
        Ok(manifest.log_bytes())
    }

    /// Reads what the log of an attempt has at an offset: at most so many bytes, none at its end or after it.
    ///
    /// # Errors
    ///
    /// Any [`LogStoreError`].
    pub async fn read(
        &self,
        attempt: AttemptId,
        offset: u64,
        at_most: usize,
    ) -> Result<Vec<u8>, LogStoreError> {
        within(READ_LIMIT, self.read_parts(attempt, offset, at_most)).await?
    }

    async fn read_parts(
        &self,
        attempt: AttemptId,
        offset: u64,
        at_most: usize,
    ) -> Result<Vec<u8>, LogStoreError> {
        let manifest = self.manifest(attempt).await?;
        let end = offset.saturating_add(at_most.min(MAX_READ_BYTES) as u64);
        let wanted = offset..end.min(manifest.log_bytes());
        let pieces = manifest.pieces(wanted.clone());
        let known = |piece: &Piece| self.parts.borrow_mut().get(&(attempt, piece.index));
        let mut parts: Vec<Option<Shared>> = pieces.iter().map(known).collect();
        let is_missing = |part: &Option<Shared>| part.is_none();
        if let Some(first) = parts.iter().position(is_missing)
            && let Some(last) = parts.iter().rposition(is_missing)
            && let (Some(from), Some(to)) = (pieces.get(first), pieces.get(last))
        {
            let base = from.range.start;
            let packed = self.range(attempt, base..to.range.end).await?;
            for (piece, part) in pieces.iter().zip(&mut parts).take(last + 1).skip(first) {
                let bytes = slice(&packed, base, &piece.range);
                let bytes = piece.unpack(bytes).map_err(damaged(attempt))?;
                let size = bytes.len();
                let bytes = Rc::new(bytes);
                *part = Some(Rc::clone(&bytes));
                self.parts
                    .borrow_mut()
                    .add((attempt, piece.index), bytes, size);
            }
        }
        let mut bytes = Vec::new();
        for (piece, part) in pieces.iter().zip(parts.into_iter().flatten()) {
            let of_part =
                wanted.start.max(piece.log_range.start)..wanted.end.min(piece.log_range.end);
            bytes.extend(slice(&part, piece.log_range.start, &of_part));
        }
        Ok(bytes)
    }

    /// Returns the times of a part of a log, as [`Logs::times`](crate::logs::Logs::times) does.
    ///
    /// # Errors
    ///
    /// Any [`LogStoreError`].
    pub async fn times(
        &self,
        attempt: AttemptId,
        part: Range<u64>,
        at_most: usize,
    ) -> Result<Vec<LogTime>, LogStoreError> {
        let times = within(READ_LIMIT, self.all_times(attempt)).await??;
        Ok(times_in(&times, part.start, part.end, at_most))
    }

    async fn all_times(&self, attempt: AttemptId) -> Result<Shared, LogStoreError> {
        if let Some(times) = self.times.borrow_mut().get(&attempt) {
            return Ok(times);
        }
        let manifest = self.manifest(attempt).await?;
        let times = self.range(attempt, manifest.times_range()).await?;
        if !manifest.are_times(&times) {
            return Err(damaged(attempt)("its times were changed"));
        }
        let times = Rc::new(times.to_vec());
        let size = times.len() + size_of::<AttemptId>();
        self.times
            .borrow_mut()
            .add(attempt, Rc::clone(&times), size);
        Ok(times)
    }

    /// Removes the log of an attempt, if there is one.
    ///
    /// # Errors
    ///
    /// [`LogStoreError::Away`] or [`LogStoreError::Refused`] when it cannot be removed.
    pub async fn remove(&self, attempt: AttemptId) -> Result<(), LogStoreError> {
        self.forget(attempt);
        let location = self.location(attempt);
        match within(READ_LIMIT, self.objects.delete(&location)).await? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(LogStoreError::of_store(&error)),
        }
    }

    /// Returns the logs that follow one in the order of their keys, at most so many.
    ///
    /// # Errors
    ///
    /// [`LogStoreError::Away`] or [`LogStoreError::Refused`] when they cannot be listed.
    pub async fn list(
        &self,
        after: Option<AttemptId>,
        at_most: usize,
    ) -> Result<Vec<StoredLog>, LogStoreError> {
        let after = after.map(|attempt| self.location(attempt));
        let mut listed = match &after {
            Some(after) => self.objects.list_with_offset(Some(&self.folder), after),
            None => self.objects.list(Some(&self.folder)),
        };
        let mut found = BTreeMap::new();
        // Each page of the answer has a limit, not all of them together.
        while let Some(object) = within(READ_LIMIT, listed.next()).await? {
            let object = match object {
                Ok(object) => object,
                // It was removed meanwhile, or there is no folder yet.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(LogStoreError::of_store(&error)),
            };
            if let Some(attempt) = self.attempt_at(&object.location) {
                let since = object.last_modified.into();
                let log = StoredLog {
                    attempt,
                    since,
                    bytes: object.size,
                };
                found.insert(object.location, log);
            }
            if found.len() > at_most {
                if self.lists_in_order {
                    break;
                }
                found.pop_last();
            }
        }
        Ok(found.into_values().take(at_most).collect())
    }

    /// Forgets what is known of the log of an attempt.
    fn forget(&self, attempt: AttemptId) {
        self.manifests
            .borrow_mut()
            .remove_if(|known| *known == attempt);
        self.times.borrow_mut().remove_if(|known| *known == attempt);
        self.parts
            .borrow_mut()
            .remove_if(|(known, _)| *known == attempt);
    }

    async fn manifest(&self, attempt: AttemptId) -> Result<Rc<Manifest>, LogStoreError> {
        if let Some(manifest) = self.manifests.borrow_mut().get(&attempt) {
            return Ok(manifest);
        }
        let manifest = Rc::new(self.read_manifest(attempt).await?);
        let memory = manifest.memory();
        self.manifests
            .borrow_mut()
            .add(attempt, Rc::clone(&manifest), memory);
        Ok(manifest)
    }

    async fn read_manifest(&self, attempt: AttemptId) -> Result<Manifest, LogStoreError> {
        let location = self.location(attempt);
        let found = self.objects.head(&location).await;
        let size = found
            .map_err(|error| LogStoreError::of(attempt, &error))?
            .size;
        if size < TAIL_BYTES as u64 {
            return Err(damaged(attempt)("it is too short"));
        }
        let mut end = self
            .range(attempt, size.saturating_sub(END_BYTES)..size)
            .await?;
        let tail = Tail::parse(&end, size).map_err(damaged(attempt))?;
        let whole = tail.manifest_bytes();
        if whole > end.len() as u64 {
            end = self
                .range(attempt, size.saturating_sub(whole)..size)
                .await?;
        }
        tail.manifest(attempt, &end, &self.key)
            .map_err(damaged(attempt))
    }

    /// Reads these bytes of an object.
    async fn range(&self, attempt: AttemptId, range: Range<u64>) -> Result<Bytes, LogStoreError> {
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let read = self.objects.get_range(&self.location(attempt), range).await;
        let bytes = read.map_err(|error| LogStoreError::of(attempt, &error))?;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(damaged(attempt)("it was cut short"))
        }
    }

    fn location(&self, AttemptId { job, number }: AttemptId) -> Key {
        let folder = self.folder.clone().join(job.to_string());
        folder.join(format!("{number}.zst"))
    }

    /// Returns whose log an object is; `None` if it is not one of ours.
    fn attempt_at(&self, location: &Key) -> Option<AttemptId> {
        let mut parts = location.prefix_match(&self.folder)?;
        let text = |part: PathPart<'_>| part.as_ref().to_owned();
        let (job, file) = (text(parts.next()?), text(parts.next()?));
        let attempt = AttemptId {
            job: job.parse().ok()?,
            number: file.strip_suffix(".zst")?.parse().ok()?,
        };
        (self.location(attempt) == *location).then_some(attempt)
    }
}

/// What is uploaded: an archive, and what follows it.
struct Body {
    archive: File,
    archive_bytes: u64,
    trailer: Vec<u8>,
}

impl Body {
    fn length(&self) -> u64 {
        self.archive_bytes + self.trailer.len() as u64
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let of_archive = range.start.min(self.archive_bytes)..range.end.min(self.archive_bytes);
        let length = of_archive.end - of_archive.start;
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.archive.read_exact_at(&mut bytes, of_archive.start)?;
        bytes.extend(slice(&self.trailer, self.archive_bytes, &range));
        Ok(bytes.into())
    }
}

async fn read_body(body: &Arc<Body>, range: Range<u64>) -> io::Result<Bytes> {
    let body = Arc::clone(body);
    let read = tokio::task::spawn_blocking(move || body.read(range));
    read.await.map_err(io::Error::other)?
}

/// Returns what bytes that begin at `base` have of a range.
fn slice<'a>(bytes: &'a [u8], base: u64, range: &Range<u64>) -> &'a [u8] {
    let index = |at: u64| {
        let index = usize::try_from(at.saturating_sub(base)).unwrap_or(usize::MAX);
        index.min(bytes.len())
    };
    bytes
        .get(index(range.start)..index(range.end))
        .unwrap_or_default()
}

/// Waits for the store, but no longer than this.
async fn within<T>(limit: Duration, request: impl Future<Output = T>) -> Result<T, LogStoreError> {
    let answered = tokio::time::timeout(limit, request).await;
    answered.map_err(|_| LogStoreError::Away(format!("no answer within {} s", limit.as_secs())))
}

fn damaged<E: ToString>(attempt: AttemptId) -> impl Fn(E) -> LogStoreError {
    move |detail| LogStoreError::Damaged {
        attempt,
        detail: detail.to_string(),
    }
}
