//! Every metric, read from example pages of the scheduler and the worker.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::markdown::{code, prose};

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         [Metrics and alerts](../metrics.md) explains how to scrape them. A histogram `x` has the series `x_bucket` \
         with the label `le`, `x_sum` and `x_count`; a summary `x` has `x_sum` and `x_count`. Times are in seconds.\n",
    );
    let scheduler = cluster_scheduler::example_metrics();
    section(
        &mut page,
        "The scheduler",
        "`/metrics` of the scheduler.",
        &scheduler,
    );
    let about =
        "`/pool/POOL/worker/NAME/metrics` of the scheduler, which requests it from the worker.";
    section(
        &mut page,
        "A worker",
        about,
        &cluster_worker::example_metrics(),
    );
    page
}

fn section(page: &mut String, title: &str, about: &str, metrics: &str) {
    // Writing to a String cannot fail.
    let mut line = |text: String| writeln!(page, "{text}").unwrap_or_default();
    line(format!("\n## {title}\n\n{about}"));
    for Family {
        name,
        kind,
        help,
        labels,
    } in families(metrics)
    {
        let labels: Vec<String> = labels.iter().map(|label| code(label)).collect();
        let by = if labels.is_empty() {
            String::new()
        } else {
            format!(" by {}", labels.join(", "))
        };
        line(format!(
            "\n{}\n: {}.\\\n  *{kind}*{by}",
            code(name),
            prose(help)
        ));
    }
}

/// What a page has of one metric.
#[derive(Debug, PartialEq, Eq)]
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    labels: BTreeSet<&'a str>,
}

fn families(page: &str) -> Vec<Family<'_>> {
    let mut found: Vec<Family<'_>> = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            let (kind, labels) = ("untyped", BTreeSet::new());
            found.push(Family {
                name,
                kind,
                help,
                labels,
            });
        } else if let Some(family) = found.last_mut() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family.kind = rest.rsplit(' ').next().unwrap_or_default();
            } else {
                family.labels.extend(labels(line));
            }
        }
    }
    found
}

/// Returns the names of a sample's labels. The examples have plain values, in which nothing is escaped.
fn labels(sample: &str) -> impl Iterator<Item = &str> {
    let inside = sample.split_once('{').map_or("", |(_, rest)| rest);
    inside
        .split("=\"")
        .filter_map(|before| before.rsplit(['"', ',']).next())
        .filter(|name| !name.is_empty() && !name.contains('}') && *name != "le")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_read_from_its_lines() {
        let page = "# HELP a_total Number of\n# TYPE a_total counter\na_total 1\n\
                    # HELP b How long\n# TYPE b histogram\n\
                    b_bucket{pool=\"p\",le=\"1\"} 0\nb_sum{pool=\"p\",x=\"y\"} 0\n";
        assert_eq!(
            families(page),
            [
                Family {
                    name: "a_total",
                    kind: "counter",
                    help: "Number of",
                    labels: BTreeSet::new()
                },
                Family {
                    name: "b",
                    kind: "histogram",
                    help: "How long",
                    labels: BTreeSet::from(["pool", "x"])
                },
            ]
        );
    }
}
