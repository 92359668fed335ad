//! What is answered over HTTP: metrics, where Prometheus finds more of them, and whether all is well.

mod body;
mod endpoint;
mod route;
mod server;

pub(crate) use self::endpoint::Endpoint;
pub(crate) use self::server::HttpServer;
