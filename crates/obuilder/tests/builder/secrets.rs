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
