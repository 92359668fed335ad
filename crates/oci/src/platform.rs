//! For which machines an image is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::documents::Descriptor;

/// A kind of machine, in the words of image indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The architecture: `amd64`, `arm64`.
    #[serde(default)]
    pub architecture: String,
    /// The operating system: `linux`.
    #[serde(default)]
    pub os: String,
    /// Which of several instruction sets of that architecture: `v7`. Mostly `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns that of this machine.
    pub fn here() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            // Named alike in both worlds, as far as there are images: s390x, riscv64.
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Returns how well an image for `other` runs here, the more the better; `None` if it does not.
    fn suits(&self, other: &Self) -> Option<u32> {
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

    /// Returns the best of several images for this machine.
    pub(crate) fn best<'a>(&self, among: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let mut best: Option<(u32, &Descriptor)> = None;
        for image in among {
            let Some(suits) = image.platform.as_ref().and_then(|other| self.suits(other)) else {
                continue;
            };
            // The first of equals.
            if best.is_none_or(|(most, _)| suits > most) {
                best = Some((suits, image));
            }
        }
        best.map(|(_, image)| image)
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

/// Lists the platforms that an index has images for.
pub(crate) fn listed(images: &[Descriptor]) -> String {
    let platforms: Vec<String> = images
        .iter()
        .filter_map(|image| image.platform.as_ref())
        // Signatures and the like are listed as images of no platform.
        .filter(|platform| platform.os != "unknown")
        .map(Platform::to_string)
        .collect();
    if platforms.is_empty() {
        "none".to_owned()
    } else {
        platforms.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        Platform {
            os: parts.next().unwrap(),
            architecture: parts.next().unwrap(),
            variant: parts.next(),
        }
    }

    fn best(here: &str, among: &[&str]) -> Option<String> {
        let images: Vec<Descriptor> = among
            .iter()
            .map(|text| Descriptor {
                platform: Some(platform(text)),
                ..Descriptor::of("", text.as_bytes())
            })
            .collect();
        let found = platform(here).best(&images)?;
        found.platform.as_ref().map(Platform::to_string)
    }

    #[test]
    fn each_machine_gets_the_image_that_it_runs_best() {
        let all = [
            "linux/arm/v5",
            "linux/arm/v7",
            "linux/amd64",
            "linux/arm64/v8",
            "windows/amd64",
        ];
        for (here, found) in [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/arm64/v8", Some("linux/arm64/v8")),
            ("linux/arm/v7", Some("linux/arm/v7")),
            ("linux/arm/v6", Some("linux/arm/v5")),
            ("linux/s390x", None),
        ] {
            assert_eq!(best(here, &all).as_deref(), found, "{here}");
        }
        assert_eq!(
            best("linux/arm64/v8", &["linux/arm64"]).as_deref(),
            Some("linux/arm64")
        );
        // Built for newer processors than ours may be.
        assert_eq!(best("linux/amd64", &["linux/amd64/v3"]), None);
        assert_eq!(best("linux/amd64", &["unknown/unknown"]), None);
    }
}
