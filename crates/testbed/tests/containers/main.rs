//! The images, the Compose file, and workers as services of a swarm, on a real engine.

mod compose;
mod fleet;
mod images;
mod load;

use std::fs;

use anyhow::{Context as _, Result};
use rig::{Rig, make_swarm};
use testbed::POOL;

use compose::Compose;
use fleet::Fleet;
use images::{Builder, images, root};
use load::Load;

#[test]
fn both_builders_make_the_images() -> Result<()> {
    let Some(rig) = Rig::or_not_run("both_builders_make_the_images") else {
        return Ok(());
    };
    let by_buildkit = images(&rig)?;
    let by_classic = images::build(&rig, Builder::Classic)?;
    for images in [by_classic, by_buildkit.clone()] {
        let settings = |image: &str| {
            let format = "{{.Config.User}} {{.Config.WorkingDir}} {{.Config.Entrypoint}} {{.Config.Volumes}}";
            rig.docker.run(&["image", "inspect", "-f", format, image])
        };
        assert_eq!(
            settings(&images.scheduler)?,
            "10001:10001 /var/lib/ocluster-scheduler [/usr/local/bin/ocluster-scheduler] \
             map[/var/lib/ocluster-scheduler:{}]"
        );
        assert_eq!(
            settings(&images.worker)?,
            "/var/lib/ocluster-worker [/usr/bin/tini -s -- /usr/local/bin/ocluster-worker] \
             map[/var/lib/ocluster-worker:{}]"
        );
    }
    let has = |image: &str, programs: &[&str]| {
        let args = ["run", "--rm", "--entrypoint=which", image];
        rig.docker.run(&[&args, programs].concat())
    };
    has(
        &by_buildkit.scheduler,
        &["ocluster-admin", "ocluster-client"],
    )?;
    has(&by_buildkit.worker, &["docker", "git", "runc", "obuilder"])?;
    Ok(())
}

#[test]
fn the_images_compile_only_the_project() -> Result<()> {
    let Some(rig) = Rig::or_not_run("the_images_compile_only_the_project") else {
        return Ok(());
    };
    // It is the same stage in both. Otherwise everything would be compiled twice.
    let stage = |file: &str| -> Result<String> {
        let text = fs::read_to_string(root().join(file))?;
        let (_, after) = text.split_once("# Both Dockerfiles").context("no stage")?;
        let (stage, _) = after.split_once("\nFROM ${RUNTIME").context("no end")?;
        Ok(stage.to_owned())
    };
    assert_eq!(stage("Dockerfile")?, stage("Dockerfile.worker")?);
    images(&rig)?;
    let args = ["--target=build", "--tag=test-build-stage"];
    images::docker_build(&rig, Builder::BuildKit, "Dockerfile", &args)?;
    let list = ["run", "--rm", "test-build-stage", "ls", "-A", "/src"];
    let copied = rig.docker.run(&list)?;
    for there in ["Cargo.lock", "Cargo.toml", "crates", "xtask", "packaging"] {
        assert!(copied.lines().any(|name| name == there), "{copied}");
    }
    for absent in [".git", "target", "docs", "README.md", "Dockerfile"] {
        assert!(copied.lines().all(|name| name != absent), "{copied}");
    }
    Ok(())
}

