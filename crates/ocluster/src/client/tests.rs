//! What is made of the client's command lines.

use std::ffi::OsString;

use expect_test::{Expect, expect};

use super::description::Request;
use super::*;
use crate::config::Surroundings;
use crate::program::{NotParsed, parse};

/// Two commits.
const A: &str = "ac619d2083bb15e0c408e4cd0e3ef7135670cfd5";
const B: &str = "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0";

/// A directory with files that command lines name.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, contents) in [
            ("submission.cap", "capnp://"),
            ("Dockerfile", "FROM busybox\n"),
            ("spec", "((from busybox))"),
            ("password", "hunter2\r\nand more\n"),
            ("empty", ""),
            ("comments", "# syntax=docker/dockerfile:1\n\n  # nothing\n"),
            ("bad.spec", "((from busybox)\n (wrokdir /src))"),
            ("open.spec", "((from busybox)\n (run (shell date))"),
        ] {
            std::fs::write(dir.path().join(name), contents).unwrap();
        }
        Self(dir)
    }

    /// Returns what is made of a command line whose words `@NAME` are files of this directory.
    fn request(&self, line: &str) -> Result<Request, CommandError> {
        let here = format!("{}/", self.0.path().display());
        let words = line.split(' ').map(|word| match word {
            "@A" => A.into(),
            "@B" => B.into(),
            // What looks like a user at a host.
            word => OsString::from(word.replace('@', &here).replace('%', "@")),
        });
        let args: Args = match parse(
            NAME,
            std::iter::once(NAME.into()).chain(words),
            &Surroundings::nothing(),
        ) {
            Ok((args, _)) => args,
            Err(NotParsed::Answered(text)) => panic!("an answer rather than a request: {text}"),
            Err(NotParsed::Refused(error)) => return Err(error),
        };
        match args.command {
            Command::Docker(command) => command.request(&args.connect),
            Command::OBuilder(command) => command.request(&args.connect),
            Command::Custom(command) => command.request(&args.connect),
        }
    }

    /// Checks what is made of a command line, as text.
    fn check(&self, line: &str, expected: Expect) {
        let text = match self.request(line) {
            Ok(Request {
                cap,
                pool,
                urgent,
                description,
            }) => {
                let cap = cap.path().file_name().unwrap().display();
                format!("{cap} pool={pool} urgent={urgent}\n{description:#?}\n")
            }
            Err(error) => error.render(NAME),
        };
        let here = self.0.path().to_str().unwrap();
        expected.assert_eq(&text.replace(here, "$DIR"));
    }
}

#[test]
fn the_two_generations_ask_for_the_same() {
    let files = Files::new();
    let options = "--cache-hint tutorial --pool=linux --local-dockerfile @Dockerfile";
    let first = files.request(&format!(
        "submit-docker @submission.cap {options} http://host/r @A @B"
    ));
    let first = first.unwrap();
    assert_eq!(first.description.commits, [A, B]);
    for line in [
        format!("submit-docker {options} @submission.cap http://host/r @A @B"),
        format!("-c @submission.cap submit-docker {options} http://host/r @A @B"),
        format!("submit-docker {options} http://host/r @A @B --connect=@submission.cap"),
        format!("--connect @submission.cap submit-d {options} http://host/r -- @A @B"),
        "submit-d -c @submission.cap --cache tutorial --po linux --local-d @Dockerfile http://host/r @A @B"
            .to_owned(),
    ] {
        let other = files.request(&line).unwrap();
        assert_eq!(format!("{other:?}"), format!("{first:?}"), "{line}");
    }
}

