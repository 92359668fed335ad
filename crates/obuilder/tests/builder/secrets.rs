//! Secrets, and what else a command is given.

use bstr::BString;
use expect_test::expect;
use obuilder::sandbox::{Command, Mount, Network, SecretFile};
use obuilder_spec::{Op, User};

use super::house::{reason, run, run_with, short, spec, story};

#[test]
fn simple() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("Append").print("hi\n").exit(0);
        let secrets = [("test", "/testsecret"), ("test2", "/run/secrets/test2")];
        let spec = spec("base", [run_with("Append", &[], &secrets)]);
        let (mut context, log) = house.context();
        context.secrets = vec![
            ("test".into(), b"top secret value".into()),
            ("test2".into(), b"".into()),
        ];
        house.builder.build(&context, &spec).await.unwrap();
        let file = |value: &str, target: &str| SecretFile {
            value: value.into(),
            target: target.into(),
        };
        assert_eq!(
            house.sandbox.last().secrets,
            [
                file("top secret value", "/testsecret"),
                file("", "/run/secrets/test2")
            ]
        );
        expect![[r#"
            (from base)
            ;---> saved as "@0"
            /: (run (secrets (test (target /testsecret)) (test2 (target /run/secrets/test2)))
                    (shell Append))
            hi
            ;---> saved as "@1"
        "#]]
        .assert_eq(&short(&log.text()));

        // Another value is another step.
        house.sandbox.expect("Append").exit(0);
        context.secrets[0].1 = b"another".into();
        house.builder.build(&context, &spec).await.unwrap();
    });
}

#[test]
fn no_secret_provided() {
    story(|house| async move {
        house.fetcher.brings("base");
        let secrets = [("test", "/run/secrets/test")];
        let spec = spec("base", [run_with("Append", &[], &secrets), run("B")]);
        let (result, log) = house.build(&spec).await;
        assert_eq!(
            reason(result),
            "Couldn't find value for requested secret 'test'"
        );
        expect![[r#"
            (from base)
            ;---> saved as "@0"
            /: (run (secrets (test (target /run/secrets/test)))
                    (shell Append))
        "#]]
        .assert_eq(&short(&log));
    });
}

#[test]
fn all_that_a_command_is_given() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("make").exit(0);
        let Op::Run(mut run) = run_with("make", &[("a", "/data"), ("b", "/srv")], &[]) else {
            panic!("a run");
        };
        run.network = vec!["host".into()];
        let ops = [
            Op::Workdir("src".into()),
            Op::User(User::Unix { uid: 1, gid: 2 }),
            Op::Shell(vec!["/bin/sh".into(), "-c".into()]),
            Op::Env("A".into(), "1".into()),
            Op::Run(run),
        ];
        let (result, _) = house.build(&spec("base", ops)).await;
        result.unwrap();
        let mount = |name: &str, target: &str| Mount {
            source: house.store.cache_path(name),
            target: target.into(),
        };
        assert_eq!(
            house.sandbox.last(),
            Command {
                argv: ["/bin/sh", "-c", "make"].map(BString::from).into(),
                cwd: "/src".into(),
                user: User::Unix { uid: 1, gid: 2 },
                env: vec![
                    ("A".into(), "1".into()),
                    ("PATH".into(), "/usr/bin:/usr/local/bin".into())
                ],
                network: Network::Host,
                secrets: Vec::new(),
                mounts: vec![mount("a", "/data"), mount("b", "/srv")],
            }
        );
    });
}

#[test]
fn a_secret_that_is_printed_is_neither_shown_nor_kept() {
    story(|house| async move {
        house.fetcher.brings("base");
        let script = house.sandbox.expect("env");
        // In pieces, in lines, encoded, and at the end.
        script.print("PASSWORD=hunter").print("22-and-more\n");
        script.print("cXM6aHVudGVyMjItYW5kLW1vcmUK\n");
        script.print("second line of it\n").print("hunter22-and-m");
        script.print("ore").exit(0);
        let secrets = [("test", "/testsecret"), ("key", "/key")];
        let spec = spec("base", [run_with("env", &[], &secrets)]);
        let (mut context, log) = house.context();
        context.secrets = vec![
            ("test".into(), b"hunter22-and-more".into()),
            (
                "key".into(),
                b"first line of it\nsecond line of it\n".into(),
            ),
        ];
        let id = house.builder.build(&context, &spec).await.unwrap();
        let expected = "PASSWORD=***\ncXM6***K\n***\n***";
        let shown = log.text();
        assert!(shown.contains(expected), "{shown}");
        let file = house.builder.log_file(&id).unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
        // Who finds it in the cache sees the same.
        let (mut again, log) = house.context();
        again.secrets = context.secrets.clone();
        house.builder.build(&again, &spec).await.unwrap();
        assert!(log.text().contains(expected), "{}", log.text());
    });
}

#[test]
fn a_prompt_is_shown_though_it_ends_like_the_beginning_of_a_secret() {
    story(|house| async move {
        house.fetcher.brings("base");
        let script = house.sandbox.expect("login");
        script.print("Password: hu");
        let spec = spec("base", [run_with("login", &[], &[])]);
        let (mut context, log) = house.context();
        context.secrets = vec![("test".into(), b"hunter22".into())];
        let building = house.builder.build(&context, &spec);
        let playing = async {
            log.has("Password: hu").await;
            script.print("nter22 hunter").print("22\n").exit(0);
        };
        let (built, ()) = tokio::join!(building, playing);
        built.unwrap();
        let shown = log.text();
        // What was shown when it was waited for tells nothing.
        assert!(shown.contains("Password: hu*** ***\n"), "{shown}");
    });
}
