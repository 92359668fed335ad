//! The HTTP endpoint: metrics, service discovery for Prometheus, and health checks.

mod body;
mod endpoint;
mod route;
mod server;

pub(crate) use self::endpoint::Endpoint;
pub(crate) use self::server::HttpServer;
