//! What somebody needs stays, and what is being removed is not used.

use std::rc::Rc;

use obuilder::StepId;
use obuilder::builder::{BuildError, RemoveError, StepInputs};
use obuilder_spec::{Copy, Op, Source, Spec};

use super::house::{House, run, spec, story};
use super::mock_store::Gate;

/// Removes everything that may go, and returns how many.
async fn prune_all(house: &House) -> usize {
    let future = house.now() + jiff::SignedDuration::from_hours(1);
    let pruned = house.builder.prune(future, 100, &mut |_| ()).await;
    pruned.unwrap()
}

fn base() -> StepId {
    StepInputs::Base("base".into()).id()
}

#[test]
fn a_running_step_keeps_its_base() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        let (a, _) = house.build(&spec("base", [run("A")])).await;
        let a = a.unwrap();
        let stubborn = house.sandbox.expect_slow("Wait");
        let build = house.start(&spec("base", [run("A"), run("Wait")]));
        stubborn.started().await;
        assert_eq!(prune_all(&house).await, 0);
        // Even one that nobody wants any more, so that no build needs what is below its base.
        build.cancel.cancel();
        assert!(matches!(build.end().await, Err(BuildError::Cancelled)));
        assert_eq!(prune_all(&house).await, 0);
        let refused = house.builder.delete(&base(), &mut |_| ()).await;
        assert!(matches!(refused, Err(RemoveError::InUse(id)) if id == a));
        stubborn.exit(1);
        house.quiet().await;
        assert_eq!(prune_all(&house).await, 2);
    });
}

#[test]
fn a_result_that_was_just_found_stays_for_the_next_step() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").print("text\n").exit(0);
        house.build(&spec("base", [run("A")])).await.0.unwrap();
        let build = house.start(&spec("base", [run("A"), run("B")]));
        // It has seen that there is an A, and is looking at its log.
        let open = build.log.hold();
        build.log.has("text\n").await;
        assert_eq!(prune_all(&house).await, 0);
        house.sandbox.expect("B").exit(0);
        open.cancel();
        build.end().await.unwrap();
        assert_eq!(prune_all(&house).await, 3);
    });
}

#[test]
fn a_result_that_was_just_saved_stays_for_the_next_step() {
    story(|house| async move {
        house.fetcher.brings("base");
        let a = house.sandbox.expect("A");
        let build = house.start(&spec("base", [run("A"), run("B")]));
        a.started().await;
        let open = build.log.hold();
        a.print("text\n").exit(0);
        build.log.has("text\n").await;
        house.quiet().await;
        assert_eq!(prune_all(&house).await, 0);
        house.sandbox.expect("B").exit(0);
        open.cancel();
        build.end().await.unwrap();
        assert_eq!(prune_all(&house).await, 3);
    });
}

/// Returns a spec with a nested build that makes `out`, some ops, and a copy of `out`.
fn with_tools(ops: impl IntoIterator<Item = Op>) -> Spec {
    let copy = Op::Copy(Copy {
        from: Source::Build("tools".into()),
        src: vec!["out".into()],
        dst: "/out2".into(),
        exclude: Vec::new(),
    });
    let mut outer = spec("base", ops.into_iter().chain([copy]));
    let tools = spec("base", [run("tool")]);
    outer.builds.push(("tools".into(), tools));
    outer
}

#[test]
fn the_result_of_a_nested_build_stays_until_the_end() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("tool").write("out", "made").exit(0);
        let wait = house.sandbox.expect("Wait");
        let build = house.start(&with_tools([run("Wait")]));
        wait.started().await;
        assert_eq!(prune_all(&house).await, 0);
        wait.exit(0);
        let id = build.end().await.unwrap();
        assert_eq!(house.store.file(&id, "out2"), "made");
        assert_eq!(prune_all(&house).await, 4);
    });
}

#[test]
fn the_source_of_a_copy_stays_during_the_copy() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("tool").write("out", "made").exit(0);
        house.build(&spec("base", [run("tool")])).await.0.unwrap();
        let gate = Gate::default();
        *house.store.publishing.borrow_mut() = Some(gate.clone());
        let build = house.start(&with_tools([]));
        gate.reached.cancelled().await;
        // The build has gone, and the copy has not ended.
        build.task.abort();
        assert!(build.task.await.unwrap_err().is_cancelled());
        assert_eq!(prune_all(&house).await, 0);
        gate.open.cancel();
        house.quiet().await;
        assert_eq!(prune_all(&house).await, 3);
    });
}

