//! Logs that are whole, compressed in zstd's seekable format.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeekstd::{DecodeOptions, Decoder, EncodeOptions, FrameSizePolicy};

use super::{LogError, disk};

/// How much of a log is in one frame, in bytes: what a read in the middle costs at most.
const FRAME_BYTES: u32 = 256 * 1024;

/// How the name of an archive ends that is not complete.
pub(super) const DRAFT_SUFFIX: &str = ".draft";

/// Compresses a log into another file, which is there wholly or not at all.
pub(super) fn write(log: &Path, archive: &Path) -> Result<(), LogError> {
    let draft = draft(archive);
    let written = write_draft(log, &draft).and_then(|()| {
        tracing::trace!(target: "crash-point", point = "before-archive-rename");
        fs::rename(&draft, archive)
    });
    if written.is_err() {
        // The disk may be full. What cannot be removed now is swept later.
        fs::remove_file(&draft).ok();
    }
    let synced = written.and_then(|()| match archive.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    });
    synced.map_err(disk("compress", archive))
}

/// Returns where an archive is made. What a killed process left there is written over.
fn draft(archive: &Path) -> PathBuf {
    let mut name = OsString::from(archive);
    name.push(DRAFT_SUFFIX);
    name.into()
}

fn write_draft(log: &Path, draft: &Path) -> io::Result<()> {
    let mut log = File::open(log)?;
    let mut file = File::create(draft)?;
    let options = EncodeOptions::new()
        .frame_size_policy(FrameSizePolicy::Uncompressed(FRAME_BYTES))
        .checksum_flag(true);
    let mut encoder = options.into_encoder(&mut file).map_err(io::Error::other)?;
    io::copy(&mut log, &mut encoder)?;
    encoder.finish().map_err(io::Error::other)?;
    file.flush()?;
    file.sync_all()
}

/// Returns how long the log is that was compressed.
pub(super) fn length(archive: &Path) -> Result<u64, LogError> {
    Ok(open(archive)?.seek_table().size_decomp())
}

/// Reads at most so many bytes at an offset.
pub(super) fn read(archive: &Path, offset: u64, at_most: usize) -> Result<Vec<u8>, LogError> {
    let mut decoder = open(archive)?;
    let left = decoder.seek_table().size_decomp().saturating_sub(offset);
    let wanted = usize::try_from(left).unwrap_or(at_most).min(at_most);
    let mut bytes = vec![0; wanted];
    if wanted > 0 {
        decoder.set_offset(offset).map_err(damaged(archive))?;
    }
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match decoder.decompress(rest).map_err(damaged(archive))? {
            0 => return Err(damaged(archive)("it ends too early")),
            count => filled += count,
        }
    }
    Ok(bytes)
}

fn open(archive: &Path) -> Result<Decoder<'static, File>, LogError> {
    let file = File::open(archive).map_err(disk("read", archive))?;
    DecodeOptions::new(file)
        .into_decoder()
        .map_err(damaged(archive))
}

fn damaged<E: ToString>(archive: &Path) -> impl Fn(E) -> LogError {
    let path = archive.to_owned();
    move |detail| LogError::Damaged {
        path: path.clone(),
        detail: detail.to_string(),
    }
}
