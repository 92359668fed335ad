//! The healthcheck, and trying things in a copy of a result.

use std::time::Duration;

use bstr::BString;
use obuilder::builder::{ShellError, StepInputs, Unhealthy};
use obuilder::sandbox::{Exit, Network};
use obuilder::store::StoreError;

use super::house::{run, spec, story};

const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn a_healthy_builder() {
    story(|house| async move {
        for _ in 0..2 {
            // Each time it runs, since its result does not stay. Its base does.
            let program = house.sandbox.expect("healthcheck");
            program.print("healthcheck\n").exit(0);
            house.builder.healthcheck(LIMIT).await.unwrap();
            assert_eq!(house.builder.count().unwrap(), 1);
            assert_eq!(house.store.len(), 1);
        }
        assert_eq!(house.sandbox.last().network, Network::None);
    });
}

#[test]
fn two_healthchecks_at_once() {
    story(|house| async move {
        let program = house.sandbox.expect("healthcheck");
        program.print("healthcheck\n").exit(0);
        let check = || house.builder.healthcheck(LIMIT);
        let (first, second) = tokio::join!(check(), check());
        first.unwrap();
        second.unwrap();
        assert_eq!(house.store.len(), 1);
    });
}

#[test]
fn a_failed_healthcheck_shows_its_output() {
    story(|house| async move {
        let program = house.sandbox.expect("healthcheck");
        program.print("runc: no such\nthing\n").exit(1);
        let unhealthy = house.builder.healthcheck(LIMIT).await.unwrap_err();
        let argv = if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            r#""/healthcheck" "healthcheck""#
        } else {
            r#""/busybox" "echo" "healthcheck""#
        };
        assert_eq!(
            unhealthy.to_string(),
            format!("{argv} failed with exit status 1\nrunc: no such\nthing")
        );
    });
}

#[test]
fn a_step_that_prints_nothing_is_not_healthy() {
    story(|house| async move {
        house.sandbox.expect("healthcheck").exit(0);
        let unhealthy = house.builder.healthcheck(LIMIT).await.unwrap_err();
        assert_eq!(unhealthy.to_string(), "the output of the step is missing");
    });
}

#[test]
fn a_healthcheck_that_takes_too_long() {
    story(|house| async move {
        let program = house.sandbox.expect("healthcheck");
        let unhealthy = house.builder.healthcheck(LIMIT).await.unwrap_err();
        assert!(matches!(unhealthy, Unhealthy::Timeout));
        assert_eq!(unhealthy.to_string(), "Timeout running healthcheck");
        program.cancelled().await;
    });
}

#[test]
fn trying_things_in_a_copy() {
    story(|house| async move {
        house.fetcher.brings("base");
        house.sandbox.expect("A").exit(0);
        let (id, _) = house.build(&spec("base", [run("A")])).await;
        let id = id.unwrap();
        house.sandbox.expect("try").double("base-id", "new").exit(7);
        let argv = Some(vec![BString::from("sh"), "try".into()]);
        let exit = house.builder.shell(&id, argv).await.unwrap();
        assert_eq!(exit, Exit::Status(7));
        let command = house.sandbox.last();
        assert_eq!(
            command.env,
            [("PATH".into(), "/usr/bin:/usr/local/bin".into())]
        );
        // Nothing of it stays.
        assert_eq!((house.store.len(), house.builder.count().unwrap()), (2, 2));

        let none = StepInputs::Base("none".into()).id();
        let missing = house.builder.shell(&none, None).await;
        assert!(matches!(missing, Err(ShellError::Store(StoreError::NoBase(id))) if id == none));
    });
}
