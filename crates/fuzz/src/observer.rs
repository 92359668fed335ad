//! Counts panics, those included that somebody catches: a connection does, and goes on.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static PANICS: AtomicUsize = AtomicUsize::new(0);
static INSTALLED: Once = Once::new();

/// Starts to count, and returns how many panics there have been. Each is still reported by whoever did so before.
///
/// Under the fuzzer, whose own hook ends the process, there never is one.
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
