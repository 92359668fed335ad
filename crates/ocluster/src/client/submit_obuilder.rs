//! `submit-obuilder`: the description of an OBuilder build, from options.

use std::path::PathBuf;

use cluster_api::{Action, OBuilderBuild};

use super::checks;
use super::description::{JobArgs, Request, read_text};
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;

/// Build an OBuilder spec on a worker
///
/// The build context is the commit HASH of the Git repository URL. Several commits are merged; without URL, the context
/// is empty.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "ocluster-client submit-obuilder [OPTIONS] [CAP] --pool <ID> --local-file <PATH> [URL HASH...]"
)]
pub(super) struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// Local file with the spec to build
    #[arg(long, value_name = "PATH")]
    local_file: PathBuf,
}

impl Args {
    pub(super) fn request(self, connect: &ConnectArgs) -> Result<Request, CommandError> {
        let spec = read_text("--local-file", &self.local_file)?;
        if self.job.are_checked() {
            checks::check_spec(&self.local_file, &spec)?;
        }
        self.job
            .request(connect, Action::OBuilder(OBuilderBuild { spec }))
    }
}
