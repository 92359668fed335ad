//! `submit-custom`: from its options to the description of a job that client and workers have agreed on.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use cluster_api::{Action, CustomJob, CustomPayload, MAX_DESCRIPTION_BYTES};

use super::description::{JobArgs, Request, read_file};
use crate::capability_args::ConnectArgs;
use cli::error::CommandError;

/// Run a job of a kind that the workers of the pool know
///
/// The job's source is the commit HASH of the Git repository URL (several are merged), or empty without them.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "ocluster-client submit-custom [OPTIONS] [CAP] --pool <ID> --kind <KIND> [URL HASH...]"
)]
pub(super) struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// The kind of job, as the workers call it
    #[arg(long, value_name = "KIND")]
    kind: String,
    /// What the job is about: the contents of a file, or of standard input if it is '-'. It is sent as Text if it can be,
    /// else as Data
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
            "option '--payload': the payload has more than {MAX_DESCRIPTION_BYTES} bytes, the most that a job may have in all"
        ))
        .hint("put large files into the repository, or where the job can fetch them")
    })
}

/// Reads all of standard input, or more than any job may have.
fn standard_input() -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let limit = MAX_DESCRIPTION_BYTES as u64 + 1;
    let read = std::io::stdin().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| {
        CommandError::usage(format_args!(
            "option '--payload': failed to read standard input: {error}"
        ))
    })?;
    Ok(bytes)
}
