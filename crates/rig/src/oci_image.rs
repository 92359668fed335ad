//! Small images for tests, made of the files that a test lists.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::command::{checked, find_program};
use crate::registry::RegistryAccess;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The modification time of every file in an image, which no file has by accident.
pub const MTIME: u64 = 1_000_000_000;

/// One file of a layer. Paths are relative to the root.
#[derive(Clone, Debug)]
pub enum LayerFile<'a> {
    /// A directory and its mode.
    Directory(&'a str, u32),
    /// A file, its mode and its content.
    File(&'a str, u32, &'a [u8]),
    /// A symbolic link and its target.
    Symlink(&'a str, &'a str),
    /// A hard link and its target.
    HardLink(&'a str, &'a str),
}

/// A layer in its stored form.
#[derive(Clone, Debug)]
pub struct Layer {
    media_type: &'static str,
    bytes: Vec<u8>,
    diff_id: String,
}

impl Layer {
    /// Makes a layer of these files, compressed with gzip.
    ///
    /// # Errors
    /// When a name is too long for a tar archive.
    pub fn of(files: &[LayerFile<'_>]) -> Result<Self> {
        Self::of_tar(&tar(files)?)
    }

    /// Makes a layer of an archive, which may be malformed.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn of_tar(tar: &[u8]) -> Result<Self> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(tar)?;
        Ok(Self {
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip",
            bytes: gzip.finish()?,
            diff_id: digest(tar),
        })
    }

    /// Makes a layer with this machine's static busybox, and links to it such as `sh` and `cat`.
    ///
    /// # Errors
    /// When busybox is not installed.
    pub fn busybox() -> Result<Self> {
        let busybox =
            find_program("busybox").context("cannot find busybox: install busybox-static")?;
        let busybox = fs::read(busybox)?;
        let applets = [
            "sh", "cat", "ls", "env", "id", "mkdir", "touch", "rm", "sleep", "echo",
        ];
        let links: Vec<String> = applets
            .iter()
            .map(|applet| format!("bin/{applet}"))
            .collect();
        let mut files = vec![
            LayerFile::Directory("bin", 0o755),
            LayerFile::File("bin/busybox", 0o755, &busybox),
            LayerFile::Directory("etc", 0o755),
            LayerFile::File("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n"),
            LayerFile::Directory("tmp", 0o1777),
            LayerFile::Directory("usr", 0o755),
            LayerFile::Directory("usr/bin", 0o755),
            LayerFile::Symlink("usr/bin/env", "/bin/busybox"),
        ];
        files.extend(
            links
                .iter()
                .map(|link| LayerFile::Symlink(link, "/bin/busybox")),
        );
        Self::of(&files)
    }

    /// Returns its digest in a registry.
    pub fn digest(&self) -> String {
        digest(&self.bytes)
    }

    /// Returns its stored bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// An image for one kind of machine.
#[derive(Clone, Debug)]
pub struct OciImage {
    /// Its name in image indexes, such as `amd64`.
    pub architecture: String,
    /// Its layers, from the lowest to the highest.
    pub layers: Vec<Layer>,
    /// Its environment, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// The user of its commands; empty for root.
    pub user: String,
}

impl OciImage {
    /// Returns an image for this machine.
    pub fn new(layers: Vec<Layer>) -> Self {
        Self {
            architecture: architecture().to_owned(),
            layers,
            env: vec!["PATH=/bin:/usr/bin".to_owned()],
            user: String::new(),
        }
    }

    /// Returns the same image with another architecture.
    #[must_use]
    pub fn for_architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.to_owned();
        self
    }
}

/// Returns this machine's architecture, by its name in image indexes.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An image in a directory, in the layout of the Open Container Initiative.
#[derive(Clone, Debug)]
pub struct OciLayout {
    folder: PathBuf,
    tag: String,
}

