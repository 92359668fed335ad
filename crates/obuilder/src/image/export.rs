//! Writes a root filesystem as an archive, or as an image that other programs load.
//!
//! The same tree gives the same bytes: names are sorted, and nothing of this machine or of now is written.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bstr::BString;
use rustix::fs::OFlags;
use tar::{EntryType, Header};

use super::digest::{Digest, Hashing};
use super::model::{self, Annotations, Config, Descriptor, Index, Layers, Manifest, RunConfig};
use super::platform::Platform;

/// The most of a name that fits into a header.
const MAX_NAME: usize = 100;

/// The largest number that fits into a header's field of 12 octal digits.
const MAX_OCTAL: u64 = 0o77_777_777_777;

const BLOCK: u64 = 512;

/// What is written as an image.
#[derive(Debug, Clone)]
pub struct Export<'a> {
    /// The root filesystem, which nobody changes meanwhile.
    pub rootfs: &'a Path,
    /// The environment of those who run in it.
    pub env: &'a [(BString, BString)],
    /// What it is to be called by who loads it: `name:tag`. May be `None`.
    pub name: Option<&'a str>,
    /// The machine it is for.
    pub platform: &'a Platform,
    /// How it came about, in words.
    pub created_by: &'a str,
}

/// Why something could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file cannot be read.
    #[error("cannot read {path:?}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive: {0}")]
    Write(#[source] io::Error),
    /// It changed while it was being read.
    #[error("{0:?} changed while it was being read")]
    Changed(PathBuf),
    /// It is called what no image can be called.
    #[error("{0:?} is not the name of an image")]
    BadName(String),
    /// Something in its environment is not text, which an image's has to be.
    #[error("the variable {0:?} is not UTF-8, which an image's environment has to be")]
    BadEnv(BString),
}

/// Writes the files of a root filesystem as a plain tar archive.
///
/// # Errors
/// When a file cannot be read, or `out` not written to.
pub fn write_tar(rootfs: &Path, out: &mut dyn Write) -> Result<(), ExportError> {
    let mut writer = TreeWriter {
        out,
        links: HashMap::new(),
    };
    writer.directory(rootfs, &mut Vec::new())?;
    writer.out.write_all(&[0; 1024]).map_err(ExportError::Write)
}

/// Writes an image of a single layer as an archive that is both an OCI layout and what `docker load` reads. Returns the
/// digest of its manifest.
///
/// The tree is read twice: its digest, under which it is in the archive, comes before it there.
///
/// # Errors
/// As for [`write_tar`]; and when the tree changes meanwhile.
pub fn write_image(export: &Export<'_>, out: &mut dyn Write) -> Result<Digest, ExportError> {
    let mut sink = Hashing::new(io::sink());
    write_tar(export.rootfs, &mut sink)?;
    let (_, digest, size) = sink.finish();
    let layer = Descriptor {
        digest,
        size,
        ..Descriptor::of(model::LAYER, b"")
    };
    let documents = Documents::of(export, &layer)?;

    let mut out = Members { out };
    for directory in ["blobs/", "blobs/sha256/"] {
        out.header(directory, EntryType::Directory, 0)?;
    }
    out.header(&blob(&digest), EntryType::Regular, size)?;
    let mut again = Hashing::new(&mut *out.out);
    write_tar(export.rootfs, &mut again)?;
    let (_, digest, written) = again.finish();
    if (digest, written) != (layer.digest, size) {
        return Err(ExportError::Changed(export.rootfs.to_owned()));
    }
    out.pad(size)?;
    for (name, bytes) in &documents.files {
        out.header(name, EntryType::Regular, bytes.len() as u64)?;
        out.out.write_all(bytes).map_err(ExportError::Write)?;
        out.pad(bytes.len() as u64)?;
    }
    out.out.write_all(&[0; 1024]).map_err(ExportError::Write)?;
    Ok(documents.manifest)
}

/// What is in an image besides its layer.
struct Documents {
    files: Vec<(String, Vec<u8>)>,
    manifest: Digest,
}

