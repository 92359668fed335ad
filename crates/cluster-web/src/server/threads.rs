//! The threads that make pages: one that answers, and some to which it leaves what takes long.

use std::io;

use askama::Template;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use super::reply::{self, Refusal, Reply};
use super::visit::Visit;

/// How many threads do what takes long, such as the page of a log. Others are answered meanwhile.
const HELPERS: usize = 2;

/// The nice value of all these threads. While jobs take all processors, a page gets about a tenth of what it asks for,
/// so it takes longer, and the jobs do not.
const NICENESS: i32 = 10;

/// Returns what runs the web server. It runs in the thread that uses it.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .max_blocking_threads(HELPERS)
        .thread_name("web-helper")
        .enable_all()
        .build()
}

/// Has this thread, and those that it starts, leave the processors to others that want them. An error leaves it as it
/// was: it is no slower then.
pub(super) fn yield_to_jobs() {
    // On Linux each thread has a priority of its own, and begins with that of the thread that starts it.
    let thread = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(thread, NICENESS) {
        tracing::debug!(target: "web", "Cannot lower the priority of the pages: {error}");
    }
}

/// Does something that takes milliseconds on another thread.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| {
        tracing::error!(target: "web", "Cannot make a page: {error}");
        reply::unwritten()
    })
}

/// Returns a large page in the format that the visitor wants. Others are answered while it is made.
pub(super) async fn large_page<P: Template + Serialize + Send + 'static>(
    visit: &Visit,
    make: impl FnOnce() -> P + Send + 'static,
) -> Reply {
    let visit = visit.clone();
    apart(move || reply::page(&visit, &make())).await?
}
