//! Archives built from decisions, so that their headers are valid and their names collide.

use std::io::Write as _;

use tar::{EntryType, Header};

use crate::input::Input;

const BLOCK: usize = 512;

/// Names that contain one another, leave the directory, or are invalid.
const NAMES: &[&str] = &[
    "a",
    "b",
    "a/b",
    "a/b/c",
    "b/c",
    "d/",
    "./a",
    "a/.",
    "a//b",
    "..",
    "../outside/file",
    "a/../../outside/file",
    "/",
    ".",
    "",
    "/fuzz-escaped",
    "/a",
    "../outside",
    "a/..",
    ".wh.a",
    "a/.wh.b",
    ".wh..wh..opq",
    "a/.wh..wh..opq",
    ".wh..",
    ".wh...",
    ".wh.",
    "b/.wh.c",
    "x\u{e9}",
    "a\n",
    "dev/null",
    "proc/self/root/fuzz-escaped",
    "/proc/self/cwd",
    "etc/passwd",
    "../../../../../../fuzz-escaped",
    "a/b/c/d/e/f/g/h",
];

const KINDS: &[u8] = b"0125346\0S7LKxgD";

/// The compression of a layer.
#[derive(Clone, Copy)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

/// Returns archives. The decisions also end one and start another.
pub(super) fn archives(input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let mut archives = vec![Vec::new()];
    while !input.is_empty() && archives.len() < 8 {
        let op = input.byte();
        let Some(archive) = archives.last_mut() else {
            break;
        };
        match op {
            0..=199 => entry(archive, input, op),
            200..=219 => archives.push(Vec::new()),
            220..=229 => archive.extend_from_slice(&[0; 2 * BLOCK]),
            _ => archive.extend_from_slice(input.piece(255)),
        }
    }
    archives
}

fn name<'a>(input: &mut Input<'a>) -> &'a [u8] {
    let choice = input.byte();
    match NAMES.get(usize::from(choice)) {
        Some(name) => name.as_bytes(),
        None => input.piece(100),
    }
}

fn entry(archive: &mut Vec<u8>, input: &mut Input<'_>, op: u8) {
    let mut header = Header::new_gnu();
    let kind = KINDS[usize::from(op) % KINDS.len()];
    header.set_entry_type(EntryType::new(kind));
    let old = header.as_old_mut();
    put(&mut old.name, name(input));
    if matches!(kind, b'1' | b'2') {
        put(&mut old.linkname, name(input));
    }
    header.set_mode(u32::from(input.u16()) & 0o7777);
    let numbers = input.byte();
    header.set_uid(u64::from(numbers & 3) * 1000);
    header.set_gid(u64::from(numbers >> 2 & 3) * 0x4000_0000);
    header.set_mtime(if numbers & 16 == 0 { 1 } else { input.u64() });
    if matches!(kind, b'3' | b'4') {
        // Devices such as `null`, which every machine has and which are harmless.
        drop(header.set_device_major(u32::from(numbers >> 5 & 1)));
        drop(header.set_device_minor(3 * u32::from(numbers >> 6 & 1)));
    }
    let records;
    let content = match kind {
        b'x' | b'g' => {
            records = pax(input);
            &records
        }
        _ => input.piece(200),
    };
    // The size in the header is sometimes wrong.
    let claimed = if numbers & 128 == 0 {
        content.len() as u64
    } else {
        u64::from(input.u16())
    };
    header.set_size(claimed);
    if kind == b'S' {
        sparse(&mut header, input, content.len() as u64);
    }
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

fn pax(input: &mut Input<'_>) -> Vec<u8> {
    let keys = [
        "path",
        "linkpath",
        "size",
        "uid",
        "gid",
        "mtime",
        "SCHILY.xattr.user.a",
        "SCHILY.xattr.trusted.overlay.opaque",
        "SCHILY.xattr.security.capability",
        "GNU.sparse.map",
    ];
    let mut records = Vec::new();
    for _ in 0..=input.byte() & 3 {
        let key = input.choose(&keys);
        let value = if key.ends_with("path") {
            name(input)
        } else {
            input.piece(40)
        };
        let rest = key.len() + value.len() + 3;
        let mut length = rest;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        records.extend_from_slice(format!("{length} {key}=").as_bytes());
        records.extend_from_slice(value);
        records.push(b'\n');
    }
    records
}

fn sparse(header: &mut Header, input: &mut Input<'_>, stored: u64) {
    let Some(gnu) = header.as_gnu_mut() else {
        return;
    };
    let octal = |field: &mut [u8], value: u64| put(field, format!("{value:011o}").as_bytes());
    let offset = u64::from(input.byte()) << (input.byte() & 31);
    octal(&mut gnu.sparse[0].offset, offset);
    octal(&mut gnu.sparse[0].numbytes, stored);
    octal(&mut gnu.realsize, offset + stored + u64::from(input.byte()));
    gnu.isextended = [input.byte() & 1];
}

/// Corrects the checksums of blocks that may be headers, because a fuzzer cannot compute them.
pub(super) fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut archive = bytes.to_vec();
    for block in archive.chunks_exact_mut(BLOCK) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    archive
}

/// Returns a layer in its stored form.
pub(super) fn packed(archive: &[u8], packing: Packing) -> Vec<u8> {
    match packing {
        Packing::None => archive.to_vec(),
        Packing::Gzip => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(archive).expect("memory is writable");
            encoder.finish().expect("memory is writable")
        }
        Packing::Zstd => zstd::encode_all(archive, 1).expect("memory is writable"),
    }
}
