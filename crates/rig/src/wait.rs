//! Waits with a time limit for something outside of this process.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The interval between checks. The things waited for take tens of milliseconds at least.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Calls `check` until it returns something, and returns that.
///
/// # Errors
/// When `check` fails, or has returned nothing within `limit`. The error names `what` was waited for.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut check: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = check()? {
            return Ok(found);
        }
        if start.elapsed() > limit {
            bail!("no {what} within {} s", limit.as_secs());
        }
        std::thread::sleep(CHECK_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_was_waited_for() {
        let error = wait_for("answer", Duration::ZERO, || Ok(None::<()>)).unwrap_err();
        assert_eq!(error.to_string(), "no answer within 0 s");
    }

    #[test]
    fn the_third_check_succeeds() {
        let mut checks = 0;
        let found = wait_for("third check", Duration::from_secs(10), || {
            checks += 1;
            Ok((checks == 3).then_some(checks))
        });
        assert_eq!(found.unwrap(), 3);
    }
}
