//! Limits of connections, for those who have a secret and those who have none.

use std::time::Duration;

use vat::{Limits, ServeOptions};

use crate::obuilder_args::seconds;

/// How much peers may use.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct ConnectionArgs {
    /// Connections at a time that have not named a service with a secret; further ones wait, and the oldest make room
    /// after a second. Three quarters of them may come from one address
    #[arg(long, value_name = "N", default_value = "512", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_strangers: u32,
    /// How long a connection may take to name a service, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    stranger_timeout: Duration,
    /// Data that waits to be sent, over all connections, in MiB; beyond that, the connection that most of it is for is closed
    #[arg(long, value_name = "MIB", default_value = "1024", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    max_unsent: u32,
    /// Parts of messages that have not arrived whole, over all connections, in MiB; beyond that, the connection that has most
    /// of them is closed
    #[arg(long, value_name = "MIB", default_value = "256", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    max_incomplete: u32,
    /// Calls of one connection that are not finished; with more, it is closed
    #[arg(long, value_name = "N", default_value = "800000", value_parser = clap::value_parser!(u32).range(1000..))]
    max_calls: u32,
}

impl From<ConnectionArgs> for ServeOptions {
    fn from(args: ConnectionArgs) -> Self {
        let strangers = args.max_strangers as usize;
        Self {
            limits: Limits {
                unsent_total: (args.max_unsent as usize) << 20,
                incomplete: (args.max_incomplete as usize) << 20,
                questions: args.max_calls as usize,
                ..Limits::default()
            },
            strangers,
            strangers_per_host: (strangers * 3 / 4).max(1),
            stranger_time: args.stranger_timeout,
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
    fn what_is_not_given_is_as_the_library_has_it() {
        let program = Program::parse_from(["program"]);
        let (given, usual) = (
            ServeOptions::from(program.connections),
            ServeOptions::default(),
        );
        assert_eq!(given.limits, usual.limits);
        assert_eq!(given.strangers, usual.strangers);
        assert_eq!(given.strangers_per_host, usual.strangers_per_host);
        assert_eq!(given.stranger_time, usual.stranger_time);
    }
}
