//! The choice of an image for a platform among the ones of an index.

use super::Descriptor;
use crate::platform::Platform;

/// Returns the best of several images for the platform `here`. The first one, if several are equally good.
pub(crate) fn best<'a>(here: &Platform, among: &'a [Descriptor]) -> Option<&'a Descriptor> {
    let mut best: Option<(u32, &Descriptor)> = None;
    for image in among {
        let Some(suits) = image.platform.as_ref().and_then(|other| here.suits(other)) else {
            continue;
        };
        if best.is_none_or(|(most, _)| suits > most) {
            best = Some((suits, image));
        }
    }
    best.map(|(_, image)| image)
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

    fn best_of(here: &str, among: &[&str]) -> Option<String> {
        let images: Vec<Descriptor> = among
            .iter()
            .map(|text| Descriptor {
                platform: Some(platform(text)),
                ..Descriptor::of("", text.as_bytes())
            })
            .collect();
        let found = best(&platform(here), &images)?;
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
            assert_eq!(best_of(here, &all).as_deref(), found, "{here}");
        }
        assert_eq!(
            best_of("linux/arm64/v8", &["linux/arm64"]).as_deref(),
            Some("linux/arm64")
        );
        // Built for newer processors than ours may be.
        assert_eq!(best_of("linux/amd64", &["linux/amd64/v3"]), None);
        assert_eq!(best_of("linux/amd64", &["unknown/unknown"]), None);
    }
}
