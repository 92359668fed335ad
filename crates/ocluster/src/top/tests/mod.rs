//! Keys and reports in, screens out.

mod cluster;
mod logs;

use expect_test::{Expect, expect};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use self::cluster::{HOSTILE, listed, pools, with_jobs};
use self::logs::in_job;
use super::draw::{Theme, draw};
use super::key::Key;
use super::report::{Report, Wanted};
use super::row::columns_of;
use super::state::Top;

/// Returns what a terminal of this size shows.
fn drawn(top: &mut Top, columns: u16, rows: u16, theme: Theme) -> TestBackend {
    top.resize(columns, rows);
    let screen = top.screen();
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, &screen, theme)).unwrap();
    terminal.backend().clone()
}

fn text(top: &mut Top) -> String {
    let theme = Theme { has_colours: false };
    let backend = drawn(top, 80, 24, theme);
    let lines = backend.buffer().content().chunks(80).map(|cells| {
        let line: String = cells.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// Returns a text with a line at its left: the blanks with which all lines of an expected text begin do not count.
fn framed(text: &str) -> String {
    let lines = text.lines().map(|line| format!("|{line}\n"));
    lines.collect()
}

#[track_caller]
fn check(top: &mut Top, expected: &Expect) {
    expected.assert_eq(&framed(&text(top)));
}

fn press(top: &mut Top, keys: &str) {
    for c in keys.chars() {
        top.press(match c {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Escape,
            '\t' => Key::Tab,
            c => Key::Char(c),
        });
    }
}

fn started() -> Top {
    let mut top = Top::new("build.example.org:9000");
    top.take(Report::Pools {
        pools: pools(),
        jobs: Some(with_jobs(None)),
    });
    top
}

/// Returns a view of the pool `linux-x86_64`.
fn in_pool() -> Top {
    let mut top = started();
    press(&mut top, "j\n");
    top.take(Report::Pools {
        pools: pools(),
        jobs: Some(with_jobs(Some("linux-x86_64"))),
    });
    top
}

#[test]
fn all_pools_are_on_the_first_screen() {
    let mut top = Top::new("build.example.org:9000");
    assert!(text(&mut top).contains("Waiting for the scheduler."));
    assert!(text(&mut top).contains("connecting"));
    check(
        &mut started(),
        &expect![[r#"
            | pools                                                   build.example.org:9000
            |  POOL          RUNNING              QUEUED  LONGEST WAIT  WORKERS
            |  arm64         -        -           -       -             cannot be read: Pool…
            |  linux-x86_64  2 of 16  ██░░░░░░░░  17000   5m02s         4 of 5, 2 inactive
            |  windows       0 of 0   ░░░░░░░░░░  1       5m02s         none
            |
            |  windows: 1 job waits, and no worker has ever connected
            |
            |Jobs that did not succeed
            |  JOB           STATE   SINCE  CLIENT  WORKER  LABELS
            |  0vd8f3k2m9xw  failed  1m15s  bob     w1      branch=mainx�[2J��evil
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            | j k move · enter open · / filter · ? keys · q quit
        "#]],
    );
}

#[test]
fn a_pool_has_its_jobs_queue_and_workers() {
    let mut top = in_pool();
    check(
        &mut top,
        &expect![[r#"
            | pools › linux-x86_64                                    build.example.org:9000
            |Running: 2
            |  JOB           STATE    SINCE  CLIENT  WORKER  LABELS
            |  28t5cy4tqkff  running  1m15s  alice   w1      branch=mainx�[2J��evil
            |
            |Queue: 17000, 1 urgent
            |  NUMBER  CLIENT  WAITING  HINT                      WHY
            |  41      alice   5m02s    urgent project            all workers are busy, and …
            |  42      bob     5m02s    x\u{1b}[2J\u{7}\u{202e}…  for w1
            |  and 16998 jobs after these
            |
            |Workers: 5
            |  WORKER                    STATE   RUNNING  QUEUED  WHY
            |  w1                        ready   2 of 4   0
            |  w2                        paused  0 of 4   0       by carol@desk, 10m00s ago:…
            |  w3                        paused  0 of 4   0       28 % of the disk is free, …
            |  x\u{1b}[2J\u{7}\u{202e}…  idle    0 of 4   0
            |  w10                       away    -        -       left 2h00m ago
            |
            |Ended
            |  JOB           STATE   SINCE  CLIENT  WORKER  LABELS
            |  0vd8f3k2m9xw  failed  1m15s  bob     w1      branch=mainx�[2J��evil
            |
            | j k move · enter open · tab next list · / filter · esc back · ? keys
        "#]],
    );
    assert_eq!(top.wanted().pool.as_deref(), Some("linux-x86_64"));
    // The rest is below.
    press(&mut top, "G");
    check(
        &mut top,
        &expect![[r#"
            | pools › linux-x86_64                                    build.example.org:9000
            |Running: 2
            |  JOB           STATE    SINCE  CLIENT  WORKER  LABELS
            |  28t5cy4tqkff  running  1m15s  alice   w1      branch=mainx�[2J��evil
            |
            |Queue: 17000, 1 urgent
            |  NUMBER  CLIENT  WAITING  HINT                      WHY
            |  41      alice   5m02s    urgent project            all workers are busy, and …
            |  42      bob     5m02s    x\u{1b}[2J\u{7}\u{202e}…  for w1
            |  and 16998 jobs after these
            |
            |Workers: 5
            |  WORKER                    STATE   RUNNING  QUEUED  WHY
            |  w1                        ready   2 of 4   0
            |  w2                        paused  0 of 4   0       by carol@desk, 10m00s ago:…
            |  w3                        paused  0 of 4   0       28 % of the disk is free, …
            |  x\u{1b}[2J\u{7}\u{202e}…  idle    0 of 4   0
            |  w10                       away    -        -       left 2h00m ago
            |
            |Ended
            |  JOB           STATE   SINCE  CLIENT  WORKER  LABELS
            |  0vd8f3k2m9xw  failed  1m15s  bob     w1      branch=mainx�[2J��evil
            |
            | j k move · enter open · tab next list · / filter · esc back · ? keys
        "#]],
    );
}

#[test]
fn a_filter_leaves_the_rows_that_have_it() {
    let mut top = in_pool();
    press(&mut top, "/ALICE");
    check(
        &mut top,
        &expect![[r#"
            | pools › linux-x86_64                                    build.example.org:9000
            |Running: 2
            |  JOB           STATE    SINCE  CLIENT  WORKER  LABELS
            |  28t5cy4tqkff  running  1m15s  alice   w1      branch=mainx�[2J��evil
            |
            |Queue: 17000, 1 urgent
            |  NUMBER  CLIENT  WAITING  HINT                      WHY
            |  41      alice   5m02s    urgent project            all workers are busy, and …
            |  and 16998 jobs after these
            |
            |Workers: 5
            |  WORKER                    STATE   RUNNING  QUEUED  WHY
            |
            |Ended
            |  JOB           STATE   SINCE  CLIENT  WORKER  LABELS
            |
            |
            |
            |
            |
            |
            |
            |
            | /ALICE▏
        "#]],
    );
    press(&mut top, "\n");
    assert!(text(&mut top).contains("only \"ALICE\""));
    press(&mut top, "\u{1b}");
    assert!(text(&mut top).contains("bob"));
    // It was forgotten, and not what was opened.
    assert!(text(&mut top).contains("pools › linux-x86_64"));
    press(&mut top, "\u{1b}\u{1b}\u{1b}");
    assert_eq!(top.wanted(), Wanted::default());
    assert!(!top.is_over());
}

#[test]
fn a_worker_and_a_queued_job_are_shown_with_what_can_be_done() {
    let mut top = in_pool();
    press(&mut top, "\t\n");
    // It is in the history.
    assert_eq!(top.wanted().job.as_deref(), Some("5k3m2z8t0abc"));
    press(&mut top, "\u{1b}j\n");
    check(
        &mut top,
        &expect![[r#"
            | pools › linux-x86_64 › job number 42                    build.example.org:9000
            |  state           queued for 5m02s
            |  worker          w1
            |  client          bob
            |  cache hint      x\u{1b}[2J\u{7}\u{202e}evil
            |  urgent          no
            |  to cancel it    ocluster-admin cancel -c CAP linux-x86_64 42
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            | j k scroll · g G begin, end · / search · esc back · ? keys
        "#]],
    );
    press(&mut top, "\u{1b}\t\n");
    check(
        &mut top,
        &expect![[r#"
            | pools › linux-x86_64 › w1                               build.example.org:9000
            |  connected     for 1d01h, from 10.0.0.1:40000
            |  takes jobs    yes
            |  running       2 of 4
            |  in its queue  0
            |  finished      12 since it connected
            |  version       0.1.0
            |    TICKET  CLIENT  FOR    CACHE HINT
            |    17      alice   1m15s  project
            |    18      alice   1m15s  project
            |
            |  ocluster-admin drain -c CAP linux-x86_64 w1
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            | j k scroll · g G begin, end · / search · esc back · ? keys
        "#]],
    );
}

#[test]
fn a_scheduler_without_history_shows_jobs_by_number() {
    let mut top = started();
    press(&mut top, "j\n");
    top.take(Report::Pools {
        pools: pools(),
        jobs: None,
    });
    let shown = text(&mut top);
    assert!(shown.contains("NUMBER") && shown.contains("17 "), "{shown}");
}

#[test]
fn hostile_texts_are_seen_and_not_obeyed() {
    let mut top = in_pool();
    let mut all = text(&mut top);
    press(&mut top, "G");
    all += &text(&mut top);
    assert!(all.contains("\\u{1b}") || all.contains('\u{fffd}'), "{all}");
    assert!(!all.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{all}");
    assert!(HOSTILE.contains('\u{202e}'));
}

#[test]
fn every_screen_fits_terminals_of_any_size() {
    let keys = "j\nkG\t\n/x\n\u{1b}gnN?\u{1b}\u{1b}jj\n\u{1b}\tG\nk/lin\n\n";
    for (columns, rows) in [(0, 0), (1, 1), (3, 2), (20, 5), (80, 24), (300, 100)] {
        let mut top = in_job(50);
        for c in keys.chars() {
            press(&mut top, &c.to_string());
            drawn(&mut top, columns, rows, Theme { has_colours: true });
            let screen = top.screen();
            for row in screen.body {
                let width = columns_of(&row.text());
                let fixed = 80;
                assert!(
                    width <= usize::from(columns).max(fixed),
                    "{columns}: {row:?}"
                );
            }
        }
    }
}

#[test]
fn without_colours_states_are_words_and_the_selection_is_reversed() {
    let colours = |theme| {
        let backend = drawn(&mut started(), 80, 24, theme);
        let cells = backend.buffer().content();
        let coloured = cells.iter().filter(|cell| cell.fg != Color::Reset);
        let is_reversed = |modifier: Modifier| modifier.contains(Modifier::REVERSED);
        let reversed = cells.iter().filter(|cell| is_reversed(cell.modifier));
        (coloured.count(), reversed.count())
    };
    let (coloured, reversed) = colours(Theme { has_colours: false });
    // The title and the selected row.
    assert_eq!((coloured, reversed), (0, 160));
    let (coloured, reversed) = colours(Theme { has_colours: true });
    assert!(coloured > 0 && reversed == 160);
    assert!(listed("x", "alice").summary.worker.is_some());
}
