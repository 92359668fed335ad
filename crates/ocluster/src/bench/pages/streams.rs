//! Many streams of events at once: what each costs, and what becomes of those that are too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::sync::watch;

use super::http::{self, Connection, Visitor};
use super::load;
use crate::bench::report::Report;
use crate::bench::rig::{Rig, broken};
use crate::bench::worker::labelled;
use crate::bench::{SETTLING, Sizes};
use cli::error::CommandError;

/// How many visits to a page are timed meanwhile.
const VISITS: u32 = 20;

/// How long to wait until all streams have told of a change.
const LIMIT: Duration = Duration::from_secs(30);

/// How often to look whether they have.
const GLANCE: Duration = Duration::from_millis(5);

pub(crate) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let admin = std::rc::Rc::new(rig.admin("streams").await?);
    let visitor = Visitor::enter(&load::link(&admin).await?).await?;
    let path = format!("/pool/{}/events", rig.pool);
    // So that memory shared by all is not counted.
    let mut page = visitor.connect().await?;
    page.get("/").await?;
    tokio::time::sleep(SETTLING).await;
    let before = rig.memory()?;
    let (counting, is_counting) = watch::channel(false);
    let told = Arc::new(AtomicU64::new(0));
    let mut open = Vec::new();
    let mut refused = 0u32;
    for number in 0..sizes.streams {
        let mut connection = visitor.elsewhere(number).connect().await?;
        let answer = connection.open(&path).await?;
        match answer.status() {
            StatusCode::OK => {
                let (told, is_counting) = (Arc::clone(&told), is_counting.clone());
                open.push(tokio::spawn(follow(connection, answer, told, is_counting)));
            }
            StatusCode::SERVICE_UNAVAILABLE => refused += 1,
            status => {
                return Err(CommandError::failed(format_args!(
                    "cannot follow the pool: the status is {status}"
                )));
            }
        }
    }
    let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
    let setup = format!("{} streams requested", sizes.streams);
    report.add("streams", &setup, "open", f64::from(count), "streams");
    report.add("streams", &setup, "refused", f64::from(refused), "streams");
    tokio::time::sleep(SETTLING).await;
    if let Some((before, after)) = before.zip(rig.memory()?) {
        let each = (after - before) / f64::from(count.max(1)) / 1024.0;
        report.add("streams", &setup, "memory of a stream", each, "KiB");
    }
    // What has happened before is told by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    counting.send_replace(true);
    let client = rig.client().await?;
    let changed = Instant::now();
    let ticket = client.service.submit(&rig.pool, &labelled(""), false);
    let ticket = ticket.await.map_err(broken("a job was refused"))?;
    while told.load(Ordering::Relaxed) < u64::from(count) && changed.elapsed() < LIMIT {
        tokio::time::sleep(GLANCE).await;
    }
    let took = changed.elapsed().as_secs_f64();
    drop(ticket);
    report.add("streams", &setup, "a change, told to all", took, "s");
    let (what, slowest) = ("a page meanwhile, slowest", slowest_page(&mut page).await?);
    report.add("streams", &setup, what, slowest, "ms");
    open.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// Reads a page several times, and returns how long it took at most, in milliseconds.
async fn slowest_page(page: &mut Connection) -> Result<f64, CommandError> {
    let mut slowest = 0.0f64;
    for _ in 0..VISITS {
        let begun = Instant::now();
        page.get("/").await?;
        slowest = slowest.max(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(slowest)
}

/// Reads a stream, and counts the first event once that is wanted.
async fn follow(
    connection: Connection,
    mut answer: hyper::Response<hyper::body::Incoming>,
    told: Arc<AtomicU64>,
    is_counting: watch::Receiver<bool>,
) {
    let mut has_counted = false;
    while let Some(Ok(bytes)) = http::next(answer.body_mut()).await {
        if !has_counted && *is_counting.borrow() && bytes.starts_with(b"event:") {
            has_counted = true;
            told.fetch_add(1, Ordering::Relaxed);
        }
    }
    drop(connection);
}