impl Documents {
    fn of(export: &Export<'_>, layer: &Descriptor) -> Result<Self, ExportError> {
        let json = |value: serde_json::Result<Vec<u8>>| {
            value.map_err(|error| ExportError::Write(error.into()))
        };
        let config = json(serde_json::to_vec(&config(export, &layer.digest)?))?;
        let described = Descriptor::of(model::CONFIG, &config);
        let manifest = Manifest::new(described.clone(), vec![layer.clone()]);
        let manifest = json(serde_json::to_vec(&manifest))?;
        let (name, tags) = match export.name {
            None => (None, Vec::new()),
            Some(name) => {
                let bad = |_| ExportError::BadName(name.to_owned());
                let reference: oci_client::Reference = name.parse().map_err(bad)?;
                let tag = reference.tag().unwrap_or("latest");
                let short = name.strip_suffix(&format!(":{tag}")).unwrap_or(name);
                (Some(tag.to_owned()), vec![format!("{short}:{tag}")])
            }
        };
        let annotations: Annotations = name
            .into_iter()
            .map(|name| (model::REF_NAME.to_owned(), name))
            .collect();
        let platform = Some(export.platform.clone());
        let index = Index {
            schema_version: 2,
            media_type: Some(model::INDEX.to_owned()),
            manifests: vec![Descriptor {
                annotations,
                platform,
                ..Descriptor::of(model::MANIFEST, &manifest)
            }],
        };
        let saved = serde_json::json!([{
            "Config": blob(&described.digest),
            "RepoTags": tags,
            "Layers": [blob(&layer.digest)],
        }]);
        let digest = Digest::of(&manifest);
        Ok(Self {
            files: vec![
                (blob(&described.digest), config),
                (blob(&digest), manifest),
                ("index.json".to_owned(), json(serde_json::to_vec(&index))?),
                (
                    "manifest.json".to_owned(),
                    json(serde_json::to_vec(&saved))?,
                ),
                (
                    "oci-layout".to_owned(),
                    br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
                ),
            ],
            manifest: digest,
        })
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn config(export: &Export<'_>, layer: &Digest) -> Result<Config, ExportError> {
    let text = |(name, value): &(BString, BString)| {
        let bytes = [name.as_slice(), b"=", value.as_slice()].concat();
        String::from_utf8(bytes).map_err(|_| ExportError::BadEnv(name.clone()))
    };
    let history = [("created_by".to_owned(), export.created_by.to_owned())];
    Ok(Config {
        platform: export.platform.clone(),
        config: RunConfig {
            env: export.env.iter().map(text).collect::<Result<_, _>>()?,
            ..RunConfig::default()
        },
        rootfs: Layers {
            kind: "layers".to_owned(),
            diff_ids: vec![layer.to_string()],
        },
        history: vec![history.into()],
    })
}

/// Writes the files of an image's archive, which have nothing but names and contents.
struct Members<'a> {
    out: &'a mut dyn Write,
}

impl Members<'_> {
    fn header(&mut self, name: &str, kind: EntryType, size: u64) -> Result<(), ExportError> {
        let mut header = Header::new_ustar();
        let is_directory = kind == EntryType::Directory;
        header.set_path(name).map_err(ExportError::Write)?;
        header.set_entry_type(kind);
        header.set_mode(if is_directory { 0o755 } else { 0o644 });
        header.set_size(size);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        self.out
            .write_all(header.as_bytes())
            .map_err(ExportError::Write)
    }

    fn pad(&mut self, size: u64) -> Result<(), ExportError> {
        pad(self.out, size).map_err(ExportError::Write)
    }
}

fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let zeros = [0; BLOCK as usize];
    let missing = usize::try_from((BLOCK - size % BLOCK) % BLOCK).unwrap_or_default();
    out.write_all(zeros.get(..missing).unwrap_or_default())
}

