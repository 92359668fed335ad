//! The operators' commands about durable jobs, and the audit log.

use std::path::Path;

use cluster_api::{
    Action, Description, DockerBuild, Dockerfile, DurableJob, DurableStage, JobRequest, Label,
    Submission, Unwatched,
};
use expect_test::expect;
use vat::{DialOptions, Dialer};

use crate::cluster::{Cluster, POOL};
use crate::harness::without_times;

/// Submits a durable job, which no client watches. Returns its id, once it has ended or need not.
fn submit(cluster: &Cluster, dockerfile: &str, until_ended: bool) -> String {
    let cap = cluster.place.path().join("capnp-secrets/submission.cap");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let submitting = submit_over(&cap, dockerfile, until_ended);
    tokio::task::LocalSet::new().block_on(&runtime, submitting)
}

async fn submit_over(cap: &Path, dockerfile: &str, until_ended: bool) -> String {
    let cap = vat::cap_file::load(cap).expect("a cap file");
    let session = Dialer::new(DialOptions::default()).connect(&cap).await;
    let session = session.expect("the scheduler listens");
    let submission = Submission::from_client(session.bootstrap());
    let description = Description::new(Action::Docker(DockerBuild {
        dockerfile: Dockerfile::Contents(dockerfile.to_owned()),
        ..DockerBuild::default()
    }));
    let request = JobRequest {
        pool: POOL.to_owned(),
        description: description.encode().expect("a small description"),
        urgent: false,
        key: None,
        labels: vec![Label {
            name: "branch".to_owned(),
            value: "main".to_owned(),
        }],
        attempts: None,
        queue_limit: None,
        run_limit: None,
        silence_limit: None,
        unwatched: Unwatched::Continues,
    };
    let (id, job) = submission.submit_durable(&request).await.expect("accepted");
    if until_ended {
        wait(&job).await;
    }
    id
}

/// Waits until a job has ended.
async fn wait(job: &DurableJob) {
    let mut version = 0;
    loop {
        let status = job.watch(version).await.expect("it is kept");
        version = status.version;
        if matches!(status.stage, DurableStage::Ended { .. }) {
            return;
        }
    }
}

/// Returns text with ids and times replaced.
fn shown(cluster: &Cluster, command: &str, args: &str, ids: &[&str]) -> String {
    let text = without_times(&cluster.admin(command, args).raw_transcript());
    let names = ["FIRST-JOB-ID", "SECND-JOB-ID"];
    let replace = |text: String, (id, name): (&&str, &str)| text.replace(*id, name);
    ids.iter().zip(names).fold(text, replace)
}

