//! Docker builds on a real engine: all options of a job, and what must never leak out of one.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use rig::{Credentials, GitServer, Repository, Rig};
use testbed::{HeldJob, Output, POOL, Site, busybox, unique, wait_until_gone};

// Where the Dockerfile and its context come from.

#[test]
fn the_dockerfile_comes_from_the_client_or_from_a_path_of_the_context() -> Result<()> {
    let name = "the_dockerfile_comes_from_the_client_or_from_a_path_of_the_context";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "project")?;
    let commit = project.commit(&[
        ("Dockerfile", &busybox("RUN exit 9")?),
        (
            "ci/Dockerfile.test",
            &busybox("COPY data/note /\nRUN cat /note; echo by 'path'")?,
        ),
        ("data/note", "a note "),
    ])?;
    // Over git's own protocol, because other tests use HTTP.
    let server = GitServer::daemon(&repositories)?;
    let url = server.url("project");
    site.submit()
        .args(&["--context-dockerfile", "ci/Dockerfile.test"])
        .source(&url, &[&commit])
        .run()?
        .check(0, &["a note by path"]);
    site.dockerfile(&busybox(
        "COPY data /data\nRUN cat /data/note; echo by 'client'",
    )?)?
    .source(&url, &[&commit])
    .run()?
    .check(0, &["a note by client"]);
    // Without a commit, the context contains only the Dockerfile.
    site.dockerfile(&busybox("COPY . /context\nRUN echo has: $(ls /context)")?)?
        .run()?
        .check(0, &["has: Dockerfile\n"]);
    site.finish()
}

#[test]
fn two_commits_are_merged_and_a_conflict_is_the_jobs_failure() -> Result<()> {
    let name = "two_commits_are_merged_and_a_conflict_is_the_jobs_failure";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "project")?;
    let base = project.commit(&[(
        "Dockerfile",
        &busybox("COPY . /src\nRUN cd /src; cat left right")?,
    )])?;
    project.branch("left", &base)?;
    let left = project.commit(&[("left", "from the left, ")])?;
    project.branch("right", &base)?;
    let right = project.commit(&[("right", "from the right")])?;
    let conflicting = project.conflict("left")?;
    let server = GitServer::http(&repositories)?;
    let url = server.url("project");
    site.submit()
        .source(&url, &[&left, &right])
        .run()?
        .check(0, &["from the left, from the right"]);
    site.submit()
        .source(&url, &[&conflicting[0], &conflicting[1]])
        .run()?
        .check(
            1,
            &[
                "Merge conflict in left",
                "git-merge failed with exit-code 1",
                "Failed: Build failed.",
            ],
        );
    // The clone can still be used.
    site.submit().source(&url, &[&right, &left]).run()?.check(
        0,
        &[
            "All commits already cached",
            "Merge made by",
            "Job succeeded",
        ],
    );
    site.finish()
}

#[test]
fn submodules_are_checked_out() -> Result<()> {
    let Some(rig) = Rig::or_not_run("submodules_are_checked_out") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let repositories = site.repositories()?;
    let server = GitServer::http(&repositories)?;
    Repository::create(&repositories, "inner")?.commit(&[("deep", "deep inside\n")])?;
    let middle = Repository::create(&repositories, "middle")?;
    middle.add_submodule(&server.url("inner"), "vendor/inner")?;
    let outer = Repository::create(&repositories, "outer")?;
    outer.commit(&[(
        "Dockerfile",
        &busybox("COPY . /src\nRUN cat /src/middle/vendor/inner/deep")?,
    )])?;
    let without = outer.git(&["rev-parse", "HEAD"])?;
    let with = outer.add_submodule(&server.url("middle"), "middle")?;
    let url = server.url("outer");
    site.submit()
        .source(&url, &[&with])
        .run()?
        .check(0, &["deep inside"]);
    // The submodules of one commit are not there for another.
    site.submit()
        .source(&url, &[&without])
        .run()?
        .check(1, &["docker-build failed with exit-code 1"])
        .check_absent("deep inside");
    site.finish()
}

#[test]
fn the_git_directory_is_in_the_context_when_asked_for() -> Result<()> {
    let Some(rig) = Rig::or_not_run("the_git_directory_is_in_the_context_when_asked_for") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "project")?;
    let commit = project.commit(&[(
        "Dockerfile",
        &busybox(
            "COPY . /src\n\
             RUN if test -d /src/.git; then echo has 'git:' $(cat /src/.git/HEAD); else echo has 'none'; fi",
        )?,
    )])?;
    let server = GitServer::http(&repositories)?;
    let job = || site.submit().source(&server.url("project"), &[&commit]);
    job().run()?.check(0, &["has none"]);
    job()
        .args(&["--include-git"])
        .run()?
        .check(0, &["has git: "]);
    site.finish()
}

