//! `obuilder key`.

use obuilder::shared::{SharedOptions, SigningKey};

use super::store_args::StoreArgs;
use cli::error::CommandError;

/// Print the public key that signs the results of a store
///
/// Add it to the lists of the workers that are to use these results: ocluster-worker --obuilder-cache-accept=FILE.
/// The key is made if there is none yet. This works while a worker uses the store.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let store = args.store.read_store()?;
    // A reader has a state of its own.
    let file = SharedOptions::key_file(&store.root().join("state"));
    let key = SigningKey::open(&file).map_err(CommandError::caused)?;
    cli::print::print_line(key.public())
}
