//! Runs what a test does, while its programs are looked after.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::network::Network;
use crate::site::{INTERVAL, Site};

/// How long anything may take. A round takes a second, or ten if a worker connects again by itself.
const LIMIT: Duration = Duration::from_secs(150);

/// Runs a test with a site in a folder of its own, which is kept if it fails.
pub(crate) fn on_site<T>(work: impl AsyncFnOnce(&Site) -> Result<T, String>) -> Result<T, String> {
    on_site_with(Network::default(), work)
}

/// Runs a test whose programs reach each other in a certain way.
pub(crate) fn on_site_with<T>(
    network: Network,
    work: impl AsyncFnOnce(&Site) -> Result<T, String>,
) -> Result<T, String> {
    in_folder(async |folder| {
        let site = Site::new(folder, network);
        let done = work(&site).await;
        done.map_err(|error| format!("{error}\nlogs: {:#?}", site.logs()))
    })
}

/// Runs a test in a folder of its own, which is kept if it fails.
pub(crate) fn in_folder<T>(
    work: impl AsyncFnOnce(&Path) -> Result<T, String>,
) -> Result<T, String> {
    let folder = tempfile::Builder::new()
        .prefix("crashes-")
        .tempdir()
        .expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    {
        let _entered = runtime.enter();
        heed_interrupts();
    }
    let local = tokio::task::LocalSet::new();
    let done = local.block_on(&runtime, work(folder.path()));
    if done.is_err() {
        // The cause is in it.
        drop(folder.keep());
    }
    done
}

/// Has the first SIGINT end each program that does not listen for it yet.
///
/// A shell that runs these tests in the background has them ignore it, and programs inherit that: one that comes before
/// they listen would be lost. What a process listens for is not inherited.
fn heed_interrupts() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let interrupt = SignalKind::interrupt();
    if ignored.is_some_and(|mask| mask >> (interrupt.as_raw_value() - 1) & 1 == 1) {
        // Dropping it does not end that.
        drop(signal(interrupt).expect("listened for a signal"));
    }
}

/// Does some work while programs that have ended are started again.
pub(crate) async fn attended<T>(
    site: &Site,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    attended_by(|| site.attend(), LIMIT, work).await
}

/// Does some work while `attend` is called now and then, until that fails or it is too late.
pub(crate) async fn attended_by<T>(
    attend: impl Fn() -> Result<(), String>,
    limit: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let attention = async {
        loop {
            if let Err(error) = attend() {
                return error;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let done = async {
        tokio::select! {
            done = work => done,
            error = attention => Err(error),
        }
    };
    match tokio::time::timeout(limit, done).await {
        Ok(done) => done,
        Err(_) => Err(format!("it has not ended after {limit:?}")),
    }
}

/// Waits until a condition holds. The time limit is that of [`attended`].
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(INTERVAL).await;
    }
}
