//! The JSON documents of an image: index, manifest and config.
//!
//! Only the fields in use are read, and no others are checked: images outlive the rules by which they were made.

pub(crate) mod choice;
mod lists;

use std::collections::BTreeMap;

use bstr::BString;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::platform::Platform;
pub(crate) use lists::few;
use lists::{annotations, or_null};

/// The most bytes of an index, a manifest or a config.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The most elements of any list in a document. They take more memory than their text: an empty string ten times as
/// much.
pub(crate) const MAX_ELEMENTS: usize = 10_000;

/// Where the name of an image is, in an index that is kept on a disk.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where the index of imported images keeps what it knows of each: the file or directory it came from.
pub(crate) const SOURCE: &str = "org.ocluster.obuilder.source";
/// What that was, in words.
pub(crate) const KIND: &str = "org.ocluster.obuilder.kind";
/// When it was imported.
pub(crate) const IMPORTED: &str = "org.ocluster.obuilder.imported";
/// How much room its layers take, in bytes.
pub(crate) const SIZE: &str = "org.ocluster.obuilder.size";

const OURS: [&str; 4] = [SOURCE, KIND, IMPORTED, SIZE];

/// Names bytes that are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(
        default,
        skip_serializing_if = "Annotations::is_empty",
        deserialize_with = "annotations"
    )]
    pub(crate) annotations: Annotations,
}

pub(crate) type Annotations = BTreeMap<String, String>;

/// The manifests of one image for several platforms, or of several images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(deserialize_with = "few")]
    pub(crate) manifests: Vec<Descriptor>,
}

/// The parts of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    pub(crate) config: Descriptor,
    #[serde(deserialize_with = "few")]
    pub(crate) layers: Vec<Descriptor>,
}

/// What an image declares for the processes that run in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its environment, in order.
    pub env: Vec<(BString, BString)>,
}

/// What may be under the name of an image.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// The fields that distinguish the documents. Parsed apart, because a document's tree can take thirty times its size.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    manifests: Option<IgnoredAny>,
}

/// Returns what is wrong with a document, without any of its content: the author of a job must not see the
/// responses of other services.
pub(crate) fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "it has another form",
        serde_json::error::Category::Eof => "it is cut off",
        _ => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// The config of an image.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) platform: Platform,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) config: RunConfig,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) rootfs: Layers,
    #[serde(default, skip_deserializing)]
    pub(crate) history: Vec<BTreeMap<String, String>>,
}

/// The settings of an image for the processes that run in it, in the form of its config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// The environment: `NAME=VALUE`.
    #[serde(deserialize_with = "few")]
    pub env: Vec<String>,
    /// The user, by name or as `UID:GID`. Empty for root.
    #[serde(deserialize_with = "or_null", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The working directory. Empty for `/`.
    #[serde(deserialize_with = "or_null", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// The first words of the command. Written, but not read: a spec has its own shell.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The words after the entry point, unless others are given. Written, but not read.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
}

/// The digests of its layers, decompressed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Layers {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "few")]
    pub(crate) diff_ids: Vec<String>,
}

impl Descriptor {
    /// Returns what names `bytes`.
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: Annotations::new(),
        }
    }
}

impl Manifest {
    pub(crate) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config,
            layers,
        }
    }
}

impl Document {
    /// Reads an index or a manifest.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| format!("its manifest is wrong: {}", place(&error));
        let shape: Shape = serde_json::from_slice(bytes).map_err(wrong)?;
        if shape.schema_version == Some(1) {
            return Err(
                "its manifest has the format of 2014 (schema 1), which is not supported: push it \
                 again with a current program"
                    .to_owned(),
            );
        }
        let read = if shape.manifests.is_some() {
            serde_json::from_slice(bytes).map(Self::Index)
        } else {
            serde_json::from_slice(bytes).map(Self::Manifest)
        };
        read.map_err(wrong)
    }
}

