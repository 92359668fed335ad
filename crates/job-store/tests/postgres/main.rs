//! The store in PostgreSQL does what every store must do; and what has to do with a server.

#[path = "../cases/attached.rs"]
mod attached;
#[path = "../cases/beside.rs"]
mod beside;
#[path = "../cases/jobs.rs"]
mod jobs;
mod place;
#[path = "../cases/texts.rs"]
mod texts;
