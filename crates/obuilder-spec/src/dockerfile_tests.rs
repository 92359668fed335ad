//! Tests of Dockerfiles: the reference's cases, and what it does not handle.

use expect_test::{Expect, expect};

use super::{DockerfileError, Options, Style, dockerfile};
use crate::Spec;

const UNIX: Options = Options {
    buildkit: false,
    style: Style::Unix,
};

const BUILDKIT: Options = Options {
    buildkit: true,
    style: Style::Unix,
};

const WINDOWS: Options = Options {
    buildkit: false,
    style: Style::Windows,
};

fn convert(spec: &str, options: Options) -> Result<String, DockerfileError> {
    let spec = Spec::parse(spec.as_bytes(), "test.spec").unwrap();
    dockerfile(&spec, options).map(|text| text.to_string())
}

fn check(spec: &str, options: Options, expected: Expect) {
    expected.assert_eq(&convert(spec, options).unwrap());
}

const ONE_STAGE: &str = r#"
    ((from debian:12)
     (comment "A test comment")
     (workdir /src)
     (run (shell "set -e
                  make  
                  make test"))
     (run (cache (a (target /data)) (b (target /srv) (buildkit_options ((sharing locked) (mode 0755)))))
          (secrets (s (target /secrets/s)))
          (network host)
          (shell command))
     (copy (src a b) (dst c/) (exclude .git))
     (env DEBUG "1")
     (env ESCAPES "a \"b\" \\ `c`")
     (user (uid 1) (gid 2))
     (copy (src d) (dst e))
     (run (cache (a (target /data))) (shell "true"))
     (user (uid 0) (gid 0))
     (copy (src f) (dst g))
     (shell /bin/sh -c)
     (run (shell "exit 0")))"#;

const STAGES: &str = "
    ((build tools
            ((build compiler ((from alpine) (user (uid 3) (gid 4)) (run (shell build))))
             (from base)
             (copy (from (build compiler)) (src cc) (dst /bin/cc))
             (run (shell \"make tools\"))))
     (from debian)
     (user (uid 1) (gid 2))
     (copy (from (build tools)) (src binary) (dst /usr/local/bin/)))";

#[test]
fn one_stage_for_unix() {
    check(
        ONE_STAGE,
        UNIX,
        expect![[r#"
        FROM debian:12
        # A test comment
        WORKDIR /src
        RUN set -e \
            make \
            make test
        RUN command
        COPY a b c/
        ENV DEBUG="1"
        ENV ESCAPES="a \"b\" \\ `c`"
        USER 1:2
        COPY --chown=1:2 d e
        RUN true
        USER 0:0
        COPY f g
        SHELL [ "/bin/sh", "-c" ]
        RUN exit 0
    "#]],
    );
}

#[test]
fn buildkit_has_caches_and_secrets() {
    let text = convert(ONE_STAGE, BUILDKIT).unwrap();
    assert!(text.contains("\nRUN --mount=type=secret,id=s,"));
    // One line each in truth: a mount per line is easier to read.
    let text = text.replace(" --mount", "\n  --mount");
    let expected = expect![[r#"
        FROM debian:12
        # A test comment
        WORKDIR /src
        RUN set -e \
            make \
            make test
        RUN
          --mount=type=secret,id=s,target=/secrets/s,uid=0
          --mount=type=cache,id=a,target=/data,uid=0
          --mount=type=cache,id=b,target=/srv,uid=0,sharing=locked,mode=0755 command
        COPY a b c/
        ENV DEBUG="1"
        ENV ESCAPES="a \"b\" \\ `c`"
        USER 1:2
        COPY --chown=1:2 d e
        RUN
          --mount=type=cache,id=a,target=/data,uid=1 true
        USER 0:0
        COPY f g
        SHELL [ "/bin/sh", "-c" ]
        RUN exit 0
    "#]];
    expected.assert_eq(&text);
}

#[test]
fn nested_builds_come_first() {
    check(
        STAGES,
        UNIX,
        expect![[r#"
        FROM alpine as compiler
        USER 3:4
        RUN build

        FROM base as tools
        COPY --from=compiler cc /bin/cc
        RUN make tools

        FROM debian
        USER 1:2
        COPY --chown=1:2 --from=tools binary /usr/local/bin/
    "#]],
    );
}

#[test]
fn windows_has_another_escape_and_another_root() {
    check(
        r#"((build tools ((from base) (run (shell "make tools"))))
            (from mcr.microsoft.com/windows/servercore)
            (comment "A test comment")
            (workdir C:/src)
            (shell cmd /S /C)
            (run (cache (a (target C:/data))) (shell "line 1
                                                       line 2"))
            (env ESCAPES "a \"b\" \\ `c`")
            (copy (src a b) (dst c/))
            (user (name Zaphod))
            (copy (from (build tools)) (src binary) (dst C:/bin/))
            (user (uid 1) (gid 2))
            (copy (src d) (dst e)))"#,
        WINDOWS,
        expect![[r##"
            #escape=`
            FROM base as tools
            RUN make tools

            FROM mcr.microsoft.com/windows/servercore
            # A test comment
            WORKDIR C:/src
            SHELL [ "cmd", "/S", "/C" ]
            RUN line 1 `
                line 2
            ENV ESCAPES="a `"b`" \ ``c``"
            COPY a b c/
            USER Zaphod
            COPY --from=tools binary C:/bin/
            USER 1:2
            COPY --chown=1:2 d e
        "##]],
    );
}

#[test]
fn a_comment_stays_a_comment() {
    check(
        r#"((from base) (comment "one\nRUN evil"))"#,
        UNIX,
        expect![[r#"
            FROM base
            # one
            # RUN evil
        "#]],
    );
}

#[test]
fn what_docker_cannot_do_is_an_error() {
    let spec =
        r#"((from base) (user (name Zaphod)) (run (cache (a (target /data))) (shell "echo hi")))"#;
    assert!(convert(spec, UNIX).is_ok());
    let errors = [
        convert(spec, BUILDKIT),
        convert(r#"((from base) (workdir "/src\nRUN evil"))"#, UNIX),
        convert(r#"((from "base\n"))"#, UNIX),
    ];
    let errors = errors.map(|result| result.unwrap_err().to_string());
    assert_eq!(
        errors,
        [
            "cannot convert (run … (shell \"echo hi\")): with BuildKit, caches and secrets need a numeric user, \
             but its user is \"Zaphod\"; write (user (uid N) (gid N)) before it, or convert without BuildKit",
            "cannot write WORKDIR with \"/src\\nRUN evil\": a Dockerfile must not have a newline there",
            "cannot write FROM with \"base\\n\": a Dockerfile must not have a newline there",
        ]
    );
}
