//! What is kept of durable jobs, how long, and what happens when the disk is full.

use std::fs;
use std::num::NonZeroU8;
use std::path::Path;
use std::time::Duration;

use cluster_api::{
    AuditQuery, DurableOutcome, JobQuery, JobRequest, JobState, RpcErrorKind, Secret, SecretValue,
    Unwatched,
};
use cluster_scheduler::SchedulerConfig;
use futures::FutureExt as _;
use testkit::{
    BuildOutcome, MockBuilder, MockWorker, Site, config_in, docker, follow_ticket, story, until,
};

use crate::durable::{connect, ended, log, request, submit, success};
use crate::metrics::{get, shows};

const FULL: &str = "Cannot save jobs";

/// Keeps everybody else from writing the database of jobs, as a full disk does.
fn fill_disk(site: &Site) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(site.config.state_dir.join("jobs.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    database
}

#[test]
fn while_jobs_cannot_be_saved_all_else_goes_on() {
    story(async {
        let any_port = "127.0.0.1:0".parse().unwrap();
        let site = Site::start_with(|config| config.metrics = Some(any_port)).await;
        let metrics = site.scheduler().metrics_address().unwrap();
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (_, running) = submit(&client, &request("running")).await;
        builder.starts("running").await;

        // New jobs are refused. Operators and other jobs go on.
        let full = fill_disk(&site);
        let refused = client
            .submit_durable(&request("refused"))
            .await
            .unwrap_err();
        assert_eq!(refused.kind, RpcErrorKind::Overloaded);
        assert!(
            refused.reason.contains("cannot save the job: "),
            "{refused:?}"
        );
        let (admin, _admin_connected) = site.admin().await;
        admin.add_client("alice").await.unwrap();
        assert!(
            site.logs
                .contains("Cannot save an entry of the audit log: add-client")
        );
        assert!(site.logs.contains(FULL));
        shows(metrics, &["ocluster_jobs_database_failing 1"]).await;
        assert_eq!(get(metrics, "/readyz").await.0, 503);
        let ticket = client.submit("pool", &docker("attached"), false);
        builder.end("running", BuildOutcome::Succeeded("done"));
        builder.end("attached", BuildOutcome::Succeeded("as ever"));
        assert_eq!(ticket.job().result().await.unwrap(), "as ever");

        // What was to be saved is saved as soon as it can be.
        full.execute_batch("ROLLBACK").unwrap();
        assert_eq!(ended(&running).await, (1, success("done")));
        until("the entry is saved", async || {
            let page = admin.audit(&AuditQuery::default()).await.unwrap();
            page.entries.iter().any(|entry| entry.object == "alice")
        })
        .await;
        shows(
            metrics,
            &[
                "ocluster_jobs_database_failing 0",
                "ocluster_durable_jobs{state=\"running\"} 0",
                "ocluster_durable_jobs_ended_total{state=\"succeeded\"} 1",
                "ocluster_durable_oldest_unacknowledged_seconds 0",
            ],
        )
        .await;
        submit(&client, &request("accepted")).await;
    });
}

#[test]
fn a_worker_that_was_chosen_for_a_job_that_is_refused_takes_the_next() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let full = fill_disk(&site);
        let refused = client.submit_durable(&request("refused")).await;
        assert_eq!(refused.unwrap_err().kind, RpcErrorKind::Overloaded);
        builder.end("attached", BuildOutcome::Succeeded("as ever"));
        let ticket = client.submit("pool", &docker("attached"), false);
        assert_eq!(ticket.job().result().await.unwrap(), "as ever");

        full.execute_batch("ROLLBACK").unwrap();
        builder.end("accepted", BuildOutcome::Succeeded("done"));
        let (_, accepted) = submit(&client, &request("accepted")).await;
        assert_eq!(ended(&accepted).await, (1, success("done")));
        assert_eq!(builder.started(), ["w1 attached", "w1 accepted"]);
        let page = client.list_durable(&JobQuery::default()).await.unwrap();
        assert_eq!(page.jobs.iter().filter(|job| !job.attached).count(), 1);
    });
}

