//! Reads the instructions of a Dockerfile.

use std::collections::{BTreeMap, BTreeSet};

use super::Images;
use crate::executor::docker::instructions::{LONGEST_WORD, UNREADABLE, expand, words};

/// The variables that BuildKit sets, unless a build sets them.
const PREDEFINED: [&str; 8] = [
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
];

/// Stands for a value that BuildKit sets. Only BuildKit knows the resulting image, but it does not accept ids.
const PLATFORM: &str = "{platform}";

/// Returns a value, or a placeholder if it is too long for an image's name, so that it is not copied repeatedly.
fn readable(value: &str) -> String {
    if value.len() > LONGEST_WORD {
        UNREADABLE.to_owned()
    } else {
        value.to_owned()
    }
}

/// Returns an instruction without further `ONBUILD`s before it. Docker refuses more than one, but a Dockerfile may have
/// a million.
fn without_onbuild(instruction: &str) -> &str {
    let mut rest = instruction.trim();
    while let Some((keyword, after)) = rest.split_once(char::is_whitespace)
        && keyword.eq_ignore_ascii_case("onbuild")
    {
        rest = after.trim_start();
    }
    rest
}

/// Returns whether this can be the name of an image.
fn is_name(image: &str) -> bool {
    image
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c))
}

/// Collects images from instructions, one after the other.
#[derive(Default)]
pub(super) struct Reader<'a> {
    given: BTreeMap<&'a str, &'a str>,
    buildkit: bool,
    /// The variables that `ARG` has set before the first stage.
    args: BTreeMap<String, String>,
    stages: usize,
    /// The names of earlier stages.
    names: BTreeSet<String>,
    /// The name of this stage, which it cannot copy from.
    name: Option<String>,
    /// The base images, for a quick search among many.
    seen: BTreeSet<String>,
    pub(super) images: Images,
}

impl<'a> Reader<'a> {
    /// `given` are the build arguments.
    pub(super) fn new(given: BTreeMap<&'a str, &'a str>, buildkit: bool) -> Self {
        Self {
            given,
            buildkit,
            ..Self::default()
        }
    }
}

impl Reader<'_> {
    pub(super) fn read(&mut self, instruction: &str) {
        let (keyword, rest) = instruction
            .split_once(char::is_whitespace)
            .unwrap_or((instruction, ""));
        match keyword.to_ascii_lowercase().as_str() {
            // It runs in builds on this image, which have other stages.
            "onbuild" => {
                let mut triggered = Reader::default();
                triggered.read(without_onbuild(rest));
                let Images {
                    bases,
                    others,
                    unclear,
                    ambiguous: _,
                } = triggered.images;
                self.images.others.extend(bases.into_iter().chain(others));
                self.images.unclear.extend(unclear);
            }
            "arg" if self.stages == 0 => self.arg(rest),
            "from" => self.from(rest),
            "copy" | "add" => self.copy(rest),
            "run" => self.mounts(rest),
            _ => {}
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        if let Some(value) = self.args.get(name) {
            return Some(value.clone());
        }
        (self.buildkit && PREDEFINED.contains(&name))
            .then(|| readable(self.given.get(name).copied().unwrap_or(PLATFORM)))
    }

    fn arg(&mut self, rest: &str) {
        // An escape may precede a quote or white space.
        if !self.buildkit && rest.contains(['\\', '`']) {
            self.images.unclear.push(rest.to_owned());
        }
        for word in words(rest) {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (word, None),
            };
            let value = match (self.given.get(name), default) {
                (Some(given), _) => Some(readable(given)),
                // A value that cannot be read here cannot be read where it is used.
                (None, Some(default)) => expand(default, &|name| self.value(name))
                    .or_else(|| Some(UNREADABLE.to_owned())),
                (None, None) => None,
            };
            match value {
                Some(value) => self.args.insert(name.to_owned(), value),
                None => self.args.remove(name),
            };
        }
    }

    fn from(&mut self, rest: &str) {
        let words = rest.split_whitespace();
        let words: Vec<&str> = words.skip_while(|word| word.starts_with("--")).collect();
        let (word, name) = match words[..] {
            [] => return,
            [word] => (word, None),
            [word, keyword, name] if keyword.eq_ignore_ascii_case("as") => (word, Some(name)),
            // An error, or the engine splits this into other words, such as a flag with quotes.
            _ => return self.images.unclear.push(rest.to_owned()),
        };
        self.names.extend(self.name.take());
        let image = expand(word, &|name| self.value(name));
        match image {
            Some(image) if image.contains(PLATFORM) => {}
            None => self.images.unclear.push(word.to_owned()),
            Some(image) if !is_name(&image) => self.images.unclear.push(word.to_owned()),
            Some(image) => {
                let is_made_here = image.eq_ignore_ascii_case("scratch")
                    || self.names.contains(&image.to_lowercase());
                if !is_made_here && !image.is_empty() && self.seen.insert(image.clone()) {
                    self.images.bases.push(image);
                }
            }
        }
        self.stages += 1;
        self.name = name.map(str::to_lowercase);
    }

    /// Reads `--from=` at any position: a flag before it may have white space in quotes.
    fn copy(&mut self, rest: &str) {
        let rest = rest.replace(['"', '\'', '\\'], "");
        for after in rest.split("--from=").skip(1) {
            self.other(after.split(char::is_whitespace).next().unwrap_or_default());
        }
    }

    /// Reads the `from` of `--mount=`.
    fn mounts(&mut self, rest: &str) {
        for word in rest.split_whitespace() {
            let Some(flag) = word.strip_prefix("--") else {
                return;
            };
            let flag = flag.replace(['"', '\'', '\\'], "");
            let fields = flag.strip_prefix("mount=").unwrap_or_default().split(',');
            for (key, image) in fields.filter_map(|field| field.split_once('=')) {
                if key.eq_ignore_ascii_case("from") {
                    self.other(image);
                }
            }
        }
    }

    fn other(&mut self, image: &str) {
        let image = expand(image, &|name| self.value(name)).unwrap_or_else(|| image.to_owned());
        let is_made_here = self.names.contains(&image.to_lowercase())
            || image
                .parse::<usize>()
                .is_ok_and(|index| index < self.stages);
        if !is_made_here {
            self.images.others.push(image);
        }
    }
}
