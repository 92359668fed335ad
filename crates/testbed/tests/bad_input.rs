//! Invalid input is reported to the user who made the mistake, and no other user is affected.
//!
//! In each test a bystander's job is in the middle of its build, on the same worker and scheduler, while the mistakes
//! are made. It must succeed afterwards.

use std::ffi::OsString;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context as _, Result};
use rig::{GitServer, Process, ProcessState, Repository, Rig, output_within};
use testbed::{HeldJob, Output, POOL, Site, WAIT_LIMIT, busybox, peak_memory};

/// The capacity for the bystander's job and an invalid one.
const CAPACITY_FOR_TWO: &str = "--capacity=2";

/// The limit of a description is 8 MiB.
const TOO_LARGE: usize = 9 << 20;

// Jobs.

#[test]
fn the_error_for_an_unknown_pool_lists_the_pools() -> Result<()> {
    let Some(rig) = Rig::or_not_run("the_error_for_an_unknown_pool_lists_the_pools") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL, "linux-arm32"])?;
    site.worker("w1", &[])?;
    let bystander = site.held_job(&[])?;
    for (pool, shown) in [
        ("linux", "\"linux\""),
        ("", "\"\""),
        ("a\nb\u{1b}[2J", r#""a\nb"#),
    ] {
        let output = site.dockerfile("FROM busybox\n")?.pool(pool).run()?;
        output
            .check(
                124,
                &[
                    &format!("Pool ID {shown}"),
                    "not one of {linux-arm32, linux-x86_64}",
                ],
            )
            .check_absent("\u{1b}");
    }
    check_undisturbed(bystander)?;
    site.finish()
}

#[test]
fn a_job_fails_if_its_source_cannot_be_fetched() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_job_fails_if_its_source_cannot_be_fetched") else {
        return Ok(());
    };
    let (site, server, commit) = site_with_project(&rig)?;
    let bystander = site.held_job(&[])?;
    let url = server.url("project");
    let absent = "0123456789012345678901234567890123456789";
    for (url, commit, why) in [
        (
            &*url,
            "main",
            "commit \"main\" is not a full 40-digit hexadecimal id",
        ),
        (
            &*url,
            &commit[..12],
            "is not a full 40-digit hexadecimal id",
        ),
        (&*url, "--", "commit \"--\" is not"),
        (
            &*url,
            "",
            "commit \"\" is not a full 40-digit hexadecimal id",
        ),
        (&*url, absent, absent),
        (
            &server.url("nothing"),
            &*commit,
            "git-fetch failed with exit-code 128",
        ),
        (
            "file:///etc",
            &*commit,
            "Unsupported scheme \"file\" in URL file:///etc",
        ),
        (
            "ssh://git@localhost/x",
            &*commit,
            "Unsupported scheme \"ssh\"",
        ),
        ("ext::sh -c true", &*commit, "Unsupported scheme \"ext\""),
        ("/etc", &*commit, "Missing scheme in URL /etc"),
        ("http://", &*commit, "http://"),
    ] {
        let job = site.submit().args(&["--unchecked"]);
        failure(job.source(url, &["--", commit]).run()?, why);
    }
    check_undisturbed(bystander)?;
    site.finish()
}

#[test]
fn a_dockerfile_outside_of_the_context_is_not_read() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_dockerfile_outside_of_the_context_is_not_read") else {
        return Ok(());
    };
    let (site, server, commit) = site_with_project(&rig)?;
    let bystander = site.held_job(&[])?;
    for (path, why) in [
        ("../Dockerfile", "Relative segment in ../Dockerfile"),
        ("folder/../../x", "Relative segment in folder/../../x"),
        ("/etc/passwd", "/etc/passwd is an absolute path!"),
        ("-", "Path cannot be '-'!"),
        ("", "Empty path!"),
        ("nothing", "\"nothing\" does not exist (in nothing)"),
        ("folder", "\"folder\" is not a regular file (in folder)"),
        (
            "link-to-passwd",
            "\"link-to-passwd\" is not a regular file (in link-to-passwd)",
        ),
        (
            "link-to-etc/passwd",
            "\"link-to-etc\" is not a directory (in link-to-etc/passwd)",
        ),
        ("a\nb", "\"a\\nb\" does not exist"),
    ] {
        let path = format!("--context-dockerfile={path}");
        let job = site
            .submit()
            .args(&["--unchecked", &path])
            .source(&server.url("project"), &[&commit]);
        failure(job.run()?, why).check_absent("root:");
    }
    check_undisturbed(bystander)?;
    site.finish()
}