// Inputs and outputs of a build.

#[test]
fn build_arguments_reach_the_build() -> Result<()> {
    let Some(rig) = Rig::or_not_run("build_arguments_reach_the_build") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let dockerfile = busybox("ARG WHO=nobody\nARG WHAT\nRUN echo \"hello $WHO, $WHAT\"")?;
    for builder in [&[][..], &["--buildkit"]] {
        let who = unique("who")?;
        site.dockerfile(&dockerfile)?
            .args(builder)
            .args(&[
                "--build-arg",
                &format!("WHO={who}"),
                "--build-arg=WHAT=a=b, \"c\"",
            ])
            .run()?
            .check(0, &[&format!("hello {who}, a=b, \"c\"")]);
    }
    site.finish()
}

#[test]
fn a_secret_is_neither_in_the_log_nor_in_the_image() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_secret_is_neither_in_the_log_nor_in_the_image") else {
        return Ok(());
    };
    let (mut site, repository) = site_with_registry(&rig, "secret")?;
    let worker = site.worker("w1", &["--allow-push", &repository])?;
    let secret = unique("hush")?;
    site.write("token", &secret)?;
    let dockerfile = &busybox(
        "RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length; echo counted: $(cat /length)",
    )?;
    let output = push(
        &site,
        &repository,
        dockerfile,
        &["--buildkit", "--secret", "token:token"],
    )?
    .check(0, &["counted: 21"])
    .check_absent(&secret);
    assert!(!site.cluster.log("w1")?.contains(&secret));
    assert!(!image_contains(&rig, output.result()?, &secret)?);
    // The search works: it finds another text.
    assert!(image_contains(
        &rig,
        output.result()?,
        "/run/secrets/token"
    )?);
    // The worker has no copy of it.
    let left = rig::checked(
        std::process::Command::new("grep")
            .args(["-rlc", &secret])
            .arg(site.folder().join("worker-w1")),
    );
    assert!(left.is_err(), "{left:?} of {}", worker.name());
    // The classic builder has no secrets.
    site.dockerfile(dockerfile)?
        .args(&["--secret", "token:token"])
        .run()?
        .check(124, &["--buildkit"])
        .check_absent(&secret);
    site.finish()
}

#[test]
fn an_image_is_squashed_into_one_layer() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_image_is_squashed_into_one_layer") else {
        return Ok(());
    };
    let (mut site, repository) = site_with_registry(&rig, "squash")?;
    site.worker("w1", &["--allow-push", &repository])?;
    let layers = |options: &[&str]| -> Result<i32> {
        let dockerfile = busybox("RUN echo one > /one\nRUN echo two > /two")?;
        let output = push(&site, &repository, &dockerfile, options)?.check(0, &[]);
        let count = "{{len .RootFS.Layers}}";
        Ok(rig
            .docker
            .run(&["image", "inspect", "-f", count, output.result()?])?
            .parse()?)
    };
    let base = 1;
    assert_eq!((layers(&[])?, layers(&["--squash"])?), (base + 2, base + 1));
    site.finish()
}

#[test]
fn a_pushed_digest_can_be_pulled_and_run() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_pushed_digest_can_be_pulled_and_run") else {
        return Ok(());
    };
    let (mut site, repository) = site_with_registry(&rig, "push")?;
    site.worker("w1", &["--allow-push", &format!("org/other,{repository}")])?;
    for builder in [&[][..], &["--buildkit"]] {
        let proof = unique("proof")?;
        let dockerfile = busybox(&format!("RUN echo {proof} > /proof"))?;
        let output = push(&site, &repository, &dockerfile, builder)?
            .check(0, &["Pushing \"sha256:", "as user \"builder\""])
            .check_absent(&rig.registry.password);
        let repo_id = output.result()?;
        assert!(
            repo_id.starts_with(&format!("{repository}@sha256:")),
            "{output}"
        );
        assert_eq!(pull_and_run(&rig, repo_id)?, proof);
    }
    let log = site.cluster.log("w1")?;
    assert!(!log.contains(&rig.registry.password), "{log}");
    site.finish()
}

