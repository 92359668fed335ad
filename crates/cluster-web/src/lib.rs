//! The pages of a scheduler: HTML for people, and the same as JSON for programs.
//!
//! A [`Server`] has threads of its own. They ask the scheduler through a [`Cluster`] for plain data, and the scheduler
//! answers when it has time: rendering pages, TLS, and slow browsers take nothing from the thread of the capabilities.
//!
//! - [`Cluster`] is what a scheduler answers;
//! - `access/` decides who may see and do what: links, cookies, proxies;
//! - `server/` listens, routes, streams events, and fills pages;
//! - `pages/` has a struct for each page: with its template it is HTML, and serialized it is JSON;
//! - `log/` turns a job's log into HTML.

pub mod access;
pub mod cluster;
pub mod log;
pub mod pages;
mod server;

pub use cluster::{Cluster, ClusterError};
pub use server::{
    ASSETS, Asset, Assets, Server, ServerError, TlsError, TlsFiles, WebLimits, WebSettings,
    WebStats,
};