#[test]
fn options_of_a_build_are_checked() -> Result<()> {
    let Some(rig) = Rig::or_not_run("options_of_a_build_are_checked") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    site.worker("w1", &[CAPACITY_FOR_TWO])?;
    site.write("token", "s3cret")?;
    let bystander = site.held_job(&[])?;
    // By the worker, because not every client is ours, which checks them before.
    for (options, why) in [
        (
            &["--buildkit", "--secret=a,src=/etc/passwd:token"][..],
            "secret id \"a,src=/etc/passwd\" is not allowed",
        ),
        (
            &["--buildkit", "--secret=:token"],
            "secret id \"\" is not allowed",
        ),
        (
            &["--build-arg=HOME"],
            "build argument \"HOME\" has no value",
        ),
        (
            &["--push-to=org/image:tag"],
            "start the worker with --allow-push \"org/image\"",
        ),
    ] {
        let job = site.dockerfile("FROM busybox\n")?.args(&["--unchecked"]);
        let job = job.args(options);
        failure(job.run()?, why).check_absent("s3cret");
    }
    // By the client.
    for (options, why) in [
        (
            &["--push-to=org/image"][..],
            "Missing ':TAG' in target \"org/image\"",
        ),
        (&["--push-to=org/image:"], "Tag empty in \"org/image:\""),
        (
            &["--push-user=me"],
            "Must use --push-to with --push-user/--push-password",
        ),
        (
            &["--push-to=org/image:1", "--push-user=me"],
            "Must use --push-user with --push-password",
        ),
        (&["--secret=token"], "missing a ':' separator"),
        (&["--secret=token:nothing"], "nothing"),
        (
            &["--context-dockerfile=x"],
            "Can't use --local-dockerfile and --context-dockerfile together!",
        ),
    ] {
        let output = site.dockerfile("FROM busybox\n")?.args(options).run()?;
        assert!(matches!(output.code, Some(124 | 125)), "{output}");
        let code = output.code.unwrap_or_default();
        output.check(code, &[why]);
    }
    check_undisturbed(bystander)?;
    site.finish()
}

#[test]
fn an_oversized_job_is_refused() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_oversized_job_is_refused") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    site.worker("w1", &[CAPACITY_FOR_TWO])?;
    let bystander = site.held_job(&[])?;
    for size in [TOO_LARGE, 10 * TOO_LARGE] {
        let comment = format!("FROM busybox\n# {}\n", "x".repeat(size));
        let output = site.dockerfile(&comment)?.run()?.check(124, &["larger"]);
        assert!(output.stdout.len() + output.stderr.len() < 1000, "{output}");
    }
    check_undisturbed(bystander)?;
    site.finish()
}

#[test]
fn text_that_is_not_utf_8_is_refused() -> Result<()> {
    let Some(rig) = Rig::or_not_run("text_that_is_not_utf_8_is_refused") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    site.worker("w1", &[CAPACITY_FOR_TWO])?;
    let bystander = site.held_job(&[])?;
    let latin = OsString::from_vec(b"caf\xe9".to_vec());
    site.dockerfile("FROM busybox\n")?
        .pool(latin)
        .run()?
        .check(124, &["--pool", "UTF-8"]);
    site.write("latin", b"FROM busybox\nRUN echo caf\xe9\n")?;
    let job = site.submit().args(&["--local-dockerfile=latin"]);
    job.run()?.check(
        124,
        &["--local-dockerfile", "'latin'", "it is not UTF-8 text"],
    );
    check_undisturbed(bystander)?;
    site.finish()
}

// Workers and their logs.

#[test]
fn a_worker_whose_name_is_taken_is_refused() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_worker_whose_name_is_taken_is_refused") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let bystander = site.held_job(&[])?;
    let (_, log) = second_worker(&site, "w1", "elsewhere")?;
    site.wait_for_log(&log, "Worker already registered!")?;
    // The name may become free, so the worker retries.
    site.wait_for_log(&log, "Will retry in")?;
    site.wait_for_log("scheduler", "Worker \"w1\" already registered!")?;
    site.wait_for_state("w1 (0): [] (1 running)")?;
    check_undisturbed(bystander)?;
    site.dockerfile("FROM busybox\n")?
        .run()?
        .check(0, &["Building on w1"]);
    // Two workers cannot use one directory.
    let (process, log) = second_worker(&site, "w2", "worker-w1")?;
    site.wait_for_log(&log, "in use by another worker; give each worker its own")?;
    assert_ne!(site.cluster.holder().wait(process, WAIT_LIMIT)?, 0);
    site.finish()
}

