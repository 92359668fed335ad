//! Tests of whole logs: what a terminal would show, and what nothing in a log can do.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// Returns the last state of each line, in the order of their offsets.
fn lines_of(pieces: &[&[u8]], start: Start) -> Vec<Line> {
    let mut terminal = Terminal::new(start);
    let mut lines = std::collections::BTreeMap::new();
    for piece in pieces {
        terminal.read(piece);
        let changed = terminal.take_changed();
        lines.extend(changed.into_iter().map(|line| (line.offset, line)));
    }
    lines.into_values().collect()
}

fn read(log: &str) -> Vec<Line> {
    lines_of(&[log.as_bytes()], Start::BEGINNING)
}

fn check(log: &str, expected: Expect) {
    let mut shown = String::new();
    for line in read(log) {
        let number = line.number.unwrap_or_default();
        let html = line.html(None);
        // What all links have, so that lines stay short.
        let html = html.replace("rel=\"noopener nofollow\"", "rel");
        writeln!(shown, "{number} @{}: {html}", line.offset).unwrap();
    }
    expected.assert_eq(&shown);
}

#[test]
fn colours_become_classes() {
    check(
        "plain \u{1b}[1;31mred\u{1b}[0m <b>&\n\u{1b}[38;5;208morange",
        expect![[r#"
            1 @0: plain <span class="f1 b">red</span> &lt;b&gt;&amp;
            2 @26: <span class="f208">orange</span>
        "#]],
    );
}

#[test]
fn a_progress_bar_shows_its_last_state() {
    check(
        "10 %\r50 %\r100 % done\nnext\rN\n",
        expect![[r#"
            1 @0: 100 % done
            2 @21: Next
            3 @28: 
        "#]],
    );
    // Two lines that are written over, as BuildKit does it, and what follows.
    check(
        "#1 a 0 %\n#2 b 0 %\n\u{1b}[2A\u{1b}[2K#1 a done\n\u{1b}[2K#2 b 50 %\nend\n",
        expect![[r#"
            1 @0: #1 a done
            2 @9: #2 b 50 %
            3 @18: end
            6 @54: 
        "#]],
    );
    check(
        "abc\u{8}\u{8}X\u{1b}[K\n12345\u{1b}[3GX\u{1b}[1Cz\n",
        expect![[r#"
        1 @0: aX
        2 @10: 12X4z
        3 @26: 
    "#]],
    );
    check(
        "a\nb\nc\u{1b}[2A\u{1b}[J\n",
        expect![[r#"
        1 @0: a
        2 @2: 
        3 @4: 
    "#]],
    );
}

#[test]
fn links_lead_only_to_the_web() {
    check(
        "see https://a.example/?b=1&c=2, or\n\u{1b}]8;;https://b.example/\u{1b}\\here\u{1b}]8;;\u{1b}\\\n\
         \u{1b}]8;;javascript:alert(1)\u{7}not here\u{1b}]8;;\u{7} javascript:alert(1)\n",
        expect![[r#"
            1 @0: see <a rel href="https://a.example/?b=1&amp;c=2">https://a.example/?b=1&amp;c=2</a>, or
            2 @35: <a rel href="https://b.example/">here</a>
            3 @72: not here javascript:alert(1)
            4 @132: 
        "#]],
    );
}

#[test]
fn what_cannot_be_seen_is_shown() {
    check(
        "a\u{202e}b\u{200b}c\n\u{feff}\tok é 中\n\u{1b}[31m\u{2066}x\n",
        expect![[r#"
            1 @0: a<span class="x">\u{202e}</span>b<span class="x">\u{200b}</span>c
            2 @10: <span class="x">\u{feff}</span>	ok é 中
            3 @24: <span class="f1 x">\u{2066}</span><span class="f1">x</span>
            4 @34: 
        "#]],
    );
}

#[test]
fn a_search_marks_what_it_finds() {
    let line = read("\u{1b}[31merr\u{1b}[0mor: ERROR http://error.a").remove(0);
    let html = line.html(Some("error")).replace(" <", "\n<");
    expect![[r#"
        <mark><span class="f1">err</span></mark><mark>or</mark>:
        <mark>ERROR</mark>
        <a rel="noopener nofollow" href="http://error.a">http://<mark>error</mark>.a</a>"#]]
    .assert_eq(&html);
}

#[test]
fn what_is_not_utf_8_is_replaced() {
    let lines = lines_of(&[b"a\xff\xe2\x82", b"\xacb\xe2", b"\nc"], Start::BEGINNING);
    let texts: Vec<_> = lines.iter().map(Line::text).collect();
    assert_eq!(texts, ["a\u{fffd}€b\u{fffd}", "c"]);
    assert_eq!(lines.last().map(|line| line.offset), Some(8));
}

#[test]
fn a_long_line_is_cut() {
    let lines = read(&format!("{}\nnext", "x".repeat(20_000)));
    let [long, next] = lines.as_slice() else {
        panic!("{} lines", lines.len());
    };
    assert_eq!(
        (long.text().len(), long.cut),
        (16 * 1024, 20_000 - 16 * 1024)
    );
    assert!(
        long.html(None)
            .ends_with("3616 more characters in the raw log</span>")
    );
    assert_eq!(next.text(), "next");
}

#[test]
fn a_log_can_be_read_from_any_offset() {
    let log = "one\ntwo \u{1b}[31mtwo\nthree\nfour\n";
    let whole = read(log);
    for offset in 1..log.len() {
        let number = 1 + log.as_bytes()[..offset]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        let start = Start {
            offset: offset as u64,
            line: Some(number as u64),
            is_line: log.as_bytes()[offset - 1] == b'\n',
        };
        let lines = lines_of(&[&log.as_bytes()[offset..]], start);
        for line in lines.iter().filter(|line| !line.runs.is_empty()) {
            let same = whole
                .iter()
                .find(|known| known.offset == line.offset)
                .unwrap();
            assert_eq!(
                (line.number, line.text()),
                (same.number, same.text()),
                "{offset}"
            );
        }
    }
}

#[test]
fn following_goes_on_where_a_line_may_still_change() {
    let mut terminal = Terminal::new(Start::BEGINNING);
    let mut log = String::new();
    for number in 1..=300 {
        writeln!(log, "line {number}").unwrap();
    }
    terminal.read(log.as_bytes());
    let resumed = terminal.resume();
    assert_eq!(resumed.line, Some(202));
    let rest = log.get(usize::try_from(resumed.offset).unwrap()..).unwrap();
    assert!(rest.starts_with("line 202\n"));
    assert_eq!(terminal.offset(), log.len() as u64);
}

#[test]
fn little_memory_is_used_for_a_log_that_asks_for_much() {
    // A jump to the right costs its line at most 256 characters.
    let jumps = "\u{1b}[16000Cx\n".repeat(1000);
    let lines = read(&jumps);
    assert!(lines.iter().all(|line| line.text().len() <= 257));
    let styles: String = (0..20_000)
        .map(|index| format!("\u{1b}[3{}mx", index % 8))
        .collect();
    let line = read(&styles).remove(0);
    assert!(line.runs.len() <= 1000 && line.text().len() == 16 * 1024);
    let links: String = (0..200)
        .map(|index| format!("\u{1b}]8;;http://a/{index}\u{7}x"))
        .collect();
    let line = read(&links).remove(0);
    assert!(line.runs.iter().filter(|run| run.link.is_some()).count() <= 32);
}

#[test]
fn a_sequence_may_be_whole_or_in_pieces() {
    // In one piece sequences are read at once, and in pieces character by character.
    for log in [
        "a\u{1b}[1;31mb\u{1b}[0mc",
        "a\u{1b}[;mb\u{1b}[?25lc\u{1b}[ m",
        "abc\u{1b}[2D\u{1b}[Kx",
        "a\u{1b}[1\u{1b}[31mb\u{1b}[",
        "\u{1b}[31\u{e9}m\u{a9}\u{85}\u{9b}32mx\ty\u{7f}z",
    ] {
        let pieces: Vec<&[u8]> = log.as_bytes().chunks(1).collect();
        assert_eq!(read(log), lines_of(&pieces, Start::BEGINNING), "{log:?}");
    }
    for length in [63, 64, 65, 66, 1000] {
        let log = format!("a\u{1b}[{}31mb", "0".repeat(length - 2));
        let pieces: Vec<&[u8]> = log.as_bytes().chunks(1).collect();
        assert_eq!(read(&log), lines_of(&pieces, Start::BEGINNING), "{length}");
    }
}

#[test]
fn blanks_in_a_long_line_have_a_limit() {
    let long = "x".repeat(16_000);
    let blank = |times: usize| {
        let log = format!("{long}{}", "\u{1b}[1Ky".repeat(times));
        let line = read(&log).remove(0);
        let text = line.text();
        (text.matches(' ').count(), text.matches('y').count())
    };
    assert_eq!(blank(1), (16_000, 1));
    // Each has all before it erased, until that was a million characters.
    let (blanks, rest) = blank(200);
    assert_eq!(blanks + rest, 16_200);
    assert!(rest > 100, "{rest}");
    // As do characters far to the right of what there is.
    let log = format!("{long}{}", "\u{1b}[2Kx\u{1b}[D".repeat(200));
    let line = read(&log).remove(0);
    assert!(line.text().len() <= 257, "{}", line.text().len());
    // The next lines have blanks again.
    let log = format!("{long}{}\n", "\u{1b}[1K".repeat(200)) + &"\n".repeat(10) + "abc\u{1b}[1K";
    assert_eq!(read(&log).last().unwrap().text(), "   ");
}

#[test]
fn a_failure_begins_with_the_first_error_that_belongs_to_it() {
    let found = |log: &str| {
        failure(&read(log)).map(|index| read(log).swap_remove(index).text().into_owned())
    };
    let some = |text: &str| Some(text.to_owned());
    let rust = "   Compiling a\nwarning: unused\nerror[E0308]: mismatched\n --> a.rs:1\n  |\nerror: aborting due to 1\n\
                The command '/bin/sh -c cargo build' returned a non-zero code: 101\nJob failed: exit code 101\n";
    assert_eq!(found(rust), some("error[E0308]: mismatched"));
    let make = "gcc -c a.c\na.c:3:1: error: expected ';'\nmake: *** [Makefile:2: a.o] Error 1\n";
    assert_eq!(found(make), some("a.c:3:1: error: expected ';'"));
    let buildkit = "#8 [2/3] RUN x\n#8 0.312 sh: x: not found\n#8 ERROR: exit code: 127\n";
    assert_eq!(found(buildkit), some("#8 0.312 sh: x: not found"));
    assert_eq!(found("all\nwell\n"), None);
    assert_eq!(
        found("a\nJob failed: the worker is unfit\n"),
        some("Job failed: the worker is unfit")
    );
}

#[test]
fn steps_are_found_in_the_logs_of_all_builders() {
    for (line, expected) in [
        ("Step 3/7 : RUN make", Some("Step 3/7 : RUN make")),
        ("#8 [2/5] RUN make", Some("[2/5] RUN make")),
        ("#8 [builder 2/5] COPY . .", Some("[builder 2/5] COPY . .")),
        (
            "#1 [internal] load build definition",
            Some("[internal] load build definition"),
        ),
        (
            "/src: (run (shell \"make\"))",
            Some("/src: (run (shell \"make\"))"),
        ),
        ("(from busybox)", Some("(from busybox)")),
        ("#8 0.31 [2/5] RUN", None),
        ("Step by step : a", None),
        ("http: (run ", None),
    ] {
        assert_eq!(step_title(line), expected, "{line}");
    }
}

#[test]
fn lines_are_grouped_by_steps() {
    let log = "head\n#5 [1/2] FROM a\n#5 done\n#6 [2/2] RUN b\nerror: x\n#6 [2/2] RUN b\n";
    let folds = fold(read(log), &[]);
    let shape: Vec<(Option<&str>, usize, Severity)> = folds
        .iter()
        .map(|fold| {
            (
                fold.step.as_ref().map(|step| &*step.title),
                fold.lines.len(),
                fold.severity,
            )
        })
        .collect();
    assert_eq!(
        shape,
        [
            (None, 1, Severity::Plain),
            (Some("[1/2] FROM a"), 2, Severity::Plain),
            // The last line is empty.
            (Some("[2/2] RUN b"), 4, Severity::Error),
        ]
    );
    // Those that the worker has recorded go before what the lines tell.
    let mark = StepMark {
        offset: 5,
        title: "build".to_owned(),
        took: None,
        cached: true,
        is_step: true,
    };
    let folds = fold(read(log), std::slice::from_ref(&mark));
    assert_eq!(
        folds
            .iter()
            .map(|fold| fold.lines.len())
            .collect::<Vec<_>>(),
        [1, 6]
    );
    // A program that builds something may be all that the worker knows of.
    let run = StepMark {
        is_step: false,
        ..mark
    };
    assert_eq!(fold(read(log), &[run]).len(), 3);
}

#[test]
fn a_search_ends_when_it_has_enough() {
    let mut search = Search::new("B", 2);
    let mut terminal = Terminal::new(Start::BEGINNING);
    terminal.read(b"a\nab\nb");
    assert!(search.read(&mut terminal));
    terminal.read(b"\rc\nb\nb\n");
    assert!(!search.read(&mut terminal));
    let (found, more) = search.finish();
    let numbers: Vec<Option<u64>> = found.iter().map(|found| found.line.number).collect();
    assert_eq!((numbers, more), (vec![Some(2), Some(4)], true));
}

/// Pieces of logs that are likely to find mistakes together.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "text ",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\u{8}",
        "<script>",
        "&amp;",
        "\"'",
        "\u{1b}[31m",
        "\u{1b}[0m",
        "\u{1b}[2A",
        "\u{1b}[5B",
        "\u{1b}[K",
        "\u{1b}[1K",
        "\u{1b}[2K",
        "\u{1b}[J",
        "\u{1b}[40C",
        "\u{1b}[3D",
        "\u{1b}[7G",
        "\u{1b}]8;;https://a.example/\u{7}",
        "\u{1b}]8;;javascript:x\u{1b}\\",
        "\u{1b}]8;;\u{7}",
        "\u{1b}]0;t",
        "\u{1b}P",
        "\u{1b}",
        "http://a.example/b ",
        "\u{202e}",
        "é",
        "中",
        "👍",
        "\u{9b}1m",
        "\u{1b}M",
        "error: ",
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn log() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(fragment(), 0..80).prop_map(|parts| parts.concat())
}

/// Checks that HTML has only our elements and attributes, each in its place.
fn assert_harmless(html: &str) {
    let mut open = Vec::new();
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        let text = &rest[..begin];
        assert!(!text.contains(['>', '"', '\'']), "{html}");
        let end = begin + rest[begin..].find('>').expect(html);
        let tag = &rest[begin + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{html}");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        match name {
            "mark" => assert!(attributes.is_empty(), "{html}"),
            "span" => {
                let class = attributes
                    .strip_prefix("class=\"")
                    .and_then(|rest| rest.strip_suffix('"'));
                let is_class = |c: char| c.is_ascii_alphanumeric() || c == ' ';
                assert!(
                    class.is_some_and(|class| class.chars().all(is_class)),
                    "{html}"
                );
            }
            "a" => {
                let href = attributes.strip_prefix("rel=\"noopener nofollow\" href=\"http");
                let href = href.and_then(|rest| rest.strip_suffix('"')).expect(html);
                assert!(
                    href.starts_with("://") || href.starts_with("s://"),
                    "{html}"
                );
                assert!(!href.contains(['"', '<', '>']), "{html}");
            }
            other => panic!("<{other}> in {html}"),
        }
        open.push(name);
    }
    assert!(open.is_empty() && !rest.contains('>'), "{html}");
    assert!(
        html.chars().all(|c| c == '\t' || visible::is_text(c)),
        "{html:?}"
    );
}

proptest! {
    #[test]
    fn no_log_can_do_anything(log in log()) {
        for line in lines_of(&[&log], Start::BEGINNING) {
            assert_harmless(&line.html(None));
            assert_harmless(&line.html(Some("e")));
        }
    }

    #[test]
    fn pieces_make_no_difference(log in log(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(log.len() + 1)).collect();
        cuts.extend([0, log.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &log[pair[0]..pair[1]]).collect();
        prop_assert_eq!(lines_of(&pieces, Start::BEGINNING), lines_of(&[&log], Start::BEGINNING));
    }

    #[test]
    fn numbers_and_offsets_are_those_of_the_raw_log(log in log()) {
        for line in lines_of(&[&log], Start::BEGINNING) {
            let before = &log[..usize::try_from(line.offset).unwrap()];
            let ends = before.iter().filter(|byte| **byte == b'\n').count() as u64;
            prop_assert_eq!(line.number, Some(ends + 1));
            prop_assert!(before.is_empty() || before.ends_with(b"\n"));
        }
    }
}
