//! Running a test on one thread, and waiting in it for what must happen.

#![expect(
    clippy::disallowed_methods,
    reason = "a clock that jumps does not wait for other threads"
)]

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

/// The time limit of a test, however slow the machine is.
const STORY_LIMIT: Duration = Duration::from_secs(120);

/// The interval at which [`until`] checks its condition.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// How long [`until`] waits, which is far longer than anything takes on a busy machine.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// By how much a clock that jumps may be ahead of the real time before [`until`] waits for that, too.
const AHEAD: Duration = Duration::from_secs(1);

/// Runs a test with everything on one thread, as in the programs.
///
/// # Panics
/// When the test takes longer than two minutes.
pub fn story<T>(test: impl Future<Output = T>) -> T {
    run(test, Builder::new_current_thread())
}

/// Runs a test like [`story`], with a clock that jumps to the next timer when there is nothing else to do.
///
/// # Panics
/// When the test takes longer than two minutes of real time.
#[cfg(feature = "paused-time")]
pub fn story_with_paused_time<T>(test: impl Future<Output = T>) -> T {
    let mut builder = Builder::new_current_thread();
    builder.start_paused(true);
    run(test, builder)
}

fn run<T>(test: impl Future<Output = T>, mut builder: Builder) -> T {
    let (_finished, running) = std::sync::mpsc::channel::<()>();
    let (give_up, stuck) = tokio::sync::oneshot::channel();
    // Measured in real time, because a test may stop and advance the runtime's clock.
    std::thread::spawn(move || {
        if running.recv_timeout(STORY_LIMIT) == Err(RecvTimeoutError::Timeout) {
            give_up.send(()).ok();
        }
    });
    let runtime = builder.enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            result = test => result,
            Ok(()) = stuck => panic!("the test is stuck"),
        }
    })
}

/// Waits until `condition` holds, while everything else on this thread continues.
///
/// # Panics
/// When it does not hold within a minute of real time; the message names `what` was waited for.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let (begin, real_begin) = (tokio::time::Instant::now(), Instant::now());
    while !condition().await {
        let waited = real_begin.elapsed();
        assert!(waited < WAIT_LIMIT, "never happened: {what}");
        tokio::time::sleep(CHECK_INTERVAL).await;
        if begin.elapsed() > waited + AHEAD {
            // The clock jumps. What other threads do, such as that of the store, takes real time.
            tokio::task::spawn_blocking(|| std::thread::sleep(CHECK_INTERVAL))
                .await
                .expect("it sleeps");
        }
    }
}

/// Advances the clock by seconds in a moment, with everything that happens in them.
#[cfg(feature = "paused-time")]
pub async fn pass_seconds(seconds: u64) {
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}
