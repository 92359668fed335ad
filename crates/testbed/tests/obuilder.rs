//! OBuilder jobs in a cluster whose workers have no Docker engine.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use rig::{Filesystem, GitServer, LoopDisk, Repository, Rig, busybox_rootfs, traces};
use rustix::process::Signal;
use testbed::{Output, Program, Site, unique, wait_until_gone};

fn site(name: &str) -> Result<Option<(Rig, Site)>> {
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(None);
    };
    let mut site = Site::start(&rig, &[testbed::POOL])?;
    site.obuilder_worker("w1", &["--capacity=4"])?;
    Ok(Some((rig, site)))
}

/// Returns a spec that starts from busybox and has not been built before.
fn spec(ops: &str) -> Result<String> {
    let run = unique("run")?;
    Ok(format!(
        "((from busybox) (shell /bin/sh -c) (env TEST_RUN {run}) {ops})"
    ))
}

/// Returns the lines of a job's log without colours.
fn lines(output: &Output) -> Vec<String> {
    let plain = |line: &str| {
        let mut text = String::new();
        let mut parts = line.split('\x1b');
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            text.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
        }
        text
    };
    output.stdout.lines().map(plain).collect()
}

#[test]
fn the_job_of_the_documentation() -> Result<()> {
    let Some((_rig, site)) = site("the_job_of_the_documentation")? else {
        return Ok(());
    };
    let spec = "((from busybox) (shell /bin/sh -c) (run (shell date)))";
    let job = || site.spec(spec)?.args(&["--cache-hint", "tutorial"]).run();
    let first = job()?.check(0, &["Building on w1", "Job succeeded"]);
    let base = "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91";
    first.check(
        0,
        &[
            "\n\x1b[01;34m(from busybox)\x1b[0m\n",
            "\n\x1b[01;34m/: (shell /bin/sh -c)\x1b[0m\n",
            "\n\x1b[01;34m/: (run (shell date))\x1b[0m\n",
            &format!(" ---> saved as \"{base}\"\x1b[0m\n"),
        ],
    );
    // The output is printed again, and nothing is run.
    let second = job()?.check(0, &[&format!("---> using \"{base}\" from cache")]);
    let date = |output: &Output| {
        lines(output)
            .into_iter()
            .find(|line| line.contains(" UTC "))
    };
    let job = site.spec(spec)?.run()?;
    assert!(date(&second).is_some());
    assert_eq!(date(&second), date(&job));
    let result = second.stdout.lines().last().unwrap_or_default().to_owned();
    assert_eq!(result.len(), "Result: \"\"".len() + 64, "{result}");
    site.finish()
}

#[test]
fn a_job_copies_from_its_commit() -> Result<()> {
    let Some((_rig, site)) = site("a_job_copies_from_its_commit")? else {
        return Ok(());
    };
    let folder = site.repositories()?;
    let repository = Repository::create(&folder, "hello")?;
    let commit = repository.commit(&[("greeting.txt", "hello from git\n"), ("x/y", "why\n")])?;
    let server = GitServer::http(&folder)?;
    let ops = r#"(copy (src greeting.txt x) (dst /src/)) (run (shell "cat /src/greeting.txt /src/x/y; ls -A /src"))"#;
    let job = site.spec(&spec(ops)?)?;
    let output = job.source(&server.url("hello"), &[&commit]).run()?;
    output.check(
        0,
        &["hello from git\nwhy\ngreeting.txt\nx\n", "Job succeeded"],
    );
    site.finish()
}

#[test]
fn jobs_at_the_same_time_share_their_steps() -> Result<()> {
    let Some((_rig, site)) = site("jobs_at_the_same_time_share_their_steps")? else {
        return Ok(());
    };
    let random = r#"(run (shell "cat /proc/sys/kernel/random/uuid; echo started; sleep 2"))"#;
    let base = spec(random)?;
    let variant = |word: &str| {
        let last = format!("(run (shell \"echo {word}\")))");
        base.strip_suffix(')').map(|spec| format!("{spec} {last}"))
    };
    let mut clients = Vec::new();
    for word in ["one", "two", "three"] {
        let spec = variant(word).context("no spec")?;
        clients.push((word, site.spec(&spec)?.begin()?));
    }
    let mut seen = Vec::new();
    for (word, client) in clients {
        let output = client
            .end()?
            .check(0, &["Job succeeded", &format!("\n{word}\n")]);
        let lines = lines(&output);
        let place = lines.iter().position(|line| line == "started");
        let place = place.context("the step printed nothing")?;
        seen.push(lines.get(place - 1).cloned());
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "the step ran more than once: {seen:?}");
    site.finish()
}

