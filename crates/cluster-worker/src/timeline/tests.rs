//! Tests of timelines.

use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn only_what_has_changed_is_reported() {
    let mut timeline = Timeline::default();
    let source = timeline.begin(ms(5), PhaseKind::Source, "https://example.com/x", 10);
    timeline.end(ms(20), source.unwrap());
    let step = timeline.begin(ms(21), PhaseKind::Step, "RUN make", 100);
    let all = timeline.since(0, 0);
    assert_eq!(all.phases.len(), 2);
    assert_eq!(all.phases[0].1.ended, Some(ms(20)));
    assert_eq!(timeline.since(all.version, 0).phases, []);
    timeline.set_cached(step.unwrap());
    timeline.end_all(ms(30));
    let changed = timeline.since(all.version, 0);
    let [(1, phase)] = &*changed.phases else {
        panic!("{changed:?}");
    };
    assert!(phase.cached);
    assert_eq!(phase.ended, Some(ms(30)));
    // It has ended, and does not end again.
    timeline.end_all(ms(99));
    assert_eq!(timeline.since(changed.version, 0).phases, []);
}

#[test]
fn there_are_not_too_many_phases_and_no_long_names() {
    let mut timeline = Timeline::default();
    let long = "é".repeat(MAX_PHASE_NAME_BYTES);
    for _ in 0..MAX_PHASES {
        assert!(timeline.begin(ms(0), PhaseKind::Step, &long, 0).is_some());
    }
    assert!(timeline.begin(ms(0), PhaseKind::Step, "more", 0).is_none());
    let all = timeline.since(0, 0).phases;
    assert_eq!(all.len(), MAX_PHASES);
    let name = &all[0].1.name;
    assert!(name.len() <= MAX_PHASE_NAME_BYTES && name.ends_with("é…"));
    assert_eq!(one_line(" a\nb\n"), "a …");
    assert_eq!(one_line("a\r\n"), "a");
    let lines = format!("{long}\nmore");
    let name = one_line(&lines);
    assert!(name.len() <= MAX_PHASE_NAME_BYTES && name.ends_with("é …"));
}

#[test]
fn log_times_are_spaced_and_thinned() {
    let mut timeline = Timeline::default();
    timeline.written(ms(0), 0, 10);
    timeline.written(ms(99), 10, 20);
    timeline.written(ms(100), 20, 30);
    let times = timeline.since(0, 0);
    let offsets: Vec<u64> = times.log.iter().map(|time| time.offset).collect();
    assert_eq!((offsets, times.log_length), (vec![0, 20], 30));
    let most = u64::try_from(MAX_KEPT_LOG_TIMES).unwrap();
    for nth in 2..4 * most {
        let offset = 10 + nth * 10;
        timeline.written(ms(nth * 100), offset, offset + 10);
    }
    let all = timeline.all();
    assert!(all.log.len() <= MAX_KEPT_LOG_TIMES && all.log.len() >= MAX_KEPT_LOG_TIMES / 2);
    assert_eq!(all.log[0].offset, 0);
    let gaps = all.log.windows(2).map(|pair| pair[1].at - pair[0].at);
    assert!(gaps.max().unwrap() <= ms(800));
}

#[test]
fn pages_of_log_times_follow_each_other() {
    let mut timeline = Timeline::default();
    let most = u64::try_from(MAX_LOG_TIMES).unwrap();
    for nth in 0..most + 7 {
        timeline.written(ms(nth * 100), nth * 3, nth * 3 + 3);
    }
    let first = timeline.since(0, 0);
    assert!(first.is_full());
    assert_eq!(first.log_length, most * 3);
    let second = timeline.since(first.version, first.log_length);
    assert_eq!((second.log.len(), second.log_length), (7, (most + 7) * 3));
    let third = timeline.since(second.version, second.log_length);
    assert_eq!((third.log.len(), third.log_length), (0, (most + 7) * 3));
}

#[test]
fn what_is_kept_can_be_restored() {
    let mut timeline = Timeline::default();
    timeline.begin(ms(1), PhaseKind::Image, "busybox", 3);
    timeline.written(ms(1), 0, 5);
    timeline.written(ms(500), 5, 9);
    let kept = JobTimes::from_bytes(&timeline.all().to_bytes().unwrap()).unwrap();
    assert_eq!(kept, timeline.all());
    // Less of the log has reached the disk.
    let restored = Timeline::restored(kept, 4).since(0, 0);
    assert_eq!(restored.phases, timeline.since(0, 0).phases);
    let first = LogTime {
        offset: 0,
        at: ms(1),
    };
    assert_eq!((restored.log, restored.log_length), (vec![first], 4));
}