/// Starts a worker without waiting until it is registered. Returns the name of its log, too.
fn second_worker(site: &Site, name: &str, state_dir: &str) -> Result<(Process, String)> {
    let log = format!("second-{name}");
    let mut command = site.cluster.program("ocluster-worker");
    command
        .arg(format!("./capnp-secrets/pool-{POOL}.cap"))
        .args(["--name", name, "--state-dir", state_dir])
        .envs(site.rig.docker.env());
    let process = site.cluster.holder().run(&command, &format!("{log}.log"))?;
    Ok((process, log))
}

#[test]
fn a_line_of_50_mib_is_complete() -> Result<()> {
    const LENGTH: usize = 50 << 20;
    let Some(rig) = Rig::or_not_run("a_line_of_50_mib_is_complete") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let worker = site.worker("w1", &[CAPACITY_FOR_TWO])?;
    let bystander = site.held_job(&[])?;
    let scheduler = site.cluster.scheduler().context("no scheduler")?;
    let processes = [worker.process(), scheduler];
    let before = [peak_memory(processes[0])?, peak_memory(processes[1])?];
    let print = format!("head -c {LENGTH} /dev/zero | tr '\\000' '~'");
    let output = site
        .dockerfile(&busybox(&format!("RUN {print}; echo; echo end"))?)?
        .run()?;
    let received = output.stdout.bytes().filter(|byte| *byte == b'~').count();
    // The command itself is shown, too.
    assert_eq!(received, LENGTH + 1);
    let output = output.check(0, &[]);
    assert!(output.stdout.ends_with("Job succeeded\n"));
    // Pieces of the log take memory, the more the busier the machine is; the whole line never does.
    for (process, before) in processes.into_iter().zip(before) {
        let growth = peak_memory(process)?.saturating_sub(before);
        assert!(
            growth < LENGTH,
            "{growth} bytes more memory for a line of {LENGTH}"
        );
    }
    check_undisturbed(bystander)?;
    site.finish()
}

// Peers.

#[test]
fn peers_without_certificate_or_protocol_are_disconnected_at_once() -> Result<()> {
    let Some(rig) =
        Rig::or_not_run("peers_without_certificate_or_protocol_are_disconnected_at_once")
    else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let bystander = site.held_job(&[])?;
    let address = format!("127.0.0.1:{}", site.cluster.port());
    // This peer would read until the other side closes the connection.
    for version in ["-tls1_2", "-tls1_3"] {
        let mut peer = Command::new("openssl");
        peer.args(["s_client", "-connect", &address, version, "-ign_eof"]);
        output_within(&mut peer, WAIT_LIMIT)
            .context("a peer without certificate was not closed")?;
    }
    for nonsense in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        &[0; 4096],
        &[0x16, 3, 1, 0xff, 0xff],
        b"\xff\xfe\0",
    ] {
        let mut peer = TcpStream::connect((Ipv4Addr::LOCALHOST, site.cluster.port()))?;
        peer.set_read_timeout(Some(WAIT_LIMIT))?;
        peer.write_all(nonsense)?;
        let closed = peer.read_to_end(&mut Vec::new());
        let is_closed =
            closed.map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |_| true);
        assert!(is_closed, "the connection is open after {nonsense:?}");
    }
    check_undisturbed(bystander)?;
    let scheduler = site.cluster.scheduler().context("no scheduler")?;
    assert_eq!(
        site.cluster.holder().state(scheduler)?,
        ProcessState::Running
    );
    site.finish()
}

// Helpers of the tests.

/// Checks that the bystander's job was not disturbed.
fn check_undisturbed(bystander: HeldJob<'_>) -> Result<()> {
    bystander
        .release()?
        .check(0, &["now building\nnow released\n", "Job succeeded"]);
    Ok(())
}

/// Checks that the job failed because of `why`, and that this is the last line.
#[track_caller]
fn failure(output: Output, why: &str) -> Output {
    output
        .check(1, &[why, "Failed: Build failed.\n"])
        .check_absent("Internal error")
}

/// Starts a cluster and a git server with a project that contains symbolic links.
fn site_with_project(rig: &Rig) -> Result<(Site, GitServer, String)> {
    let mut site = Site::start(rig, &[POOL])?;
    site.worker("w1", &[CAPACITY_FOR_TWO])?;
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "project")?;
    symlink("/etc/passwd", project.work_tree().join("link-to-passwd"))?;
    symlink("/etc", project.work_tree().join("link-to-etc"))?;
    let commit = project.commit(&[("Dockerfile", "FROM busybox\n"), ("folder/note", "note")])?;
    Ok((site, GitServer::http(&repositories)?, commit))
}
