//! The store in PostgreSQL does what every store must do; and what has to do with a server.

#[path = "../cases/attached.rs"]
mod attached;
mod away;
#[path = "../cases/beside.rs"]
mod beside;
mod cut;
#[path = "../cases/jobs.rs"]
mod jobs;
mod place;
mod refusals;
#[path = "../cases/texts.rs"]
mod texts;
