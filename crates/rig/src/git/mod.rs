//! Git repositories, and servers for them on loopback: `http://` with or without a password, and `git://`.

mod backend;
mod repository;
mod request;
mod server;

pub use repository::Repository;
pub use server::{Credentials, GitServer};
