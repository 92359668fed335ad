//! The pipeline example, on a cluster with two pools.

use std::process::Command;

use anyhow::{Context as _, Result};
use rig::{Docker, GitServer, Repository, Rig, checked, wait_for};
use rustix::process::Signal;
use testbed::{Program, Site, WAIT_LIMIT, busybox, unique};

/// A cluster with two pools, `left` and `right`, and a repository to build.
struct Project {
    site: Site,
    server: GitServer,
    repository: Repository,
}

impl Project {
    fn start(rig: &Rig) -> Result<Self> {
        let site = Site::start(rig, &["left", "right"])?;
        let repositories = site.repositories()?;
        site.write("password", format!("{}\n", rig.registry.password))?;
        Ok(Self {
            repository: Repository::create(&repositories, "project")?,
            server: GitServer::http(&repositories)?,
            site,
        })
    }

    fn worker(&mut self, pool: &str, name: &str, args: &[&str]) -> Result<()> {
        let docker = self.site.rig.docker.clone();
        let cluster = &mut self.site.cluster;
        cluster.start_worker(pool, name, &docker, args).map(drop)
    }

    fn image(&self) -> String {
        self.site.rig.registry.image("pipeline/project")
    }

    fn allow_push(&self) -> String {
        format!("--allow-push={}", self.image())
    }

    /// Starts the pipeline for a commit with this Dockerfile, on the given pools.
    fn begin(&self, dockerfile: &str, pools: &str) -> Result<(String, Program)> {
        let commit = self.repository.commit(&[("Dockerfile", dockerfile)])?;
        let line = format!(
            "pipeline --cap=capnp-secrets/submission.cap --push-to={} --push-user={} --push-password=password {} \
             {commit} {pools}",
            self.image(),
            self.site.rig.registry.user,
            self.server.url("project"),
        );
        Ok((commit, self.site.begin(&line)?))
    }
}

#[test]
fn two_pools_build_a_commit_and_their_images_become_one() -> Result<()> {
    let name = "two_pools_build_a_commit_and_their_images_become_one";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let mut project = Project::start(&rig)?;
    let allow_push = project.allow_push();
    project.worker("left", "w1", &[&allow_push])?;
    project.worker("right", "w2", &[&allow_push])?;
    let (commit, running) = project.begin(&busybox("RUN echo it is 'built'")?, "left right")?;
    let image = project.image();
    let output = running.end()?.check(
        0,
        &[
            "left | Building on w1\n",
            "left | it is built\n",
            "left | Job succeeded\n",
            "right | Building on w2\n",
            "right | it is built\n",
            &format!("left: {image}@sha256:"),
            &format!("right: {image}@sha256:"),
            &format!("docker manifest create {image}:{commit} {image}@sha256:"),
        ],
    );

    // The printed commands work for a user who is logged in. This registry has no TLS.
    let registry = &rig.registry;
    let commands = output.stdout.replace(" create ", " create --insecure ");
    let commands = commands.replace(" push ", " push --insecure ");
    let script = format!(
        "docker login -u {} -p {} {}\n{commands}docker manifest inspect --insecure {image}:{commit}\n",
        registry.user, registry.password, registry.address
    );
    let printed = checked(
        Command::new("sh")
            .args(["-e", "-c", &script])
            .envs(rig.docker.env())
            // Not the folder of other tests, which must not be logged in.
            .env("DOCKER_CONFIG", project.site.folder().join("docker-config")),
    )?;
    let images = output.stdout.matches("@sha256:").count();
    assert_eq!(images, 2, "{}", output.stdout);
    assert!(printed.contains("manifest.list.v2"), "{printed}");
    project.site.finish()
}

#[test]
fn a_failed_pool_fails_the_pipeline_but_no_other_pool() -> Result<()> {
    let name = "a_failed_pool_fails_the_pipeline_but_no_other_pool";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let mut project = Project::start(&rig)?;
    let allow_push = project.allow_push();
    project.worker("left", "w1", &[&allow_push])?;
    project.worker("right", "w2", &[])?;
    let pools = "left right nowhere";
    let (_, running) = project.begin(&busybox("RUN true")?, pools)?;
    let output = running.end()?.check(
        1,
        &[
            "left | Job succeeded\n",
            &format!("left: {}@sha256:", project.image()),
            "right | To allow pushing to this repository, start the worker with",
            "right: Build failed\n",
            "nowhere: the scheduler refused the job: Pool ID \"nowhere\" not one of {left, right}\n",
        ],
    );
    assert_eq!(output.stdout, "", "there is nothing to combine");

    // If nothing can be submitted, the exit code is another one.
    project
        .site
        .run("pipeline --cap=none.cap --push-to=a http://127.0.0.1/project.git 0 left")?
        .check(2, &["pipeline: File \"none.cap\" does not exist"]);
    project.site.finish()
}

#[test]
fn a_pipeline_survives_a_killed_worker() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_pipeline_survives_a_killed_worker") else {
        return Ok(());
    };
    let mut project = Project::start(&rig)?;
    let allow_push = project.allow_push();
    project.worker("left", "w1", &[&allow_push])?;
    let mark = unique("pipeline")?;
    let steps = format!(
        "RUN m={mark}; trap go=1 USR1; echo now 'building'; while test -z \"$go\"; do sleep 0.1; done"
    );
    let (_, mut running) = project.begin(&busybox(&steps)?, "left")?;
    running.wait_for("left | now building")?;
    let first = container(&rig.docker, &mark, None)?;

    let worker = project.site.cluster.worker_named("w1").context("no w1")?;
    project
        .site
        .cluster
        .signal(worker.process(), Signal::KILL)?;
    project.worker("left", "w2", &[&allow_push])?;
    let second = container(&rig.docker, &mark, Some(&first))?;
    rig.docker.run(&["kill", "--signal=USR1", &second])?;
    running.end()?.check(
        0,
        &[
            "left | Building on w1\n",
            "left | [lost: worker \"w1\" disconnected",
            "; attempt 2 starts from the beginning]\n",
            "left | Building on w2\n",
            "left | Job succeeded\n",
        ],
    );
    project.site.finish()
}

/// Waits for a container of the build with this mark, other than `not`.
fn container(docker: &Docker, mark: &str, not: Option<&str>) -> Result<String> {
    wait_for("container", WAIT_LIMIT, || {
        let format = "{{.ID}} {{.Command}}";
        let listed = docker.run(&["ps", "--no-trunc", "--format", format])?;
        let ids = listed.lines().filter(|line| line.contains(mark));
        let mut ids = ids.filter_map(|line| Some(line.split_once(' ')?.0));
        Ok(ids.find(|id| Some(*id) != not).map(str::to_owned))
    })
}
