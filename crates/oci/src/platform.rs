//! The machines that images are for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of machine, by the names in image indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The architecture: `amd64`, `arm64`.
    #[serde(default)]
    pub architecture: String,
    /// The operating system: `linux`.
    #[serde(default)]
    pub os: String,
    /// The version of its instruction set: `v7`. `None` for most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns the platform of this machine.
    pub fn here() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            // Others have the same name in Rust and in images: s390x, riscv64.
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Returns how well an image for `other` runs here, higher is better. `None` if it does not run.
    pub(crate) fn suits(&self, other: &Self) -> Option<u32> {
        if self.os != other.os || self.architecture != other.architecture {
            return None;
        }
        match (level(&self.variant), level(&other.variant)) {
            // All 64-bit ARM machines run the first version, which is mostly left out.
            (_, None) => Some(1),
            (Some(ours), Some(its)) if its <= ours => Some(1 + its),
            (None, Some(1)) => Some(1),
            _ => None,
        }
    }

    /// Returns whether an image for `other` runs here.
    pub(crate) fn runs(&self, other: &Self) -> bool {
        self.suits(other).is_some()
    }
}

/// Returns the number in `v7`.
fn level(variant: &Option<String>) -> Option<u32> {
    variant.as_deref()?.strip_prefix('v')?.parse().ok()
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}
