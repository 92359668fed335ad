//! Options that limit connections, authenticated or not.

use std::time::Duration;

use vat::{Limits, ServeOptions};

use cli::quantities::{bytes, seconds};

/// What peers may use.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub(crate) struct ConnectionArgs {
    /// Limit of unauthenticated connections
    ///
    /// A connection is authenticated once it has presented the secret of a service. Above the limit, new connections
    /// wait, and the oldest unauthenticated one is closed when it is a second old. At most three quarters of the limit
    /// may come from one address.
    #[arg(long, value_name = "N", default_value = "512", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_strangers: u32,
    /// Time limit for a connection to authenticate, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    stranger_timeout: Duration,
    /// Limit of unsent data, over all connections
    ///
    /// Above the limit, the connection with the most unsent data is closed.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = bytes)]
    max_unsent: usize,
    /// Limit of partially received messages, over all connections
    ///
    /// Above the limit, the connection with the most data in such messages is closed.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = bytes)]
    max_incomplete: usize,
    /// Limit of unfinished calls per connection; a connection that exceeds it is closed
    #[arg(long, value_name = "N", default_value = "800000", value_parser = clap::value_parser!(u32).range(1000..))]
    max_calls: u32,
}

impl From<ConnectionArgs> for ServeOptions {
    fn from(args: ConnectionArgs) -> Self {
        let max_unauthenticated = args.max_strangers as usize;
        Self {
            limits: Limits {
                unsent_total: args.max_unsent,
                incomplete: args.max_incomplete,
                questions: args.max_calls as usize,
                ..Limits::default()
            },
            max_unauthenticated,
            max_unauthenticated_per_host: (max_unauthenticated * 3 / 4).max(1),
            authentication_timeout: args.stranger_timeout,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        connections: ConnectionArgs,
    }

    #[test]
    fn the_defaults_are_the_librarys() {
        let program = Program::parse_from(["program"]);
        let (args, library) = (
            ServeOptions::from(program.connections),
            ServeOptions::default(),
        );
        assert_eq!(args.limits, library.limits);
        assert_eq!(args.max_unauthenticated, library.max_unauthenticated);
        assert_eq!(
            args.max_unauthenticated_per_host,
            library.max_unauthenticated_per_host
        );
        assert_eq!(args.authentication_timeout, library.authentication_timeout);
    }
}
