//! The pages.

use cluster_web::WebStats;
use prometheus_text::{Histogram, Kind, Page};

/// Writes the numbers of the pages.
pub(super) fn write(page: &mut Page, stats: &WebStats, delays: &Histogram) {
    let help = "Number of requests for pages that were answered, by the class of the answer";
    let mut family = page.family("ocluster_web_requests_total", Kind::Counter, help);
    for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"]
        .iter()
        .zip(stats.answered())
    {
        family.sample(&[("status", class)], count);
    }
    let help = "Time from the requests for pages to the beginnings of their answers, in all";
    let seconds = stats.busy_micros() as f64 / 1e6;
    page.family("ocluster_web_request_seconds_total", Kind::Counter, help)
        .sample(&[], seconds);
    let help = "Time for which answers for pages kept the scheduler from other work, each time";
    page.family("ocluster_web_delay_seconds", Kind::Histogram, help)
        .histogram(&[], delays);
    let help = "Number of connections of browsers";
    page.family("ocluster_web_connections", Kind::Gauge, help)
        .sample(&[], stats.connections());
    let help = "Number of connections of browsers that were refused, as there were too many";
    page.counter(
        "ocluster_web_refused_connections_total",
        help,
        stats.refused_connections(),
    );
    let help = "Number of streams of events, by which pages follow what happens";
    page.family("ocluster_web_streams", Kind::Gauge, help)
        .sample(&[], stats.streams());
    let help = "Number of streams of events that were refused, as there were too many";
    page.counter(
        "ocluster_web_refused_streams_total",
        help,
        stats.refused_streams(),
    );
    let help = "Number of links that were wrong, used before or too old";
    page.counter(
        "ocluster_web_wrong_links_total",
        help,
        stats.wrong_secrets(),
    );
}
