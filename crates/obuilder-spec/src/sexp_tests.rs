//! Tests of S-expressions: the machine form against published ids, and the syntax of words.

use bstr::BString;
use sha2::{Digest as _, Sha256};

use super::Sexp;

fn id_of(sexp: &Sexp) -> String {
    let digest = Sha256::digest(sexp.to_machine());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(text: &str) -> Sexp {
    Sexp::parse(text.as_bytes()).expect(text)
}

fn error(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    let error = Sexp::parse(text).expect_err(&BString::from(text).to_string());
    error.to_string()
}

/// What the reference digests, and the id that it gives. The pre-images are its texts: parsed and printed, they are the
/// same again.
const PRE_IMAGES: [(&str, &str); 4] = [
    (
        concat!(
            "((base bc3bc8408e84c12c2b5f24aa91b444894b55e26069b66e8034890634b08aef1d)(workdir C:/)",
            "(user((name ContainerAdministrator)))(env())(cmd\"echo hello > world\")(shell(cmd /S /C))",
            "(network())(mount_secrets()))"
        ),
        "ac4488b2ca69de829c9a8bbcd9efa2ddff493a3b5888a53ec20a1343ea34b2bd",
    ),
    (
        concat!(
            "((base 9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91)(user((uid 0)(gid 0)))",
            "(op(Copy_item((File",
            "(file 8e6537b695ff181bc341e32d8b8970485ac3513408e5eb1e8ba9fc5af1cd3f57))/dst))))"
        ),
        "d261ed0f73ccdfeb85635f27e254bc5cd985b57eadf786d64060fa3cda72906c",
    ),
    (
        concat!(
            "((base 9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91)",
            "(user((uid 1000)(gid 1000)))(op(Copy_items(((Dir(\"\"((File",
            "(file 8e6537b695ff181bc341e32d8b8970485ac3513408e5eb1e8ba9fc5af1cd3f57))",
            "(Symlink(link /root))))))/src/))))"
        ),
        "a1f8fdd4c1c2d69f8a3bbb0020c69cce333e0c0d7853e1b03265944b6e572abc",
    ),
    (
        concat!(
            "((base 9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91)(workdir /src)",
            "(user((uid 1000)(gid 1000)))(env((B 2)(A\"\")(PATH /bin:/usr/bin)))",
            r#"(cmd"echo \"hi\"\nls")"#,
            "(shell(/bin/sh -c))(network(host))",
            "(mount_secrets(((value\"top secret\")(target /b))((value x)(target /a)))))"
        ),
        "e2489d54a274c8236f01d8e1e7c537897f926b7e0081c98069ddf71545f33b3e",
    ),
];

#[test]
fn the_machine_form_is_what_step_ids_are_made_of() {
    for (text, id) in PRE_IMAGES {
        let sexp = parse(text);
        assert_eq!(BString::from(sexp.to_machine()), text);
        assert_eq!(id_of(&sexp), id);
    }
}

/// The chain of steps in the reference's own documents, made from values.
#[test]
fn a_chain_of_runs_has_the_published_ids() {
    let image = "patricoferris/empty@sha256:b95ca2b377dd736f609f0a10d63318c9f627a817823cf416402a29bfe9202bb9";
    let digest = Sha256::digest(image.as_bytes());
    let mut id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        id,
        "1e8a7b908b7883f051110a922dc647791b81e0d658f5c1bdd8242d9ab898f8ae"
    );
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (command, expected) in [
        (
            "mkdir hello",
            "ba0dc81067c02a45ad4a8cdbbca046aa1e59a37deca612c6a4f8698ae67e200f",
        ),
        (
            "echo 'hello world' > ./hello/hello.txt",
            "ee3328c16f05527e80a95b87c110aac986495aef607f14b9ef4371398a8659d8",
        ),
        (
            "cat ./hello/hello.txt",
            "c97a5a234cc9bfcc601b2f7a98975bf294fa7552301c182358fc32ceb21308d8",
        ),
        (
            "rm -rf hello",
            "de2d77926d7e89828a3578ef5173bbce6050e2a7e39488b1de54dcffa864a600",
        ),
        (
            "ls",
            "0b38a347b26152e1115a76902af06ff34a4f38aa2182e3af04e2867801fce841",
        ),
    ] {
        let number = |name| Sexp::field(name, Sexp::atom("0"));
        let step = Sexp::list([
            Sexp::field("base", Sexp::atom(id)),
            Sexp::field("workdir", Sexp::atom("/")),
            Sexp::field("user", Sexp::list([number("uid"), number("gid")])),
            Sexp::field("env", Sexp::list([Sexp::atoms(["PATH", path])])),
            Sexp::field("cmd", Sexp::atom(command)),
            Sexp::field("shell", Sexp::atoms(["/bin/bash", "-c"])),
            Sexp::field("network", Sexp::list([])),
            Sexp::field("mount_secrets", Sexp::list([])),
        ]);
        id = id_of(&step);
        assert_eq!(id, expected, "{command}");
    }
}

