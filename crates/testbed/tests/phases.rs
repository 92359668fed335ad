//! What real builds consist of, as their jobs show it afterwards.

use anyhow::{Context as _, Result};
use rig::{GitServer, Repository, Rig};
use serde_json::Value;
use testbed::{Site, busybox, unique};

/// Returns the only run of the latest job.
fn latest_run(site: &Site) -> Result<Value> {
    let json = |line: &str| -> Result<Value> {
        let output = site.admin(line)?.check(0, &[]);
        Ok(serde_json::from_str(&output.stdout)?)
    };
    let jobs = json("jobs --limit 1 --output json")?;
    let id = jobs["jobs"][0]["id"].as_str().context("no job")?;
    let job = json(&format!("job {id} --output json"))?;
    assert_eq!(job["runs"].as_array().map(Vec::len), Some(1), "{job}");
    Ok(job["runs"][0].clone())
}

/// Returns the phases of a run: the kind, the name, and whether each was cached.
fn phases(run: &Value) -> Result<Vec<(String, String, bool)>> {
    let phases = run["phases"].as_array().context("no phases")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let phase = |phase: &Value| {
        let times = (
            phase["started_seconds"].as_f64()?,
            phase["ended_seconds"].as_f64()?,
        );
        assert!(times.0 <= times.1, "{phase}");
        Some((
            text(&phase["kind"])?,
            text(&phase["name"])?,
            phase["cached"].as_bool()?,
        ))
    };
    let read: Option<Vec<_>> = phases.iter().map(phase).collect();
    read.with_context(|| format!("a phase is incomplete: {run}"))
}

/// Returns how long the phase took whose name ends in a text.
fn took(run: &Value, end: &str) -> Result<f64> {
    let phases = run["phases"].as_array().context("no phases")?;
    let named = |phase: &&Value| {
        phase["name"]
            .as_str()
            .is_some_and(|name| name.ends_with(end))
    };
    let found = phases.iter().find(named);
    let found = found.with_context(|| format!("no phase {end:?}: {run}"))?;
    let seconds = |name: &str| found[name].as_f64().unwrap_or_default();
    Ok(seconds("ended_seconds") - seconds("started_seconds"))
}

#[test]
fn docker_builds_have_a_source_images_steps_and_a_push() -> Result<()> {
    let Some(rig) = Rig::or_not_run("docker_builds_have_a_source_images_steps_and_a_push") else {
        return Ok(());
    };
    let repository = rig.registry.image("phases");
    let mut site = Site::start(&rig, &[testbed::POOL])?;
    site.worker("w1", &["--allow-push", &repository])?;
    site.write("password", &rig.registry.password)?;
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "project")?;
    let commit = project.commit(&[("note", "a note")])?;
    let server = GitServer::http(&repositories)?;
    let url = server.url("project");
    for builder in [&[][..], &["--buildkit"]] {
        let dockerfile = busybox("COPY note /\nRUN cat /note; sleep 2")?;
        let target = format!("{repository}:{}", unique("tag")?);
        let push = [
            "--push-to",
            &target,
            "--push-user=builder",
            "--push-password=password",
        ];
        for is_repeated in [false, true] {
            let job = site.dockerfile(&dockerfile)?.args(&push).args(builder);
            job.source(&url, &[&commit])
                .run()?
                .check(0, &["Job succeeded"]);
            let run = latest_run(&site)?;
            let phases = phases(&run)?;
            let has = |kind: &str, end: &str, cached: bool| {
                let found = phases
                    .iter()
                    .find(|(of, name, _)| of == kind && name.ends_with(end));
                assert!(
                    found.is_some_and(|found| found.2 == cached),
                    "no {kind} {end}: {phases:?}"
                );
            };
            let is = |kind: &str, nth: Option<&(String, String, bool)>| {
                assert_eq!(nth.map(|phase| &*phase.0), Some(kind), "{phases:?}");
            };
            is("source", phases.first());
            has("source", &url, false);
            is("image", phases.get(1));
            has("step", "COPY note /", is_repeated);
            has("step", "RUN cat /note; sleep 2", is_repeated);
            is("push", phases.last());
            has("push", &target, false);
            let step = took(&run, "RUN cat /note; sleep 2")?;
            assert!(is_repeated || step >= 1.5, "{run}");
        }
    }
    site.finish()
}

#[test]
fn obuilder_builds_have_images_and_steps() -> Result<()> {
    let Some(rig) = Rig::or_not_run("obuilder_builds_have_images_and_steps") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[testbed::POOL])?;
    site.obuilder_worker("w1", &[])?;
    let run = unique("run")?;
    let spec = format!(
        "((from busybox) (shell /bin/sh -c) (env TEST_RUN {run}) (run (shell \"echo 1; sleep 2\")) \
         (run (shell \"exit 3\")))"
    );
    for is_repeated in [false, true] {
        site.spec(&spec)?.run()?.check(1, &["Failed: Build failed"]);
        let run = latest_run(&site)?;
        let phase = |kind: &str, name: &str, cached| (kind.to_owned(), name.to_owned(), cached);
        assert_eq!(
            phases(&run)?,
            [
                phase("image", "(from busybox)", is_repeated),
                phase("step", "/: (run (shell \"echo 1; sleep 2\"))", is_repeated),
                phase("step", "/: (run (shell \"exit 3\"))", false),
            ]
        );
        let step = took(&run, "sleep 2\"))")?;
        assert!(is_repeated || step >= 1.5, "{run}");
    }
    site.finish()
}
