//! The images that a Dockerfile names, for a worker that uses images that are already present.
//!
//! The engine of such a worker has the images of all jobs, most of them without a name. With a few digits of an image's
//! id, which can be guessed, a job could build on it and read its files. So jobs must refer to images by name.
//!
//! Also, `docker build` has no option to pull nothing. On a machine without a registry it could take minutes to report
//! that an image is missing, so the worker checks this first.

mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::instructions::{ambiguous_line, instructions};

use reader::Reader;

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
        let mut reader = Reader::new(given, buildkit);
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

/// Returns whether an engine may read this as the id of an image, or the beginning of one.
fn is_id(image: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|digit| digit.is_ascii_hexdigit());
    !image.is_empty() && is_hex(image.strip_prefix("sha256:").unwrap_or(image))
}
