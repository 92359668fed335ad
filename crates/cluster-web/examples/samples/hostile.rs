//! Texts that would like to do something, or are as long as they may be.

use cluster_json::kept_jobs::KeptJob;
use cluster_web::pages::{
    Asked, AskedText, JobPage, JobRow, LogOptions, PoolPage, QueuedRow, RunningRow, Waiting,
};

use super::{job as jobs, logs, pools};

const SCRIPT: &str =
    "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>\"'>\u{202e}gnp.exe\u{200b}";

fn labels() -> std::collections::BTreeMap<String, String> {
    let long = "x".repeat(255);
    [
        ("repo", SCRIPT),
        ("commit", SCRIPT),
        (SCRIPT, long.as_str()),
        ("branch", SCRIPT),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

pub(super) fn job() -> JobPage {
    let options = LogOptions {
        job: "../../x".to_owned(),
        length: 400,
        to: 400,
        is_complete: true,
        ..LogOptions::default()
    };
    let page = JobPage {
        job: JobRow {
            kept: KeptJob {
                labels: labels(),
                worker: Some("w".repeat(255)),
                kind: SCRIPT.to_owned(),
                ..jobs::page("failed", "").job.kept
            },
            client: Some(SCRIPT.to_owned()),
            ..JobRow::default()
        },
        status: SCRIPT.repeat(3),
        cache_hint: SCRIPT.to_owned(),
        output: Some(SCRIPT.to_owned()),
        log: Some(jobs::view(logs::HOSTILE, options, &[])),
        asked: Some(Asked {
            kind: "obuilder".to_owned(),
            repository: Some(format!("javascript:{SCRIPT}")),
            text: Some(AskedText {
                name: "spec".to_owned(),
                text: format!("</code></pre>{SCRIPT}\nEND\n"),
            }),
            secrets: vec![SCRIPT.to_owned()],
            ..Asked::default()
        }),
        ..jobs::failed()
    };
    page.with_reproduction()
}

pub(super) fn pool() -> PoolPage {
    let mut page = pools::pool();
    page.pool.name = "p".repeat(255);
    page.queue.insert(
        0,
        QueuedRow {
            client: Some("c".repeat(255)),
            cache_hint: Some(SCRIPT.repeat(20)),
            labels: labels(),
            reason: Some(Waiting {
                text: SCRIPT.to_owned(),
                ..Waiting::default()
            }),
            ..QueuedRow::default()
        },
    );
    page.running.insert(
        0,
        RunningRow {
            worker: "w".repeat(255),
            cache_hint: Some("h".repeat(4000)),
            labels: labels(),
            ..RunningRow::default()
        },
    );
    page
}
