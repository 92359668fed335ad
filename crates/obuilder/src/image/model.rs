//! What registries and archives say of an image: an index, manifests, a config.
//!
//! Only what is used is read, and the rest may be as it likes: images outlive the rules they were made by.

use std::collections::BTreeMap;

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::platform::Platform;
use crate::fetch::Image;

/// The most bytes of an index, a manifest or a config.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Where the name of an image is, in an index that is kept on a disk.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

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
        deserialize_with = "or_null"
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
    pub(crate) layers: Vec<Descriptor>,
}

/// What may be under the name of an image.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// What an image says of itself.
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

/// What it says of those who run in it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RunConfig {
    #[serde(deserialize_with = "or_null")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "or_null", skip_serializing_if = "String::is_empty")]
    pub(crate) user: String,
    #[serde(deserialize_with = "or_null", skip_serializing_if = "String::is_empty")]
    pub(crate) working_dir: String,
}

/// The digests of its layers, decompressed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Layers {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) diff_ids: Vec<String>,
}

/// Reads something that some programs write as `null`.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
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
        let value: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| format!("its manifest is not JSON: {error}"))?;
        if value
            .get("schemaVersion")
            .and_then(serde_json::Value::as_u64)
            == Some(1)
        {
            return Err(
                "its manifest has the format of 2014 (schema 1), which is not supported: push it \
                 again with a current program"
                    .to_owned(),
            );
        }
        let read = if value.get("manifests").is_some() {
            serde_json::from_value(value).map(Self::Index)
        } else {
            serde_json::from_value(value).map(Self::Manifest)
        };
        read.map_err(|error| format!("its manifest is wrong: {error}"))
    }
}

impl RunConfig {
    /// Returns the environment, in order.
    ///
    /// # Errors
    /// When an entry is none, in the words that upstream has for it.
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
}
