//! Specs that the reference built, against the headings that it printed; and a canonical text, which prints as itself.

use bstr::{BStr, BString, ByteSlice as _};
use obuilder_spec::{Copy, Op, Run, Source, Spec, build_heading, from_heading};

/// Appends the headings of a build, in the order in which its log has them.
fn headings(spec: &Spec, lines: &mut Vec<BString>) {
    for (name, build) in &spec.builds {
        lines.push(build_heading(name.as_bstr()));
        headings(build, lines);
    }
    lines.push(from_heading(spec.from.as_bstr()));
    let mut workdir = BString::from("/");
    for op in &spec.ops {
        lines.push(op.heading(workdir.as_bstr()));
        match op {
            Op::Workdir(dir) if dir.starts_with(b"/") => workdir = dir.clone(),
            Op::Workdir(dir) => workdir = bstr::join("/", [&workdir, dir]).into(),
            _ => {}
        }
    }
}

fn check(text: &str, expected: &str) {
    let spec = Spec::parse(text.as_bytes(), "recorded.spec").unwrap();
    let mut lines = Vec::new();
    headings(&spec, &mut lines);
    let log = BString::from(bstr::join("\n", lines));
    assert_eq!(log, expected.trim_end_matches('\n'));

    // What is printed is the same spec, and is printed as it is.
    let printed = spec.to_bytes();
    let again = Spec::parse(&printed, "printed.spec").unwrap();
    assert_eq!(again, spec);
    assert_eq!(again.to_bytes(), printed);
}

macro_rules! recorded {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                check(
                    include_str!(concat!("recorded/", $name, ".spec")),
                    include_str!(concat!("recorded/", $name, ".headings")),
                );
            }
        )*
    };
}

recorded! {
    run: "01-run",
    context: "02-context",
    copy: "03-copy",
    nested: "04-nested",
    caches_and_secrets: "05-cache-secret",
    words_of_many_lines: "06-multiline",
}

/// Every op, and every way in which a line can break.
const CANONICAL: &str = r#"((build tools
        ((build "inner one"
                ((from scratch)))
         (from base)
         (run (shell "make tools"))))
 (build other
        ((from base)))
 (from base)
 (comment "A test comment")
 (workdir /src)
 (shell /bin/sh -c)
 (shell)
 (run (shell "echo short"))
 (run (cache (a (target /data)) (b (target /srv) (buildkit_options ((sharing locked)))))
      (network host)
      (secrets (a (target /run/secrets/a)) (b (target /b)))
      (shell "a command that is so long that it goes past the eightieth column of the text"))
 (copy (from (build tools)) (src binary) (dst /usr/local/bin/))
 (copy (src) (dst ./))
 (copy (from (build other))
       (src first-of-many-files second-of-many-files)
       (dst /usr/local/share/)
       (exclude .git _build))
 (env DEBUG 1)
 (env EMPTY "")
 (env TEXT  "one\
           \n\ttwo \"three\"\
           \n\195\169")
 (user (uid 1) (gid 2))
 (user (name ContainerAdministrator))
)"#;

#[test]
fn the_canonical_text_prints_as_itself() {
    let spec = Spec::parse(CANONICAL.as_bytes(), "canonical.spec").unwrap();
    assert_eq!(spec.to_string(), CANONICAL);
    assert_eq!(spec.to_bytes(), CANONICAL);
    let small = "((from busybox)\n)";
    let spec = Spec::parse(small.as_bytes(), "small.spec").unwrap();
    assert_eq!(spec.to_bytes(), small);
}

/// No box starts beyond column 68, and no line is indented further. OCaml's `Format` prints the same for the same
/// boxes.
#[test]
fn corners_of_the_layout() {
    let run = Op::Run(Run {
        cache: vec![],
        network: vec!["host".into()],
        secrets: vec![],
        shell: "make".into(),
    });
    let copy = Op::Copy(Copy {
        from: Source::Context,
        src: vec!["a".into()],
        dst: "b".into(),
        exclude: vec![],
    });
    let env = Op::Env("A".into(), "one\ntwo".into());
    let apart: &[_] = &[(0, ": (run "), (2, "(network host)"), (2, "(shell make))")];
    let moved: &[_] = &[(0, ": (copy "), (2, "(src a)"), (2, "(dst b))")];
    let env_lines: fn(usize) -> [(usize, &'static str); 2] =
        |indent| [(0, ": (env A  \"one\\"), (indent, "\\ntwo\")")];
    // For a working directory of this length: each line, after so many blanks.
    for (length, op, lines) in [
        (
            61,
            &run,
            &[(0, ": (run (network host)"), (68, "(shell make))")][..],
        ),
        (64, &run, apart),
        (51, &copy, &[(0, ": (copy (src a) (dst b))")]),
        (61, &copy, moved),
        (80, &copy, moved),
        (54, &env, &env_lines(63)),
        (59, &env, &env_lines(68)),
        (66, &env, &env_lines(68)),
        (
            67,
            &env,
            &[(0, ": "), (2, "(env A  \"one\\"), (9, "\\ntwo\")")],
        ),
    ] {
        let dir = "d".repeat(length);
        let lines: Vec<_> = lines
            .iter()
            .map(|(indent, line)| " ".repeat(*indent) + line)
            .collect();
        assert_eq!(op.heading(BStr::new(&dir)), dir + &lines.join("\n"));
    }
    let deep = include_str!("recorded/deep-nesting.txt");
    let spec = Spec::parse(deep.as_bytes(), "deep-nesting.txt").unwrap();
    assert_eq!(format!("{spec}\n"), deep);
}

/// Users write specs by hand in any of these ways.
#[test]
fn the_same_spec_in_other_words() {
    let canonical = "((from base)\n (workdir /x)\n (copy (src a) (dst b))\n (user (uid 1000) (gid 16))\n \
                     (env A \"b\\\\c\")\n)";
    for text in [
        "((from base)(workdir /x)(copy(src a)(dst b))(user(uid 1000)(gid 16))(env A b\\c))",
        "; a comment\n((from base) ; another\r\n (Workdir /x) (copy (exclude) (dst b) (from context) (src a))\n\
         (user (uid 1_000) (gid 0x10)) (env \"A\" \"b\\c\"))\n\n",
        "#| a #| comment |# |# ((from \"ba\\\n   se\") #; (from other) (workdir \"\\x2fx\")\
         (copy (src a) (dst b) #;(exclude x)) (user (uid +1000) (gid 0b10000)) (env A \"b\\\\c\"))",
    ] {
        let spec = Spec::parse(text.as_bytes(), "variant.spec").unwrap();
        assert_eq!(spec.to_bytes(), canonical, "{text}");
    }
}

#[test]
fn builds_are_in_scope_after_their_declaration_and_inside_later_ones() {
    let spec = "((build a ((from base)))
                 (build b ((build c ((from base) (copy (from (build a)) (src x) (dst y))))
                           (from base)
                           (copy (from (build a)) (src x) (dst y))
                           (copy (from (build c)) (src x) (dst y))))
                 (build a ((from other)
                           (copy (from (build b)) (src x) (dst y))
                           (copy (from (build a)) (src x) (dst y))))
                 (from base)
                 (copy (from (build a)) (src x) (dst y))
                 (copy (from (build b)) (src x) (dst y)))";
    assert!(Spec::parse(spec.as_bytes(), "scope.spec").is_ok());
}
