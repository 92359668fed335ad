//! The commands of upstream's README, with their documented output.

use anyhow::{Context as _, Result};
use rig::{GitServer, Repository, Rig};
use testbed::{POOL, Program, Site, busybox};

const LOCAL_BUILD: &str = "ocluster-client submit-docker ./capnp-secrets/submission.cap \
    --cache-hint tutorial --pool=linux-x86_64";

// The scheduler service, and workers.

#[test]
fn the_scheduler_and_a_worker_log_what_the_readme_shows() -> Result<()> {
    let Some(rig) = Rig::or_not_run("the_scheduler_and_a_worker_log_what_the_readme_shows") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &["linux-arm32", POOL])?;
    let fingerprint = fingerprint(&site)?;
    let log = site.cluster.log("scheduler")?;
    for line in [
        r#"capnp-rpc [INFO] Generating new secret key to store in "./capnp-secrets/key.pem""#,
        "capnp-rpc [INFO] Generating new private key...",
        &format!("capnp-rpc [INFO] Generated key with hash sha-256@{fingerprint}"),
        "capnp-rpc [INFO] Waiting for (encrypted) connections on tcp:127.0.0.1:",
        r#"application  Wrote capability reference to "./capnp-secrets/submission.cap""#,
        r#"application  Wrote capability reference to "./capnp-secrets/admin.cap""#,
        r#"application  Wrote capability reference to "./capnp-secrets/pool-linux-arm32.cap""#,
        r#"application  Wrote capability reference to "./capnp-secrets/pool-linux-x86_64.cap""#,
    ] {
        assert!(
            log.contains(line),
            "the scheduler did not log {line:?}:\n{log}"
        );
    }
    site.worker("my-host", &["--prune-threshold=0"])?;
    site.wait_for_log("my-host", "worker [INFO] Requesting a new job...")?;
    site.wait_for_log("scheduler", r#"Registered new worker "my-host""#)?;
    site.finish()
}

/// Returns the fingerprint that is in the cap files.
fn fingerprint(site: &Site) -> Result<String> {
    let cap = std::fs::read_to_string(site.folder().join("capnp-secrets/admin.cap"))?;
    let (_, rest) = cap
        .split_once("capnp://sha-256:")
        .context("not a sturdy ref")?;
    let (fingerprint, _) = rest.split_once('@').context("not a sturdy ref")?;
    Ok(fingerprint.to_owned())
}

// Clients.

#[test]
fn a_dockerfile_is_built_and_built_again_on_the_same_worker() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_dockerfile_is_built_and_built_again_on_the_same_worker")
    else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["my-host", "other-host"])?;
    // Not from the cache of the engine, or the date would not be printed.
    site.write("Dockerfile.test", busybox("RUN date")?)?;
    let line = format!("{LOCAL_BUILD} --local-dockerfile Dockerfile.test");
    let first = site
        .run(&line)?
        .check(0, &["Tailing log:\nBuilding on ", "RUN date", "UTC"]);
    assert!(first.stdout.ends_with("Job succeeded\n"), "{first}");
    let second = site.run(&line)?.check(0, &["Job succeeded"]);
    assert_eq!(first.built_on()?, second.built_on()?);
    site.finish()
}

#[test]
fn a_commit_is_the_context() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_commit_is_the_context") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["my-host"])?;
    let repositories = site.repositories()?;
    let repository = Repository::create(&repositories, "ocluster")?;
    let commit = repository.commit(&[
        (
            "Dockerfile",
            &busybox("COPY note /\nRUN cat /note; echo of the 'commit'")?,
        ),
        ("note", "from the repository"),
    ])?;
    let github = GitServer::http(&repositories)?;
    let url = github.url("ocluster");

    // The Dockerfile of the client, and the context of the repository.
    site.write(
        "Dockerfile",
        busybox("COPY note /\nRUN cat /note; echo of the 'client'")?,
    )?;
    site.run(&format!(
        "{LOCAL_BUILD} --local-dockerfile Dockerfile {url} {commit}"
    ))?
    .check(0, &["HEAD is now at", "from the repositoryof the client"]);
    // The Dockerfile of the repository: by its name, and by default.
    site.run(&format!(
        "{LOCAL_BUILD} --context-dockerfile=Dockerfile {url} {commit}"
    ))?
    .check(
        0,
        &[
            "All commits already cached",
            "from the repositoryof the commit",
        ],
    );
    site.run(&format!("{LOCAL_BUILD} {url} {commit}"))?
        .check(0, &["RUN cat /note; echo of the 'commit'", "Using cache"]);

    // Several commits are merged.
    repository.branch("pull-request", &commit)?;
    let pull_request = repository.commit(&[("feature", "a feature")])?;
    repository.checkout("main")?;
    let master = repository.commit(&[(
        "Dockerfile",
        &busybox("COPY note feature /\nRUN cat /feature; echo of the 'merge'")?,
    )])?;
    site.run(&format!("{LOCAL_BUILD} {url} {master} {pull_request}"))?
        .check(0, &["a featureof the merge"]);
    site.finish()
}