#[test]
fn a_push_without_permission_or_with_a_wrong_password_is_refused() -> Result<()> {
    let name = "a_push_without_permission_or_with_a_wrong_password_is_refused";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let (mut site, repository) = site_with_registry(&rig, "refused")?;
    site.worker("w1", &["--allow-push", &repository])?;
    let other = rig.registry.image("somebody/else");
    push(&site, &other, "FROM busybox\n", &[])?.check(
        1,
        &[
            &format!("To allow pushing to this repository, start the worker with --allow-push \"{other}\""),
            "Failed: Build failed.",
        ],
    );
    site.write("password", "wrong-password\n")?;
    push(&site, &repository, "FROM busybox\n", &[])?
        .check(
            1,
            &[
                "Failed to docker-login as \"builder\"",
                "Failed: Build failed.",
            ],
        )
        .check_absent("wrong-password");
    site.finish()
}

#[test]
fn a_build_that_fails_is_a_failed_job() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_build_that_fails_is_a_failed_job") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    // The classic builder's client exits with the code of the failed step.
    for (builder, code) in [(&[][..], 7), (&["--buildkit"], 1)] {
        let failure =
            &format!("docker-build failed with exit-code {code}\nFailed: Build failed.\n");
        let output = site
            .dockerfile(&busybox("RUN echo went wrong >&2; exit 7")?)?
            .args(builder)
            .run()?
            .check(1, &["went wrong", failure]);
        assert!(!output.stdout.contains("Job succeeded"), "{output}");
    }
    // By default, the classic builder leaves its container, with everything that the step wrote.
    let containers = ["ps", "-a", "--no-trunc", "--format={{.Command}}"];
    let left = rig.docker.run(&containers)?;
    assert!(!left.contains("echo went wrong >&2; exit 7"), "{left}");
    site.dockerfile("FROM no-such-image-anywhere\n")?
        .run()?
        .check(
            1,
            &[
                "no-such-image-anywhere",
                "docker-pull failed with exit-code 1",
            ],
        );
    site.finish()
}

// Cancelling.

#[test]
fn ctrl_c_stops_the_build_in_the_engine() -> Result<()> {
    let Some(rig) = Rig::or_not_run("ctrl_c_stops_the_build_in_the_engine") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    for builder in [&[][..], &["--buildkit"]] {
        let job = site.held_job(builder)?;
        assert!(
            !rig::traces(job.mark())?.is_empty(),
            "the search finds a build that runs"
        );
        let mark = job.mark().to_owned();
        let HeldJob { client, .. } = job;
        client.interrupt()?;
        client
            .end()?
            .check(
                130,
                &["Job cancelled", "Interrupted: the job was cancelled."],
            )
            .check_absent("now released");
        wait_until_gone(&mark)?;
        site.wait_for_log("w1", "Job cancelled")?;
    }
    // The worker is free for the next job.
    site.dockerfile("FROM busybox\n")?
        .run()?
        .check(0, &["Job succeeded"]);
    site.finish()
}

// What must never happen.

#[test]
fn a_dockerfile_is_never_written_through_a_symlink() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_dockerfile_is_never_written_through_a_symlink") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let victim = site.write("victim", "untouched")?;
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "project")?;
    symlink(&victim, project.work_tree().join("Dockerfile"))?;
    symlink(site.folder(), project.work_tree().join("folder"))?;
    let commit = project.commit(&[("note", "note")])?;
    let server = GitServer::http(&repositories)?;
    let url = server.url("project");
    site.dockerfile(&busybox("RUN echo the \"client's\"")?)?
        .source(&url, &[&commit])
        .run()?
        .check(0, &["the client's"]);
    assert_eq!(fs::read_to_string(&victim)?, "untouched");
    // No Dockerfile is read through a symlink either.
    site.write("victim", &busybox("RUN echo stolen")?)?;
    for path in ["Dockerfile", "folder/victim"] {
        site.submit()
            .args(&["--context-dockerfile", path])
            .source(&url, &[&commit])
            .run()?
            .check(1, &[&format!("(in {path})"), "Failed: Build failed."])
            .check_absent("stolen");
    }
    site.finish()
}

