//! A job and its log.

use std::time::Duration;

use cluster_api::LogTime;
use expect_test::expect;
use ratatui::style::Color;

use super::cluster::{failed_job, pools};
use super::{check, drawn, in_pool, press, text};
use crate::top::draw::Theme;
use crate::top::report::{Report, WantedLog, WantedTimes};
use crate::top::state::Top;

/// Returns a view of a job that has failed, with a log of `lines` lines.
pub(super) fn in_job(lines: usize) -> Top {
    let mut top = in_pool();
    press(&mut top, "\n");
    assert_eq!(top.wanted().job.as_deref(), Some("28t5cy4tqkff"));
    top.take(Report::Job {
        id: "28t5cy4tqkff".to_owned(),
        job: Ok(Box::new(failed_job())),
    });
    let log = top.wanted().log.expect("its log");
    assert_eq!((log.attempt, log.from), (2, 0));
    let bytes: String = (1..=lines).map(|line| format!("line {line}\n")).collect();
    top.take(Report::Log {
        next: bytes.len() as u64,
        bytes: bytes.into_bytes(),
        log,
    });
    top
}

#[test]
fn a_log_is_followed_until_the_reader_scrolls_up() {
    let mut top = in_job(100);
    check(
        &mut top,
        &expect![[r#"
            | pools › linux-x86_64 › job 28t5cy4tqkff, failed         build.example.org:9000
            |line 79
            |line 80
            |line 81
            |line 82
            |line 83
            |line 84
            |line 85
            |line 86
            |line 87
            |line 88
            |line 89
            |line 90
            |line 91
            |line 92
            |line 93
            |line 94
            |line 95
            |line 96
            |line 97
            |line 98
            |line 99
            |line 100
            | j k scroll · f follow · e failure · t times · / search · esc back · ? keys
        "#]],
    );
    let more = |top: &mut Top, text: &str| {
        let log = top.wanted().log.expect("more");
        let next = log.from + text.len() as u64;
        let bytes = text.as_bytes().to_vec();
        top.take(Report::Log { log, bytes, next });
    };
    more(&mut top, "line 101\n");
    assert!(text(&mut top).contains("line 101"));
    press(&mut top, "k");
    more(&mut top, "line 102\n");
    assert!(!text(&mut top).contains("line 102"));
    press(&mut top, "G");
    more(&mut top, "line 103\n");
    assert!(text(&mut top).contains("line 103"));
    // Chapter: a search goes through all of it, and back.
    press(&mut top, "/line 5\n");
    assert!(text(&mut top).contains("\nline 5\n"));
    press(&mut top, "n");
    assert!(text(&mut top).starts_with(" pools"));
    assert!(!text(&mut top).contains("\nline 5\n") && text(&mut top).contains("\nline 50\n"));
    press(&mut top, "N");
    assert!(text(&mut top).contains("\nline 5\n"));
    // Chapter: the log ends, and nothing more is wanted of it.
    more(&mut top, "");
    assert_eq!(top.wanted().log, None);
    press(&mut top, "G");
    assert!(text(&mut top).contains("… end of the log …"));
    // Chapter: what comes late, for a job that is not shown any more, changes nothing.
    press(&mut top, "\u{1b}\u{1b}");
    let log = WantedLog {
        id: "28t5cy4tqkff".to_owned(),
        attempt: 2,
        from: 0,
    };
    let why = "no such job".to_owned();
    top.take(Report::NoLog { log, why });
    assert_eq!(top.wanted().job, None);
}

#[test]
fn lines_have_times_if_these_are_wanted() {
    let mut top = in_job(3);
    assert_eq!(top.wanted().times, None);
    press(&mut top, "t");
    let part = top.wanted().times.expect("the times");
    assert_eq!((part.from, part.to), (0, 21));
    assert!(text(&mut top).contains("\n           line 1\n"));
    let time = |offset, secs| LogTime {
        offset,
        at: Duration::from_secs(secs),
    };
    let report = |part: &WantedTimes, to| Report::Times {
        part: part.clone(),
        times: vec![time(0, 1), time(7, 3_600)],
        to,
    };
    // Chapter: they come page by page, and those that come twice count once.
    top.take(report(&part, 14));
    let rest = top.wanted().times.expect("the rest");
    assert_eq!((rest.from, rest.to), (14, 21));
    top.take(report(&part, 21));
    assert_eq!(top.wanted().times.as_ref(), Some(&rest));
    top.take(report(&rest, 21));
    assert_eq!(top.wanted().times, None);
    let shown = text(&mut top);
    let lines = "0:00:01.0  line 1\n1:00:00.0  line 2\n1:00:00.0  line 3\n";
    assert!(shown.contains(lines), "{shown}");
    press(&mut top, "t");
    assert!(text(&mut top).contains("\nline 1\n"));
    // Chapter: another scheduler does not know them.
    let mut top = in_job(1);
    press(&mut top, "t");
    let part = top.wanted().times.expect("the times");
    let why = "this scheduler does not keep that".to_owned();
    top.take(Report::NoTimes { part, why });
    let shown = text(&mut top);
    let error = "Cannot show when the log was written: this scheduler does not keep that";
    assert!(shown.contains(error), "{shown}");
    assert_eq!(top.wanted().times, None);
}

#[test]
fn what_was_known_stays_while_there_is_no_connection() {
    let mut top = in_job(3);
    top.take(Report::Lost("cannot connect to h:1: refused".to_owned()));
    let shown = text(&mut top);
    assert!(
        shown.contains("reconnecting: cannot connect to h:1: refused"),
        "{shown}"
    );
    assert!(shown.contains("line 3"), "{shown}");
    // The next bytes are wanted, and not those before.
    assert_eq!(top.wanted().log.map(|log| log.from), Some(21));
    top.take(Report::Pools {
        pools: pools(),
        jobs: None,
    });
    assert!(!text(&mut top).contains("reconnecting"));
}

#[test]
fn a_log_has_colours_and_is_read_from_its_failure() {
    let mut top = in_job(1);
    let more = |top: &mut Top, text: &str| {
        let log = top.wanted().log.expect("more");
        let next = log.from + text.len() as u64;
        let bytes = text.as_bytes().to_vec();
        top.take(Report::Log { log, bytes, next });
    };
    let before = "a line\n".repeat(50);
    let failure = "src/main.rs:1:1: \u{1b}[1;31merror: no such thing\u{1b}[0m\u{1b}[2J\n";
    more(&mut top, &(before + failure + &"another\n".repeat(50)));
    assert!(!text(&mut top).contains("no such thing"));
    press(&mut top, "e");
    let shown = text(&mut top);
    let row = shown
        .lines()
        .position(|line| line.ends_with("error: no such thing"));
    assert_eq!(row, Some(3), "{shown}");
    let mut red = |theme| {
        let backend = drawn(&mut top, 80, 24, theme);
        let cells = backend.buffer().content().iter();
        let red = cells.filter(|cell| cell.fg == Color::Indexed(1));
        let red: String = red.map(|cell| cell.symbol()).collect();
        red
    };
    assert_eq!(red(Theme { has_colours: true }), "error: no such thing");
    assert_eq!(red(Theme { has_colours: false }), "");
    press(&mut top, "f");
    more(&mut top, "the last\n");
    assert!(text(&mut top).contains("the last"));
}