#[test]
fn an_image_is_pushed_with_a_password_and_can_be_downloaded() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_image_is_pushed_with_a_password_and_can_be_downloaded")
    else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let repository = rig.registry.image("readme/staging");
    site.worker("my-host", &["--allow-push", &repository])?;
    site.write(
        "Dockerfile.test",
        "FROM busybox\nRUN echo pushed > /proof\n",
    )?;
    site.write(".builder-password", format!("{}\n", rig.registry.password))?;
    let user = &rig.registry.user;
    let output = site
        .run(&format!(
            "{LOCAL_BUILD} --local-dockerfile Dockerfile.test --push-to {repository}:build-1 \
             --push-user={user} --push-password .builder-password"
        ))?
        .check(
            0,
            &[
                &format!("to \"{repository}:build-1\" as user \"{user}\""),
                "Job succeeded",
            ],
        )
        .check_absent(&rig.registry.password);
    let repo_id = output.result()?;
    assert!(
        repo_id.starts_with(&format!("{repository}@sha256:")),
        "{output}"
    );
    download_and_run(&rig, repo_id)?;
    site.finish()
}

/// Runs the image from the registry. The log-in is kept in a folder of its own.
fn download_and_run(rig: &Rig, repo_id: &str) -> Result<()> {
    let config = tempfile::tempdir()?;
    let docker = |args: &[&str]| {
        let mut command = rig.docker.command();
        rig::checked(command.env("DOCKER_CONFIG", config.path()).args(args))
    };
    let registry = &rig.registry;
    docker(&["image", "rm", "--force", repo_id])?;
    docker(&[
        "login",
        "-u",
        &registry.user,
        "-p",
        &registry.password,
        &registry.address,
    ])?;
    let proof = docker(&["run", "--rm", "--pull=always", repo_id, "cat", "/proof"])?;
    assert_eq!(proof, "pushed");
    Ok(())
}

#[test]
fn obuilder_jobs_are_refused_by_a_worker_without_a_store() -> Result<()> {
    let Some(rig) = Rig::or_not_run("obuilder_jobs_are_refused_by_a_worker_without_a_store") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["my-host"])?;
    site.write(
        "OBuilder.test",
        "((from busybox) (shell /bin/sh -c) (run (shell date)))\n",
    )?;
    site.run(
        "ocluster-client submit-obuilder ./capnp-secrets/submission.cap \
         --cache-hint tutorial --pool=linux-x86_64 --local-file OBuilder.test",
    )?
    .check(
        1,
        &[
            "This worker is not configured for use with OBuilder!",
            "Failed: Build failed.",
        ],
    );
    site.finish()
}

// Admin.

#[test]
fn the_admin_shows_pauses_and_updates() -> Result<()> {
    let Some(rig) = Rig::or_not_run("the_admin_shows_pauses_and_updates") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &["linux-arm32", POOL])?;
    let mut worker = site.worker("my-host", &[])?;
    let admin = "./capnp-secrets/admin.cap";
    let pools = site.run(&format!("ocluster-admin show {admin}"))?;
    assert_eq!(pools.check(0, &[]).stdout, "linux-arm32\nlinux-x86_64\n");
    let show = format!("ocluster-admin show {admin} linux-x86_64");
    let state = site.run(&show)?.check(0, &[]).stdout;
    let begin = "capacity: 1\nqueue: (ready) [my-host]\nregistered:\n  my-host (0): [] (0 running)\n\
         disconnected:\nclients:\n";
    assert!(state.starts_with(begin), "{state}");

    site.run(&format!(
        "ocluster-admin pause-worker {admin} linux-x86_64 my-host"
    ))?
    .check(0, &[]);
    site.run(&show)?.check(0, &["my-host (0): (inactive:"]);
    // It gets no jobs until it is unpaused.
    site.write("Dockerfile.test", "FROM busybox\nRUN date\n")?;
    let client = site.begin(&format!("{LOCAL_BUILD} --local-dockerfile Dockerfile.test"))?;
    site.wait_for_state("queue: (backlog) [submission:tutorial@")?;
    site.run(&format!(
        "ocluster-admin unpause-worker {admin} linux-x86_64 my-host"
    ))?
    .check(0, &[]);
    client.end()?.check(0, &["Building on my-host"]);

    // It exits with code 1, so that its supervisor restarts it.
    for worker_too in ["", "my-host"] {
        let mut update = site.begin(&format!(
            "ocluster-admin update {admin} linux-x86_64 {worker_too}"
        ))?;
        wait_until_updated(&site, &worker, &mut update)?;
        worker = site.worker("my-host", &[])?;
        let restarted = if worker_too.is_empty() {
            "All pool workers restarted."
        } else {
            "Restarted"
        };
        update.end()?.check(0, &[restarted]);
    }
    site.finish()
}

/// Waits until the worker has exited for an update.
fn wait_until_updated(site: &Site, worker: &rig::Worker, update: &mut Program) -> Result<()> {
    update.wait_for("my-host: Restarting")?;
    let holder = site.cluster.holder();
    assert_eq!(holder.wait(worker.process(), testbed::WAIT_LIMIT)?, 1);
    Ok(())
}
