//! Tests of headings and of the canonical form.

use bstr::{BStr, BString};

use crate::spec::{CacheMount, Copy, Op, Run, SecretMount, Source};
use crate::{build_heading, from_heading};

fn heading(workdir: &str, op: &Op) -> String {
    op.heading(BStr::new(workdir)).to_string()
}

fn run(shell: &str) -> Run {
    Run {
        cache: vec![],
        network: vec![],
        secrets: vec![],
        shell: shell.into(),
    }
}

fn words(words: &[&str]) -> Vec<BString> {
    words.iter().copied().map(BString::from).collect()
}

fn copy(src: &[&str], dst: &str) -> Copy {
    Copy {
        from: Source::Context,
        src: words(src),
        dst: dst.into(),
        exclude: vec![],
    }
}

fn cache(id: &str, target: &str) -> CacheMount {
    CacheMount {
        id: id.into(),
        target: target.into(),
        buildkit_options: vec![],
    }
}

fn secret(id: &str, target: &str) -> SecretMount {
    SecretMount {
        id: id.into(),
        target: target.into(),
        buildkit_options: vec![],
    }
}

#[test]
fn headings_of_stages() {
    assert_eq!(build_heading(BStr::new("tools")), "(build \"tools\" …)");
    assert_eq!(
        build_heading(BStr::new("a\n\"é")),
        r#"(build "a\n\"\195\169" …)"#
    );
    assert_eq!(from_heading(BStr::new("base:test")), "(from base:test)");
    assert_eq!(from_heading(BStr::new("")), "(from \"\")");
}

#[test]
fn a_run_has_a_line_for_each_field() {
    let op = Op::Run(Run {
        cache: vec![cache("one", "/var/one"), cache("two/x", "/var/two")],
        ..run("date > /var/one/stamp; ls /var/one")
    });
    assert_eq!(
        heading("/", &op),
        r#"/: (run (cache (one (target /var/one)) (two/x (target /var/two)))
        (shell "date > /var/one/stamp; ls /var/one"))"#
    );
    let op = Op::Run(Run {
        network: words(&["host"]),
        secrets: vec![secret("s1", "/run/secrets/s1"), secret("s2", "/etc/s2")],
        ..run("wc -c /run/secrets/s1 /etc/s2")
    });
    assert_eq!(
        heading("/", &op),
        r#"/: (run (network host)
        (secrets (s1 (target /run/secrets/s1)) (s2 (target /etc/s2)))
        (shell "wc -c /run/secrets/s1 /etc/s2"))"#
    );
}

#[test]
fn a_word_with_newlines_has_a_line_for_each() {
    let expected = r#"/: (run (shell  "echo three\
               \necho four"))"#;
    assert_eq!(
        heading("/", &Op::Run(run("echo three\necho four"))),
        expected
    );
    // Not so when the only newline is its end.
    let expected = r#"/: (run (shell "echo three\n"))"#;
    assert_eq!(heading("/", &Op::Run(run("echo three\n"))), expected);
}

#[test]
fn a_copy_has_one_line_if_it_fits() {
    let short = copy(&["hello.txt", "run.sh"], "/opt/bin/");
    assert_eq!(
        heading("/", &Op::Copy(short)),
        "/: (copy (src hello.txt run.sh) (dst /opt/bin/))"
    );
    // The parenthesis at the end is in column 78, which is where OCaml's margin is.
    let just = "x".repeat(78 - "/: (copy (src ) (dst /d))".len());
    let line = format!("/: (copy (src {just}) (dst /d))");
    assert_eq!(line.len(), 78);
    assert_eq!(heading("/", &Op::Copy(copy(&[&just], "/d"))), line);
    let long = format!("{just}x");
    assert_eq!(
        heading("/", &Op::Copy(copy(&[&long], "/d"))),
        format!("/: (copy (src {long})\n         (dst /d))")
    );
}

#[test]
fn other_ops_have_one_line() {
    assert_eq!(
        heading("/srv/sub/./x", &Op::Env("B".into(), "two words".into())),
        "/srv/sub/./x: (env B \"two words\")"
    );
    assert_eq!(
        heading("/", &Op::Env("UNI".into(), "caf\u{e9} \"x\" \\ y".into())),
        r#"/: (env UNI "caf\195\169 \"x\" \\ y")"#
    );
    assert_eq!(heading("/", &Op::Shell(vec![])), "/: (shell)");
}
