//! The images that a Dockerfile names, for a worker that uses images that are already present.
//!
//! The engine of such a worker has the images of all jobs, most of them without a name. With a few digits of an image's
//! id, which can be guessed, a job could build on it and read its files. So jobs must refer to images by name.
//!
//! Also, `docker build` has no option to pull nothing. On a machine without a registry it could take minutes to report
//! that an image is missing, so the worker checks this first.

use std::collections::{BTreeMap, BTreeSet};

use super::instructions::{LONGEST_WORD, UNREADABLE, ambiguous_line, expand, instructions, words};

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

/// The images that a Dockerfile names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Images {
    /// The images that its stages begin with, in order, without earlier stages.
    pub(super) bases: Vec<String>,
    /// The images that files are copied from or that are mounted.
    others: Vec<String>,
    /// Names that cannot be determined.
    unclear: Vec<String>,
    /// A line that versions of the engine read differently, which may hide names.
    ambiguous: Option<String>,
}

/// Why a job may not use an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadImage {
    #[error(
        "image {0:?} is named by its id, and may be another job's: use NAME:TAG or NAME@DIGEST (this worker has \
         --docker-pull=missing or never)"
    )]
    Id(String),
    #[error(
        "cannot determine which image {0:?} is; use plain variables (this worker has --docker-pull=missing or never)"
    )]
    Unclear(String),
    #[error(
        "cannot determine which images are used: versions of Docker read the line {0:?} differently; end no line in \
         two escapes or in white space after one, and set escape on the first line or not at all (this worker has \
         --docker-pull=missing or never)"
    )]
    Ambiguous(String),
}

impl Images {
    /// Returns the images of a Dockerfile. `build_args` are `NAME=VALUE`.
    pub(super) fn of(dockerfile: &str, build_args: &[String], buildkit: bool) -> Self {
        let given = build_args.iter().filter_map(|arg| arg.split_once('='));
        let given: BTreeMap<&str, &str> = given.collect();
        let mut reader = Reader {
            given,
            buildkit,
            ..Reader::default()
        };
        for instruction in instructions(dockerfile, buildkit) {
            reader.read(&instruction);
        }
        // BuildKit does not accept ids, so nothing dangerous can be hidden from it.
        if !buildkit {
            reader.images.ambiguous = ambiguous_line(dockerfile).map(str::to_owned);
        }
        reader.images
    }

    /// Returns the images that the triggers of a base image name. Each line is a trigger.
    pub(super) fn of_triggers(triggers: &str) -> Self {
        let mut reader = Reader::default();
        for line in triggers.lines().map(str::trim) {
            // The engine reads each as a Dockerfile with one instruction, which may have several lines.
            let is_whole =
                line.starts_with(|c: char| c.is_ascii_alphabetic()) && !line.ends_with(['\\', '`']);
            if is_whole {
                reader.read(line);
            } else if !line.is_empty() {
                reader.images.ambiguous = Some(line.to_owned());
            }
        }
        reader.images
    }

    /// Fails if any of them may belong to another job.
    pub(super) fn check(&self) -> Result<(), BadImage> {
        let Self {
            bases,
            others,
            unclear,
            ambiguous,
        } = self;
        if let Some(id) = bases.iter().chain(others).find(|image| is_id(image)) {
            return Err(BadImage::Id(id.clone()));
        }
        if let Some(image) = unclear.first() {
            return Err(BadImage::Unclear(image.clone()));
        }
        match ambiguous {
            Some(line) => Err(BadImage::Ambiguous(line.clone())),
            None => Ok(()),
        }
    }
}

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

/// Returns whether an engine may read this as the id of an image, or the beginning of one.
fn is_id(image: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|digit| digit.is_ascii_hexdigit());
    !image.is_empty() && is_hex(image.strip_prefix("sha256:").unwrap_or(image))
}

/// Returns whether this can be the name of an image.
fn is_name(image: &str) -> bool {
    image
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c))
}

