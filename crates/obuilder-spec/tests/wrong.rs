//! Specs that are wrong, each in its own way: what is said, and where the caret points.

use expect_test::expect;
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
    "((build a ((from base)\n           (copy (from (build b)) (src x) (dst y))))\n (build b ((from base)))\n (from base))",
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
    expect![[r#"
        a.spec:1:1: the text is empty: expected one S-expression
         1 |
           | ^
        a.spec:2:1: the text is empty: expected one S-expression
         2 |
           | ^
        a.spec:1:1: unclosed list: expected a `)` for this `(`, found the end of the text
         1 | ((from base)
           | ^
        a.spec:2:14: unterminated string: expected a `"` that ends it, found the end of the text
         2 |  (run (shell "make)))
           |              ^
        a.spec:2:21: unexpected `)`: there is no `(` that it could close
         2 |  (run (shell make))))
           |                     ^
        a.spec:2:1: more than one S-expression: expected the end of the text after the first
         2 | ((from other))
           | ^
        a.spec:1:14: unterminated comment: expected a `|#` for this `#|`, found the end of the text
         1 | ((from base) #| never ends)
           |              ^
        a.spec:1:32: unterminated string: expected a `"` that ends it, found the end of the text
         1 | ((from base) #| a string in it " |# ))
           |                                ^
        a.spec:1:14: unexpected `|#`: there is no comment that it could end
         1 | ((from base) |# (env A b))
           |              ^
        a.spec:1:22: comment tokens in unquoted atom: a word with `#|` or `|#` in it has to be in quotes
         1 | ((from base) (env A b#|c|#))
           |                      ^
        a.spec:1:14: unclosed list: expected a `)` for this `(`, found the end of the text
         1 | ((from base) (env A b#;))
           |              ^
        a.spec:1:13: unexpected character after carriage return: expected a newline
         1 | ((from base)  (env A b))
           |             ^
        a.spec:1:24: escape sequence in quoted string out of range: \300 is above \255
         1 | ((from base) (env "é" "\300"))
           |                        ^
        a.spec:1:22: incomplete escape sequence: expected three decimal digits after `\`
         1 | ((from base) (env A "\12"))
           |                      ^
        a.spec:1:24: incomplete escape sequence: expected two hexadecimal digits after `\x`
         1 | ((from base) (env A "C:\xyz"))
           |                        ^
    "#]].assert_eq(&reports(SYNTAX));
}

#[test]
fn a_stage_is_wrong() {
    expect![[r#"
        a.spec:1:1: Invalid spec: base: expected a list, ((from BASE) OP…)
         1 | base
           | ^
        a.spec:1:1: Invalid spec: missing (from)
         1 | ()
           | ^
        a.spec:1:1: Invalid spec: missing (from)
         1 | ((build tools ((from base))))
           | ^
        a.spec:1:16: Invalid spec item: from: expected (build NAME SPEC) or (from BASE)
         1 | ((build tools (from base)) (from base))
           |                ^
        a.spec:1:15: Invalid spec: debian: expected a list, ((from BASE) OP…)
         1 | ((build tools debian) (from base))
           |               ^
        a.spec:1:2: Invalid spec item: (from a b): expected (build NAME SPEC) or (from BASE)
         1 | ((from a b))
           |  ^
        a.spec:1:2: Invalid spec item: (form base): expected (build NAME SPEC) or (from BASE); did you mean "from"?
         1 | ((form base))
           |  ^
        a.spec:1:2: Invalid spec item: (build tools): expected (build NAME SPEC) or (from BASE)
         1 | ((build tools) (from base))
           |  ^
        a.spec:1:2: Invalid spec item: (run (shell make)): expected (build NAME SPEC) or (from BASE)
         1 | ((run (shell make)) (from base))
           |  ^
        a.spec:1:15: (from …) comes too late: expected it once, before the first op
         1 | ((from base) (from other))
           |               ^
        a.spec:2:3: (build …) comes too late: expected it before (from BASE)
         2 |  (build tools ((from base))))
           |   ^
    "#]].assert_eq(&reports(STAGES));
}

#[test]
fn an_op_is_wrong() {
    expect![[r#"
        a.spec:1:14: Invalid op: make: expected a list that begins with the name of an op: comment, workdir, shell, run, copy, user or env
         1 | ((from base) make)
           |              ^
        a.spec:1:14: Invalid op: ((run)): expected a list that begins with the name of an op: comment, workdir, shell, run, copy, user or env
         1 | ((from base) ((run)))
           |              ^
        a.spec:1:14: Invalid op: (): expected a list that begins with the name of an op: comment, workdir, shell, run, copy, user or env
         1 | ((from base) ())
           |              ^
        a.spec:2:3: unknown op "rnu": expected comment, workdir, shell, run, copy, user or env; did you mean "run"?
         2 |  (rnu (shell make)))
           |   ^
        a.spec:2:3: unknown op "wrokdir": expected comment, workdir, shell, run, copy, user or env; did you mean "workdir"?
         2 |  (wrokdir /src))
           |   ^
        a.spec:1:15: unknown op "Run": expected comment, workdir, shell, run, copy, user or env; did you mean "run"?
         1 | ((from base) (Run (shell make)))
           |               ^
        a.spec:1:15: unknown op "volume": expected comment, workdir, shell, run, copy, user or env
         1 | ((from base) (volume /data))
           |               ^
        a.spec:1:14: wrong number of values for workdir: expected (workdir DIR), found none
         1 | ((from base) (workdir))
           |              ^
        a.spec:1:14: wrong number of values for workdir: expected (workdir DIR), found 2
         1 | ((from base) (workdir /a /b))
           |              ^
        a.spec:1:14: wrong number of values for comment: expected (comment TEXT), found 2
         1 | ((from base) (comment a comment))
           |              ^
        a.spec:1:14: wrong number of values for env: expected (env NAME VALUE), found 1
         1 | ((from base) (env A))
           |              ^
        a.spec:1:21: expected a word in (env NAME VALUE), found the list (b c)
         1 | ((from base) (env A (b c)))
           |                     ^
        a.spec:1:21: expected a word in (shell WORD…), found the list (/bin/sh -c)
         1 | ((from base) (shell (/bin/sh -c)))
           |                     ^
        a.spec:1:14: Invalid op: (user root): expected (user (uid NUMBER) (gid NUMBER)) or (user (name NAME))
         1 | ((from base) (user root))
           |              ^
        a.spec:1:14: Invalid op: (user (gid 1) (uid 1)): expected (user (uid NUMBER) (gid NUMBER)) or (user (name NAME))
         1 | ((from base) (user (gid 1) (uid 1)))
           |              ^
        a.spec:1:14: Invalid op: (user (uid 1) (gid 1) (name x)): expected (user (uid NUMBER) (gid NUMBER)) or (user (name NAME))
         1 | ((from base) (user (uid 1) (gid 1) (name x)))
           |              ^
        a.spec:1:33: invalid number users: expected a whole number of 63 bits, in decimal or after 0x, 0o, 0b or 0u
         1 | ((from base) (user (uid 1) (gid users)))
           |                                 ^
        a.spec:1:25: invalid number 4611686018427387904: expected a whole number of 63 bits, in decimal or after 0x, 0o, 0b or 0u
         1 | ((from base) (user (uid 4611686018427387904) (gid 1)))
           |                         ^
        a.spec:1:26: expected a word in (name NAME), found the list (a b)
         1 | ((from base) (user (name (a b))))
           |                          ^
    "#]].assert_eq(&reports(OPS));
}

#[test]
fn a_field_is_wrong() {
    expect![[r#"
        a.spec:2:2: missing field "shell" of run: expected (shell COMMAND)
         2 |  (run (network host)))
           |  ^
        a.spec:1:19: invalid field make of run: expected a list that begins with cache, network, secrets or shell
         1 | ((from base) (run make))
           |                   ^
        a.spec:1:19: invalid field ((shell make)) of run: expected a list that begins with cache, network, secrets or shell
         1 | ((from base) (run ((shell make))))
           |                   ^
        a.spec:1:19: wrong number of values for shell: expected (shell COMMAND), found 2
         1 | ((from base) (run (shell make test)))
           |                   ^
        a.spec:1:19: wrong number of values for shell: expected (shell COMMAND), found none
         1 | ((from base) (run (shell)))
           |                   ^
        a.spec:3:7: repeated field "shell" of run: expected it once, found it at 2:7 already
         3 |       (shell test)))
           |       ^
        a.spec:1:20: unknown field "shel" of run: expected cache, network, secrets or shell; did you mean "shell"?
         1 | ((from base) (run (shel make)))
           |                    ^
        a.spec:1:20: unknown field "mount" of run: expected cache, network, secrets or shell
         1 | ((from base) (run (mount /x) (shell make)))
           |                    ^
        a.spec:1:28: expected a word in (network NETWORK…), found the list (host)
         1 | ((from base) (run (network (host)) (shell make)))
           |                            ^
        a.spec:1:26: Invalid cache: ((a (target /x))): expected (ID (target PATH))
         1 | ((from base) (run (cache ((a (target /x)))) (shell make)))
           |                          ^
        a.spec:1:26: Invalid cache: a: expected (ID (target PATH))
         1 | ((from base) (run (cache a) (shell make)))
           |                          ^
        a.spec:1:26: missing field "target" of a cache: expected (target PATH)
         1 | ((from base) (run (cache (a)) (shell make)))
           |                          ^
        a.spec:1:32: unknown field "taget" of a secret: expected target or buildkit_options; did you mean "target"?
         1 | ((from base) (run (secrets (a (taget /x))) (shell make)))
           |                                ^
        a.spec:1:31: invalid field /x of a secret: expected a list that begins with target or buildkit_options
         1 | ((from base) (run (secrets (a /x)) (shell make)))
           |                               ^
        a.spec:1:60: invalid buildkit_options: expected (buildkit_options ((KEY VALUE) …)), found k
         1 | ((from base) (run (cache (a (target /x) (buildkit_options (k v)))) (shell make)))
           |                                                            ^
        a.spec:1:41: wrong number of values for buildkit_options: expected (buildkit_options ((KEY VALUE) …)), found 2
         1 | ((from base) (run (cache (a (target /x) (buildkit_options k v))) (shell make)))
           |                                         ^
        a.spec:1:14: missing field "dst" of copy: expected (dst PATH)
         1 | ((from base) (copy (src a)))
           |              ^
        a.spec:1:14: missing field "src" of copy: expected (src PATH…)
         1 | ((from base) (copy (dst b)))
           |              ^
        a.spec:1:25: expected a word in (src PATH…), found the list (a b)
         1 | ((from base) (copy (src (a b)) (dst c)))
           |                         ^
        a.spec:1:28: wrong number of values for dst: expected (dst PATH), found 2
         1 | ((from base) (copy (src a) (dst b c)))
           |                            ^
        a.spec:1:37: unknown field "excludes" of copy: expected from, src, dst or exclude; did you mean "exclude"?
         1 | ((from base) (copy (src a) (dst b) (excludes c)))
           |                                     ^
        a.spec:1:26: Invalid data source: tools: expected context or (build NAME)
         1 | ((from base) (copy (from tools) (src a) (dst b)))
           |                          ^
        a.spec:1:26: Invalid data source: (image x): expected context or (build NAME)
         1 | ((from base) (copy (from (image x)) (src a) (dst b)))
           |                          ^
    "#]].assert_eq(&reports(FIELDS));
}

#[test]
fn a_build_is_not_there() {
    expect![[r#"
        a.spec:2:14: Unknown build "foo" in (copy (from (build foo)) (src a) (dst b)).
         2 |  (copy (from (build foo)) (src a) (dst b)))
           |              ^
        a.spec:3:14: Unknown build "foo" in (copy (from (build foo)) (src a) (dst b)). Did you mean "tools" ?
         3 |  (copy (from (build foo)) (src a) (dst b)))
           |              ^
        a.spec:4:14: Unknown build "foo" in (copy (from (build foo)) (src a) (dst b)). Did you mean either "a" or "b" ?
         4 |  (copy (from (build foo)) (src a) (dst b)))
           |              ^
        a.spec:5:14: Unknown build "foo" in (copy (from (build foo)) (src a) (dst b)). Did you mean one of "a", "b", or "c" ?
         5 |  (copy (from (build foo)) (src a) (dst b)))
           |              ^
        a.spec:2:24: Unknown build "b" in (copy (from (build b)) (src x) (dst y)).
         2 |            (copy (from (build b)) (src x) (dst y))))
           |                        ^
        a.spec:2:24: Unknown build "a" in (copy (from (build a)) (src x) (dst y)).
         2 |            (copy (from (build a)) (src x) (dst y))))
           |                        ^
        a.spec:3:14: Unknown build "inner" in (copy (from (build inner)) (src x) (dst y)). Did you mean "a" ?
         3 |  (copy (from (build inner)) (src x) (dst y)))
           |              ^
    "#]].assert_eq(&reports(SCOPE));
}

#[test]
fn columns_are_characters() {
    let specs = [
        "((from base) (comment \"für später\") (rnu))",
        "((from base)\n\t(rnu))",
        "((from base) (comment \"\x1b[31m\") (rnu))",
    ];
    expect![[r#"
        a.spec:1:38: unknown op "rnu": expected comment, workdir, shell, run, copy, user or env; did you mean "run"?
         1 | ((from base) (comment "für später") (rnu))
           |                                      ^
        a.spec:2:3: unknown op "rnu": expected comment, workdir, shell, run, copy, user or env; did you mean "run"?
         2 |  (rnu))
           |   ^
        a.spec:1:33: unknown op "rnu": expected comment, workdir, shell, run, copy, user or env; did you mean "run"?
         1 | ((from base) (comment " [31m") (rnu))
           |                                 ^
    "#]].assert_eq(&reports(&specs));
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
    expect![[r#"
        a.spec:1:1024: unknown op "rnu": expected comment, workdir, shell, run, copy, user or env; did you mean "run"?
         1 | xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx) (rnu) (env A xxxxxxxxxxxxxxxxxxxxxxxxxxxx
           |                                                             ^
        a.spec:1:15: unknown op "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…: expected comment, workdir, shell, run, copy, user or env
         1 | ((from base) (xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
           |               ^
        a.spec:1:1: unclosed list: expected a `)` for this `(`, found the end of the text
         1 | ((from base) (run (shell make)) ((a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
           | ^
        a.spec:1:14: Invalid op: ((x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (…: expected a list that begins with the name of an op: comment, workdir, shell, run, copy, user or env
         1 | ((from base) ((x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x) (x
           |              ^
    "#]].assert_eq(&reports(&specs));
}
