//! Malicious jobs on a real engine, which must not affect others.

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, traces};
use testbed::{HeldJob, POOL, Site, busybox, unique};

#[test]
fn an_image_of_another_job_cannot_be_used() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_image_of_another_job_cannot_be_used") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let precious = unique("precious")?;
    let label = format!("LABEL mine={precious}");
    site.dockerfile(&busybox(&format!(
        "{label}\nRUN echo {precious} > /precious"
    ))?)?
    .run()?
    .check(0, &["Job succeeded"]);
    let filter = format!("label=mine={precious}");
    let ids = rig.docker.run(&[
        "images",
        "--all",
        "--quiet",
        "--no-trunc",
        "--filter",
        &filter,
    ])?;
    let id = ids.lines().next().context("no image of the job")?;
    let short = id.trim_start_matches("sha256:").get(..8).context("an id")?;
    for steps in [
        format!("FROM {short}\nRUN cat /precious\n"),
        format!("FROM {id}\nRUN cat /precious\n"),
        format!("ARG BASE={short}\nFROM $BASE\nRUN cat /precious\n"),
        busybox(&format!(
            "COPY --from={short} /precious /\nRUN cat /precious"
        ))?,
        busybox(&format!("COPY --from={id} /precious /\nRUN cat /precious"))?,
    ] {
        for builder in [&[][..], &["--buildkit"]] {
            site.dockerfile(&steps)?
                .args(builder)
                .run()?
                .check(1, &["may be another job's"])
                .check_absent(&precious);
        }
    }
    site.finish()
}

#[test]
fn a_frontend_that_is_not_allowed_is_not_fetched() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_frontend_that_is_not_allowed_is_not_fetched") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    site.worker("w1", &[])?;
    // Many Dockerfiles begin with this line.
    let usual = busybox("RUN echo built by 'itself'")?;
    site.dockerfile(&format!("# syntax=docker/dockerfile:1\n{usual}"))?
        .args(&["--buildkit"])
        .run()?
        .check(
            0,
            &[
                "Ignoring \"# syntax=docker/dockerfile:1\"",
                "built by itself",
            ],
        );
    // Nothing listens at this port, so a connection fails at once.
    let front = "127.0.0.1:1/front";
    let refused = &["the BuildKit frontend \"127.0.0.1:1/front\" is not allowed"];
    site.dockerfile(&format!("# syntax={front}\n{usual}"))?
        .args(&["--buildkit"])
        .run()?
        .check(1, refused);
    let arg = format!("BUILDKIT_SYNTAX={front}");
    site.dockerfile(&usual)?
        .args(&["--buildkit", "--build-arg", &arg])
        .run()?
        .check(1, refused);
    site.finish()
}

#[test]
fn nothing_of_a_cancelled_build_runs() -> Result<()> {
    let Some(rig) = Rig::or_not_run("nothing_of_a_cancelled_build_runs") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let job = site.held_job(&[])?;
    let mark = job.mark().to_owned();
    let HeldJob { mut client, .. } = job;
    client.interrupt()?;
    client.wait_for("Job cancelled")?;
    let left = traces(&mark)?;
    ensure!(left.is_empty(), "cancelled, but left behind: {left:#?}");
    drop(client);
    site.finish()
}

#[test]
fn a_printed_secret_is_redacted() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_printed_secret_is_redacted") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let secret = unique("hush")?;
    site.write("token", format!("{secret}\n"))?;
    let print = "RUN --mount=type=secret,id=token echo token: $(cat /run/secrets/token); base64 /run/secrets/token";
    site.dockerfile(&busybox(print)?)?
        .args(&["--buildkit", "--secret", "token:token"])
        .run()?
        .check(0, &["token: ***"])
        .check_absent(&secret);
    site.finish()
}