#[test]
fn credentials_in_a_url_reach_neither_log_nor_image() -> Result<()> {
    let Some(rig) = Rig::or_not_run("credentials_in_a_url_reach_neither_log_nor_image") else {
        return Ok(());
    };
    let (mut site, repository) = site_with_registry(&rig, "credentials")?;
    site.worker("w1", &["--allow-push", &repository, "-vv"])?;
    let (user, password) = (unique("user")?, unique("pass")?);
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "private")?;
    let commit = project.commit(&[(
        "Dockerfile",
        &busybox("COPY . /src\nRUN cat /src/.git/config")?,
    )])?;
    let server = GitServer::http_with_password(
        &repositories,
        Credentials {
            user: user.clone(),
            password: password.clone(),
        },
    )?;
    let url = server.url_with_password("private");
    let output = push_source(&site, &repository, &url, &[&commit])?
        .check(0, &["remote \"origin\"", "/private.git"])
        .check_absent(&password)
        .check_absent(&user);
    for word in [&password, &user] {
        assert!(
            !image_contains(&rig, output.result()?, word)?,
            "{word} is in the image"
        );
    }
    // Errors about such a URL do not show the password either.
    let nothing = "0123456789012345678901234567890123456789";
    for (url, commits) in [
        (url.clone(), vec![nothing]),
        (url.replace("private.git", "absent.git"), vec![&*commit]),
        (
            url.replace(&password, &format!("{password}-wrong")),
            vec![&*commit],
        ),
        (url.replace("http://", "ssh://"), vec![&*commit]),
        (url.replace("http://", "http:/"), vec![&*commit]),
    ] {
        site.submit()
            .source(&url, &commits)
            .args(&["--unchecked"])
            .run()?
            .check(1, &["Failed: Build failed."])
            .check_absent(&password)
            .check_absent(&user);
    }
    for program in ["w1", "scheduler"] {
        let log = site.cluster.log(program)?;
        assert!(!log.contains(&password) && !log.contains(&user), "{log}");
    }
    site.finish()
}

#[test]
fn old_and_new_command_lines_work() -> Result<()> {
    let Some(rig) = Rig::or_not_run("old_and_new_command_lines_work") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    site.write("D", &busybox("RUN echo built")?)?;
    let repositories = site.repositories()?;
    let commit = Repository::create(&repositories, "p")?.commit(&[("note", "note")])?;
    let server = GitServer::http(&repositories)?;
    let url = server.url("p");
    let cap = "./capnp-secrets/submission.cap";
    for line in [
        format!("submit-docker {cap} --pool={POOL} --local-dockerfile D {url} {commit}"),
        format!("submit-docker --connect={cap} --pool {POOL} --local-dockerfile=D {url} {commit}"),
        format!(
            "submit-docker -c {cap} --pool={POOL} --local-dockerfile D --urgent --cache-hint=x"
        ),
        format!("-c {cap} submit-docker --pool={POOL} --local-dockerfile D {url} {commit}"),
        format!("submit-d {cap} --pool={POOL} --local D"),
    ] {
        site.run(&format!("ocluster-client {line}"))?
            .check(0, &["Job succeeded"]);
    }
    for line in [
        "ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64",
        "ocluster-admin show -c ./capnp-secrets/admin.cap linux-x86_64",
        "ocluster-admin -c ./capnp-secrets/admin.cap show linux-x86_64",
    ] {
        site.run(line)?.check(0, &["w1 (0): [] (0 running)"]);
    }
    site.finish()
}

// Helpers of the tests.

/// Starts a scheduler, with the registry's password in the file `password`. Also returns a repository of the registry.
fn site_with_registry(rig: &Rig, name: &str) -> Result<(Site, String)> {
    let site = Site::start(rig, &[POOL])?;
    site.write(
        "password",
        format!("{}\nnot this line\n", rig.registry.password),
    )?;
    Ok((site, rig.registry.image(&format!("docker-tests/{name}"))))
}

fn push(site: &Site, repository: &str, dockerfile: &str, options: &[&str]) -> Result<Output> {
    site.dockerfile(dockerfile)?
        .args(options)
        .args(&[
            "--push-to",
            &format!("{repository}:1"),
            "--push-user=builder",
            "--push-password=password",
        ])
        .run()
}

fn push_source(site: &Site, repository: &str, url: &str, commits: &[&str]) -> Result<Output> {
    site.submit()
        .args(&[
            "--include-git",
            "--push-user=builder",
            "--push-password=password",
        ])
        .args(&["--push-to", &format!("{repository}:1")])
        .source(url, commits)
        .run()
}

/// Runs `docker` with log-ins of its own.
fn pull_and_run(rig: &Rig, repo_id: &str) -> Result<String> {
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
    docker(&["run", "--rm", "--pull=always", repo_id, "cat", "/proof"])
}

/// Returns whether `text` is in an image: in its history, its settings or its layers.
fn image_contains(rig: &Rig, image: &str, text: &str) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let tar = folder.path().join("image.tar");
    let tar = tar.to_str().context("an odd folder")?;
    rig.docker.run(&["save", "-o", tar, image])?;
    let history = rig.docker.run(&["history", "--no-trunc", image])?;
    let saved = fs::read(tar)?;
    let is_in_layers = saved
        .windows(text.len())
        .any(|window| window == text.as_bytes());
    Ok(is_in_layers || history.contains(text))
}
