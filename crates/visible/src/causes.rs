//! An error with what caused it.

use alloc::string::{String, ToString as _};
use core::error::Error;

/// Returns an error's text with those of its causes that it does not repeat.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use core::fmt;

    use super::*;

    #[derive(Debug)]
    struct Failure(&'static str, Option<&'static Self>);

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Failure {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.map(|cause| cause as _)
        }
    }

    #[test]
    fn each_cause_is_named_once() {
        const REFUSED: Failure = Failure("connection refused", None);
        const CONNECT: Failure = Failure("cannot connect: connection refused", Some(&REFUSED));
        let request = Failure("cannot send the request", Some(&CONNECT));
        assert_eq!(
            with_causes(&request),
            "cannot send the request: cannot connect: connection refused"
        );
        assert_eq!(with_causes(&REFUSED), "connection refused");
    }
}
