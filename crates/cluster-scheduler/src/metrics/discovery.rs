//! The pages of all workers, in the form in which Prometheus discovers them, so that no list has to be kept.

use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Returns the page `source` of each known worker. A worker that is lost stays in the list until it is forgotten, so
/// that Prometheus sees that its page is missing.
///
/// `scheduler` is the address of the HTTP server as the client knows it.
pub(crate) fn targets(cluster: &Cluster, scheduler: &str, source: &str) -> String {
    let mut targets = Vec::new();
    for (pool, reactor) in cluster.pools() {
        for worker in reactor.workers() {
            targets.extend(target(
                scheduler,
                pool.as_str(),
                worker.name.as_str(),
                source,
            ));
        }
    }
    Value::from(targets).to_string()
}

/// Returns one page. `None` for a worker with a slash in its name: Prometheus writes the path itself, and writes no
/// slash as `%2F`.
fn target(scheduler: &str, pool: &str, worker: &str, source: &str) -> Option<Value> {
    if worker.contains('/') {
        return None;
    }
    Some(json!({
        "targets": [scheduler],
        "labels": {
            "__metrics_path__": format!("/pool/{pool}/worker/{worker}/{source}"),
            "instance": worker,
            "pool": pool,
            "worker": worker,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn a_name_may_be_anything_without_a_slash() {
        let text = target("scheduler:9090", "linux", r#"two "words""#, "metrics").unwrap();
        let expected = concat!(
            r#"{"labels":{"__metrics_path__":"/pool/linux/worker/two \"words\"/metrics","#,
            r#""instance":"two \"words\"","pool":"linux","worker":"two \"words\""},"#,
            r#""targets":["scheduler:9090"]}"#
        );
        assert_eq!(text.to_string(), expected);
        assert_eq!(target("scheduler:9090", "linux", "a/b", "metrics"), None);
    }
}
