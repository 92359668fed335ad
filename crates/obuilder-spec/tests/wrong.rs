//! Specs that are wrong, each in its own way: the reports that users read are in `tests/wrong`.

use expect_test::expect_file;
use obuilder_spec::Spec;

const SYNTAX: &[&str] = &[
    "",
    "  ; nothing here\n",
    "((from base)",
    "((from base)\n (run (shell \"make)))\n",
    "((from base)\n (run (shell make))))\n",
    "((from base))\n((from other))\n",
    "((from base) #| never ends)",
    "((from base) #| a string in it \" |# ))",
    "((from base) |# (env A b))",
    "((from base) (env A b#|c|#))",
    "((from base) (env A b#;))\n",
    "((from base)\r (env A b))",
    "((from base) (env \"é\" \"\\300\"))",
    "((from base) (env A \"\\12\"))",
    "((from base) (env A \"C:\\xyz\"))",
];

const STAGES: &[&str] = &[
    "base",
    "()",
    "((build tools ((from base))))",
    "((build tools (from base)) (from base))",
    "((build tools debian) (from base))",
    "((from a b))",
    "((form base))",
    "((build tools) (from base))",
    "((run (shell make)) (from base))",
    "((from base) (from other))",
    "((from base)\n (build tools ((from base))))",
];

const OPS: &[&str] = &[
    "((from base) make)",
    "((from base) ((run)))",
    "((from base) ())",
    "((from base)\n (rnu (shell make)))",
    "((from base)\n (wrokdir /src))",
    "((from base) (Run (shell make)))",
    "((from base) (volume /data))",
    "((from base) (workdir))",
    "((from base) (workdir /a /b))",
    "((from base) (comment a comment))",
    "((from base) (env A))",
    "((from base) (env A (b c)))",
    "((from base) (shell (/bin/sh -c)))",
    "((from base) (user root))",
    "((from base) (user (gid 1) (uid 1)))",
    "((from base) (user (uid 1) (gid 1) (name x)))",
    "((from base) (user (uid 1) (gid users)))",
    "((from base) (user (uid 4611686018427387904) (gid 1)))",
    "((from base) (user (name (a b))))",
];

const FIELDS: &[&str] = &[
    "((from base)\n (run (network host)))",
    "((from base) (run make))",
    "((from base) (run ((shell make))))",
    "((from base) (run (shell make test)))",
    "((from base) (run (shell)))",
    "((from base)\n (run (shell make)\n      (shell test)))",
    "((from base) (run (shel make)))",
    "((from base) (run (mount /x) (shell make)))",
    "((from base) (run (network (host)) (shell make)))",
    "((from base) (run (cache ((a (target /x)))) (shell make)))",
    "((from base) (run (cache a) (shell make)))",
    "((from base) (run (cache (a)) (shell make)))",
    "((from base) (run (secrets (a (taget /x))) (shell make)))",
    "((from base) (run (secrets (a /x)) (shell make)))",
    "((from base) (run (cache (a (target /x) (buildkit_options (k v)))) (shell make)))",
    "((from base) (run (cache (a (target /x) (buildkit_options k v))) (shell make)))",
    "((from base) (copy (src a)))",
    "((from base) (copy (dst b)))",
    "((from base) (copy (src (a b)) (dst c)))",
    "((from base) (copy (src a) (dst b c)))",
    "((from base) (copy (src a) (dst b) (excludes c)))",
    "((from base) (copy (from tools) (src a) (dst b)))",
    "((from base) (copy (from (image x)) (src a) (dst b)))",
];

const SCOPE: &[&str] = &[
    "((from base)\n (copy (from (build foo)) (src a) (dst b)))",
    "((build tools ((from base)))\n (from base)\n (copy (from (build foo)) (src a) (dst b)))",
    "((build b ((from base)))\n (build a ((from base)))\n (from base)\n (copy (from (build foo)) (src a) (dst b)))",
    "((build b ((from base)))\n (build a ((from base)))\n (build c ((from base)))\n (from base)\n \
     (copy (from (build foo)) (src a) (dst b)))",
    // A later sibling, oneself, and a build inside a sibling are not in scope.
    "((build a ((from base)\n           (copy (from (build b)) (src x) (dst y))))\n (build b ((from base)))\n \
     (from base))",
    "((build a ((from base)\n           (copy (from (build a)) (src x) (dst y))))\n (from base))",
    "((build a ((build inner ((from base))) (from base)))\n (from base)\n (copy (from (build inner)) (src x) (dst y)))",
];

/// Returns what is reported of each.
fn reports(specs: &[&str]) -> String {
    let report = |spec: &&str| {
        let error = Spec::parse(spec.as_bytes(), "a.spec").expect_err(spec);
        error.report() + "\n"
    };
    specs.iter().map(report).collect()
}

#[test]
fn the_syntax_is_wrong() {
    expect_file!["wrong/syntax.txt"].assert_eq(&reports(SYNTAX));
}

#[test]
fn a_stage_is_wrong() {
    expect_file!["wrong/stages.txt"].assert_eq(&reports(STAGES));
}

#[test]
fn an_op_is_wrong() {
    expect_file!["wrong/ops.txt"].assert_eq(&reports(OPS));
}

#[test]
fn a_field_is_wrong() {
    expect_file!["wrong/fields.txt"].assert_eq(&reports(FIELDS));
}

#[test]
fn a_build_is_not_there() {
    expect_file!["wrong/scope.txt"].assert_eq(&reports(SCOPE));
}

#[test]
fn columns_are_characters() {
    let specs = [
        "((from base) (comment \"für später\") (rnu))",
        "((from base)\n\t(rnu))",
        "((from base) (comment \"\x1b[31m\") (rnu))",
    ];
    expect_file!["wrong/columns.txt"].assert_eq(&reports(&specs));
    // What is not UTF-8 counts too.
    let error = Spec::parse(b"((from \xff) (rnu))", "a.spec").unwrap_err();
    assert_eq!((error.position.line, error.position.column), (1, 12));
}

#[test]
fn long_lines_and_long_words_are_cut() {
    let long = "x".repeat(1000);
    let specs = [
        format!("((from base) (env A {long}) (rnu) (env A {long}))"),
        format!("((from base) ({long}))"),
        format!("((from base) (run (shell make)) ((a {long}) (b {long}))"),
        format!("((from base) ({}))", "(x) ".repeat(1000)),
    ];
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    expect_file!["wrong/long.txt"].assert_eq(&reports(&specs));
}
