//! The reference's stories of builds that share steps, under its names.

use std::fs;
use std::time::Duration;

use bstr::BString;
use expect_test::expect;
use obuilder::ImageSettings;
use obuilder::builder::BuildError;

use obuilder_spec::{Copy, Op, Source, User};

use super::house::{reason, run, short, spec, story};
use super::mock_store::Gate;

#[test]
fn simple() {
    story(|house| async move {
        let spec = spec("base", [run("Append")]);
        house.fetcher.brings("base");
        house
            .sandbox
            .expect("Append")
            .print("Running\n")
            .double("base-id", "out")
            .exit(0);
        let (result, log) = house.build(&spec).await;
        let id = result.unwrap();
        assert_eq!(house.store.file(&id, "out"), "base\nbase\n");
        expect![[r#"
            (from base)
            ;---> saved as "@0"
            /: (run (shell Append))
            Running
            ;---> saved as "@1"
        "#]]
        .assert_eq(&short(&log));

        // The second time, nothing is done, and the log is the same.
        let (again, log) = house.build(&spec).await;
        assert_eq!(again.unwrap(), id);
        expect![[r#"
            (from base)
            ;---> using "@0" from cache
            /: (run (shell Append))
            Running
            ;---> using "@1" from cache
        "#]]
        .assert_eq(&short(&log));
        let stats = house.builder.stats();
        assert_eq!((stats.hits, stats.misses), (2, 2));
    });
}

#[test]
fn each_step_says_how_long_it_took() {
    story(|house| async move {
        let spec = spec("base", [run("A"), run("B")]);
        house.fetcher.brings("base");
        let a = house.sandbox.expect("A");
        let first = house.start(&spec);
        a.started().await;
        tokio::time::advance(Duration::from_secs(30)).await;
        // Who comes later learns how long it really takes.
        let second = house.start(&spec);
        second.log.has("/: (run (shell A))").await;
        tokio::time::advance(Duration::from_secs(40)).await;
        a.print("Running A\n");
        second.log.has("Running A\n").await;
        house.sandbox.expect("B").exit(3);
        a.exit(0);
        let (first_log, second_log) = (first.log.clone(), second.log.clone());
        first.end().await.unwrap_err();
        second.end().await.unwrap_err();
        // One that has failed, too; one that was done says nothing.
        assert_eq!(*first_log.took.borrow(), [0, 70, 0]);
        assert_eq!(*second_log.took.borrow(), [70, 0]);
    });
}

/// What is said while a base image is fetched is not said of one that is there.
#[test]
fn the_log_of_an_existing_base_image_is_not_shown() {
    story(|house| async move {
        let spec = spec("base", []);
        house
            .fetcher
            .expect("base")
            .print("Unpacked 5 files\n")
            .exit(0);
        let (_, log) = house.build(&spec).await;
        assert!(log.contains("Unpacked 5 files"), "{log}");
        let (_, log) = house.build(&spec).await;
        expect![[r#"
            (from base)
            ;---> using "@0" from cache
        "#]]
        .assert_eq(&short(&log));
    });
}

#[test]
fn prune() {
    story(|house| async move {
        let spec = spec("base", [run("A")]);
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        let begin = house.now();
        let (leaf, _) = house.build(&spec).await;
        assert_eq!(house.builder.count().unwrap(), 2);

        // Nothing is older than the beginning.
        let mut removed = Vec::new();
        let mut tell = |id: &obuilder::StepId| removed.push(*id);
        assert_eq!(house.builder.prune(begin, 10, &mut tell).await.unwrap(), 0);

        // Later there are a leaf, and then its base.
        house.pass(10);
        let now = house.now();
        assert_eq!(house.builder.prune(now, 10, &mut tell).await.unwrap(), 2);
        assert_eq!(removed.len(), 2);
        assert_eq!(removed[0], leaf.unwrap());
        assert_eq!(house.builder.count().unwrap(), 0);
        assert_eq!(house.store.len(), 0);
    });
}

#[test]
fn concurrent() {
    story(|house| async move {
        house.fetcher.brings("base");
        let a = house.sandbox.expect("A");
        let first = house.start(&spec("base", [run("A"), run("B")]));
        a.started().await;
        let second = house.start(&spec("base", [run("A"), run("C")]));
        second.log.has("/: (run (shell A))").await;
        // Both see what A prints while it runs.
        a.print("Running A\n");
        first.log.has("Running A\n").await;
        second.log.has("Running A\n").await;

        house.sandbox.expect("B").double("a", "b").exit(0);
        house.sandbox.expect("C").double("a", "c").exit(0);
        a.write("a", "A").exit(0);
        let (first_log, second_log) = (first.log.clone(), second.log.clone());
        let (b, c) = (first.end().await.unwrap(), second.end().await.unwrap());
        assert_eq!(house.store.file(&b, "b"), "AA");
        assert_eq!(house.store.file(&c, "c"), "AA");
        expect![[r#"
            (from base)
            ;---> saved as "@0"
            /: (run (shell A))
            Running A
            ;---> saved as "@1"
            /: (run (shell B))
            ;---> saved as "@2"
        "#]]
        .assert_eq(&short(&first_log.text()));
        expect![[r#"
            (from base)
            ;---> using "@0" from cache
            /: (run (shell A))
            Running A
            ;---> saved as "@1"
            /: (run (shell C))
            ;---> saved as "@2"
        "#]]
        .assert_eq(&short(&second_log.text()));
        // A build that joins is neither a hit nor a miss.
        let stats = house.builder.stats();
        assert_eq!((stats.hits, stats.misses), (1, 4));
    });
}

#[test]
fn concurrent_failure() {
    story(|house| async move {
        house.fetcher.brings("base");
        let a = house.sandbox.expect("A");
        let first = house.start(&spec("base", [run("A"), run("B")]));
        a.started().await;
        let second = house.start(&spec("base", [run("A"), run("C")]));
        second.log.has("/: (run (shell A))").await;
        a.print("Mock-a").exit(1);
        for build in [first, second] {
            let log = build.log.clone();
            assert_eq!(
                reason(build.end().await),
                r#""/usr/bin/env" "bash" "-c" "A" failed with exit status 1"#
            );
            assert!(log.text().ends_with("/: (run (shell A))\nMock-a"));
        }
        // A failure is not kept.
        house.sandbox.expect("A").exit(2);
        let (again, _) = house.build(&spec("base", [run("A")])).await;
        assert!(reason(again).ends_with("failed with exit status 2"));
    });
}

#[test]
fn concurrent_failure_2() {
    story(|house| async move {
        house.fetcher.brings("base");
        let gate = Gate::default();
        let a = house.sandbox.expect("A");
        let first = house.start(&spec("base", [run("A")]));
        a.started().await;
        *house.store.discarding.borrow_mut() = Some(gate.clone());
        a.print("Mock-a").exit(1);
        // The store takes its time to clean up. Somebody who comes now still sees it all.
        gate.reached.cancelled().await;
        let second = house.start(&spec("base", [run("A")]));
        second.log.has("Mock-a").await;
        gate.open.cancel();
        for build in [first, second] {
            let log = build.log.clone();
            assert!(reason(build.end().await).ends_with("failed with exit status 1"));
            assert!(log.text().ends_with("/: (run (shell A))\nMock-a"));
        }
    });
}

#[test]
fn cancel() {
    story(|house| async move {
        house.fetcher.brings("base");
        let wait = house.sandbox.expect("Wait");
        let build = house.start(&spec("base", [run("Wait")]));
        wait.started().await;
        build.cancel.cancel();
        assert!(matches!(build.end().await, Err(BuildError::Cancelled)));
        wait.cancelled().await;
        assert_eq!(house.builder.count().unwrap(), 1);
    });
}

#[test]
fn cancel_2() {
    story(|house| async move {
        house.fetcher.brings("base");
        let wait = house.sandbox.expect("Wait");
        let spec = spec("base", [run("Wait")]);
        let first = house.start(&spec);
        wait.started().await;
        let second = house.start(&spec);
        second.log.has("/: (run (shell Wait))").await;
        // The first goes, and the second stays.
        first.cancel.cancel();
        assert!(matches!(first.end().await, Err(BuildError::Cancelled)));
        assert!(!wait.was_cancelled());
        wait.print("Wait finished\n").exit(0);
        let log = second.log.clone();
        second.end().await.unwrap();
        expect![[r#"
            (from base)
            ;---> using "@0" from cache
            /: (run (shell Wait))
            Wait finished
            ;---> saved as "@1"
        "#]]
        .assert_eq(&short(&log.text()));
    });
}

#[test]
fn cancel_3() {
    story(|house| async move {
        house.fetcher.brings("base");
        let wait = house.sandbox.expect("Wait");
        let spec = spec("base", [run("Wait")]);
        let first = house.start(&spec);
        wait.started().await;
        let second = house.start(&spec);
        second.log.has("/: (run (shell Wait))").await;
        for build in [first, second] {
            assert!(!wait.was_cancelled());
            build.cancel.cancel();
            assert!(matches!(build.end().await, Err(BuildError::Cancelled)));
        }
        wait.cancelled().await;
    });
}

#[test]
fn cancel_4() {
    story(|house| async move {
        house.fetcher.brings("base");
        let spec = spec("base", [run("Wait")]);
        let failing = house.sandbox.expect("Wait");
        let first = house.start(&spec);
        failing.started().await;
        let second = house.start(&spec);
        second.log.has("/: (run (shell Wait))").await;
        failing.exit(1);
        assert!(reason(first.end().await).ends_with("failed with exit status 1"));
        let cancel = second.cancel.clone();
        assert!(reason(second.end().await).ends_with("failed with exit status 1"));

        // Cancelling what has failed does nothing to those who try again.
        let working = house.sandbox.expect("Wait");
        let third = house.start(&spec);
        working.started().await;
        cancel.cancel();
        let fourth = house.start(&spec);
        fourth.log.has("/: (run (shell Wait))").await;
        working.exit(0);
        let id = third.end().await.unwrap();
        assert_eq!(fourth.end().await.unwrap(), id);
        assert!(!working.was_cancelled());
    });
}

#[test]
fn cancel_5() {
    story(|house| async move {
        house.fetcher.brings("base");
        let spec = spec("base", [run("Wait")]);
        let stubborn = house.sandbox.expect_slow("Wait");
        let first = house.start(&spec);
        stubborn.started().await;
        first.cancel.cancel();
        assert!(matches!(first.end().await, Err(BuildError::Cancelled)));
        stubborn.cancelled().await;

        let again = house.sandbox.expect("Wait");
        let second = house.start(&spec);
        second
            .log
            .has(";Waiting for previous build to finish cancelling\n")
            .await;
        stubborn.exit(1);
        again.started().await;
        again.print("Done\n").exit(0);
        let log = second.log.clone();
        second.end().await.unwrap();
        expect![[r#"
            (from base)
            ;---> using "@0" from cache
            /: (run (shell Wait))
            ;Waiting for previous build to finish cancelling
            Done
            ;---> saved as "@1"
        "#]]
        .assert_eq(&short(&log.text()));
    });
}

#[test]
fn delete() {
    story(|house| async move {
        let spec = spec("base", [run("A"), run("B")]);
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        let (a, _) = house.build(&super::house::spec("base", [run("A")])).await;
        house.sandbox.expect("B").exit(0);
        let (b, _) = house.build(&spec).await;

        let mut removed = Vec::new();
        let (a, b) = (a.unwrap(), b.unwrap());
        house
            .builder
            .delete(&a, &mut |id| removed.push(*id))
            .await
            .unwrap();
        assert_eq!(removed, [b, a]);
        assert_eq!(house.builder.count().unwrap(), 1);

        house.sandbox.expect("A").exit(0);
        house.sandbox.expect("B").exit(0);
        assert_eq!(house.build(&spec).await.0.unwrap(), b);
    });
}

/// A job that is cancelled takes its source away, and another may have joined its copy of the same files.
#[test]
fn a_copy_does_not_depend_on_the_source_of_another_build() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.build(&spec("base", [])).await.0.unwrap();
        let sources = ["first", "second"].map(|name| house.dir.path().join(name));
        for source in &sources {
            fs::create_dir(source).unwrap();
            fs::write(source.join("file"), "file-data").unwrap();
        }
        let [first, second] = sources;
        let copy = Op::Copy(Copy {
            from: Source::Context,
            src: vec!["file".into()],
            dst: "/dst".into(),
            exclude: Vec::new(),
        });
        let spec = spec("base", [copy]);
        let gate = Gate::default();
        *house.store.beginning.borrow_mut() = Some(gate.clone());
        let gone = house.start_from(first.clone(), &spec);
        gate.reached.cancelled().await;
        let joined = house.start_from(second, &spec);
        // Until it can do nothing but wait: time stands still before.
        tokio::time::sleep(Duration::from_secs(1)).await;
        gone.cancel.cancel();
        assert!(matches!(gone.end().await, Err(BuildError::Cancelled)));
        fs::remove_dir_all(first).unwrap();
        gate.open.cancel();
        let id = joined.end().await.unwrap();
        assert_eq!(house.store.file(&id, "dst"), "file-data");
        // It was begun twice: the image, and each copy.
        assert_eq!(house.builder.stats().misses, 3);
    });
}

#[test]
fn a_build_that_waits_for_its_step_to_stop_has_ended_with_it() {
    story(|house| async move {
        house.fetcher.brings("base");
        let stubborn = house.sandbox.expect_slow("Wait");
        let spec = spec("base", [run("Wait")]);
        let (mut context, log) = house.context();
        context.stop_limit = Duration::from_secs(60);
        let cancel = context.cancel.clone();
        let mut building = std::pin::pin!(house.builder.build(&context, &spec));
        let stopping = async {
            stubborn.started().await;
            cancel.cancel();
            stubborn.cancelled().await;
        };
        tokio::select! {
            ended = &mut building => panic!("it still runs: {ended:?}"),
            () = stopping => {}
        }
        for _ in 0..100 {
            assert!(futures::poll!(&mut building).is_pending());
            tokio::task::yield_now().await;
        }
        stubborn.exit(1);
        assert!(matches!(building.await, Err(BuildError::Cancelled)));
        assert_eq!(house.builder.stats().not_stopped, 0);
        assert!(!log.text().contains("Cannot stop"), "{}", log.text());

        // But not for ever.
        let stubborn = house.sandbox.expect_slow("Wait");
        let (mut context, log) = house.context();
        context.stop_limit = Duration::from_secs(60);
        let cancel = context.cancel.clone();
        let building = house.builder.build(&context, &spec);
        let stopping = async {
            stubborn.started().await;
            cancel.cancel();
        };
        let (ended, ()) = tokio::join!(building, stopping);
        assert!(matches!(ended, Err(BuildError::Cancelled)));
        assert_eq!(house.builder.stats().not_stopped, 1);
        assert!(
            log.text().contains("it still runs after 60 s"),
            "{}",
            log.text()
        );
        stubborn.exit(1);
    });
}

/// An image of a result says what the spec said, up to its last line, though that makes no result.
#[test]
fn an_image_of_a_result_has_the_settings_of_its_spec() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        house.sandbox.expect("B").exit(1);
        let user = User::Unix {
            uid: 1000,
            gid: 100,
        };
        let ops = [
            Op::Env("X".into(), "1".into()),
            run("A"),
            Op::User(user.clone()),
            Op::Workdir("src".into()),
            Op::Shell(["/bin/sh", "-c"].map(BString::from).into()),
        ];
        let whole = spec("base", ops.clone());
        let id = house.build(&whole).await.0.unwrap();
        let expected = ImageSettings {
            user,
            workdir: "/src".into(),
            shell: ["/bin/sh", "-c"].map(BString::from).into(),
            ..ImageSettings::of_env(vec![
                ("X".into(), "1".into()),
                ("PATH".into(), "/usr/bin:/usr/local/bin".into()),
            ])
        };
        assert_eq!(house.builder.image_settings(&id).unwrap(), expected);
        // The last use counts, of a result that was there, too; and of a build that fails later.
        let first = ops
            .into_iter()
            .take(2)
            .chain([Op::Workdir("/x".into()), run("B")]);
        house.build(&spec("base", first)).await.0.unwrap_err();
        let settings = house.builder.image_settings(&id).unwrap();
        assert_eq!((settings.workdir, settings.user), ("/x".into(), User::ROOT));
        // What is removed is forgotten.
        house.builder.delete(&id, &mut |_| {}).await.unwrap();
        let settings = house.builder.image_settings(&id).unwrap();
        assert_eq!(settings, ImageSettings::of_env(Vec::new()));
    });
}
