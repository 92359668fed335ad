//! The steps that are found in the output of a Docker build: bounded, and the same in whatever pieces it comes.

use cluster_api::{MAX_PHASE_NAME_BYTES, MAX_PHASES};
use cluster_worker::fuzzing::build_phases;

/// The first byte is odd for the classic builder, and the second one is the size of the pieces.
pub(super) fn run(bytes: &[u8]) {
    let [builder, size, output @ ..] = bytes else {
        return;
    };
    let is_classic = builder % 2 == 1;
    let size = usize::from(*size).max(1);
    let phases = build_phases(is_classic, output.chunks(size));
    assert!(phases.len() <= MAX_PHASES);
    for phase in &phases {
        assert!(phase.name.len() <= MAX_PHASE_NAME_BYTES);
        assert!(!phase.name.contains(['\n', '\r']), "{phase:?}");
        assert!(phase.log_offset < output.len() as u64, "{phase:?}");
        assert!(phase.ended.is_none_or(|ended| ended >= phase.started));
    }
    let whole = build_phases(is_classic, std::iter::once(output));
    let names = |phases: Vec<cluster_api::Phase>| {
        let names = phases.into_iter();
        names
            .map(|phase| (phase.kind, phase.name, phase.log_offset, phase.cached))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(phases), names(whole));
}
