//! Images in files and directories: each is imported or refused, and an imported one can be listed and removed.

use std::fs;
use std::path::Path;

use bstr::ByteSlice as _;
use oci::{Digest, Import, Library, Platform};

use super::members::{Packing, archives, packed, with_checksums};
use crate::input::Input;
use crate::scratch;

/// The separator of the parts of an input.
const SEPARATOR: &[u8] = b"\n--\n";

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let directory = scratch::directory();
    let path = directory.path().join("image");
    match mode % 4 {
        0 => layout(&path, input.rest()),
        1 => fs::write(&path, with_checksums(input.rest())).expect("the file is writable"),
        2 => fs::write(&path, saved(input.rest(), mode)).expect("the file is writable"),
        _ => {
            let packing = [Packing::None, Packing::Gzip, Packing::Zstd][usize::from(mode >> 2) % 3];
            let archive = archives(&mut input).concat();
            fs::write(&path, packed(&archive, packing)).expect("the file is writable");
        }
    }
    let library = Library::new(&directory.path().join("state"));
    let name = if mode & 128 == 0 {
        "image"
    } else {
        "r.example/a/b:tag"
    };
    let import = Import {
        name,
        path: &path,
        platform: &Platform {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            variant: None,
        },
        when: "now".to_owned(),
    };
    let imported = library.import(&import);
    let listed = library.list().expect("a library can be listed");
    match imported {
        Ok(imported) => {
            assert_eq!(listed.len(), 1);
            assert_eq!(listed[0].digest, imported.digest);
            assert!(library.remove(name).expect("an image can be removed"));
            assert!(library.list().expect("a library can be listed").is_empty());
        }
        Err(_) => assert!(listed.is_empty()),
    }
    assert!(fs::symlink_metadata("/fuzz-escaped").is_err());
}

/// Splits an input into documents. `@0` in one is replaced by the digest of the first, and so on.
fn documents(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut documents: Vec<Vec<u8>> = Vec::new();
    for part in bytes.split_str(SEPARATOR).take(10) {
        let mut document = part.to_vec();
        for (index, earlier) in documents.iter().enumerate() {
            let digest = Digest::of(earlier).to_string();
            document = document.replace(format!("@{index}"), digest);
        }
        documents.push(document);
    }
    documents
}

/// Makes a layout with all documents as blobs. The last one is also the index.
fn layout(path: &Path, bytes: &[u8]) {
    let documents = documents(bytes);
    let blobs = path.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a directory");
    fs::write(path.join("oci-layout"), "{}").expect("the file is writable");
    for document in &documents {
        let name = Digest::of(document).hex();
        fs::write(blobs.join(name), document).expect("the file is writable");
    }
    let index = documents.last().map_or(&[][..], Vec::as_slice);
    fs::write(path.join("index.json"), index).expect("the file is writable");
}

/// Packs documents as `docker save` does; with some modes, as an archive of a layout.
fn saved(bytes: &[u8], mode: u8) -> Vec<u8> {
    let documents = documents(bytes);
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive
            .append_data(&mut header, name, content)
            .expect("memory is writable");
    };
    let last = documents.len().saturating_sub(1);
    for (index, document) in documents.iter().enumerate() {
        let name = match (index == last, mode & 64 == 0) {
            (true, true) => "manifest.json".to_owned(),
            (true, false) => "index.json".to_owned(),
            (false, true) => index.to_string(),
            (false, false) => format!("blobs/sha256/{}", Digest::of(document).hex()),
        };
        add(&name, document);
    }
    if mode & 64 != 0 {
        add("oci-layout", b"{}");
    }
    archive.into_inner().expect("memory is writable")
}