#[test]
fn compose_runs_a_job_through_scheduler_and_worker() -> Result<()> {
    let name = "compose_runs_a_job_through_scheduler_and_worker";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let compose = Compose::new(&rig, &images(&rig)?)?;
    compose.run(&["config", "--quiet"])?;
    // The other services cannot be pulled here.
    compose.run(&["up", "--no-build", "--detach", "scheduler", "worker"])?;
    compose.wait_until_healthy(&["scheduler", "worker"])?;
    assert_eq!(compose.shell("scheduler", "id -u")?, "10001");

    // A job with either builder.
    for options in ["", "--buildkit"] {
        let dockerfile = testbed::busybox("RUN echo built for 'real'")?;
        let log = compose.submit(&dockerfile, options)?;
        assert!(log.contains("Building on worker-1"), "{log}");
        assert!(log.contains("built for real"), "{log}");
        assert!(log.contains("Job succeeded"), "{log}");
    }

    // Processes that a job leaves behind are collected.
    compose.shell("worker", "sh -c 'sleep 0.1 & echo left alone'")?;
    compose.wait_for_no_zombies("worker")?;

    // An update is a restart, by the container's policy.
    let admin = format!("ocluster-admin update capnp-secrets/admin.cap {POOL}");
    let updated = compose.shell("scheduler", &admin)?;
    assert!(
        updated.ends_with("All pool workers restarted."),
        "{updated}"
    );
    assert_eq!(compose.inspect("worker", "{{.RestartCount}}")?, "1");

    // Both stop on SIGTERM, and the cap files are valid afterwards.
    compose.run(&["stop", "worker", "scheduler"])?;
    for service in ["worker", "scheduler"] {
        assert_eq!(compose.inspect(service, "{{.State.ExitCode}}")?, "0");
    }
    compose.run(&["start"])?;
    // Their names can be resolved a moment after the start.
    compose.wait_until_healthy(&["scheduler", "worker"])?;
    let log = compose.submit(&testbed::busybox("RUN echo again")?, "")?;
    assert!(log.contains("Job succeeded"), "{log}");
    compose.finish()
}

#[test]
fn a_stopped_program_is_unhealthy() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_stopped_program_is_unhealthy") else {
        return Ok(());
    };
    let check = |image: &str, age: &str| {
        let file = "touch -d \"$0\" /tmp/alive; OCLUSTER_HEALTH_FILE=/tmp/alive sh -c \"$1\"";
        let format = "{{index .Config.Healthcheck.Test 1}}";
        let test = rig.docker.run(&["image", "inspect", "-f", format, image])?;
        rig.docker.run(&[
            "run",
            "--rm",
            "--entrypoint=sh",
            image,
            "-c",
            file,
            age,
            &test,
        ])
    };
    let images = images(&rig)?;
    for image in [&images.scheduler, &images.worker] {
        check(image, "-3 seconds")?;
        let error = check(image, "-1 hour").unwrap_err().to_string();
        assert!(error.contains("exit status: 1"), "{error}");
    }
    Ok(())
}

#[test]
fn a_rolling_update_loses_no_job_and_stops_at_a_lost_canary() -> Result<()> {
    let name = "a_rolling_update_loses_no_job_and_stops_at_a_lost_canary";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let images = images(&rig)?;
    make_swarm(&rig.docker)?;
    let fleet = Fleet::start(&rig, &images.worker, &["w1", "w2", "w3"])?;
    let mut load = Load::on(&fleet.site);
    load.until_ended(5)?;

    // A new version, to all of them.
    let second = fleet.publish("LABEL version=2")?;
    let output = load.during(&format!("update {POOL}"))?.check(
        0,
        &[
            "Testing update on first worker in pool: \"w1\"",
            "Canary updated OK. Updating the others: [w2 w3]",
            "All pool workers restarted.",
        ],
    );
    assert!(output.stdout.contains("Running jobs: "), "{output}");
    for worker in ["w1", "w2", "w3"] {
        assert_eq!(fleet.image_of(worker)?, second, "{worker}");
    }
    load.until_ended(5)?;

    // A version that does not start. The others are not touched.
    let before = [fleet.container_of("w2")?, fleet.container_of("w3")?];
    fleet.publish("ENTRYPOINT [\"/bin/false\"]")?;
    load.during(&format!("update {POOL}"))?.check(
        1,
        &[
            "Failed: Timeout waiting for worker to reconnect!",
            "Hint: no other worker was updated;",
        ],
    );
    fleet.site.wait_for_state("disconnected:\n  w1")?;
    load.until_ended(5)?;
    let after = [fleet.container_of("w2")?, fleet.container_of("w3")?];
    assert_eq!(after, before);

    // The rollback.
    fleet.roll_back("w1")?;
    fleet.site.wait_for_state("capacity: 6\n")?;
    assert_eq!(fleet.image_of("w1")?, second);
    let built = load.finish()?;
    println!("{built} jobs were built, none was lost");
    fleet.finish()
}
