//! `obuilder delete` and `obuilder clean`.

use jiff::Timestamp;
use obuilder::StepId;

use super::result_id::ResultId;
use super::store_args::{Purpose, StoreArgs};
use cli::error::CommandError;

/// Remove a result, and all results based on it
#[derive(clap::Args, Debug)]
pub(super) struct DeleteArgs {
    /// Id of the result
    #[arg(value_name = "ID")]
    id: ResultId,
    #[command(flatten)]
    store: StoreArgs,
}

/// Remove all results, but no cache mounts and no imported images
#[derive(clap::Args, Debug)]
pub(super) struct CleanArgs {
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn delete(args: DeleteArgs) -> Result<(), CommandError> {
    let builder = args.store.open(Purpose::Results)?;
    let id = args.id.find_or_whole(&builder)?;
    let mut printed = Ok(());
    let outcome = builder
        .delete(&id, &mut |id| print_removed(&mut printed, id))
        .await;
    outcome.map_err(CommandError::caused).and(printed)
}

pub(super) async fn clean(args: CleanArgs) -> Result<(), CommandError> {
    let builder = args.store.open(Purpose::Results)?;
    let mut printed = Ok(());
    let outcome = builder
        .prune(Timestamp::MAX, usize::MAX, &mut |id| {
            print_removed(&mut printed, id);
        })
        .await;
    let count = outcome.map_err(CommandError::caused)?;
    printed?;
    cli::print::print_line(format_args!("Removed {count} items"))?;
    match builder.count().map_err(CommandError::caused)? {
        0 => Ok(()),
        left => Err(CommandError::failed(format_args!(
            "cannot remove {left} of the results in {:?}; see the warnings above",
            builder.store().root()
        ))),
    }
}

fn print_removed(printed: &mut Result<(), CommandError>, id: &StepId) {
    if printed.is_ok() {
        *printed = cli::print::print_line(format_args!("Removing {id}"));
    }
}
