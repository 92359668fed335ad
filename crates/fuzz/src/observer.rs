//! Counts panics, including those that are caught: a connection catches them and continues.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static PANICS: AtomicUsize = AtomicUsize::new(0);
static INSTALLED: Once = Once::new();

/// Starts to count, and returns how many panics there have been. The earlier panic hook still reports them.
///
/// Under the fuzzer there are none, because its own hook ends the process.
pub fn panics() -> usize {
    INSTALLED.call_once(|| {
        let reports = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            reports(panic);
        }));
    });
    PANICS.load(Ordering::Relaxed)
}
