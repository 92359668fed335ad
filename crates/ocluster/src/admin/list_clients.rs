//! `list-clients`: lists the clients that may submit jobs.

use std::ffi::OsString;

use super::Common;
use super::service::{About, Service};
use crate::json::admin::{Client, Clients};
use cli::error::CommandError;
use cli::print::print_error;

/// List the clients that may submit jobs
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin list-clients [OPTIONS] [CAP]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, positionals) = common.split(args.positionals)?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let clients = match service.admin().list_clients().await {
        Ok(clients) => clients,
        Err(error) => {
            let about = About::default();
            return Err(service.failed("Admin.listClients", about, error).await);
        }
    };
    if clients.is_empty() {
        print_error("No clients.\n");
    }
    let line = |client: &String| format!("{client}\n");
    common.format().print(
        || clients.iter().map(line).collect(),
        || Clients {
            clients: clients.iter().cloned().map(|id| Client { id }).collect(),
        },
    )
}
