//! The content type of a worker's page: that of a page of metrics, whatever the worker declares.

use hyper::header::HeaderValue;

/// The newer of the two formats that Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The parameters that readers of metrics need. All others are left out.
const PARAMETERS: &[&str] = &["version", "charset", "escaping"];

/// Returns the content type of a page that a worker declares to be `declared`.
///
/// The page is served from the scheduler's address. If a worker could declare it to be HTML, a browser that
/// opens it would run the worker's scripts.
pub(super) fn of_page(declared: &str) -> HeaderValue {
    known(declared).unwrap_or(HeaderValue::from_static(prometheus_text::CONTENT_TYPE))
}

fn known(declared: &str) -> Option<HeaderValue> {
    let mut parts = declared.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    if media_type != "text/plain" && media_type != OPEN_METRICS {
        return None;
    }
    let parameters: Vec<&str> = parts.filter(|part| is_harmless(part)).collect();
    if !parameters.iter().any(|part| part.starts_with("version=")) {
        return None;
    }
    HeaderValue::from_str(&format!("{media_type}; {}", parameters.join("; "))).ok()
}

fn is_harmless(parameter: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    parameter.split_once('=').is_some_and(|(name, value)| {
        PARAMETERS.contains(&name)
            && !value.is_empty()
            && value.len() <= 32
            && value.chars().all(is_plain)
    })
}

#[cfg(test)]
mod tests {
    use super::of_page;

    #[test]
    fn pages_are_metrics_and_nothing_else() {
        for (declared, passed_on) in [
            ("text/plain; version=0.0.4", "text/plain; version=0.0.4"),
            (
                "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
                "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            ),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
            ("text/plain", "text/plain; version=0.0.4"),
            ("text/plain;version=1;x=<script>", "text/plain; version=1"),
            ("text/html; version=0.0.4", "text/plain; version=0.0.4"),
            ("text/plain\r\nSet-Cookie: a", "text/plain; version=0.0.4"),
            ("text/plain; version=1\r\nA: b", "text/plain; version=0.0.4"),
            ("", "text/plain; version=0.0.4"),
        ] {
            assert_eq!(
                of_page(declared).to_str().unwrap(),
                passed_on,
                "{declared:?}"
            );
        }
    }
}
