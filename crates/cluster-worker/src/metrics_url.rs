//! The URL of another program's metrics.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::settings::ConfigError;

/// The URL of metrics: `http://HOST:PORT/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsUrl {
    /// An IPv6 address is in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Includes the query.
    pub(crate) path: String,
}

impl MetricsUrl {
    /// Returns the default URL of Prometheus' node exporter.
    pub(crate) fn node_exporter() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 9100,
            path: "/metrics".into(),
        }
    }
}

impl FromStr for MetricsUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let read = || {
            let url = Url::parse(text).ok().filter(|url| url.scheme() == "http")?;
            let host = url.host_str()?.to_owned();
            let query = url
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            let path = format!("{}{query}", url.path());
            Some(Self {
                host,
                port: url.port_or_known_default()?,
                path,
            })
        };
        read().ok_or_else(|| ConfigError::MetricsUrl(text.to_owned()))
    }
}

impl fmt::Display for MetricsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::MetricsUrl;

    #[test]
    fn urls() {
        let shown = |text: &str| text.parse::<MetricsUrl>().map(|url| url.to_string()).ok();
        assert_eq!(
            shown("http://localhost/x?y=1").as_deref(),
            Some("http://localhost:80/x?y=1")
        );
        assert_eq!(
            shown("http://[::1]:9100/metrics").as_deref(),
            Some("http://[::1]:9100/metrics")
        );
        assert_eq!(shown("https://localhost/x"), None);
        assert_eq!(shown("localhost"), None);
    }
}
