//! `submit-custom`: the description of a custom job, from options.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use cluster_api::{Action, CustomJob, CustomPayload, MAX_DESCRIPTION_BYTES};

use super::description::{JobArgs, Request, read_file};
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;

/// Run a custom job
///
/// The source is the commit HASH of the Git repository URL. Several commits are merged; without URL, the source is
/// empty.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "ocluster-client submit-custom [OPTIONS] [CAP] --pool <ID> --kind <KIND> [URL HASH...]"
)]
pub(super) struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// Kind of the job, as in the workers' --custom
    #[arg(long, value_name = "KIND")]
    kind: String,
    /// Payload of the job: a file, or "-" for standard input
    ///
    /// It is sent as a Cap'n Proto Text if it is valid UTF-8 without zero bytes, otherwise as Data.
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
}

impl Args {
    pub(super) fn request(self, connect: &ConnectArgs) -> Result<Request, CommandError> {
        let payload = match self.payload {
            None => CustomPayload::default(),
            Some(path) => payload(&path)?,
        };
        let kind = self.kind;
        self.job
            .request(connect, Action::Custom(CustomJob { kind, payload }))
    }
}

fn payload(path: &Path) -> Result<CustomPayload, CommandError> {
    let bytes = if path == Path::new("-") {
        standard_input()?
    } else {
        read_file("--payload", path)?
    };
    CustomPayload::from_text_or_data(&bytes).map_err(|_| {
        CommandError::usage(format_args!(
            "option '--payload': the payload is larger than {MAX_DESCRIPTION_BYTES} bytes, the limit for a whole job"
        ))
        .hint("put large files in the repository, or where the job can download them")
    })
}

/// Reads standard input, up to one byte more than any job may have.
fn standard_input() -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let limit = MAX_DESCRIPTION_BYTES as u64 + 1;
    let read = std::io::stdin().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| {
        CommandError::usage(format_args!(
            "option '--payload': cannot read standard input: {error}"
        ))
    })?;
    Ok(bytes)
}
