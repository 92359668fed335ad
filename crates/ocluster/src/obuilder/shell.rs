//! `obuilder shell`: runs a command in a copy of a result.

use obuilder::sandbox::Exit;

use super::result_id::ResultId;
use super::store_args::{Purpose, StoreArgs};
use cli::error::CommandError;
use cli::signals::Interrupts;

/// Run a command in a temporary copy of a result
///
/// It runs as root in /, with the environment of the base image and the network of this machine.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Id of the result
    #[arg(value_name = "ID")]
    id: ResultId,
    /// Command to run, with its arguments [default: a shell]
    #[arg(value_name = "CMD", last = true)]
    command: Vec<String>,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn run(args: Args) -> Result<(), CommandError> {
    // Input goes to the command, Ctrl-C included, and the copy must be removed in the end.
    let _interrupts = Interrupts::listen()?;
    let builder = args.store.read(Purpose::Commands)?;
    let id = args.id.find(&builder)?;
    let argv = match args.command.as_slice() {
        [] => None,
        words => Some(words.iter().map(|word| word.as_str().into()).collect()),
    };
    let exit = builder.shell(&id, argv).await;
    match exit.map_err(CommandError::caused)? {
        Exit::Status(0) => Ok(()),
        Exit::Status(status) => Err(CommandError::ended(u8::try_from(status).unwrap_or(1))),
        Exit::Signal(signal) => Err(CommandError::ended(
            u8::try_from(signal.saturating_add(128)).unwrap_or(1),
        )),
    }
}
