//! `ocluster generate`: what packages install besides the programs.

mod completion;
mod man;

use clap::Subcommand;

use cli::error::CommandError;

/// Generate manual pages and shell completion, for packages
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Completion(completion::Args),
    Man(man::Args),
}

pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.what {
        What::Completion(args) => completion::run(args),
        What::Man(args) => man::run(args),
    }
}
