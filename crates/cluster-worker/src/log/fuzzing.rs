//! The steps that are found in the output of a Docker build, for a fuzzer to check.

use std::time::Duration;

use cluster_api::Phase;

use super::steps::{StepFormat, StepReader};
use crate::timeline::Timeline;

/// Returns the phases that are found in output that comes in these pieces.
pub fn build_phases<'a>(is_classic: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Phase> {
    let mut timeline = Timeline::default();
    let mut reader = StepReader::new(match is_classic {
        true => StepFormat::Classic,
        false => StepFormat::BuildKit,
    });
    let mut offset = 0;
    for (second, piece) in (0..).zip(pieces) {
        let now = Duration::from_secs(second);
        reader.push(offset, piece, |event| timeline.apply(now, event));
        offset += piece.len() as u64;
        timeline.written(now, offset, offset);
    }
    let phases = timeline.all().phases.into_iter();
    phases.map(|(_, phase)| phase).collect()
}
