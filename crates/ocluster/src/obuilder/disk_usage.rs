//! `obuilder df`.

use super::output::OutputArgs;
use super::store_args::{Purpose, StoreArgs};
use crate::json::obuilder::DiskUsage;
use cli::error::CommandError;
use cli::human::table;
use visible::Size;

/// Show the disk usage of the store
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let builder = args.store.read(Purpose::Results)?;
    let results = builder.count().map_err(CommandError::caused)?;
    let space = builder.space().map_err(CommandError::caused)?;
    let root = builder.store().root().display().to_string();
    args.output.print(
        || {
            let heading = ["STORE", "RESULTS", "SIZE", "FREE", "FREE%"];
            let row = [
                root.clone(),
                results.to_string(),
                Size(space.total).to_string(),
                Size(space.free).to_string(),
                format!("{:.0}%", space.free_percent()),
            ];
            table(&[heading.map(str::to_owned).to_vec(), row.to_vec()])
        },
        || DiskUsage {
            store: root.clone(),
            results,
            total: space.total,
            free: space.free,
        },
    )
}
