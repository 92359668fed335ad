//! Decompresses files on a thread of its own, ahead of the reader.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::digest::{Digest, Hashing};

/// Size of a chunk, in bytes.
const CHUNK: usize = 256 << 10;

/// How many chunks may wait for the writer. This bounds memory.
const CHUNKS_AHEAD: usize = 8;

/// How a file is compressed, by its first bytes: names and media types are often wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The first bytes of known formats that are not supported.
const NOT_READ: [(&[u8], &str); 5] = [
    (b"\xfd7zXZ\0", "xz: decompress it with `xz -d` first"),
    (b"BZh", "bzip2: decompress it with `bzip2 -d` first"),
    (b"PK\x03\x04", "zip: pack it with tar instead"),
    (b"hsqs", "a squashfs: unpack it with `unsquashfs` first"),
    (
        b"QFI\xfb",
        "a disk of a virtual machine: it has no root filesystem to unpack",
    ),
];

impl Compression {
    /// Returns how a file is compressed that starts like this.
    ///
    /// # Errors
    /// The name of a format that is not read here, and what to do about it.
    pub(crate) fn of(start: &[u8]) -> Result<Self, &'static str> {
        if let Some((_, format)) = NOT_READ.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err(format);
        }
        Ok(match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        })
    }

    /// Returns how a file is compressed, and rewinds it.
    pub(crate) fn of_file(file: &mut File) -> io::Result<Self> {
        let mut start = Vec::new();
        file.rewind()?;
        file.take(8).read_to_end(&mut start)?;
        file.rewind()?;
        Self::of(&start)
            .map_err(|format| io::Error::new(io::ErrorKind::Unsupported, format!("it is {format}")))
    }
}

/// Reads what a file contains, decompressed. Dropping it ends its thread.
#[derive(Debug)]
pub(crate) struct Decompressed {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    read: usize,
    ended: bool,
}

impl Decompressed {
    /// Starts to decompress a file. If it does not have the digest `expected`, reading fails at its end.
    pub(crate) fn of(mut file: File, expected: Option<Digest>) -> io::Result<Self> {
        let compression = Compression::of_file(&mut file)?;
        let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
        std::thread::Builder::new()
            .name("decompress".to_owned())
            .spawn(move || {
                if let Err(error) = decompress(file, compression, expected, &sender) {
                    // The reader may have been dropped.
                    drop(sender.send(Err(error)));
                }
            })?;
        Ok(Self {
            chunks,
            chunk: Vec::new(),
            read: 0,
            ended: false,
        })
    }
}

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.chunk.len() && !self.ended {
            let stopped = || io::Error::other("the decompression thread has stopped");
            self.chunk = self.chunks.recv().map_err(|_| stopped())??;
            self.read = 0;
            self.ended = self.chunk.is_empty();
        }
        let mut rest = self.chunk.get(self.read..).unwrap_or_default();
        let read = rest.read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

/// Sends the content of `file` in chunks, and an empty one at the end.
fn decompress(
    file: File,
    compression: Compression,
    expected: Option<Digest>,
    chunks: &SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    match expected {
        None => drop(send_all(file, compression, chunks)?),
        Some(expected) => {
            let (_, digest, _) = send_all(Hashing::new(file), compression, chunks)?.finish();
            if digest != expected {
                let text =
                    format!("it is damaged: its digest should be {expected}, but is {digest}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
    drop(chunks.send(Ok(Vec::new())));
    Ok(())
}

/// Sends all that is in `source`, and returns it, read to its end.
fn send_all<R: Read>(
    source: R,
    compression: Compression,
    chunks: &SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<R> {
    let mut source = BufReader::with_capacity(CHUNK, source);
    match compression {
        Compression::None => send(&mut source, chunks)?,
        Compression::Gzip => send(flate2::bufread::MultiGzDecoder::new(&mut source), chunks)?,
        Compression::Zstd => send(zstd::Decoder::with_buffer(&mut source)?, chunks)?,
    }
    Ok(source.into_inner())
}

fn send(mut from: impl Read, chunks: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut from).take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Ok(());
        }
        if chunks.send(Ok(chunk)).is_err() {
            // The reader was dropped: there is nothing to report to.
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn read(bytes: &[u8], expected: Option<Digest>) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Decompressed::of(file(bytes), expected)?.read_to_end(&mut all)?;
        Ok(all)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn three_forms_of_one_content() {
        let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let zstd = zstd::encode_all(content.as_slice(), 1).unwrap();
        for form in [content.clone(), gzip(&content), zstd] {
            assert!(read(&form, Some(Digest::of(&form))).unwrap() == content);
        }
        // Two members one after the other, as `pigz` and `cat` make them.
        let halves = [gzip(&content[..1000]), gzip(&content[1000..])].concat();
        assert!(read(&halves, None).unwrap() == content);
    }

    #[test]
    fn a_file_that_is_damaged_or_cut_off_is_not_read_to_its_end() {
        let form = gzip(b"hello");
        let error = read(&form, Some(Digest::of(b"else"))).unwrap_err();
        assert!(error.to_string().starts_with("it is damaged"), "{error}");
        assert!(read(&form[..form.len() - 4], None).is_err());
    }

    #[test]
    fn unsupported_formats_are_named() {
        let error = read(b"\xfd7zXZ\0\0\0", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it is xz: decompress it with `xz -d` first"
        );
    }
}
