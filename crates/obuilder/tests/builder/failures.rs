//! Steps, logs and stores that fail, and builds that go away: nothing is left, and nobody waits for ever.

use std::fs;
use std::path::Path;
use std::process::Command;

use obuilder::builder::BuildError;
use obuilder::sandbox::LimitReached;

use super::house::{reason, run, run_with, spec, story};
use super::mock_store::Gate;

#[test]
fn a_watcher_whose_log_breaks_is_alone_with_it() {
    story(|house| async move {
        house.fetcher.brings("base");
        let a = house.sandbox.expect("A");
        let spec = spec("base", [run("A")]);
        let first = house.start(&spec);
        a.started().await;
        let second = house.start(&spec);
        second.log.has("/: (run (shell A))").await;
        first.log.break_down();
        a.print("something\n");
        assert!(matches!(first.end().await, Err(BuildError::Log(_))));
        assert!(!a.was_cancelled());
        a.exit(0);
        second.end().await.unwrap();

        // Alone with a cached step too.
        let broken = house.start(&spec);
        broken.log.break_down();
        assert!(matches!(broken.end().await, Err(BuildError::Log(_))));
    });
}

#[test]
fn a_build_that_is_dropped_counts_as_one_that_was_cancelled() {
    story(|house| async move {
        house.fetcher.brings("base");
        let wait = house.sandbox.expect("Wait");
        let spec = spec("base", [run_with("Wait", &[("c", "/c"), ("d", "/d")], &[])]);
        let first = house.start(&spec);
        wait.started().await;
        let second = house.start(&spec);
        second.log.has("(shell Wait))").await;
        first.task.abort();
        assert!(first.task.await.unwrap_err().is_cancelled());
        assert!(!wait.was_cancelled());
        second.task.abort();
        wait.cancelled().await;
        // The next one does not find it in progress, or half done.
        house.sandbox.expect("Wait").exit(0);
        house.build(&spec).await.0.unwrap();
    });
}

/// Drops a build after each of the moments at which it can be dropped.
#[test]
fn a_build_may_be_dropped_at_any_moment() {
    story(|house| async move {
        let caches = [("c", "/c"), ("d", "/d")];
        let mut moment = 0;
        loop {
            let name = format!("image {moment}");
            let spec = spec(&name, [run_with(&name, &caches, &[])]);
            house.fetcher.brings(&name);
            house.sandbox.expect(&name).print("text\n").exit(0);
            let build = house.start(&spec);
            for _ in 0..moment {
                tokio::task::yield_now().await;
            }
            let is_over = build.task.is_finished();
            build.task.abort();
            house.quiet().await;
            // Some or all of it may have come to nothing: again, to the end.
            house.fetcher.brings(&name);
            house.sandbox.expect(&name).exit(0);
            house.build(&spec).await.0.unwrap();
            house.fetcher.forget(&name);
            house.sandbox.forget(&name);
            house.store.check();
            if is_over {
                break;
            }
            moment += 1;
            assert!(moment < 1000, "no end in sight");
        }
        assert!(moment > 5, "only {moment} moments");
    });
}

#[test]
fn importing_a_base_image_can_be_cancelled() {
    story(|house| async move {
        let image = house.fetcher.expect("base");
        let build = house.start(&spec("base", []));
        image.started().await;
        image.print("Pulling\n");
        build.log.has("Pulling\n").await;
        build.cancel.cancel();
        assert!(matches!(build.end().await, Err(BuildError::Cancelled)));
        image.cancelled().await;
        house.fetcher.brings("base");
        house.build(&spec("base", [])).await.0.unwrap();
    });
}

#[test]
fn who_waits_for_a_step_hears_that_it_has_reached_a_limit() {
    story(|house| async move {
        house.fetcher.brings("base");
        let limit = LimitReached::Pids("1000".parse().unwrap());
        house.sandbox.limit(Some(limit));
        let step = house.sandbox.expect("Fork");
        let spec = spec("base", [run("Fork")]);
        let first = house.start(&spec);
        step.started().await;
        let second = house.start(&spec);
        second.log.has("/: (run (shell Fork))").await;
        step.exit(1);
        for build in [first, second] {
            let ended = build.end().await;
            assert!(matches!(ended, Err(BuildError::LimitReached(reached)) if reached == limit));
        }
        // It is not kept as a result.
        house.sandbox.limit(None);
        house.sandbox.expect("Fork").exit(0);
        house.build(&spec).await.0.unwrap();
    });
}

#[test]
fn an_image_that_cannot_be_had() {
    story(|house| async move {
        house.fetcher.expect("base").print("Trying\n").exit(1);
        let (result, log) = house.build(&spec("base", [run("A")])).await;
        assert_eq!(reason(result), "no such image");
        assert_eq!(log, "(from base)\nTrying\n");
    });
}

