//! What is made of the client's command lines.

mod mistakes;

use std::ffi::OsString;

use expect_test::{Expect, expect};

use super::description::Request;
use super::*;
use cli::config::ConfigSources;
use cli::program::{NotParsed, parse};

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
            &ConfigSources::empty(),
        ) {
            Ok((args, _)) => args,
            Err(NotParsed::Answered(text)) => panic!("an answer rather than a request: {text}"),
            Err(NotParsed::Refused(error)) => return Err(error),
        };
        match args.command {
            Command::Docker(command) => command.request(&args.connect),
            Command::OBuilder(command) => command.request(&args.connect),
            Command::Custom(command) => command.request(&args.connect),
            other => panic!("a command that submits nothing: {other:?}"),
        }
    }

    /// Checks the request or the error of a command line, as text.
    fn check(&self, line: &str, expected: Expect) {
        let text = match self.request(line) {
            Ok(Request {
                cap,
                pool,
                urgent,
                description,
                durable: _,
                timestamps: _,
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
fn old_and_new_command_lines_make_the_same_request() {
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
        .request(
            "submit-docker @submission.cap --pool p --local-dockerfile @Dockerfile --push-to a:b --push-user u \
             --push-password @password",
        )
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
            ocluster-client: option '--local-dockerfile': cannot read '$DIR/': Is a directory (os error 21)
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
    let push = "submit-docker @submission.cap --pool p --push-to a:b --push-user u --push-password @nowhere";
    files.check(
        push,
        expect![[r#"
        ocluster-client: option '--push-password': no '$DIR/nowhere' file or directory
        Try 'ocluster-client --help' for more information.
    "#]],
    );
}

#[test]
fn contradictory_options_are_refused() {
    let files = Files::new();
    let both = "submit-docker @submission.cap --pool p --local-dockerfile @Dockerfile --context-dockerfile x";
    files.check(
        both,
        expect![[r#"
        ocluster-client: Can't use --local-dockerfile and --context-dockerfile together!
        Try 'ocluster-client --help' for more information.
    "#]],
    );
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
fn invalid_values_and_words_are_refused() {
    let files = Files::new();
    files.check(
        "submit-docker @submission.cap --pool p --push-to nope",
        expect![[r#"
            ocluster-client: invalid value 'nope' for '--push-to <REPO:TAG>': Missing ':TAG' in target "nope"
            Try 'ocluster-client --help' for more information.
        "#]],
    );
    files.check(
        "submit-docker @submission.cap --pool p --push-to h:1/nope",
        expect![[r#"
            ocluster-client: invalid value 'h:1/nope' for '--push-to <REPO:TAG>': Missing ':TAG' in target "h:1/nope"
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
    let ambiguous = expect![[
        "ocluster-client: command 'submit' ambiguous and could be either 'submit-docker' or 'submit-obuilder' or \
         'submit-custom'\nTry 'ocluster-client --help' for more information.\n"
    ]];
    files.check("submit @submission.cap", ambiguous);
    files.check(
        "frobnicate",
        expect![[r#"
        ocluster-client: unknown command 'frobnicate'
        Try 'ocluster-client --help' for more information.
    "#]],
    );
}