#[test]
fn durable_jobs_are_listed_and_shown() {
    let mut cluster = Cluster::start();
    let _worker = cluster.worker("w1");
    let done = submit(&cluster, "FROM scratch\nRUN date\n", true);
    let failed = submit(&cluster, "FROM scratch\nRUN FAIL\n", true);
    let ids = [done.as_str(), failed.as_str()];
    expect![[r#"
        $ ocluster-admin jobs ./capnp-secrets/admin.cap
        ID            STATE      AGE  CLIENT      POOL          WORKER  LABELS
        SECND-JOB-ID  failed     0s   submission  linux-x86_64  w1      branch=main
        FIRST-JOB-ID  succeeded  0s   submission  linux-x86_64  w1      branch=main
    "#]]
    .assert_eq(&shown(&cluster, "jobs", "", &ids));
    let filters =
        "--client submission --pool linux-x86_64 --label branch=main --state failed --since 1h";
    let listed = shown(&cluster, "jobs", filters, &ids);
    assert!(
        listed.contains("SECND") && !listed.contains("FIRST"),
        "{listed}"
    );
    let none = cluster.admin("jobs", "--label branch=other");
    assert!(
        none.stdout.is_empty() && none.stderr.ends_with("No jobs.\n"),
        "{}",
        none.stderr
    );
    expect![[r#"
        $ ocluster-admin job ./capnp-secrets/admin.cap SECND-JOB-ID
        job:        SECND-JOB-ID
        state:      failed
        status:     failed with exit code 1
        client:     submission
        pool:       linux-x86_64
        kind:       docker
        submitted:  0s ago
        labels:     branch=main
        attempts:
          ATTEMPT  WORKER  STARTED  RAN  LOG       RESULT
          1        w1      0s ago   0s   74 bytes  failed: exit code 1
    "#]]
    .assert_eq(&shown(&cluster, "job", &failed, &ids));
    let log = cluster.admin("job-log", &done[..10]).success().stdout;
    assert!(log.contains("RUN date"), "{log}");
    let followed = cluster.admin("job-log", &format!("{done} --follow --attempt 1"));
    assert_eq!(followed.success().stdout, log);
    let missing = cluster.admin("job-log", &format!("{done} --attempt 2"));
    assert_eq!(missing.code(), 1);
    assert!(
        missing.stderr.contains("has had 1 attempt"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_durable_job_that_waits_is_cancelled_by_its_id() {
    let mut cluster = Cluster::start();
    let _worker = cluster.worker("w1");
    // The only worker is busy.
    let mut busy = cluster.submit("Dockerfile.wait");
    busy.wait_for_output("RUN WAIT");
    let waiting = submit(&cluster, "FROM scratch\n", false);
    let ids = [waiting.as_str()];
    expect![[r#"
        $ ocluster-admin job ./capnp-secrets/admin.cap FIRST-JOB-ID
        job:        FIRST-JOB-ID
        state:      queued
        status:     queued: next in line; the only worker of pool linux-x86_64 is busy
        client:     submission
        pool:       linux-x86_64
        kind:       docker
        submitted:  0s ago
        labels:     branch=main
    "#]]
    .assert_eq(&shown(&cluster, "job", &waiting, &ids));
    let cancel = format!("--job {waiting}");
    expect![[r#"
        $ ocluster-admin cancel ./capnp-secrets/admin.cap --job FIRST-JOB-ID
        Cancelled job FIRST-JOB-ID.
    "#]]
    .assert_eq(&shown(&cluster, "cancel", &cancel, &ids));
    expect![[r#"
        $ ocluster-admin cancel ./capnp-secrets/admin.cap --job FIRST-JOB-ID
        2> JobsAdmin.cancel: Failed: the job has ended
        [exit code 1]
    "#]]
    .assert_eq(&shown(&cluster, "cancel", &cancel, &ids));
    expect![[r#"
        $ ocluster-admin job ./capnp-secrets/admin.cap u
        2> JobsAdmin.job: Failed: there is no job "u"; list the jobs to see their ids
        [exit code 1]
    "#]]
    .assert_eq(&shown(&cluster, "job", "u", &ids));
}

#[test]
fn what_operators_did_is_shown() {
    let mut cluster = Cluster::start();
    let _worker = cluster.worker("w1");
    let nothing = cluster.admin("audit", "").success();
    assert!(nothing.stdout.is_empty() && nothing.stderr.ends_with("No entries.\n"));
    let note = cluster
        .place
        .bash("ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64 w1 --note 'new disk'");
    let _paused = note.success();
    let _added = cluster.admin("add-client", "alice").success();
    let refused = cluster.admin("add-client", "alice");
    assert_eq!(refused.code(), 1);
    let text = cluster.admin("audit", "--since 1h").success().stdout;
    let lines: Vec<&str> = text.lines().collect();
    // Each line begins with a date, a time and a name.
    let rest = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().skip(3).collect();
        words.join(" ")
    };
    assert!(lines[0].starts_with("TIME"), "{text}");
    assert_eq!(
        rest(lines[1]),
        "add-client - alice failed: Client \"alice\" already registered!"
    );
    assert_eq!(rest(lines[2]), "add-client - alice");
    assert_eq!(rest(lines[3]), "pause linux-x86_64 w1 new disk");
    assert!(lines[1].contains("  tester@"), "{text}");
    let json = cluster
        .admin("audit", "--limit 1 --output json")
        .success()
        .stdout;
    for part in [
        "\"action\": \"add-client\"",
        "\"address\": \"127.0.0.1:",
        "\"error\": \"Client ",
        "\"more\": true",
    ] {
        assert!(json.contains(part), "no {part} in:\n{json}");
    }
}