#[test]
fn a_cancelled_build_does_not_begin() {
    story(|house| async move {
        let (context, log) = house.context();
        context.cancel.cancel();
        let result = house.builder.build(&context, &spec("base", [])).await;
        assert!(matches!(result, Err(BuildError::Cancelled)));
        assert_eq!(log.text(), "(from base)\n");
        assert_eq!(house.builder.stats().misses, 0);
    });
}

#[test]
fn a_store_that_cannot_begin_blocks_no_build() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.build(&spec("base", [])).await.0.unwrap();
        house.store.fails_to_begin.set(true);
        let (result, _) = house.build(&spec("base", [run("A")])).await;
        assert!(reason(result).starts_with("cannot make "));
    });
}

#[test]
fn a_store_that_cannot_publish_has_no_result() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.build(&spec("base", [])).await.0.unwrap();
        house.store.fails_to_publish.set(true);
        house.sandbox.expect("A").print("done\n").exit(0);
        let (result, log) = house.build(&spec("base", [run("A")])).await;
        assert!(reason(result).starts_with("cannot rename "));
        assert!(log.ends_with("done\n"));
        house.store.fails_to_publish.set(false);
        house.sandbox.expect("A").exit(0);
        house.build(&spec("base", [run("A")])).await.0.unwrap();
        assert_eq!(house.builder.count().unwrap(), 2);
    });
}

#[test]
fn a_panic_is_a_failure_of_its_step() {
    story(|house| async move {
        house.fetcher.brings("base");
        let spec = spec("base", [run_with("A", &[("c", "/c")], &[])]);
        let a = house.sandbox.expect("A");
        let builds = [house.start(&spec), house.start(&spec)];
        a.started().await;
        a.print("before\n").panic();
        for build in builds {
            assert_eq!(
                reason(build.end().await),
                "internal error: as the script says"
            );
        }
        house.sandbox.expect("A").exit(0);
        house.build(&spec).await.0.unwrap();

        // Wherever it is.
        house.fetcher.expect("image").panic();
        let (result, _) = house.build(&super::house::spec("image", [])).await;
        assert_eq!(reason(result), "internal error: as the script says");
    });
}

#[test]
fn caches_are_given_back_in_reverse() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(3);
        let caches = [("one", "/1"), ("two", "/2"), ("full", "/3"), ("four", "/4")];
        let fails = run_with("A", &caches[..2], &[]);
        let (result, _) = house.build(&spec("base", [fails])).await;
        assert!(reason(result).ends_with("failed with exit status 3"));
        // One that cannot be had does not keep the others.
        let full = run_with("B", &caches, &[]);
        let (result, _) = house.build(&spec("base", [full])).await;
        assert!(reason(result).starts_with("cannot copy "));
        let story = [
            "acquired one",
            "acquired two",
            "released two",
            "released one",
        ];
        assert_eq!(*house.store.caches.borrow(), [story, story].concat());
    });
}

#[test]
fn a_full_disk_fails_the_step_that_meets_it() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.build(&spec("base", [])).await.0.unwrap();
        let drafts = house.dir.path().join("store/draft");
        let Some(small) = SmallDisk::mount(&drafts) else {
            rig::report_not_run("a full disk", "the right to mount a tmpfs");
            return;
        };
        let much = "x".repeat(1 << 20);
        for is_careless in [false, true] {
            let a = house.sandbox.expect("A");
            let build = house.start(&spec("base", [run("A")]));
            a.started().await;
            if is_careless {
                // The sandbox does not mind that its output is lost. We do.
                a.print_anyway(&much).exit(0);
            } else {
                a.print(&much);
            }
            assert_eq!(
                reason(build.end().await),
                "cannot write the step's log: No space left on device (os error 28)"
            );
            assert_eq!(house.builder.count().unwrap(), 1);
        }
        drop(small);
        house.sandbox.expect("A").print(&much).exit(0);
        house.build(&spec("base", [run("A")])).await.0.unwrap();
    });
}

/// A small filesystem over a directory.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(at).status();
        mounted.ok()?.success().then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_step_that_succeeds_although_it_was_cancelled_is_not_kept() {
    story(|house| async move {
        house.fetcher.brings("base");
        let deaf = house.sandbox.expect_slow("A");
        let build = house.start(&spec("base", [run("A")]));
        deaf.started().await;
        build.cancel.cancel();
        assert!(matches!(build.end().await, Err(BuildError::Cancelled)));
        deaf.cancelled().await;
        deaf.exit(0);
        house.quiet().await;
        assert_eq!(house.store.len(), 1);
    });
}

#[test]
fn a_step_that_is_cancelled_while_it_is_published_is_kept() {
    story(|house| async move {
        house.fetcher.brings("base");
        let a = house.sandbox.expect("A");
        let gate = Gate::default();
        let build = house.start(&spec("base", [run("A")]));
        a.started().await;
        *house.store.publishing.borrow_mut() = Some(gate.clone());
        a.exit(0);
        gate.reached.cancelled().await;
        build.cancel.cancel();
        assert!(matches!(build.end().await, Err(BuildError::Cancelled)));
        let again = house.start(&spec("base", [run("A")]));
        again.log.has("Waiting for previous build").await;
        gate.open.cancel();
        let log = again.log.clone();
        again.end().await.unwrap();
        assert!(log.text().ends_with("from cache\n"));
    });
}

