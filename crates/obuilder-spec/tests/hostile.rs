//! Texts that are no specs, or hardly: nothing that a stranger sends makes the parser panic, run out of stack or hang.

use bstr::BString;
use obuilder_spec::{Sexp, Spec};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const SEED: &str = include_str!("recorded/05-cache-secret.spec");
const NESTED_SEED: &str = include_str!("recorded/04-nested.spec");
const ESCAPES_SEED: &str = include_str!("recorded/06-multiline.spec");

/// Reads a text. Whatever comes of it has to hold together.
fn read(text: &[u8]) {
    match Spec::parse(text, "hostile.spec") {
        Ok(spec) => {
            let printed = spec.to_bytes();
            let again = Spec::parse(&printed, "printed.spec");
            assert_eq!(again.as_ref().map(Spec::to_bytes), Ok(printed));
            assert_eq!(again.as_ref(), Ok(&spec));
        }
        Err(error) => {
            let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&error.position.line), "{error}");
            assert!(
                (1..=text.len() + 1).contains(&error.position.column),
                "{error}"
            );
            let report = error.report();
            assert_eq!(report.lines().count(), 3, "{report}");
            assert!(
                !report.chars().any(|c| c.is_control() && c != '\n'),
                "{report:?}"
            );
        }
    }
    if let Ok(sexp) = Sexp::parse(text) {
        assert_eq!(Sexp::parse(&sexp.to_machine()), Ok(sexp));
    }
}

/// A change to a text.
#[derive(Debug, Clone)]
enum Change {
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    /// Puts a part of the text somewhere else, too.
    Copy(Index, usize, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let pieces: Vec<&[u8]> = vec![
        b"(",
        b")",
        b"\"",
        b"\\",
        b"#|",
        b"|#",
        b"#;",
        b";",
        b"\n",
        b"\r",
        b" ",
        b"from",
        b"(build a ",
        b"(run (shell x))",
        b"\\12",
        b"\\x4",
        b"\\300",
        b"\x80",
        b"\x00",
        b"\x1b[0m",
    ];
    let piece = prop_oneof![
        select(pieces).prop_map(<[u8]>::to_vec),
        vec(any::<u8>(), 1..4),
    ];
    prop_oneof![
        (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<Index>(), piece).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1..60_usize, any::<Index>())
            .prop_map(|(from, length, to)| Change::Copy(from, length, to)),
    ]
}

fn apply(text: &mut Vec<u8>, change: Change) {
    let range = |text: &[u8], at: Index, length: usize| {
        let start = at.index(text.len() + 1);
        start..text.len().min(start + length)
    };
    match change {
        Change::Remove(at, length) => {
            let range = range(text, at, length);
            text.drain(range);
        }
        Change::Insert(at, bytes) => {
            let at = at.index(text.len() + 1);
            text.splice(at..at, bytes);
        }
        Change::Copy(from, length, to) => {
            let part = text[range(text, from, length)].to_vec();
            apply(text, Change::Insert(to, part));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes(text in vec(any::<u8>(), 0..200)) {
        read(&text);
    }

    #[test]
    fn any_of_the_bytes_that_mean_something(
        text in vec(select(b"()\"\\#|; \n\rab0x1".to_vec()), 0..60)
    ) {
        read(&text);
    }

    #[test]
    fn specs_with_something_wrong(
        seed in select(vec![SEED, NESTED_SEED, ESCAPES_SEED]),
        changes in vec(change(), 1..6),
    ) {
        let mut text = seed.as_bytes().to_vec();
        for change in changes {
            apply(&mut text, change);
        }
        read(&text);
    }
}

#[test]
fn deep_nesting_is_refused_before_it_costs_stack() {
    let deepest = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    for text in [
        deepest("(", ")", 1_000_000),
        "(".repeat(1_000_000),
        format!("{}(from a){}", "((build a ".repeat(200), "))".repeat(200)),
    ] {
        let error = Spec::parse(text.as_bytes(), "deep.spec")
            .unwrap_err()
            .to_string();
        let expected = "lists are nested more than 256 deep: that is more than any spec needs";
        assert!(error.ends_with(expected), "{error}");
    }
    // What is not refused works.
    let text = format!(
        "{}((from a)){}",
        "((build a ".repeat(126),
        ")(from a))".repeat(126)
    );
    read(text.as_bytes());
    let text = deepest("(", ")", 256);
    assert_eq!(
        BString::from(Sexp::parse(text.as_bytes()).unwrap().to_machine()),
        text
    );
    assert_eq!(Sexp::parse(text.as_bytes()).unwrap().to_human(), text);
    // Comments do not nest on the stack.
    read(deepest("#|", "|#", 1_000_000).as_bytes());
    read(format!("{}{}", "#;".repeat(1_000_000), "a ".repeat(1_000_001)).as_bytes());
}

/// Each of these takes very long if reading looks at what it has read again for every word.
#[test]
fn large_texts_take_time_in_proportion() {
    let many = 20_000;
    let builds: String = (0..many / 5)
        .map(|n| format!("(build b{n} ((from base)))"))
        .collect();
    let copies: String = (0..many / 5)
        .map(|n| format!("(copy (from (build b{n})) (src a) (dst b))\n"))
        .collect();
    let text = format!("({builds} (from base) {copies})");
    assert!(Spec::parse(text.as_bytes(), "large.spec").is_ok());
    for text in [
        format!("((from base) {})", "(env A b)\n".repeat(many)),
        format!(
            "((from base) (run (network {}) (shell x)))",
            "host ".repeat(many)
        ),
        format!(
            "((from base) (run {} (shell x)))",
            "(network host) ".repeat(many)
        ),
        format!("((from base) (env A \"{}\"))", "\\n\n\\065\\q".repeat(many)),
        format!("({builds} (from base) {copies} (copy (from (build x)) (src a) (dst b)))"),
        format!("({})", "(build a ((from base)))".repeat(many)),
        "a ".repeat(many),
    ] {
        read(text.as_bytes());
    }
}
