//! What a pool learns from jobs that have ended: forecasts, and what is known after a restart. And what workers forget.

use cluster_api::{Forecast, Submission, Ticket};
use testkit::{
    BuildOutcome, MockBuilder, MockWorker, Site, docker_with_hint, follow_ticket, story, until,
};

async fn submit(client: &Submission, job: &str, hint: &str) -> Ticket {
    let description = docker_with_hint(job, hint);
    client.submit("pool", &description, false).await.unwrap()
}

/// Runs a job to its end.
async fn run(client: &Submission, builder: &MockBuilder, job: &str, hint: &str) {
    let ticket = submit(client, job, hint).await;
    builder.starts(job).await;
    builder.end(job, BuildOutcome::Succeeded(""));
    follow_ticket(&ticket).await;
}

/// Waits until a job has a forecast.
async fn forecast(ticket: &Ticket) -> Forecast {
    let mut found = None;
    until("there is a forecast", async || {
        found = ticket.explain().await.unwrap().forecast;
        found.is_some()
    })
    .await;
    found.unwrap()
}

fn is_range<T: PartialOrd>((from, to): (T, T)) -> bool {
    from <= to
}

#[test]
fn jobs_that_wait_have_forecasts_once_others_have_ended() {
    story(async {
        let mut site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        // Of the first jobs nothing is known.
        let first = submit(&client, "first", "a").await;
        builder.starts("first").await;
        let second = submit(&client, "second", "b").await;
        assert_eq!(second.explain().await.unwrap().forecast, None);
        for (ticket, job) in [(first, "first"), (second, "second")] {
            builder.starts(job).await;
            builder.end(job, BuildOutcome::Succeeded(""));
            follow_ticket(&ticket).await;
        }
        run(&client, &builder, "third", "c").await;

        let running = submit(&client, "running", "a").await;
        builder.starts("running").await;
        let waiting = submit(&client, "waiting", "a").await;
        let Forecast { start, end } = forecast(&waiting).await;
        assert!(is_range(start) && is_range(end), "{start:?} {end:?}");
        // Not before it starts. The jobs took about a millisecond, so the ranges may be the same, or over already.
        assert!(start.0 <= end.0 && start.1 <= end.1, "{start:?} {end:?}");
        // One that runs waits for nothing.
        assert_eq!(running.explain().await.unwrap().forecast, None);
        drop((running, waiting, worker, client, connected));

        // After a restart the history teaches the pool.
        site.restart().await;
        let (client, _connected) = site.client("other").await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let running = submit(&client, "running", "a").await;
        builder.starts("running").await;
        let waiting = submit(&client, "waiting", "a").await;
        let Forecast { start, end } = forecast(&waiting).await;
        assert!(is_range(start) && is_range(end), "{start:?} {end:?}");
        drop((running, waiting, worker));
        site.finish().await;
    });
}

#[test]
fn a_worker_is_not_preferred_for_what_it_has_pruned() {
    story(async {
        let mut site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        for (job, hint) in [("a1", "a"), ("b1", "b"), ("c1", "c")] {
            run(&client, &builder, job, hint).await;
        }
        let cached = async |worker: &MockWorker, hints: &[&str]| {
            let hints: Vec<_> = hints.iter().map(|hint| (*hint).to_owned()).collect();
            worker.queue.pruned(&hints).unwrap().await.unwrap();
        };
        // It has lost one, which is on disk when the scheduler has ended.
        cached(&worker, &["b"]).await;
        drop((worker, client, connected));
        site.restart().await;
        let (client, _connected) = site.client("other").await;
        let builder = MockBuilder::new();
        let w2 = MockWorker::start(&site, "w2", 1, &builder).await;
        site.shows("[w2]").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        site.shows("[w1 w2]").await;
        run(&client, &builder, "a2", "a").await;
        run(&client, &builder, "b2", "b").await;
        assert_eq!(builder.started(), ["w1 a2", "w2 b2"]);
        // Without a hint it means all.
        cached(&w1, &[]).await;
        site.shows("[w2 w1]").await;
        run(&client, &builder, "other", "").await;
        site.shows("[w1 w2]").await;
        run(&client, &builder, "c2", "c").await;
        assert_eq!(builder.started()[2..], ["w1 other", "w2 c2"]);
        drop((w1, w2));
        site.finish().await;
    });
}
