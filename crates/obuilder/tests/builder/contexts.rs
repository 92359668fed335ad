//! What each op means for those after it, and nested builds.

use std::fs;

use bstr::BString;
use expect_test::expect;
use obuilder::builder::StepInputs;
use obuilder_spec::{Copy, Op, Run, Source, Spec, User};

use super::house::{reason, run, short, spec, story};

fn env(name: &str, value: &str) -> Op {
    Op::Env(name.into(), value.into())
}

fn copy(from: Source, src: &str, dst: &str) -> Op {
    Op::Copy(Copy {
        from,
        src: vec![src.into()],
        dst: dst.into(),
        exclude: Vec::new(),
    })
}

/// Returns a build nested in another.
fn nested(name: &str, spec: Spec) -> (BString, Spec) {
    (name.into(), spec)
}

#[test]
fn the_environment_is_in_the_order_of_the_reference() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        let ops = [
            env("A", "1"),
            env("B", "2"),
            env("A", "3"),
            env("PATH", "/bin"),
            run("A"),
        ];
        let (mut context, _) = house.context();
        context.env = vec![("HOST".into(), "h".into()), ("A".into(), "0".into())];
        let spec = spec("base", ops);
        house.builder.build(&context, &spec).await.unwrap();
        let env = [("PATH", "/bin"), ("A", "3"), ("B", "2"), ("HOST", "h")];
        assert_eq!(
            house.sandbox.last().env,
            env.map(|(name, value)| (BString::from(name), BString::from(value)))
        );
    });
}

#[test]
fn working_directories_are_joined_and_not_tidied() {
    story(|house| async move {
        house.fetcher.brings("base");
        let dirs = ["srv", "sub/./x", "../y//", "C:\\z", "w", "/a"];
        let mut ops: Vec<Op> = dirs.map(|dir| Op::Workdir(dir.into())).into();
        ops.push(Op::Comment("done".into()));
        let (result, log) = house.build(&spec("base", ops)).await;
        // Nothing of this is a step.
        assert_eq!(result.unwrap(), StepInputs::Base("base".into()).id());
        expect![[r#"
            (from base)
            ;---> saved as "@0"
            /: (workdir srv)
            /srv: (workdir sub/./x)
            /srv/sub/./x: (workdir ../y//)
            /srv/sub/./x/../y//: (workdir "C:\\z")
            C:\z: (workdir w)
            C:\z/w: (workdir /a)
            /a: (comment done)
        "#]]
        .assert_eq(&short(&log));
    });
}

#[test]
fn a_stage_starts_from_the_context_and_sees_the_builds_before_it() {
    story(|house| async move {
        house.fetcher.brings("base");
        let inner = spec(
            "base",
            [
                env("X", "inner"),
                Op::Workdir("/inner".into()),
                Op::User(User::Unix { uid: 7, gid: 8 }),
                run("tool"),
            ],
        );
        let mut second = spec(
            "base",
            [copy(Source::Build("tools \"1\"".into()), "/", "/t/")],
        );
        second.builds.push(nested("tools \"1\"", inner.clone()));
        let mut outer = spec(
            "base",
            [
                copy(Source::Build("second".into()), "t/out", "/o"),
                run("last"),
            ],
        );
        outer.builds.push(nested("second", second));
        house.sandbox.expect("tool").write("out", "made").exit(0);
        house.sandbox.expect("last").exit(0);
        let (result, log) = house.build(&outer).await;
        let id = result.unwrap();
        assert_eq!(house.store.file(&id, "o"), "made");
        let last = house.sandbox.last();
        assert_eq!((last.cwd, last.user), ("/".into(), User::ROOT));
        assert_eq!(last.env.len(), 1);
        expect![[r#"
            (build "second" …)
            (build "tools \"1\"" …)
            (from base)
            ;---> saved as "@0"
            /: (env X inner)
            /: (workdir /inner)
            /inner: (user (uid 7) (gid 8))
            /inner: (run (shell tool))
            ;---> saved as "@1"
            ;--> finished "tools \"1\""
            (from base)
            ;---> using "@0" from cache
            /: (copy (from (build "tools \"1\"")) (src /) (dst /t/))
            ;---> saved as "@2"
            ;--> finished "second"
            (from base)
            ;---> using "@0" from cache
            /: (copy (from (build second)) (src t/out) (dst /o))
            ;---> saved as "@3"
            /: (run (shell last))
            ;---> saved as "@4"
        "#]]
        .assert_eq(&short(&log));

        // What is nested in a sibling is out of sight.
        let hidden = copy(Source::Build("tools \"1\"".into()), "/", "/t/");
        outer.ops = vec![hidden];
        let (result, _) = house.build(&outer).await;
        assert_eq!(reason(result), r#"Unknown build "tools \"1\"""#);
    });
}

#[test]
fn a_later_build_hides_an_earlier_one_of_its_name() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("one").write("out", "1").exit(0);
        house.sandbox.expect("two").write("out", "2").exit(0);
        let mut outer = spec("base", [copy(Source::Build("tools".into()), "out", "/o")]);
        for name in ["one", "two"] {
            outer
                .builds
                .push(nested("tools", spec("base", [run(name)])));
        }
        let (result, _) = house.build(&outer).await;
        assert_eq!(house.store.file(&result.unwrap(), "o"), "2");
    });
}

#[test]
fn copies_from_the_source() {
    story(|house| async move {
        house.fetcher.brings("base");
        fs::create_dir(house.source()).unwrap();
        fs::write(house.source().join("file"), "file-data").unwrap();
        let ops = || {
            [
                Op::Workdir("w".into()),
                copy(Source::Context, "file", "dst"),
            ]
        };
        let (first, _) = house.build(&spec("base", ops())).await;
        let first = first.unwrap();
        assert_eq!(house.store.file(&first, "w/dst"), "file-data");

        // The same again is the same result; something else is not.
        let (again, log) = house.build(&spec("base", ops())).await;
        assert_eq!(again.unwrap(), first);
        assert!(log.ends_with("from cache\n"));
        fs::write(house.source().join("file"), "other data").unwrap();
        let (other, _) = house.build(&spec("base", ops())).await;
        assert_ne!(other.unwrap(), first);

        let (missing, _) = house
            .build(&spec("base", [copy(Source::Context, "no", "/")]))
            .await;
        assert_eq!(reason(missing), r#"Source path "no" not found"#);
    });
}

#[test]
fn a_step_has_no_network_or_the_machine_s() {
    story(|house| async move {
        house.fetcher.brings("base");
        for network in [&["host", "host"][..], &["a \"b\""]] {
            let run = Op::Run(Run {
                cache: Vec::new(),
                network: network.iter().copied().map(BString::from).collect(),
                secrets: Vec::new(),
                shell: "A".into(),
            });
            let (result, _) = house.build(&spec("base", [run])).await;
            let reason = reason(result);
            let names: Vec<String> = network.iter().map(|name| format!("{name:?}")).collect();
            assert_eq!(
                reason,
                format!(
                    "Unsupported network configuration [{}]: a step has no network, or (network host)",
                    names.join("; ")
                )
            );
        }
    });
}
