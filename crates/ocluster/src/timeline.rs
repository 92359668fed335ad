//! The phases of an attempt, as text.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_api::{DurableAttempt, Phase};
use visible::{Elapsed, counted, shortened};

use cli::quote::printable;

/// The phases of some attempts, by their numbers.
pub(crate) type AttemptPhases = BTreeMap<u32, Vec<Phase>>;

/// How many of the latest attempts are shown with their phases.
pub(crate) const MAX_ATTEMPTS: usize = 10;

/// How many phases of an attempt are shown: those that took longest.
const MAX_LINES: usize = 12;

/// The longest name of a phase that is shown, in bytes: with the rest of its line, it fits into 80 columns.
const MAX_NAME: usize = 50;

/// Returns the phases of an attempt, one a line, in the order in which they began.
pub(crate) fn lines(phases: &[Phase], attempt: &DurableAttempt) -> Vec<String> {
    let until = attempt
        .end
        .as_ref()
        .map_or(attempt.started_ago, |end| end.after);
    let took = |phase: &Phase| phase.ended.unwrap_or(until).saturating_sub(phase.started);
    let mut longest: Vec<(usize, Duration)> = phases.iter().map(took).enumerate().collect();
    longest.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    let others: Duration = longest.iter().skip(MAX_LINES).map(|(_, took)| *took).sum();
    longest.truncate(MAX_LINES);
    longest.sort_by_key(|(index, _)| *index);
    let shown = longest.iter().filter_map(|(index, took)| {
        let phase = phases.get(*index)?;
        Some(line(phase, *took, attempt.end.is_none()))
    });
    let mut lines: Vec<String> = shown.collect();
    let more = phases.len().saturating_sub(MAX_LINES);
    if more > 0 {
        let others = Elapsed(others).to_string();
        lines.push(format!("{others:>10}  {} more", counted(more, "phase")));
    }
    lines
}

fn line(phase: &Phase, took: Duration, is_running: bool) -> String {
    let took = Elapsed(took).to_string();
    let kind = phase.kind.word();
    let name = printable(&phase.name);
    let name = shortened(&name, MAX_NAME);
    let remark = match phase.ended {
        None if is_running => " (running)",
        None => " (not finished)",
        Some(_) if phase.cached => " (cached)",
        Some(_) => "",
    };
    format!("{took:>10}  {kind:<6}  {name}{remark}")
}

#[cfg(test)]
mod tests {
    use cluster_api::{AttemptResult, DurableAttemptEnd, PhaseKind};
    use expect_test::expect;

    use super::*;

    fn attempt(ended_after: Option<u64>) -> DurableAttempt {
        DurableAttempt {
            number: 1,
            worker: "w1".to_owned(),
            started_ago: Duration::from_secs(200),
            log_length: 100,
            end: ended_after.map(|after| DurableAttemptEnd {
                after: Duration::from_secs(after),
                result: AttemptResult::Succeeded,
                detail: String::new(),
            }),
        }
    }

    fn phase(kind: PhaseKind, name: &str, started: u64, ended: Option<u64>) -> Phase {
        Phase {
            kind,
            name: name.to_owned(),
            log_offset: 0,
            started: Duration::from_secs(started),
            ended: ended.map(Duration::from_secs),
            cached: false,
        }
    }

    #[test]
    fn phases_are_in_order_with_how_long_they_took() {
        let long = "x".repeat(100);
        let mut phases = vec![
            phase(PhaseKind::Source, "https://example.com/x", 0, Some(3)),
            phase(PhaseKind::Image, "1/3 FROM busybox", 3, Some(64)),
            phase(PhaseKind::Step, "2/3 COPY . .", 64, Some(64)),
            phase(
                PhaseKind::Step,
                &format!("3/3 RUN \u{1b}[2J{long}"),
                64,
                None,
            ),
        ];
        phases[2].cached = true;
        expect![[r#"
                 3.0 s  source  https://example.com/x
             1 min 1 s  image   1/3 FROM busybox
                 0.0 s  step    2/3 COPY . . (cached)
            2 min 16 s  step    3/3 RUN �[2Jxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (running)"#]]
        .assert_eq(&lines(&phases, &attempt(None)).join("\n"));
        let ended = lines(&phases, &attempt(Some(70))).join("\n");
        assert!(ended.ends_with("… (not finished)"), "{ended}");
        assert!(ended.contains("     6.0 s  step    3/3"), "{ended}");
    }

    #[test]
    fn of_many_phases_the_longest_are_shown() {
        let phases: Vec<Phase> = (0..20)
            .map(|nth| {
                let name = format!("{nth}/19 RUN make");
                phase(PhaseKind::Step, &name, 0, Some(20 - nth))
            })
            .collect();
        let lines = lines(&phases, &attempt(Some(100)));
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!(lines[11], "     9.0 s  step    11/19 RUN make");
        assert_eq!(lines[12], "      36 s  8 phases more");
    }
}
