//! Waiting for something outside of this process, never for ever.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at. Short beside the things waited for, which take tens of milliseconds at least.
const STEP: Duration = Duration::from_millis(20);

/// Calls `look` until it finds something, and returns that.
///
/// # Errors
/// When `look` fails, or has found nothing within `limit`; `what` then says what was waited for.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() > limit {
            bail!("no {what} within {} s", limit.as_secs());
        }
        std::thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_and_says_what_was_missing() {
        let error = wait_for("answer", Duration::ZERO, || Ok(None::<()>)).unwrap_err();
        assert_eq!(error.to_string(), "no answer within 0 s");
    }

    #[test]
    fn returns_what_was_found_at_last() {
        let mut looks = 0;
        let found = wait_for("third look", Duration::from_secs(10), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.unwrap(), 3);
    }
}