/// Writes a tree, directory by directory.
struct TreeWriter<'a> {
    out: &'a mut dyn Write,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl TreeWriter<'_> {
    fn directory(&mut self, directory: &Path, name: &mut Vec<u8>) -> Result<(), ExportError> {
        let unreadable = |source| ExportError::Read {
            path: directory.to_owned(),
            source,
        };
        let entries = fs::read_dir(directory).map_err(unreadable)?;
        let mut entries: Vec<_> = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()
            .map_err(unreadable)?;
        entries.sort();
        for entry in entries {
            let path = directory.join(&entry);
            let length = name.len();
            name.extend_from_slice(entry.as_bytes());
            let metadata = path
                .symlink_metadata()
                .map_err(|source| ExportError::Read {
                    path: path.clone(),
                    source,
                })?;
            if metadata.is_dir() {
                name.push(b'/');
                self.entry(&path, name, &metadata)?;
                self.directory(&path, name)?;
            } else {
                self.entry(&path, name, &metadata)?;
            }
            name.truncate(length);
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &[u8], metadata: &Metadata) -> Result<(), ExportError> {
        let unreadable = |source| ExportError::Read {
            path: path.to_owned(),
            source,
        };
        let kind = metadata.file_type();
        let mut link = Vec::new();
        let mut size = 0;
        let entry_type = if kind.is_dir() {
            EntryType::Directory
        } else if let Some(first) = self.first_name(name, metadata) {
            link = first;
            EntryType::Link
        } else if kind.is_symlink() {
            link = fs::read_link(path)
                .map_err(unreadable)?
                .into_os_string()
                .as_bytes()
                .to_vec();
            EntryType::Symlink
        } else if kind.is_file() {
            size = metadata.size();
            EntryType::Regular
        } else if kind.is_fifo() {
            EntryType::Fifo
        } else if kind.is_char_device() {
            EntryType::Char
        } else if kind.is_block_device() {
            EntryType::Block
        } else {
            // A socket means nothing without the process that listens at it.
            return Ok(());
        };
        let mut records = Vec::new();
        let header = header(name, &link, entry_type, size, metadata, &mut records)?;
        if entry_type != EntryType::Link {
            xattrs(path, &mut records).map_err(unreadable)?;
        }
        self.write_header(header, &records)
            .map_err(ExportError::Write)?;
        if size > 0 {
            self.contents(path, size)?;
        }
        Ok(())
    }

    fn first_name(&mut self, name: &[u8], metadata: &Metadata) -> Option<Vec<u8>> {
        if metadata.nlink() < 2 {
            return None;
        }
        let key = (metadata.dev(), metadata.ino());
        let known = self.links.get(&key).cloned();
        if known.is_none() {
            self.links.insert(key, name.to_vec());
        }
        known
    }

    fn write_header(&mut self, mut header: Header, records: &[u8]) -> io::Result<()> {
        if !records.is_empty() {
            let mut extended = Header::new_ustar();
            extended.set_path("PaxHeaders/file")?;
            extended.set_entry_type(EntryType::XHeader);
            extended.set_mode(0o644);
            extended.set_size(records.len() as u64);
            extended.set_mtime(0);
            extended.set_uid(0);
            extended.set_gid(0);
            extended.set_cksum();
            self.out.write_all(extended.as_bytes())?;
            self.out.write_all(records)?;
            pad(self.out, records.len() as u64)?;
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn contents(&mut self, path: &Path, size: u64) -> Result<(), ExportError> {
        let unreadable = |source| ExportError::Read {
            path: path.to_owned(),
            source,
        };
        let flags = OFlags::NOFOLLOW.bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let mut file: io::Take<File> = file.map_err(unreadable)?.take(size);
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(256 << 10)];
        let mut left = size;
        while left > 0 {
            let read = file.read(&mut buffer).map_err(unreadable)?;
            if read == 0 {
                return Err(ExportError::Changed(path.to_owned()));
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            self.out.write_all(bytes).map_err(ExportError::Write)?;
            left = left.saturating_sub(read as u64);
        }
        pad(self.out, size).map_err(ExportError::Write)
    }
}

/// Makes the header of a file, with what does not fit into it added to `records`.
fn header(
    name: &[u8],
    link: &[u8],
    entry_type: EntryType,
    size: u64,
    metadata: &Metadata,
    records: &mut Vec<u8>,
) -> Result<Header, ExportError> {
    let mut header = Header::new_ustar();
    header.set_entry_type(entry_type);
    header.set_mode(metadata.mode() & 0o7777);
    let fields = header.as_old_mut();
    for (key, value, field) in [
        ("path", name, &mut fields.name),
        ("linkpath", link, &mut fields.linkname),
    ] {
        let short = value.get(..MAX_NAME).unwrap_or(value);
        for (to, from) in field.iter_mut().zip(short) {
            *to = *from;
        }
        // Names that are not ASCII are read in different ways from a header, and in one from a record.
        if value.len() > MAX_NAME || !value.is_ascii() {
            record(records, key, value);
        }
    }
    if size > MAX_OCTAL {
        record(records, "size", size.to_string().as_bytes());
    }
    header.set_size(size);
    for (key, id) in [("uid", metadata.uid()), ("gid", metadata.gid())] {
        // Seven octal digits.
        if id > 0o7_777_777 {
            record(records, key, id.to_string().as_bytes());
        }
    }
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    if nanoseconds != 0 || seconds < 0 || seconds.unsigned_abs() > MAX_OCTAL {
        record(records, "mtime", decimal(seconds, nanoseconds).as_bytes());
    }
    header.set_mtime(seconds.clamp(0, MAX_OCTAL as i64).unsigned_abs());
    if matches!(entry_type, EntryType::Char | EntryType::Block) {
        let device = metadata.rdev();
        let set = |header: &mut Header| {
            header.set_device_major(rustix::fs::major(device))?;
            header.set_device_minor(rustix::fs::minor(device))
        };
        set(&mut header).map_err(ExportError::Write)?;
    }
    Ok(header)
}

/// Writes a time as a record has it, where the fraction has the sign of the whole.
fn decimal(seconds: i64, nanoseconds: i64) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    let text = format!(
        "{sign}{}.{:09}",
        total / 1_000_000_000,
        total % 1_000_000_000
    );
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Appends `LENGTH KEY=VALUE` and a line feed, where the length counts all of it.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Adds the extended attributes of a file, sorted.
fn xattrs(path: &Path, records: &mut Vec<u8>) -> io::Result<()> {
    let length = match rustix::fs::llistxattr_query(path) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    if length == 0 {
        return Ok(());
    }
    let mut names = vec![0; length];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice())?;
    names.truncate(length);
    let mut names: Vec<&[u8]> = names
        .split(|byte| *byte == 0)
        .filter(|n| !n.is_empty())
        .collect();
    names.sort_unstable();
    for name in names {
        // Of the filesystem that the result is in, or of this machine's security module.
        let Ok(text) = std::str::from_utf8(name) else {
            continue;
        };
        if text.starts_with("trusted.overlay.") || text.starts_with("user.overlay.") {
            continue;
        }
        if text == "security.selinux" {
            continue;
        }
        let length = rustix::fs::lgetxattr_query(path, text)?;
        let mut value = vec![0; length];
        let length = rustix::fs::lgetxattr(path, text, value.as_mut_slice())?;
        value.truncate(length);
        record(records, &format!("SCHILY.xattr.{text}"), &value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_itself() {
        let lengths = [1, 4, 5, 6, 90, 91, 92, 93, 94, 95, 990, 995];
        for length in lengths {
            let mut records = Vec::new();
            record(&mut records, "k", &vec![b'x'; length]);
            let text = String::from_utf8(records).unwrap();
            let (digits, _) = text.split_once(' ').unwrap();
            assert_eq!(digits.parse(), Ok(text.len()), "{length}");
        }
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(decimal(12, 500_000_000), "12.5");
        assert_eq!(decimal(-2, 750_000_000), "-1.25");
        assert_eq!(decimal(7, 0), "7");
    }
}