#[test]
fn every_option_reaches_the_description() {
    Files::new().check(
        "submit-docker @submission.cap --pool p --urgent --context-dockerfile=a/Dockerfile --push-to org/x:1 \
         --push-user builder --push-password @password --build-arg A=1 --build-arg B=2 --squash --buildkit \
         --include-git --secret key:@password https://host/r @A",
        expect![[r#"
            submission.cap pool=p urgent=true
            Description {
                action: Docker(
                    DockerBuild {
                        dockerfile: Path(
                            "a/Dockerfile",
                        ),
                        push_target: "org/x:1",
                        push_user: "builder",
                        push_password: Password(redacted),
                        build_args: [
                            "A=1",
                            "B=2",
                        ],
                        squash: true,
                        buildkit: true,
                        include_git: true,
                    },
                ),
                cache_hint: "",
                repository: "https://host/r",
                commits: [
                    "ac619d2083bb15e0c408e4cd0e3ef7135670cfd5",
                ],
                secrets: [
                    Secret {
                        id: "key",
                        value: SecretValue(redacted),
                    },
                ],
            }
        "#]],
    );
}

#[test]
fn without_options_the_dockerfile_is_in_the_context() {
    Files::new().check(
        "submit-docker @submission.cap --pool p --unchecked",
        expect![[r#"
        submission.cap pool=p urgent=false
        Description {
            action: Docker(
                DockerBuild {
                    dockerfile: Path(
                        "Dockerfile",
                    ),
                    push_target: "",
                    push_user: "",
                    push_password: Password(none),
                    build_args: [],
                    squash: false,
                    buildkit: false,
                    include_git: false,
                },
            ),
            cache_hint: "",
            repository: "",
            commits: [],
            secrets: [],
        }
    "#]],
    );
}

#[test]
fn an_obuilder_job_sends_its_spec() {
    Files::new().check(
        "submit-obuilder @submission.cap --pool p --local-file @spec",
        expect![[r#"
            submission.cap pool=p urgent=false
            Description {
                action: OBuilder(
                    OBuilderBuild {
                        spec: "((from busybox))",
                    },
                ),
                cache_hint: "",
                repository: "",
                commits: [],
                secrets: [],
            }
        "#]],
    );
}

#[test]
fn the_first_line_of_the_password_file_is_the_password() {
    let request = Files::new()
        .request("submit-docker @submission.cap --pool p --local-dockerfile @Dockerfile --push-to a:b --push-user u --push-password @password")
        .unwrap();
    let cluster_api::Action::Docker(build) = request.description.action else {
        panic!("not a docker build");
    };
    assert_eq!(build.push_password.expose(), "hunter2");
}

#[test]
fn a_missing_or_repeated_option_is_named() {
    let files = Files::new();
    files.check(
        "submit-docker",
        expect![[r#"
        ocluster-client: the following required arguments were not provided:
          --pool <ID>

        Usage: ocluster-client submit-docker [OPTIONS] [CAP] --pool <ID> [URL HASH...]
        Try 'ocluster-client --help' for more information.
    "#]],
    );
    files.check(
        "submit-docker --pool p",
        expect![[r#"
        ocluster-client: required argument CAP is missing
        Hint: give the cap file as the first argument, or with --connect=FILE
        Try 'ocluster-client --help' for more information.
    "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --pool q",
        expect![[r#"
            ocluster-client: the argument '--pool <ID>' cannot be used multiple times

            Usage: ocluster-client submit-docker [OPTIONS] [CAP] --pool <ID> [URL HASH...]
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p http://host/r",
        expect![[r#"
            ocluster-client: No commits requested from repository "http://host/r"!
            Hint: give the full hash of the commit to build after the URL
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check("submit-obuilder @submission.cap --pool p", expect![[r#"
        ocluster-client: the following required arguments were not provided:
          --local-file <PATH>

        Usage: ocluster-client submit-obuilder [OPTIONS] [CAP] --pool <ID> --local-file <PATH> [URL HASH...]
        Try 'ocluster-client --help' for more information.
    "#]]);
}

#[test]
fn a_file_that_is_not_there_is_named_with_its_option() {
    let files = Files::new();
    files.check(
        "submit-docker nowhere.cap --pool p",
        expect![[r#"
        ocluster-client: argument CAP: no 'nowhere.cap' file or directory
        Hint: the scheduler writes cap files to its --secrets-dir when it starts
        Try 'ocluster-client --help' for more information.
    "#]],
    );
    files.check(
        "submit-docker -c @nowhere.cap --pool p",
        expect![[r#"
        ocluster-client: option '--connect': no '$DIR/nowhere.cap' file or directory
        Hint: the scheduler writes cap files to its --secrets-dir when it starts
        Try 'ocluster-client --help' for more information.
    "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --local-dockerfile @nowhere",
        expect![[r#"
            ocluster-client: option '--local-dockerfile': no '$DIR/nowhere' file or directory
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --local-dockerfile @",
        expect![[r#"
            ocluster-client: option '--local-dockerfile': failed to read '$DIR/': Is a directory (os error 21)
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --secret id:@nowhere",
        expect![[r#"
            ocluster-client: option '--secret': no '$DIR/nowhere' file or directory
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check("submit-docker @submission.cap --pool p --push-to a:b --push-user u --push-password @nowhere", expect![[r#"
        ocluster-client: option '--push-password': no '$DIR/nowhere' file or directory
        Try 'ocluster-client --help' for more information.
    "#]]);
}

#[test]
fn options_that_make_no_sense_together_are_refused() {
    let files = Files::new();
    files.check("submit-docker @submission.cap --pool p --local-dockerfile @Dockerfile --context-dockerfile x", expect![[r#"
        ocluster-client: Can't use --local-dockerfile and --context-dockerfile together!
        Try 'ocluster-client --help' for more information.
    "#]]);
    files.check(
        "submit-docker @submission.cap --pool p --push-user u",
        expect![[r#"
            ocluster-client: Must use --push-to with --push-user/--push-password
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --push-to a:b --push-user u",
        expect![[r#"
            ocluster-client: Must use --push-user with --push-password
            Try 'ocluster-client --help' for more information.
        "#]],
    );
}

#[test]
fn values_and_words_that_make_no_sense_are_refused() {
    let files = Files::new();
    files.check(
        "submit-docker @submission.cap --pool p --push-to nope",
        expect![[r#"
            ocluster-client: invalid value 'nope' for '--push-to <REPO:TAG>': Missing ':TAG' in target "nope"
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --push-to host:5000/nope",
        expect![[r#"
            ocluster-client: invalid value 'host:5000/nope' for '--push-to <REPO:TAG>': Missing ':TAG' in target "host:5000/nope"
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --push-to nope:",
        expect![[r#"
            ocluster-client: invalid value 'nope:' for '--push-to <REPO:TAG>': Tag empty in "nope:"
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --secret bad",
        expect![[r#"
            ocluster-client: invalid value 'bad' for '--secret <ID:FILE>': invalid value 'bad', missing a ':' separator
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --nonsense",
        expect![[r#"
            ocluster-client: unexpected argument '--nonsense' found

              tip: to pass '--nonsense' as a value, use '-- --nonsense'

            Usage: ocluster-client submit-docker [OPTIONS] [CAP] --pool <ID> [URL HASH...]
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check("submit @submission.cap", expect![[r#"
        ocluster-client: command 'submit' ambiguous and could be either 'submit-docker' or 'submit-obuilder' or 'submit-custom'
        Try 'ocluster-client --help' for more information.
    "#]]);
    files.check(
        "frobnicate",
        expect![[r#"
        ocluster-client: unknown command 'frobnicate'
        Try 'ocluster-client --help' for more information.
    "#]],
    );
}

#[test]
fn what_no_worker_could_do_is_refused_before_it_is_queued() {
    let files = Files::new();
    let hint = "x".repeat(1025);
    let docker = "submit-docker @submission.cap --pool p";
    let built = format!("{docker} --local-dockerfile @Dockerfile");
    let from = format!("{docker} https://host/r");
    let lines = [
        docker.to_owned(),
        format!("{docker} --local-dockerfile @empty"),
        format!("{docker} --local-dockerfile @comments"),
        format!("{from} ac619d2"),
        format!("{from} main"),
        format!("{from} @A ac619d2"),
        format!("{docker} git%host.com:org/r.git @A"),
        format!("{docker} ssh://git%host.com:22/org/r.git @A"),
        format!("{docker} file:///home/me/r @A"),
        format!("{docker} ../r @A"),
        format!("{docker} https://me:s3cret%host.com\u{1}/r @A"),
        format!("{built} --secret id:@password"),
        format!("{built} --buildkit --secret a,b:@password"),
        format!("{built} --build-arg HOME"),
        format!("{docker} --context-dockerfile=../x https://host/r @A"),
        format!("{built} --cache-hint {hint}"),
        "submit-obuilder @submission.cap --pool p --local-file @bad.spec".to_owned(),
        "submit-obuilder @submission.cap --pool p --local-file @open.spec".to_owned(),
        "submit-obuilder @submission.cap --pool p --local-file @empty".to_owned(),
        "submit-custom @submission.cap --pool p --kind k https://host/r main".to_owned(),
    ];
    let here = files.0.path().to_str().unwrap();
    let mut said = String::new();
    for line in &lines {
        let error = files.request(line).unwrap_err();
        assert_eq!(error.kind.exit_code(), 124, "{line}");
        let line = if line.len() > 200 {
            "--cache-hint xxx…"
        } else {
            line
        };
        let text = error
            .render(NAME)
            .replace("Try 'ocluster-client --help' for more information.\n", "");
        said.push_str(&format!("$ {line}\n{}\n", text.replace(here, "$DIR")));
    }
    expect![[r#"
        $ submit-docker @submission.cap --pool p
        ocluster-client: there is no Dockerfile to build: no commit is given that could have one
        Hint: give --local-dockerfile PATH, or the URL and commit of a repository

        $ submit-docker @submission.cap --pool p --local-dockerfile @empty
        ocluster-client: option '--local-dockerfile': the Dockerfile is empty, or all comments
        Hint: the first instruction of a Dockerfile is FROM or ARG

        $ submit-docker @submission.cap --pool p --local-dockerfile @comments
        ocluster-client: option '--local-dockerfile': the Dockerfile is empty, or all comments
        Hint: the first instruction of a Dockerfile is FROM or ARG

        $ submit-docker @submission.cap --pool p https://host/r ac619d2
        ocluster-client: argument HASH: commit "ac619d2" is not a full 40-digit hexadecimal id
        Hint: 'git rev-parse ac619d2' prints the full id

        $ submit-docker @submission.cap --pool p https://host/r main
        ocluster-client: argument HASH: commit "main" is not a full 40-digit hexadecimal id
        Hint: 'git ls-remote URL' prints the ids of all branches and tags, 'git rev-parse NAME' that of a local one

        $ submit-docker @submission.cap --pool p https://host/r @A ac619d2
        ocluster-client: argument HASH: commit "ac619d2" is not a full 40-digit hexadecimal id
        Hint: 'git rev-parse ac619d2' prints the full id

        $ submit-docker @submission.cap --pool p git%host.com:org/r.git @A
        ocluster-client: argument URL: Unsupported scheme "git@host.com" in URL git@host.com:org/r.git: the worker fetches from http, https and git URLs
        Hint: workers have no key for ssh; if the server has it by https, write https://host.com/org/r.git

        $ submit-docker @submission.cap --pool p ssh://git%host.com:22/org/r.git @A
        ocluster-client: argument URL: Unsupported scheme "ssh" in URL ssh://git@host.com:22/org/r.git: the worker fetches from http, https and git URLs
        Hint: workers have no key for ssh; if the server has it by https, write https://host.com/org/r.git

        $ submit-docker @submission.cap --pool p file:///home/me/r @A
        ocluster-client: argument URL: Unsupported scheme "file" in URL file:///home/me/r: the worker fetches from http, https and git URLs
        Hint: a worker is another machine: push the commit to a server, and give its http or https URL

        $ submit-docker @submission.cap --pool p ../r @A
        ocluster-client: argument URL: Missing scheme in URL ../r: the worker fetches from http, https and git URLs
        Hint: a worker is another machine: push the commit to a server, and give its http or https URL

        $ submit-docker @submission.cap --pool p https://me:s3cret%host.com/r @A
        ocluster-client: argument URL: invalid repository URL https://host.com�/r: it contains white space or control characters

        $ submit-docker @submission.cap --pool p --local-dockerfile @Dockerfile --secret id:@password
        ocluster-client: secrets need BuildKit: submit the job with --buildkit
        Hint: --unchecked submits the job all the same

        $ submit-docker @submission.cap --pool p --local-dockerfile @Dockerfile --buildkit --secret a,b:@password
        ocluster-client: secret id "a,b" is not allowed: use 1 to 64 letters, digits and _ . -
        Hint: --unchecked submits the job all the same

        $ submit-docker @submission.cap --pool p --local-dockerfile @Dockerfile --build-arg HOME
        ocluster-client: build argument "HOME" has no value: write NAME=VALUE, as a build does not see the worker's environment
        Hint: --unchecked submits the job all the same

        $ submit-docker @submission.cap --pool p --context-dockerfile=../x https://host/r @A
        ocluster-client: Relative segment in ../x
        Hint: --unchecked submits the job all the same

        $ --cache-hint xxx…
        ocluster-client: option '--cache-hint': the hint has 1025 bytes, and the limit is 1024
        Hint: use a short name that the project's jobs share, such as org/repository

        $ submit-obuilder @submission.cap --pool p --local-file @bad.spec
        ocluster-client: option '--local-file': $DIR/bad.spec:2:3: unknown op "wrokdir": expected comment, workdir, shell, run, copy, user or env; did you mean "workdir"?
         2 |  (wrokdir /src))
           |   ^

        $ submit-obuilder @submission.cap --pool p --local-file @open.spec
        ocluster-client: option '--local-file': $DIR/open.spec:1:1: unclosed list: expected a `)` for this `(`, found the end of the text
         1 | ((from busybox)
           | ^

        $ submit-obuilder @submission.cap --pool p --local-file @empty
        ocluster-client: option '--local-file': $DIR/empty:1:1: the text is empty: expected one S-expression
         1 |
           | ^

        $ submit-custom @submission.cap --pool p --kind k https://host/r main
        ocluster-client: argument HASH: commit "main" is not a full 40-digit hexadecimal id
        Hint: 'git ls-remote URL' prints the ids of all branches and tags, 'git rev-parse NAME' that of a local one

    "#]].assert_eq(&said);
    // Whoever knows better may insist.
    for line in &lines {
        if !line.contains("--context") {
            files.request(&format!("{line} --unchecked")).unwrap();
        }
    }
}
