//! `obuilder delete` and `obuilder clean`.

use jiff::Timestamp;
use obuilder::StepId;

use super::result_id::ResultId;
use super::store_args::{Need, StoreArgs};
use cli::error::CommandError;

/// Remove a result, and all that is based on it
#[derive(clap::Args, Debug)]
pub(super) struct DeleteArgs {
    /// The result
    #[arg(value_name = "ID")]
    id: ResultId,
    #[command(flatten)]
    store: StoreArgs,
}

/// Remove all results, and not the caches nor the imported images
#[derive(clap::Args, Debug)]
pub(super) struct CleanArgs {
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn delete(args: DeleteArgs) -> Result<(), CommandError> {
    let builder = args.store.open(Need::Results)?;
    let id = args.id.find_or_whole(&builder)?;
    let mut said = Ok(());
    let outcome = builder.delete(&id, &mut |id| say(&mut said, id)).await;
    outcome.map_err(CommandError::caused).and(said)
}

pub(super) async fn clean(args: CleanArgs) -> Result<(), CommandError> {
    let builder = args.store.open(Need::Results)?;
    let mut said = Ok(());
    let outcome = builder
        .prune(Timestamp::MAX, usize::MAX, &mut |id| say(&mut said, id))
        .await;
    let count = outcome.map_err(CommandError::caused)?;
    said?;
    cli::print::print_line(format_args!("Removed {count} items"))?;
    match builder.count().map_err(CommandError::caused)? {
        0 => Ok(()),
        left => Err(CommandError::failed(format_args!(
            "cannot remove {left} of the results in {:?}; the warnings above say why",
            builder.store().root()
        ))),
    }
}

fn say(said: &mut Result<(), CommandError>, id: &StepId) {
    if said.is_ok() {
        *said = cli::print::print_line(format_args!("Removing {id}"));
    }
}