#[test]
fn a_base_image_without_its_environment_is_imported_again() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        let (result, _) = house.build(&spec("base", [run("A")])).await;
        let leaf = result.unwrap();
        let base = obuilder::builder::StepInputs::Base("base".into()).id();
        let env = house.store.dir(&base).join("env");
        let text = fs::read_to_string(&env).unwrap();
        assert_eq!(text, "((env ((PATH /usr/bin:/usr/local/bin))))\n");
        for broken in [None, Some(""), Some("((env"), Some("((env x))")] {
            match broken {
                None => fs::remove_file(&env).unwrap(),
                Some(text) => fs::write(&env, text).unwrap(),
            }
            house.fetcher.brings("base");
            let builds = [
                house.start(&spec("base", [])),
                house.start(&spec("base", [])),
            ];
            for build in builds {
                let log = build.log.clone();
                build.end().await.unwrap();
                assert!(log.text().contains("---> saved as"), "{broken:?}");
            }
            // What was made from the broken one is gone.
            assert!(!house.store.has(&leaf));
            assert_eq!(house.builder.count().unwrap(), 1);
        }
    });
}

#[test]
fn a_store_that_removes_nothing_is_not_asked_for_ever() {
    story(|house| async move {
        for number in 0..102 {
            let name = format!("base-{number}");
            house.fetcher.brings(&name);
            house.build(&spec(&name, [])).await.0.unwrap();
        }
        house.pass(10);
        house.store.fails_to_delete.set(true);
        let mut asked = 0;
        let mut tell = |_: &obuilder::StepId| asked += 1;
        let pruned = house.builder.prune(house.now(), 1000, &mut tell).await;
        assert!(pruned.is_err());
        assert_eq!(asked, 100);
    });
}

#[test]
fn a_base_image_stays_whose_environment_cannot_be_read_just_now() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        let spec = spec("base", [run("A")]);
        let id = house.build(&spec).await.0.unwrap();
        let entries = house.builder.entries().unwrap();
        let base = entries.iter().find_map(|entry| entry.base).unwrap();
        let env = house.store.dir(&base).join("env");
        let text = fs::read(&env).unwrap();
        fs::remove_file(&env).unwrap();
        std::os::unix::fs::symlink("env", &env).unwrap();
        let why = reason(house.build(&spec).await.0);
        assert!(why.starts_with("cannot use "), "{why}");
        fs::remove_file(&env).unwrap();
        fs::write(&env, text).unwrap();
        let (again, log) = house.build(&spec).await;
        assert_eq!(again.unwrap(), id);
        assert_eq!(log.matches("from cache").count(), 2, "{log}");
    });
}

#[test]
fn a_base_image_in_use_is_not_imported_again() {
    story(|house| async move {
        house.fetcher.brings("base");
        let a = house.sandbox.expect("A");
        let first = house.start(&spec("base", [run("A")]));
        a.started().await;
        let base = obuilder::builder::StepInputs::Base("base".into()).id();
        fs::remove_file(house.store.dir(&base).join("env")).unwrap();
        let (second, _) = house.build(&spec("base", [])).await;
        let reason = reason(second);
        assert!(
            reason.contains("is in use; retry once no other build is running"),
            "{reason}"
        );
        a.exit(0);
        first.end().await.unwrap();
    });
}

#[test]
fn files_that_fill_the_disk_are_not_kept_in_a_cache() {
    story(|house| async move {
        house.fetcher.brings("base");
        let caches = [("one", "/1"), ("two", "/2")];
        house.store.free.set(0);
        house.sandbox.expect("A").exit(1);
        let fails = spec("base", [run_with("A", &caches, &[])]);
        let (result, _) = house.build(&fails).await;
        let why = reason(result);
        assert!(
            why.ends_with(
                ": the disk of the store is full; the changes of this step to its cache mounts were discarded"
            ),
            "{why}"
        );
        // Nor when it minds nothing.
        house.sandbox.expect("B").exit(0);
        let (result, _) = house
            .build(&spec("base", [run_with("B", &caches, &[])]))
            .await;
        result.unwrap();
        house.store.free.set(40);
        house.sandbox.expect("C").exit(1);
        let (result, _) = house
            .build(&spec("base", [run_with("C", &caches, &[])]))
            .await;
        assert!(!reason(result).contains("room"));
        let happened = house.store.caches.borrow().join("; ");
        let dropped = "acquired one; acquired two; released, but discarded two; released, but discarded one; ";
        let kept = "acquired one; acquired two; released two; released one";
        assert_eq!(happened, format!("{dropped}{dropped}{kept}"));
    });
}
