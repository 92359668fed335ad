//! The pages of a scheduler, in a real browser, with a real scheduler, worker and jobs.

mod cluster;
mod every_page;
mod feeds;
mod following;
mod hostile;
mod pictures;
mod worker;