#[test]
fn no_client_learns_of_an_end_that_is_not_saved() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let (_, job) = submit(&client, &request("image")).await;
        let full = fill_disk(&site);
        let mut answers = [job.cancel(), job.cancel()];
        // Both have arrived when a later call is answered.
        client.list_durable(&JobQuery::default()).await.unwrap();
        for answer in &mut answers {
            assert_eq!(answer.now_or_never(), None);
        }
        full.execute_batch("ROLLBACK").unwrap();
        let [first, second] = answers;
        first.await.unwrap();
        assert_eq!(second.await.unwrap_err().reason, "the job has ended");
    });
}

#[test]
fn a_log_that_cannot_be_written_stops_no_job() {
    story(async {
        let any_port = "127.0.0.1:0".parse().unwrap();
        let site = Site::start_with(|config| config.metrics = Some(any_port)).await;
        let metrics = site.scheduler().metrics_address().unwrap();
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 2, &builder).await;
        // A folder that is a file cannot be written to.
        let logs = site.config.state_dir.join("job-logs");
        let aside = site.config.state_dir.join("aside");
        fs::rename(&logs, &aside).unwrap();
        fs::write(&logs, "").unwrap();
        let (_, short) = submit(&client, &request("short")).await;
        let (_, long) = submit(&client, &request("long")).await;
        builder.starts("long").await;
        shows(metrics, &["ocluster_durable_logs_failing 1"]).await;
        builder.end("short", BuildOutcome::Succeeded("done"));
        assert_eq!(ended(&short).await, (1, success("done")));

        // The longer one has all of its log, when there is room again.
        fs::remove_file(&logs).unwrap();
        fs::rename(&aside, &logs).unwrap();
        until("logs can be written again", async || {
            site.logs.contains("can be kept again")
        })
        .await;
        builder.end("long", BuildOutcome::Succeeded("done"));
        assert_eq!(ended(&long).await, (1, success("done")));
        let text = log(&long, 1).await;
        assert!(text.contains("Building long"), "{text}");
        assert_eq!(log(&short, 1).await, "");
        shows(metrics, &["ocluster_durable_logs_failing 0"]).await;
    });
}

#[test]
fn a_job_without_output_has_an_empty_log() {
    story(async {
        let site = Site::start().await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::new();
        builder.print_nothing();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (_, job) = submit(&client, &request("durable")).await;
        let ticket = client.submit("pool", &docker("attached"), false).await;
        let ticket = ticket.unwrap();
        builder.end("durable", BuildOutcome::Succeeded("1"));
        builder.end("attached", BuildOutcome::Succeeded("2"));
        assert_eq!(ended(&job).await, (1, success("1")));
        assert_eq!(follow_ticket(&ticket).await.log, "");
        for summary in client
            .list_durable(&JobQuery::default())
            .await
            .unwrap()
            .jobs
        {
            let job = client.find_durable(&summary.id).await.unwrap();
            assert_eq!(log(&job, 1).await, "");
        }
        // Nothing was warned of.
        drop((job, ticket, client, connected, worker));
        site.finish().await;
    });
}

#[test]
fn the_oldest_logs_are_removed_when_they_take_too_much() {
    story(async {
        let site = Site::start_with(|config| config.jobs.max_logs_bytes = 150).await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let mut jobs = Vec::new();
        for name in ["first", "second", "third"] {
            let (_, job) = submit(&client, &request(name)).await;
            builder.end(name, BuildOutcome::Succeeded("done"));
            ended(&job).await;
            jobs.push(job);
        }
        until("the first log is removed", async || {
            jobs[0].log(1, 0).await.is_err()
        })
        .await;
        let error = jobs[0].log(1, 0).await.unwrap_err();
        assert!(error.reason.contains("--max-logs-size"), "{error:?}");
        assert!(log(&jobs[2], 1).await.contains("Building third"));
        // The job itself is still there.
        assert_eq!(ended(&jobs[0]).await, (1, success("done")));
    });
}

#[test]
fn jobs_get_what_the_scheduler_is_configured_to_give() {
    story(async {
        let site = Site::start_with(|config| {
            config.jobs.job_attempts = NonZeroU8::MIN;
            config.jobs.client_grace = Duration::from_millis(20);
        })
        .await;
        let (client, connected) = connect(&site).await;
        let unwatched = JobRequest {
            unwatched: Unwatched::Cancelled(Default::default()),
            ..request("unwatched")
        };
        let (_, left) = submit(&client, &unwatched).await;
        drop((left, client, connected));
        let (client, _connected) = connect(&site).await;
        until("it is cancelled", async || {
            let page = client.list_durable(&JobQuery::default()).await.unwrap();
            page.jobs[0].state == JobState::Cancelled
        })
        .await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (_, job) = submit(&client, &request("image")).await;
        builder.starts("image").await;
        worker.crash();
        let (attempts, outcome) = ended(&job).await;
        assert!(matches!(outcome, DurableOutcome::Lost(_)), "{outcome:?}");
        assert_eq!(attempts, 1);
    });
}

