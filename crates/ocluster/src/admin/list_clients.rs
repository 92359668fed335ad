//! `list-clients`: who may submit jobs.

use std::ffi::OsString;

use super::service::{Service, failed};
use crate::capability_args::ConnectArgs;
use crate::error::CommandError;
use crate::program::{complain, print};

/// List the clients that may submit jobs
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin list-clients [OPTIONS] [CAP]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(connect: &ConnectArgs, args: Args) -> Result<(), CommandError> {
    let (cap, positionals) = connect.split(args.positionals)?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let clients = service
        .admin()
        .list_clients()
        .await
        .map_err(failed("Admin.listClients"))?;
    if clients.is_empty() {
        complain("No clients.\n");
    }
    print(
        &clients
            .iter()
            .map(|client| format!("{client}\n"))
            .collect::<String>(),
    )
}