impl RunConfig {
    /// Returns the environment, in order.
    ///
    /// # Errors
    /// If an entry is not `NAME=VALUE`, in upstream's words.
    pub(crate) fn image(&self) -> Result<Image, String> {
        let pair = |entry: &String| {
            let (name, value) = entry.split_once('=').ok_or_else(|| {
                format!("Invalid environment in Docker image {entry:?} (should be 'K=V')")
            })?;
            Ok((BString::from(name), BString::from(value)))
        };
        Ok(Image {
            env: self.env.iter().map(pair).collect::<Result<_, String>>()?,
        })
    }

    /// Returns a sentence about what the image asks for and does not get, if there is something.
    pub(crate) fn not_applied(&self) -> Option<String> {
        let user = format!("its user {:?}", self.user);
        let directory = format!("its working directory {:?}", self.working_dir);
        let what = match (
            self.user.is_empty(),
            matches!(self.working_dir.as_str(), "" | "/"),
        ) {
            (true, true) => return None,
            (false, true) => user,
            (true, false) => directory,
            (false, false) => format!("{user} and {directory}"),
        };
        Some(format!(
            "Of the image's settings, only the environment is used: {what} must be set in the spec"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_kept_in_order_and_cut_at_the_first_equals_sign() {
        let config: Config = serde_json::from_str(
            r#"{"architecture":"amd64","os":"linux","created":"",
                "config":{"Env":["B=2","A=","PATH=/bin:/usr/bin","X=1=2"],"Cmd":null,"Volumes":null}}"#,
        )
        .unwrap();
        let env = config.config.image().unwrap().env;
        let shown: Vec<String> = env
            .iter()
            .map(|(name, value)| format!("{name}|{value}"))
            .collect();
        assert_eq!(shown, ["B|2", "A|", "PATH|/bin:/usr/bin", "X|1=2"]);
    }

    #[test]
    fn an_entry_that_is_no_variable_is_refused_in_the_known_words() {
        let config = RunConfig {
            env: vec!["nonsense".to_owned()],
            ..RunConfig::default()
        };
        assert_eq!(
            config.image().unwrap_err(),
            "Invalid environment in Docker image \"nonsense\" (should be 'K=V')"
        );
    }

    #[test]
    fn an_image_without_settings_is_one() {
        for text in [
            "{}",
            r#"{"config":null}"#,
            r#"{"config":{"Env":null,"User":null}}"#,
        ] {
            let config: Config = serde_json::from_str(text).unwrap();
            assert_eq!(config.config.image().unwrap(), Image::default());
            assert_eq!(config.config.not_applied(), None);
        }
    }

    #[test]
    fn what_is_not_applied_is_said() {
        let config = RunConfig {
            user: "opam".to_owned(),
            working_dir: "/home/opam".to_owned(),
            ..RunConfig::default()
        };
        assert_eq!(
            config.not_applied().unwrap(),
            "Of the image's settings, only the environment is used: its user \"opam\" and its working \
             directory \"/home/opam\" must be set in the spec"
        );
    }

    #[test]
    fn a_document_has_no_more_in_it_than_images_have() {
        let part = r#"{"digest":"sha256:9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91","size":1}"#;
        let many = |count| vec![part; count].join(",");
        let read = |count| {
            let text = format!(
                r#"{{"schemaVersion":2,"config":{part},"layers":[{}]}}"#,
                many(count)
            );
            Document::read(text.as_bytes())
        };
        assert!(read(MAX_ELEMENTS).is_ok());
        assert_eq!(
            read(MAX_ELEMENTS + 1).unwrap_err(),
            "its manifest is wrong: it has another form (line 1, column 940226)"
        );
        let annotated = part.replace(
            "}",
            r#","annotations":{"hush":"x","org.opencontainers.image.ref.name":"v1"}}"#,
        );
        let descriptor: Descriptor = serde_json::from_str(&annotated).unwrap();
        assert_eq!(
            descriptor.annotations,
            [(REF_NAME.to_owned(), "v1".to_owned())].into()
        );
    }
}
