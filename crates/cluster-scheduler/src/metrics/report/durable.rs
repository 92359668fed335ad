//! Durable jobs, their store and their logs.

use prometheus_text::{Kind, Page};

use crate::durable::{JobsReport, LogStoreReport, LogStoreStats};

/// Writes the numbers of durable jobs.
pub(super) fn write(page: &mut Page, report: &JobsReport) {
    jobs(page, report);
    phases(page, report);
    store(page, report);
    if let Some(log_store) = &report.log_store {
        self::log_store(page, log_store);
    }
}

fn log_store(page: &mut Page, report: &LogStoreReport) {
    let LogStoreReport {
        stats,
        oldest_waiting,
    } = report;
    let LogStoreStats {
        waiting,
        oldest: _,
        uploads,
        upload_bytes,
        upload_time,
        failures,
        read_bytes,
        cached_bytes,
        away_since,
    } = stats;
    let help = "Number of logs that wait for their upload to the log store";
    page.gauge("ocluster_log_store_waiting", help, *waiting);
    let help = "Time for which the oldest log waits for its upload; 0 if none does";
    page.gauge(
        "ocluster_log_store_oldest_waiting_seconds",
        help,
        oldest_waiting.as_secs_f64(),
    );
    let help = "Whether the log store does not answer, or refuses access";
    page.gauge(
        "ocluster_log_store_away",
        help,
        u8::from(away_since.is_some()),
    );
    let help = "Number of requests to the log store that failed";
    page.counter("ocluster_log_store_failures_total", help, *failures);
    let help = "Time spent uploading logs, each from its first request to its check";
    page.family("ocluster_log_store_upload_seconds", Kind::Summary, help)
        .summary(&[], *uploads, upload_time.as_secs_f64());
    let help = "Bytes of logs that were uploaded, compressed";
    page.counter(
        "ocluster_log_store_uploaded_bytes_total",
        help,
        *upload_bytes,
    );
    let help = "Bytes of logs that were read from the log store, as they were written";
    page.counter("ocluster_log_store_read_bytes_total", help, *read_bytes);
    let help = "Bytes on disk of logs that are in the log store, too";
    page.gauge("ocluster_log_store_cached_bytes", help, *cached_bytes);
}

fn phases(page: &mut Page, report: &JobsReport) {
    let help = "Time that each ended phase of a job took, but for those whose results were cached";
    let mut family = page.family("ocluster_pool_phase_seconds", Kind::Histogram, help);
    for ((pool, phase), histogram) in &report.phase_seconds {
        family.histogram(&[("pool", pool), ("phase", phase.word())], histogram);
    }
}

fn jobs(page: &mut Page, report: &JobsReport) {
    let JobsReport {
        stats,
        oldest_unacknowledged,
        ..
    } = report;
    let totals = stats.totals;
    let help = "Number of durable jobs that have not ended, by state";
    let mut family = page.family("ocluster_durable_jobs", Kind::Gauge, help);
    for (state, count) in [
        ("queued", stats.queued),
        ("running", stats.running),
        ("away", stats.away),
    ] {
        family.sample(&[("state", state)], count);
    }
    let help = "Number of durable jobs that have ended, by state";
    let mut family = page.family("ocluster_durable_jobs_ended_total", Kind::Counter, help);
    for (state, count) in [
        ("succeeded", totals.succeeded),
        ("failed", totals.failed),
        ("cancelled", totals.cancelled),
        ("timed-out", totals.timed_out),
        ("lost", totals.lost),
    ] {
        family.sample(&[("state", state)], count);
    }
    let help = "Number of lost attempts whose jobs were tried again";
    page.counter(
        "ocluster_durable_attempts_retried_total",
        help,
        totals.retried,
    );
    let help = "Number of attempts that went on after their worker had returned";
    page.counter(
        "ocluster_durable_attempts_adopted_total",
        help,
        totals.adopted,
    );
    let help =
        "Time for which the oldest outcome waits to be saved with its log; 0 if there is none";
    page.gauge(
        "ocluster_durable_oldest_unacknowledged_seconds",
        help,
        oldest_unacknowledged.as_secs_f64(),
    );
}

fn store(page: &mut Page, report: &JobsReport) {
    let JobsReport {
        store,
        log_bytes,
        logs_failing,
        ..
    } = report;
    let help = "Bytes on disk of the logs of durable and attached jobs, but for those of attached jobs that run";
    page.gauge("ocluster_durable_log_bytes", help, *log_bytes);
    let help = "Whether a log of a durable job cannot be written";
    page.gauge(
        "ocluster_durable_logs_failing",
        help,
        u8::from(*logs_failing),
    );

    let help = "Number of changes of durable jobs waiting for the disk";
    page.gauge("ocluster_jobs_database_queued_writes", help, store.queued);
    let help = "Whether the last write to the database of durable jobs failed";
    page.gauge(
        "ocluster_jobs_database_failing",
        help,
        u8::from(store.is_failing),
    );
    let help = "Number of commits to the database of durable jobs that failed";
    page.counter(
        "ocluster_jobs_database_commits_failed_total",
        help,
        store.failures,
    );
    let help = "Number of times that old jobs, logs or descriptions could not be removed from the database";
    page.counter(
        "ocluster_jobs_database_cleanups_failed_total",
        help,
        store.cleanup_failures,
    );
    let help = "Time spent committing to the database of durable jobs";
    page.family("ocluster_jobs_database_commit_seconds", Kind::Summary, help)
        .summary(&[], store.commits, store.commit_time.as_secs_f64());
}
