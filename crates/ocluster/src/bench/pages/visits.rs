//! Visitors, who look at one page after the other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::select_all;
use hyper::StatusCode;
use tokio::sync::watch;

use super::http::{self, Connection, Visitor};
use super::processor_time;
use cli::error::CommandError;

/// How long a visitor looks at a page.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a page took, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    /// At the server, until its answer began.
    pub(super) server: f64,
    /// From the request to the last byte.
    pub(super) whole: f64,
}

/// What visitors have seen so far.
#[derive(Debug, Default)]
pub(super) struct Visits {
    /// How long pages took, by what they are called.
    pub(super) pages: Mutex<BTreeMap<&'static str, Vec<Visit>>>,
    /// How many pages were read.
    pub(super) count: AtomicU64,
    /// How long the thread of all visitors has had a processor, in microseconds.
    pub(super) own_micros: AtomicU64,
}

/// How often visitors tell how long they have had a processor.
const ACCOUNT: Duration = Duration::from_millis(20);

/// The pages that visitors look at.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    pub(super) pool: String,
    pub(super) worker: String,
    /// A job that has ended, and has a log.
    pub(super) job: String,
}

/// What a page is called, and its address.
struct Address {
    name: &'static str,
    path: String,
}

impl Pages {
    fn addresses(&self) -> Vec<Address> {
        let Self { pool, worker, job } = self;
        let pages = [
            ("/", "/".to_owned()),
            ("/index.json", "/index.json".to_owned()),
            ("/pool/POOL", format!("/pool/{pool}")),
            (QUEUE, format!("/pool/{pool}.json?page=10")),
            ("/pool/POOL/workers", format!("/pool/{pool}/workers")),
            (
                "/pool/POOL/workers.json",
                format!("/pool/{pool}/workers.json"),
            ),
            ("/worker/POOL/WORKER", format!("/worker/{pool}/{worker}")),
            (
                "/worker/POOL/WORKER.json",
                format!("/worker/{pool}/{worker}.json"),
            ),
            ("/job/ID, with a log", format!("/job/{job}")),
            ("/job/ID.json, with a log", format!("/job/{job}.json")),
            (QUEUED_JOB, String::new()),
            ("/jobs", "/jobs".to_owned()),
            ("/jobs.json", "/jobs.json".to_owned()),
        ];
        let pages = pages.map(|(name, path)| Address { name, path });
        pages.into()
    }
}

/// The page of a queue, which tells the job that [`QUEUED_JOB`] is about.
const QUEUE: &str = "/pool/POOL.json";

/// The page of a job that was in the queue when that was looked at.
const QUEUED_JOB: &str = "/job/ID, in the queue";

/// Has visitors look at pages whenever `are_there` says so.
pub(super) async fn look(
    visitors: Vec<Visitor>,
    pages: Pages,
    visits: Arc<Visits>,
    are_there: watch::Receiver<bool>,
) -> Result<Infallible, CommandError> {
    let accounts = Arc::clone(&visits);
    tokio::task::spawn_local(async move {
        // Ends with this thread.
        loop {
            let own = processor_time::of_this_thread();
            let micros = u64::try_from(own.as_micros()).unwrap_or(u64::MAX);
            accounts.own_micros.store(micros, Ordering::Relaxed);
            tokio::time::sleep(ACCOUNT).await;
        }
    });
    let all = visitors.into_iter().enumerate();
    let all = all.map(|(number, visitor)| {
        let (pages, visits, are_there) = (pages.clone(), Arc::clone(&visits), are_there.clone());
        Box::pin(look_at_all(number, visitor, pages, visits, are_there))
    });
    let (failed, _, _) = select_all(all).await;
    failed
}

async fn look_at_all(
    number: usize,
    visitor: Visitor,
    pages: Pages,
    visits: Arc<Visits>,
    mut are_there: watch::Receiver<bool>,
) -> Result<Infallible, CommandError> {
    let addresses = pages.addresses();
    let gone = |_| CommandError::failed("the benchmark has ended");
    let mut queued = String::new();
    loop {
        are_there.wait_for(|are| *are).await.map_err(gone)?;
        // They do not all come at the same moment.
        let part = u32::try_from(number % 50).unwrap_or(0);
        tokio::time::sleep(PAUSE * part / 50).await;
        let mut connection = visitor.connect().await?;
        let events = visitor.connect().await?;
        let events = tokio::spawn(follow(events, format!("/pool/{}/events", pages.pool)));
        for address in addresses.iter().cycle().skip(number % addresses.len()) {
            if !*are_there.borrow() {
                break;
            }
            let path = match address.name {
                QUEUED_JOB if queued.is_empty() => continue,
                QUEUED_JOB => format!("/job/{queued}"),
                _ => address.path.clone(),
            };
            let page = look_at(&mut connection, address.name, &path, &visits).await?;
            if address.name == QUEUE {
                queued = job_in(&page);
            }
            tokio::time::sleep(PAUSE).await;
        }
        events.abort();
    }
}

async fn look_at(
    connection: &mut Connection,
    name: &'static str,
    path: &str,
    visits: &Visits,
) -> Result<Vec<u8>, CommandError> {
    let begun = Instant::now();
    let page = connection.get(path).await?;
    let whole = begun.elapsed().as_secs_f64() * 1e3;
    let (StatusCode::OK, Some(server)) = (page.status, page.server_millis) else {
        let status = page.status;
        // When very many are submitted, some are not in the history, or not yet.
        if name == QUEUED_JOB && status == StatusCode::NOT_FOUND {
            return Ok(page.body);
        }
        return Err(CommandError::failed(format_args!(
            "cannot measure the page {path}: its status is {status}, or it does not tell its time"
        )));
    };
    visits.count.fetch_add(1, Ordering::Relaxed);
    if let Ok(mut pages) = visits.pages.lock() {
        let pages = pages.entry(name).or_default();
        pages.push(Visit { server, whole });
    }
    Ok(page.body)
}

/// Reads a stream of events, as a page does that follows.
async fn follow(mut connection: Connection, path: String) {
    let Ok(mut answer) = connection.open(&path).await else {
        return;
    };
    while let Some(Ok(_)) = http::next(answer.body_mut()).await {}
}

/// Returns the last job of a page of a queue; nothing if it has none.
fn job_in(page: &[u8]) -> String {
    let page: serde_json::Value = serde_json::from_slice(page).unwrap_or_default();
    let last = page["queue"].as_array().and_then(|jobs| jobs.last());
    let id = last.and_then(|job| job["id"].as_str());
    id.unwrap_or_default().to_owned()
}