impl OciLayout {
    /// Writes an image under the name `tag`. An image for several architectures gets an index.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(folder: &Path, tag: &str, images: &[OciImage]) -> Result<Self> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let mut manifests = images
            .iter()
            .map(|image| write_image(&blobs, image))
            .collect::<Result<Vec<Value>>>()?;
        let mut named = match manifests.pop() {
            Some(only) if manifests.is_empty() => only,
            last => {
                manifests.extend(last);
                let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
                write_blob(&blobs, INDEX, index.to_string().as_bytes())?
            }
        };
        named["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "manifests": [named]});
        fs::write(folder.join("index.json"), index.to_string())?;
        fs::write(
            folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        Ok(Self {
            folder: folder.to_owned(),
            tag: tag.to_owned(),
        })
    }

    /// Pushes the image, for all its architectures, and returns its full name.
    ///
    /// # Errors
    /// When `skopeo` is not installed, or the registry refuses.
    pub fn push(&self, registry: &RegistryAccess, name: &str) -> Result<String> {
        let skopeo = find_program("skopeo").context("cannot find skopeo: it is not installed")?;
        let image = registry.image(name);
        checked(
            Command::new(skopeo)
                .args([
                    "--insecure-policy",
                    "copy",
                    "--all",
                    "--preserve-digests",
                    "--quiet",
                ])
                .arg("--dest-tls-verify=false")
                .arg(format!(
                    "--dest-creds={}:{}",
                    registry.user, registry.password
                ))
                .arg(self.source())
                .arg(format!("docker://{image}")),
        )?;
        Ok(image)
    }

    /// Returns its name for `skopeo`.
    pub fn source(&self) -> String {
        format!("oci:{}:{}", self.folder.display(), self.tag)
    }

    /// Returns its directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl RegistryAccess {
    /// Returns a `config.json` with the log-in, as `docker login` writes it.
    pub fn docker_config(&self) -> String {
        self.docker_config_with(&self.password)
    }

    /// Returns a `config.json` with another password.
    pub fn docker_config_with(&self, password: &str) -> String {
        use base64::Engine as _;
        let login = format!("{}:{password}", self.user);
        let auth = base64::engine::general_purpose::STANDARD.encode(login);
        json!({"auths": {&self.address: {"auth": auth}}}).to_string()
    }
}

/// Makes a tar archive of these files, all owned by root.
///
/// # Errors
/// When a name is too long.
pub fn tar(files: &[LayerFile<'_>]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(MTIME);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_mode(0o777);
        match file {
            LayerFile::Directory(path, mode) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
                builder.append_data(&mut header, path, std::io::empty())?;
            }
            LayerFile::File(path, mode, contents) => {
                header.set_mode(*mode);
                header.set_size(contents.len() as u64);
                builder.append_data(&mut header, path, *contents)?;
            }
            LayerFile::Symlink(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target)?;
            }
            LayerFile::HardLink(path, first) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, first)?;
            }
        }
    }
    Ok(builder.into_inner()?)
}

fn write_image(blobs: &Path, image: &OciImage) -> Result<Value> {
    let diff_ids: Vec<&str> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.as_str())
        .collect();
    let config = json!({
        "architecture": image.architecture,
        "os": "linux",
        "config": {"Env": image.env, "User": image.user},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = write_blob(blobs, CONFIG, config.to_string().as_bytes())?;
    let layers = image
        .layers
        .iter()
        .map(|layer| write_blob(blobs, layer.media_type, &layer.bytes))
        .collect::<Result<Vec<Value>>>()?;
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    let mut described = write_blob(blobs, MANIFEST, manifest.to_string().as_bytes())?;
    described["platform"] = json!({"architecture": image.architecture, "os": "linux"});
    Ok(described)
}

fn write_blob(blobs: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest(bytes);
    let name = digest.strip_prefix("sha256:").unwrap_or(&digest);
    fs::write(blobs.join(name), bytes)?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}
