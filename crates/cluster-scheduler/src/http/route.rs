//! Which page a path asks for.

use cluster_api::MetricsSource;
use percent_encoding::percent_decode_str;

use crate::metrics::Source;

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The scheduler's own numbers.
    Scheduler,
    /// A worker's.
    Worker {
        pool: String,
        worker: String,
        source: Source,
    },
    /// Where such a page of each worker is, for Prometheus to find; `metrics`, say.
    Discovery(String),
    /// Whether the process is alive.
    Alive,
    /// Whether it can do its work.
    Ready,
}

impl Route {
    /// Returns what `path` means; `None` if nothing.
    ///
    /// Empty segments are ignored, as upstream does. Unlike there, segments are percent-decoded: a name with a space
    /// cannot be asked for otherwise.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let segments: Vec<_> = segments
            .map(|segment| percent_decode_str(segment).decode_utf8())
            .collect::<Result<_, _>>()
            .ok()?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match *segments.as_slice() {
            ["metrics"] => Some(Self::Scheduler),
            ["healthz" | "livez"] => Some(Self::Alive),
            ["readyz"] => Some(Self::Ready),
            ["sd", source] => Some(Self::Discovery(source.to_owned())),
            ["pool", pool, "worker", worker, source] => Some(Self::Worker {
                pool: pool.to_owned(),
                worker: worker.to_owned(),
                source: match source {
                    "metrics" => Source::Standard(MetricsSource::Agent),
                    "host-metrics" => Source::Standard(MetricsSource::Host),
                    name => Source::Additional(name.to_owned()),
                },
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use cluster_api::MetricsSource;

    use super::Route;
    use crate::metrics::Source;

    fn worker(pool: &str, worker: &str, source: Source) -> Option<Route> {
        let (pool, worker) = (pool.to_owned(), worker.to_owned());
        Some(Route::Worker {
            pool,
            worker,
            source,
        })
    }

    #[test]
    fn paths_are_read_as_upstream_reads_them() {
        let agent = Source::Standard(MetricsSource::Agent);
        let host = Source::Standard(MetricsSource::Host);
        let other = Source::Additional("raid".to_owned());
        assert_eq!(Route::of("/metrics"), Some(Route::Scheduler));
        assert_eq!(
            Route::of("//pool//a//worker//b//metrics//"),
            worker("a", "b", agent)
        );
        assert_eq!(
            Route::of("/pool/a/worker/b/host-metrics"),
            worker("a", "b", host)
        );
        assert_eq!(Route::of("/pool/a/worker/b/raid"), worker("a", "b", other));
        let discovery = Route::Discovery("host-metrics".to_owned());
        assert_eq!(Route::of("/sd/host-metrics"), Some(discovery));
        for nothing in [
            "/sd",
            "/",
            "",
            "/pool/a",
            "/pool/a/worker/b",
            "/metrics/x",
            "/pool/a/worker/b/c/d",
        ] {
            assert_eq!(Route::of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn names_may_be_anything() {
        let agent = Source::Standard(MetricsSource::Agent);
        assert_eq!(
            Route::of("/pool/two%20words/worker/%22%C3%BC%2F%25/metrics"),
            worker("two words", "\"ü/%", agent)
        );
        assert_eq!(Route::of("/pool/a/worker/%ff/metrics"), None);
    }
}