const SECRET: &str = "hunter2-is-not-in-any-file";

/// Returns the files below a folder that have this text in them.
fn files_with(folder: &Path, text: &str, found: &mut Vec<String>) -> usize {
    let mut searched = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            searched += files_with(&path, text, found);
            continue;
        }
        searched += 1;
        let bytes = fs::read(&path).unwrap();
        if bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    searched
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// Copies what a scheduler keeps, as the page about running one says, and its key.
fn back_up(site: &Site, config: &SchedulerConfig) {
    fs::create_dir_all(&config.state_dir).unwrap();
    let from = |name: &str| site.config.state_dir.join(name);
    for name in ["jobs.db", "scheduler.db"] {
        let database = rusqlite::Connection::open(from(name)).unwrap();
        let copy = config.state_dir.join(name);
        let copy = copy.to_str().unwrap();
        database.execute("VACUUM INTO ?1", [copy]).unwrap();
    }
    copy_folder(&from("job-logs"), &config.state_dir.join("job-logs"));
    let key = |secrets: &Path| secrets.join("key.pem");
    fs::copy(key(&site.config.secrets_dir), key(&config.secrets_dir)).unwrap();
}

/// Returns a submission with a secret.
fn with_secret(name: &str) -> JobRequest {
    let mut description = docker(name);
    description.secrets.push(Secret {
        id: "token".to_owned(),
        value: SecretValue::from(SECRET.as_bytes().to_vec()),
    });
    JobRequest {
        description: description.encode().unwrap(),
        ..request(name)
    }
}

#[test]
fn a_copy_that_was_made_while_it_ran_has_all_jobs_and_no_secret() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (ended_id, job) = submit(&client, &with_secret("ended")).await;
        builder.end("ended", BuildOutcome::Succeeded("done"));
        ended(&job).await;
        let ended_log = log(&job, 1).await;
        let (running_id, _running) = submit(&client, &with_secret("running")).await;
        builder.starts("running").await;
        let (queued_id, _queued) = submit(&client, &with_secret("queued")).await;

        let elsewhere = tempfile::tempdir().unwrap();
        let mut config = config_in(elsewhere.path());
        back_up(&site, &config);

        // Nothing secret is in it, nor in the files of the scheduler that runs.
        for folder in [&site.config.state_dir, &config.state_dir] {
            let mut found = Vec::new();
            let searched = files_with(folder, SECRET, &mut found);
            assert!(searched >= 3, "only {searched} files");
            // What is no secret is found: a label.
            let mut labels = Vec::new();
            files_with(folder, "branch", &mut labels);
            assert!(!labels.is_empty());
            assert_eq!(found, Vec::<String>::new());
        }

        // All jobs are there: those that had not ended are run.
        drop((worker, client));
        config.listen = "tcp:127.0.0.1:0".parse().unwrap();
        let copy = Site::start_in(elsewhere, config).await;
        let (client, _connected) = connect(&copy).await;
        let page = client.list_durable(&JobQuery::default()).await.unwrap();
        let ids: Vec<_> = page.jobs.iter().map(|job| job.id.as_str()).collect();
        assert_eq!(ids, [&queued_id, &running_id, &ended_id]);
        let job = client.find_durable(&ended_id).await.unwrap();
        assert_eq!(ended(&job).await, (1, success("done")));
        assert_eq!(log(&job, 1).await, ended_log);
        let builder = MockBuilder::new();
        builder.end("running", BuildOutcome::Succeeded("again"));
        builder.end("queued", BuildOutcome::Succeeded("at last"));
        let worker = MockWorker::start(&copy, "w2", 1, &builder).await;
        let running = client.find_durable(&running_id).await.unwrap();
        assert_eq!(ended(&running).await, (2, success("again")));
        let queued = client.find_durable(&queued_id).await.unwrap();
        assert_eq!(ended(&queued).await, (1, success("at last")));
        // The secret came with it.
        let description = worker.last_description().unwrap();
        assert_eq!(description.secrets[0].value.expose(), SECRET.as_bytes());
    });
}
