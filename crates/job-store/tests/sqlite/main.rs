//! The store in an SQLite file does what every store must do; and what has to do with files.

#[path = "../cases/attached.rs"]
mod attached;
#[path = "../cases/beside.rs"]
mod beside;
mod files;
#[path = "../cases/jobs.rs"]
mod jobs;
mod place;
#[path = "../cases/texts.rs"]
mod texts;
