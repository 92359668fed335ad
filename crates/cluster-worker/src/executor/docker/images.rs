//! Which images a Dockerfile names: for a worker that uses those which are there already.
//!
//! Such a worker has the images of all jobs in its engine, most of them without a name. A few digits of an image's id
//! are enough to build on it, and to read all that is in it; ids are short, and can be tried. So jobs must name images.
//!
//! And `docker build` has no option to fetch nothing. On a machine without a registry it could take minutes until it
//! reports that an image is missing; so we check first.

use std::collections::{BTreeMap, BTreeSet};

use super::instructions::{LONGEST_WORD, UNREADABLE, ambiguous_line, expand, instructions, words};

/// What BuildKit sets by itself, if a build does not.
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

/// Stands for a value that BuildKit sets: which image that makes, it alone knows, but none by its id.
const PLATFORM: &str = "{platform}";

/// The images that a Dockerfile names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Images {
    /// Those that its stages begin with, in order, without those that are made on the way.
    pub(super) bases: Vec<String>,
    /// Those that files are copied from, or that are mounted.
    others: Vec<String>,
    /// Names that we cannot read.
    unclear: Vec<String>,
    /// A line that may hide any of them.
    ambiguous: Option<String>,
}

/// Why a job may not use an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadImage {
    #[error(
        "image {0:?} is named by its id, and may be another job's: use NAME:TAG or NAME@DIGEST (this worker has --docker-pull=missing or never)"
    )]
    Id(String),
    #[error(
        "cannot determine which image {0:?} is; use plain variables (this worker has --docker-pull=missing or never)"
    )]
    Unclear(String),
    #[error(
        "cannot determine which images are used: versions of Docker read the line {0:?} differently; end no line in two escapes or in white space after one, and set escape on the first line or not at all (this worker has --docker-pull=missing or never)"
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
        // BuildKit knows no image by its id, whatever is hidden.
        if !buildkit {
            reader.images.ambiguous = ambiguous_line(dockerfile).map(str::to_owned);
        }
        reader.images
    }

    /// Returns the images that the triggers of a base image name, one trigger to a line.
    pub(super) fn of_triggers(triggers: &str) -> Self {
        let mut reader = Reader::default();
        for line in triggers.lines().map(str::trim) {
            // The engine reads each as a Dockerfile of one instruction, which whoever made the image may have put on
            // several lines.
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

    /// Fails if any of them may be another job's.
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

/// Returns a value as it may be used: one that is too long for any image is not copied again and again.
fn readable(value: &str) -> String {
    if value.len() > LONGEST_WORD {
        UNREADABLE.to_owned()
    } else {
        value.to_owned()
    }
}

/// Returns an instruction without any further `ONBUILD` before it. Docker refuses more than one, and a Dockerfile may
/// have a million.
fn without_onbuild(instruction: &str) -> &str {
    let mut rest = instruction.trim();
    while let Some((keyword, after)) = rest.split_once(char::is_whitespace)
        && keyword.eq_ignore_ascii_case("onbuild")
    {
        rest = after.trim_start();
    }
    rest
}

/// Returns whether an engine may take this for the id of an image, or its beginning.
fn is_id(image: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|digit| digit.is_ascii_hexdigit());
    !image.is_empty() && is_hex(image.strip_prefix("sha256:").unwrap_or(image))
}

/// Returns whether an image may be called this.
fn is_name(image: &str) -> bool {
    image
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c))
}

/// Reads instructions, one after the other.
#[derive(Default)]
struct Reader<'a> {
    given: BTreeMap<&'a str, &'a str>,
    buildkit: bool,
    /// What `ARG` has set before the first stage.
    args: BTreeMap<String, String>,
    stages: usize,
    /// Those of the stages before this one.
    names: BTreeSet<String>,
    /// That of this stage, which is none that it could copy from.
    name: Option<String>,
    /// The base images, to be found quickly among many.
    seen: BTreeSet<String>,
    images: Images,
}

impl Reader<'_> {
    fn read(&mut self, instruction: &str) {
        let (keyword, rest) = instruction
            .split_once(char::is_whitespace)
            .unwrap_or((instruction, ""));
        match keyword.to_ascii_lowercase().as_str() {
            // It is for whoever builds on this, where stages are others.
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
        // An escape may be one of a quote, or of white space.
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
                // What we cannot read, we shall not be able to read where it is used.
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
            // An error for the engine; or it splits this into other words, such as a flag with quotes.
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

    /// Reads `--from=`, wherever it is: a flag before it may have white space in quotes.
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
    fn images_are_found_and_stages_are_not() {
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

    /// A Dockerfile may have megabytes, and a worker has other jobs.
    #[test]
    fn what_is_made_to_hurt_is_read_at_once() {
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
            // What must go on.
            "FROM x AS b\nFROM B",
            "FROM x AS a\nFROM a\nCOPY --from=a / /\nCOPY --from=0 / /\nCOPY --from=1 / /",
            "FROM busybox@sha256:419a",
            "FROM 419a:latest",
            "ARG BASE\nFROM ${BASE:-debian}-$TARGETARCH",
            "FROM x\nRUN <<EOF\nFROM 419a\nEOF",
            // What is an id, or can be.
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
            let said = checked.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
            let said = said.split([',', '(']).next().unwrap_or_default().trim();
            shown += &format!("{dockerfile:?}: {said}\n");
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

    /// What the classic builder takes for an id, in a way that looks like something else.
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
    fn what_buildkit_alone_knows_is_left_to_it() {
        let dockerfile = "FROM x AS base-amd64\nFROM base-$TARGETARCH AS b\nFROM b\nRUN --mount=from=b,target=/b true";
        let images = Images::of(dockerfile, &[], true);
        assert_eq!(images.bases, ["x"]);
        images.check().unwrap();
    }
}
