//! Sparse files: a block of zeros becomes a hole.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};

/// The size of a hole: a block of most filesystems. A gigabyte of zeros then takes almost no space.
const BLOCK: usize = 4096;

/// A new sparse file.
#[derive(Debug)]
pub(super) struct SparseFile {
    file: File,
    /// Its length so far.
    length: u64,
    /// Whether it ends with a hole.
    ends_with_hole: bool,
}

impl SparseFile {
    /// Writes to `file`, which is empty.
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            length: 0,
            ends_with_hole: false,
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ends_with_hole = is_zero(bytes);
        self.length = self.length.saturating_add(bytes.len() as u64);
        if self.ends_with_hole {
            self.file.seek(SeekFrom::Start(self.length)).map(drop)
        } else {
            self.file.write_all(bytes)
        }
    }
}

fn first_block(bytes: &[u8]) -> &[u8] {
    bytes.get(..BLOCK).unwrap_or(bytes)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

impl Write for SparseFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Up to the next block of the file, and then in runs of whole blocks that are all zeros, or all not.
        let begun = usize::try_from(self.length % BLOCK as u64).unwrap_or_default();
        let (first, rest) = bytes.split_at(bytes.len().min((BLOCK - begun) % BLOCK));
        if !first.is_empty() {
            self.put(first)?;
        }
        let mut rest = rest;
        while !rest.is_empty() {
            let is_hole = is_zero(first_block(rest));
            let same = rest
                .chunks(BLOCK)
                .take_while(|block| is_zero(block) == is_hole);
            let length: usize = same.map(<[u8]>::len).sum();
            let (run, after) = rest.split_at(length);
            self.put(run)?;
            rest = after;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.ends_with_hole {
            self.file.set_len(self.length)?;
        }
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_file_reads_as_written_and_its_zeros_take_no_space() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut all = Vec::new();
        for (zeros, bytes) in [(10, 1), (3 * BLOCK, 5000), (1 << 20, 3), (2 * BLOCK + 7, 0)] {
            all.extend(std::iter::repeat_n(0, zeros));
            all.extend(std::iter::repeat_n(b'x', bytes));
        }
        for piece in [100, BLOCK, 70_000, all.len()] {
            let mut file = SparseFile::new(File::create(&path).unwrap());
            for bytes in all.chunks(piece) {
                file.write_all(bytes).unwrap();
            }
            file.flush().unwrap();
            assert!(fs::read(&path).unwrap() == all, "{piece}");
            let taken = path.metadata().unwrap().blocks() * 512;
            assert!(piece < BLOCK || taken < 1 << 18, "{piece}: {taken}");
        }
    }
}