/// Collects images from instructions, one after the other.
#[derive(Default)]
struct Reader<'a> {
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
    images: Images,
}

impl Reader<'_> {
    fn read(&mut self, instruction: &str) {
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

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::Images;

    #[test]
    fn images_are_found_without_stages() {
        let dockerfile = "# FROM comment\n\
            ARG version=3\n\
            FROM --platform=linux/amd64 debian:12 AS Build\n\
            RUN echo FROM here\n\
            from busybox\n\
            COPY --from=build /x /\n\
            FROM build as second\n\
            FROM scratch\n\
            FROM alpine:$version\n\
            FROM busybox\n\
            FROM\n";
        let images = Images::of(dockerfile, &[], false);
        assert_eq!(images.bases, ["debian:12", "busybox", "alpine:3"]);
        assert_eq!(Images::of("", &[], false), Images::default());
    }

    /// A malicious Dockerfile may have megabytes, and must not delay other jobs.
    #[test]
    fn malicious_dockerfiles_are_read_quickly() {
        let check = |dockerfile: &str| Images::of(dockerfile, &[], true).check();
        let chained = format!("FROM x\n{}COPY --from=419a / /", "ONBUILD ".repeat(200_000));
        assert!(check(&chained).is_err());
        let doubling = format!("ARG A=xxxxxxxx\n{}FROM $A\n", "ARG A=$A$A\n".repeat(60));
        assert!(check(&doubling).is_err());
        let many: String = (0..100_000).map(|n| format!("FROM x{n}\n")).collect();
        assert_eq!(Images::of(&many, &[], true).bases.len(), 100_000);
    }

    #[test]
    fn an_image_must_be_named_by_its_name() {
        let mut shown = String::new();
        for dockerfile in [
            // Allowed.
            "FROM x AS b\nFROM B",
            "FROM x AS a\nFROM a\nCOPY --from=a / /\nCOPY --from=0 / /\nCOPY --from=1 / /",
            "FROM busybox@sha256:419a",
            "FROM 419a:latest",
            "ARG BASE\nFROM ${BASE:-debian}-$TARGETARCH",
            "FROM x\nRUN <<EOF\nFROM 419a\nEOF",
            // An id, or possibly one.
            "FROM 419a",
            "from --platform=x 419a as x",
            "FROM sha256:419a",
            "FROM \"41\"9\\a",
            "FROM 41\\\n9a",
            "ARG BASE=419a\nFROM $BASE",
            "ARG A=41\nARG B=${A}9a\nFROM ${B}",
            "ARG BASE\nFROM ${BASE:-419a}",
            "FROM $GIVEN",
            "ARG GIVEN=x\nFROM $GIVEN",
            "ARG BASE=${x%y}\nFROM $BASE",
            "FROM ${x%y}",
            "FROM x\nCOPY --chown=1 --from=419a / /",
            "FROM x\nCOPY --from=1 / /",
            "FROM x\nRUN --mount=type=bind,from=419a,target=/x true",
            "FROM x\nONBUILD COPY --from=419a / /",
            "FROM x AS 419a\nONBUILD COPY --from=419a / /",
            "# escape=`\nFROM x\nCOPY `\n--from=419a / /",
            "FROM x\nRUN <<EOF\nFROM y AS 419a\nEOF\nCOPY --from=419a / /",
        ] {
            let given = ["GIVEN=419a".to_owned()];
            let checked = Images::of(dockerfile, &given, true).check();
            let result = checked.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
            let result = result.split([',', '(']).next().unwrap_or_default().trim();
            shown += &format!("{dockerfile:?}: {result}\n");
        }
        expect![[r##"
            "FROM x AS b\nFROM B": ok
            "FROM x AS a\nFROM a\nCOPY --from=a / /\nCOPY --from=0 / /\nCOPY --from=1 / /": ok
            "FROM busybox@sha256:419a": ok
            "FROM 419a:latest": ok
            "ARG BASE\nFROM ${BASE:-debian}-$TARGETARCH": ok
            "FROM x\nRUN <<EOF\nFROM 419a\nEOF": ok
            "FROM 419a": image "419a" is named by its id
            "from --platform=x 419a as x": image "419a" is named by its id
            "FROM sha256:419a": image "sha256:419a" is named by its id
            "FROM \"41\"9\\a": image "419a" is named by its id
            "FROM 41\\\n9a": image "419a" is named by its id
            "ARG BASE=419a\nFROM $BASE": image "419a" is named by its id
            "ARG A=41\nARG B=${A}9a\nFROM ${B}": image "419a" is named by its id
            "ARG BASE\nFROM ${BASE:-419a}": image "419a" is named by its id
            "FROM $GIVEN": ok
            "ARG GIVEN=x\nFROM $GIVEN": image "419a" is named by its id
            "ARG BASE=${x%y}\nFROM $BASE": cannot determine which image "$BASE" is; use plain variables
            "FROM ${x%y}": cannot determine which image "${x%y}" is; use plain variables
            "FROM x\nCOPY --chown=1 --from=419a / /": image "419a" is named by its id
            "FROM x\nCOPY --from=1 / /": image "1" is named by its id
            "FROM x\nRUN --mount=type=bind,from=419a,target=/x true": image "419a" is named by its id
            "FROM x\nONBUILD COPY --from=419a / /": image "419a" is named by its id
            "FROM x AS 419a\nONBUILD COPY --from=419a / /": image "419a" is named by its id
            "# escape=`\nFROM x\nCOPY `\n--from=419a / /": image "419a" is named by its id
            "FROM x\nRUN <<EOF\nFROM y AS 419a\nEOF\nCOPY --from=419a / /": image "419a" is named by its id
        "##]].assert_eq(&shown);
        let triggers = Images::of_triggers("RUN true\nCOPY --from=419a / /\n");
        assert!(triggers.check().is_err());
    }

    /// The classic builder reads these as ids, though they look like something else.
    #[test]
    fn an_id_cannot_be_hidden() {
        for dockerfile in [
            "\u{feff}FROM 419a",
            "FROM x AS 419a\nCOPY --from=419a / /",
            "FROM --platform=\"${U:+x busybox }linux\" 419a",
            "FROM x\nCOPY --chown=\"${U:+x y}0\" --from=419a / /",
            "ARG B=419a\nARG A=\"u B=busybox\"\nFROM $B",
            "ARG B=419a\nARG A=\\\" B=busybox \\\"\nFROM $B",
            "ARG A=busybox\nARG A\nFROM ${A:-419a}",
            "ARG A=${x%y}\nFROM de${A:+bian}",
            "FROM 419a$TARGETARCH",
            "# escape=`\nFROM 41`9a",
            "FROM x\nRUN true \\\\\nCOPY --from=419a / /",
            "FROM x\nRUN true \\\\\nFROM y AS 419a\nFROM z\nCOPY --from=419a / /",
            "# a b = c\n# escape=`\nFROM x\nRUN true `\nCOPY --from=419a / /",
        ] {
            let checked = Images::of(dockerfile, &[], false).check();
            assert!(checked.is_err(), "{dockerfile:?}");
        }
        for trigger in [
            "COPY \\\n--from=419a / /",
            "# escape=`\nCOPY `\n--from=419a / /",
            "\u{feff}COPY --from=419a / /",
        ] {
            assert!(Images::of_triggers(trigger).check().is_err(), "{trigger:?}");
        }
    }

    #[test]
    fn names_that_only_buildkit_knows_are_allowed() {
        let dockerfile = "FROM x AS base-amd64\nFROM base-$TARGETARCH AS b\nFROM b\n\
                          RUN --mount=from=b,target=/b true";
        let images = Images::of(dockerfile, &[], true);
        assert_eq!(images.bases, ["x"]);
        images.check().unwrap();
    }
}