#[test]
fn results_in_use_are_not_deleted() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        let (a, _) = house.build(&spec("base", [run("A")])).await;
        let a = a.unwrap();
        house.sandbox.expect("Leaf").exit(0);
        let leaf = spec("base", [run("A"), run("Leaf")]);
        house.build(&leaf).await.0.unwrap();
        let wait = house.sandbox.expect("Wait");
        let build = house.start(&spec("base", [run("A"), run("Wait")]));
        wait.started().await;
        let mut told = 0;
        let refused = house.builder.delete(&base(), &mut |_| told += 1).await;
        let Err(RemoveError::InUse(id)) = refused else {
            panic!("{refused:?}");
        };
        assert!(id == base() || id == a);
        assert_eq!((told, house.store.len()), (0, 3));
        wait.exit(0);
        build.end().await.unwrap();
        house.builder.delete(&base(), &mut |_| ()).await.unwrap();
        assert_eq!(house.store.len(), 0);
    });
}

#[test]
fn a_result_that_is_being_removed_is_not_used() {
    story(|house| async move {
        house.fetcher.brings("base");
        let gate = Gate::default();
        *house.store.deleting.borrow_mut() = Some(gate.clone());
        house.build(&spec("base", [])).await.0.unwrap();
        let pruner = Rc::clone(&house);
        let pruning = tokio::task::spawn_local(async move { prune_all(&pruner).await });
        gate.reached.cancelled().await;
        // A second one who wants to remove it waits too.
        let deleter = house.builder.clone();
        let deleting =
            tokio::task::spawn_local(async move { deleter.delete(&base(), &mut |_| ()).await });
        let build = house.start(&spec("base", []));
        build.log.has("(from base)").await;
        tokio::task::yield_now().await;
        house.fetcher.brings("base");
        gate.open.cancel();
        assert_eq!(pruning.await.unwrap(), 1);
        let log = build.log.clone();
        build.end().await.unwrap();
        assert!(log.text().contains("saved as"));
        // It came before the build or after, or was refused.
        let _refused = deleting.await.unwrap();
    });
}

#[test]
fn an_abandoned_removal_completes() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        house.build(&spec("base", [run("A")])).await.0.unwrap();
        let gate = Gate::default();
        *house.store.deleting.borrow_mut() = Some(gate.clone());
        let builder = house.builder.clone();
        let deleting =
            tokio::task::spawn_local(async move { builder.delete(&base(), &mut |_| ()).await });
        gate.reached.cancelled().await;
        deleting.abort();
        assert!(deleting.await.unwrap_err().is_cancelled());
        gate.open.cancel();
        // One was being removed, and is; the other is as it was.
        house.sandbox.expect("A").exit(0);
        house.build(&spec("base", [run("A")])).await.0.unwrap();
        assert_eq!(house.builder.count().unwrap(), 2);
    });
}

#[test]
fn the_oldest_go_first_and_no_more_than_asked_for() {
    story(|house| async move {
        house.fetcher.brings("base");
        let mut ids = Vec::new();
        for name in ["A", "B", "C"] {
            house.sandbox.expect(name).exit(0);
            let (result, _) = house.build(&spec("base", [run(name)])).await;
            ids.push(result.unwrap());
            house.pass(1);
        }
        // A is used again.
        house.build(&spec("base", [run("A")])).await.0.unwrap();
        house.pass(1);
        let (builder, now) = (&house.builder, house.now());
        let mut removed = Vec::new();
        let pruned = builder.prune(now, 2, &mut |id| removed.push(*id)).await;
        assert_eq!(pruned.unwrap(), 2);
        assert_eq!(removed, [ids[1], ids[2]]);
    });
}

#[test]
fn one_that_cannot_be_removed_does_not_stop_the_others() {
    story(|house| async move {
        house.fetcher.brings("base");
        for name in ["A", "B"] {
            house.sandbox.expect(name).exit(0);
            house.build(&spec("base", [run(name)])).await.0.unwrap();
            house.pass(1);
        }
        house.store.fails_to_delete.set(true);
        let (builder, now) = (&house.builder, house.now());
        let mut told = 0;
        let pruned = builder.prune(now, 100, &mut |_| told += 1).await;
        assert!(matches!(pruned, Err(RemoveError::Store(_))), "{pruned:?}");
        assert_eq!((told, house.store.len()), (2, 3));
        house.store.fails_to_delete.set(false);
        let pruned = builder.prune(now, 100, &mut |_| ()).await;
        assert_eq!(pruned.unwrap(), 3);
    });
}