#[test]
fn words_and_what_separates_them() {
    for (text, machine) in [
        ("a", "a"),
        (" ( a\tb\x0cc\r\nd ) ", "(a b c d)"),
        (r#"(a"b"c)"#, r#"(a b c)"#),
        // Comments, in each other too; and of the next item.
        ("(a ; b)\n c)", "(a c)"),
        ("#| x #| y |# z |# a #| \"|#\" |#", "a"),
        ("(a #; (b c) d)", "(a d)"),
        ("(a #; #; b c d)", "(a d)"),
        ("#;(x) a #;y", "a"),
        // A hash or a bar alone means nothing, and a `#;` only where a word may start.
        ("(# | a#b a|b #a a#;b\n)", "(# | a#b a|b #a a#)"),
        // A backslash in a bare word is only that.
        (r"C:\Users\opam", r#""C:\\Users\\opam""#),
        (r#""mkdir C:\obuilder""#, r#""mkdir C:\\obuilder""#),
        (r#""C:\new""#, r#""C:\new""#),
        (
            r#""\065\x42\'\q\
            d""#,
            r#""AB'\\qd""#,
        ),
        ("\"a\\\r\n  b\\\rc\"", r#""ab\rc""#),
        ("\"a\nb\"", r#""a\nb""#),
        ("\"\x07\u{e9}\"", r#""\007\195\169""#),
        ("()", "()"),
        (r#"(a "b c" d "" ())"#, r#"(a"b c"d""())"#),
        (r##"("#|" "|#" "#" "a b")"##, r##"("#|""|#"#"a b")"##),
    ] {
        let sexp = parse(text);
        assert_eq!(BString::from(sexp.to_machine()), machine, "{text}");
        assert_eq!(parse(machine), sexp, "{text}");
        assert_eq!(parse(&sexp.to_human().to_string()), sexp, "{text}");
    }
}

#[test]
fn the_human_form_breaks_what_is_too_long() {
    let env = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"),
        ("LANG", "C.UTF-8"),
        ("GREETING", "hello there"),
    ];
    let env = Sexp::list(env.map(|(name, value)| Sexp::atoms([name, value])));
    let sexp = Sexp::list([Sexp::field("env", env)]);
    let expected = r#"((env
  ((PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin)
   (LANG C.UTF-8)
   (GREETING "hello there"))))"#;
    assert_eq!(sexp.to_human(), expected);
    assert_eq!(parse(expected), sexp);
}

#[test]
fn errors_say_where() {
    assert_eq!(
        error("(a\n  b"),
        "1:1: unclosed list: expected a `)` for this `(`, found the end of the text"
    );
    assert_eq!(
        error("(é)\n é)"),
        "2:3: unexpected `)`: there is no `(` that it could close"
    );
    assert_eq!(
        error(b"(\xff\xff \"a"),
        "1:5: unterminated string: expected a `\"` that ends it, found the end of the text"
    );
}