#[test]
fn the_log_of_a_failed_job_has_the_reason() -> Result<()> {
    let Some((_rig, site)) = site("the_log_of_a_failed_job_has_the_reason")? else {
        return Ok(());
    };
    let failed = |spec: &str, texts: &[&str]| -> Result<()> {
        // Otherwise our client would report some of these errors.
        let output = site.spec(spec)?.args(&["--unchecked"]).run()?;
        let mut all = vec!["Failed: Build failed.\n"];
        all.extend(texts);
        output.check(1, &all);
        Ok(())
    };
    failed(
        &spec(r#"(run (shell "echo out; exit 4"))"#)?,
        &[
            "\nout\n",
            "\"/bin/sh\" \"-c\" \"echo out; exit 4\" failed with exit status 4\n",
        ],
    )?;
    // The worker reports the exit code, also where the log hides it.
    site.write("note", "failed with exit status")?;
    site.spec(&spec(r#"(run (shell "exit 4"))"#)?)?
        .args(&["--output=json", "--secret=note:note"])
        .run()?
        .check(1, &["\"exit 4\\\" *** 4\\n\"", "\"command_exit_code\":4"]);
    failed(
        &spec("(run (secrets (foo (target /foo))) (shell true))")?,
        &["Couldn't find value for requested secret 'foo'\n"],
    )?;
    failed("((from busybox)\n (rum (shell date)))", &["spec:2:3: "])?;
    failed(
        &spec("(copy (src nothing) (dst /))")?,
        &["Source path \"nothing\" not found\n"],
    )?;
    failed(
        "((from nosuch.invalid/image:1))",
        &["nosuch.invalid/image:1"],
    )?;
    site.finish()
}

#[test]
fn only_its_step_can_read_a_secret() -> Result<()> {
    let Some((_rig, site)) = site("only_its_step_can_read_a_secret")? else {
        return Ok(());
    };
    let value = unique("secret")?;
    site.write("password", &value)?;
    let ops = r#"(run (secrets (password (target /run/secrets/password))) (shell "wc -c < /run/secrets/password"))
        (run (shell "cat /run/secrets/password; grep -rs secret- /proc/self/environ /etc /run /tmp; echo end"))"#;
    let output = site
        .spec(&spec(ops)?)?
        .args(&["--secret", "password:password"])
        .run()?
        .check(0, &[&format!("\n{}\n", value.len()), "\nend\n"]);
    assert!(!output.stdout.contains(&value) && !output.stderr.contains(&value));
    let log = site.cluster.log("w1")?;
    assert!(!log.contains(&value), "{log}");
    // It is not in the store either: results, logs, database, sandbox.
    let store = site.cluster.obuilder_store("w1");
    let found = std::process::Command::new("grep")
        .args(["-rlF", "--", &value])
        .arg(&store)
        .output()?;
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    site.finish()
}

/// Starts a job that runs until it is stopped. Also returns a mark that all of its processes have.
fn endless(site: &Site) -> Result<(Program, String)> {
    let mark = unique("endless")?;
    let ops = format!(r#"(run (shell "echo up; setsid sleep 1000 {mark} & sleep 1000"))"#);
    let ops = ops.replace("setsid sleep 1000", "setsid sh -c 'sleep 1000; true'");
    let submit = site.spec(&spec(&ops)?)?.args(&["--attempts=1"]);
    let mut client = submit.begin()?;
    client.wait_for("\nup\n")?;
    Ok((client, mark))
}

#[test]
fn an_interrupted_job_is_stopped() -> Result<()> {
    let Some((_rig, site)) = site("an_interrupted_job_is_stopped")? else {
        return Ok(());
    };
    let (client, mark) = endless(&site)?;
    assert!(!traces(&mark)?.is_empty());
    client.interrupt()?;
    client.end()?.check(130, &[]);
    wait_until_gone(&mark)?;
    site.spec(&spec("(run (shell date))")?)?
        .run()?
        .check(0, &["Job succeeded"]);
    site.finish()
}

#[test]
fn a_restarted_worker_cleans_up_after_a_kill() -> Result<()> {
    let name = "a_restarted_worker_cleans_up_after_a_kill";
    let Some((_rig, mut site)) = site(name)? else {
        return Ok(());
    };
    let (client, mark) = endless(&site)?;
    // It is the only worker of its pool.
    let worker = site.cluster.worker_named("w1").context("no worker")?;
    site.cluster.signal(worker.process(), Signal::KILL)?;
    site.cluster
        .restart_obuilder_worker(testbed::POOL, "w1", &[])?;
    let log = || site.cluster.log("w1").unwrap_or_default();
    wait_until_gone(&mark).with_context(log)?;
    let ended = client.end().with_context(log)?;
    ended.check(75, &["Disconnected"]);
    site.spec(&spec("(run (shell date))")?)?
        .run()?
        .check(0, &["Job succeeded"]);
    let store = site.cluster.obuilder_store("w1");
    site.finish()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    assert!(!mounts.contains(&store.display().to_string()), "{mounts}");
    Ok(())
}

#[test]
fn a_worker_takes_no_jobs_while_its_runtime_fails() -> Result<()> {
    let name = "a_worker_takes_no_jobs_while_its_runtime_fails";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[testbed::POOL])?;
    let broken = site.folder().join("broken");
    let script = format!(
        "#!/bin/sh\ntest ! -e {} || {{ echo 'the runtime is broken' >&2; exit 1; }}\nexec runc \"$@\"\n",
        broken.display()
    );
    let runtime = site.write("runtime", script)?;
    fs::set_permissions(
        &runtime,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let option = format!("--obuilder-runtime={}", runtime.display());
    site.obuilder_worker("w1", &[&option, "--obuilder-healthcheck=1"])?;
    site.write("broken", "")?;
    site.wait_for_log("w1", "Health check failed: ")?;
    let mut job = site.spec(&spec("(run (shell date))")?)?.begin()?;
    site.wait_for_state("queue: (backlog) [")?;
    assert!(!job.has_ended()?);
    fs::remove_file(&broken)?;
    site.wait_for_log("w1", "System is healthy again; unpausing")?;
    job.end()?.check(0, &["Job succeeded"]);
    site.finish()
}

#[test]
fn a_worker_that_cannot_build_does_not_start() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_worker_that_cannot_build_does_not_start") else {
        return Ok(());
    };
    let site = Site::start(&rig, &[testbed::POOL])?;
    let line = |options: &str| {
        format!(
            "ocluster-worker ./capnp-secrets/pool-{}.cap --name=w1 --state-dir=./w1 {options}",
            testbed::POOL
        )
    };
    let store = site.folder().join("store");
    let store = store.display();
    site.run(&line("--obuilder-store=floppy:/x"))?.check(
        124,
        &["Store must start with overlayfs:/, btrfs:/, xfs:/, rsync:/ or zfs:"],
    );
    site.run(&line(&format!("--obuilder-store=rsync:{store}")))?
        .check(124, &["Store rsync:/ must supply an rsync-mode"]);
    site.run(&line(&format!(
        "--obuilder-store=rsync:{store} --rsync-mode=copy --obuilder-runtime=false"
    )))?
    .check(1, &["Initial OBuilder healthcheck failed: "]);
    site.run(&line(&format!(
        "--obuilder-store=rsync:{store} --rsync-mode=copy --obuilder-runtime=nosuch"
    )))?
    .check(1, &["cannot find the runtime \"nosuch\""]);
    site.finish()
}

#[test]
fn an_unreachable_threshold_removes_no_result_and_fails_no_job() -> Result<()> {
    let name = "an_unreachable_threshold_removes_no_result_and_fails_no_job";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let site = Site::start(&rig, &[testbed::POOL])?;
    let store = site.folder().join("store");
    busybox_rootfs(&site.folder().join("rootfs"))?;
    site.write(
        "cache.spec",
        "((from busybox) (shell /bin/sh -c) (run (cache (c (target /c))) (shell \"date > /c/x\")))",
    )?;
    for command in ["image import busybox rootfs", "build -f cache.spec rootfs"] {
        let line = format!("obuilder {command} --store=overlayfs:{}", store.display());
        site.run(&line)?.check(0, &[]);
    }
    let results = store.join("result");
    let count = || anyhow::Ok(fs::read_dir(&results)?.count());
    let before = count()?;
    let worker = |options: &str| {
        site.begin(&format!(
            "ocluster-worker ./capnp-secrets/pool-{}.cap --name=w1 --state-dir=./w1 \
             --obuilder-store=overlayfs:{} --obuilder-prune-threshold=100 {options}",
            testbed::POOL,
            store.display()
        ))
    };

    // 100% are never free, even with an empty store.
    let mut worker_process = worker("--obuilder-min-free=1M")?;
    worker_process.wait_for("removing all of the store would not reach 100%")?;
    site.spec(&spec("(run (shell date))")?)?
        .run()?
        .check(0, &["Job succeeded"]);
    ensure!(count()? > before, "results were removed");
    worker_process.interrupt()?;
    worker_process.end()?;

    // Neither are 1000 TB, and jobs are expected to fail with less.
    let mut full = worker("--obuilder-min-free=1000T")?;
    full.wait_for("Taking no jobs: OBuilder's store is full: ")?;
    let mut job = site.spec(&spec("(run (shell date))")?)?.begin()?;
    job.wait_for(
        "queued: the only worker of pool linux-x86_64 is paused: w1: OBuilder's store is full: ",
    )?;
    assert!(!job.has_ended()?);
    drop(job);
    ensure!(count()? > before, "results were removed");
    full.interrupt()?;
    full.end()?;
    site.finish()
}

/// Builds a job with a hint. Returns how the scheduler has found the worker for it, and its output.
fn build(site: &Site, hint: &str, spec: &str) -> Result<(String, Output)> {
    // Otherwise the job may come before the worker asks for it, and go to the backlog.
    site.wait_for_state("queue: (ready) [w1]")?;
    let job = site.spec(spec)?.args(&["--cache-hint", hint]).run()?;
    let job = job.check(0, &["Job succeeded"]);
    let log = site.cluster.log("scheduler")?;
    let assigned = format!("Assigning {hint} to ");
    let line = log.lines().rfind(|line| line.contains(&assigned));
    let line = line.with_context(|| format!("not assigned:\n{log}"))?;
    Ok((line.to_owned(), job))
}

#[test]
fn a_worker_is_not_preferred_for_results_that_it_has_pruned() -> Result<()> {
    let name = "a_worker_is_not_preferred_for_results_that_it_has_pruned";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let disk = LoopDisk::new(Filesystem::Ext4, 256 << 20)?;
    let mut site = Site::start(&rig, &[testbed::POOL])?;
    let store = format!("overlayfs:{}", disk.path().join("store").display());
    busybox_rootfs(&site.folder().join("rootfs"))?;
    site.run(&format!(
        "obuilder image import busybox rootfs --store={store}"
    ))?
    .check(0, &[]);
    // Of two jobs, each takes a quarter of the disk.
    let start = |site: &mut Site, threshold: u8| {
        let store = format!("--obuilder-store={store}");
        let threshold = format!("--obuilder-prune-threshold={threshold}");
        let options = [&*store, &threshold, "--obuilder-min-free=1M"];
        site.cluster
            .start_obuilder_worker(testbed::POOL, "w1", &options)
    };
    let large = |name: &str| {
        let size = 70 << 20;
        spec(&format!(
            "(run (shell \"head -c {size} /dev/zero > /{name}\"))"
        ))
    };
    let worker = start(&mut site, 0)?;
    let mut jobs = Vec::new();
    for hint in ["one", "other"] {
        let spec = large(hint)?;
        let (first, job) = build(&site, hint, &spec)?;
        ensure!(!first.contains("(preferred)"), "{first}");
        let saved = lines(&job);
        let saved = saved.iter().rev().find_map(|line| {
            let (_, id) = line.split_once("---> saved as \"")?;
            Some(id.trim_end_matches('"').to_owned())
        });
        let id = saved.with_context(|| format!("no result in:\n{job}"))?;
        let (again, _) = build(&site, hint, &spec)?;
        ensure!(again.contains("(preferred)"), "{again}");
        jobs.push((hint, spec, id));
    }

    // With less than half of the disk free, one of the results goes, and the worker knows of which hint that was.
    site.cluster.stop_worker(&worker)?;
    start(&mut site, 50)?;
    let report = "Reported that nothing is cached any more for 1 cache hint";
    site.wait_for_log("w1", report)?;
    let results = disk.path().join("store/result");
    let (kept, pruned): (Vec<_>, Vec<_>) = jobs
        .iter()
        .partition(|(_, _, id)| results.join(id).exists());
    assert_eq!((kept.len(), pruned.len()), (1, 1), "{jobs:?}");
    for (hint, spec, _) in kept {
        let (found, _) = build(&site, hint, spec)?;
        ensure!(found.contains("(preferred)"), "{found}");
    }
    for (hint, spec, _) in pruned {
        let (found, _) = build(&site, hint, spec)?;
        ensure!(!found.contains("(preferred)"), "{found}");
    }
    site.finish()
}
