//! `step-down`: has a standby lead instead of the scheduler that leads.

use std::ffi::OsString;

use super::Common;
use super::service::{About, Service};
use crate::json::admin::SteppedDown;
use cli::error::CommandError;

/// Have a standby lead instead of this scheduler
///
/// It takes about a second. Our clients and workers go to the new leader by themselves; durable jobs go on, and
/// attached jobs are lost. This scheduler waits as a standby then. It refuses if no standby is there.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin step-down [OPTIONS] [CAP]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, positionals) = common.split(args.positionals)?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let failed = async |method, error| service.failed(method, About::default(), error).await;
    let status = match service.admin().leader_status().await {
        Ok(status) => status,
        Err(error) => return Err(failed("Leadership.status", error).await),
    };
    if let Err(error) = service.admin().step_down().await {
        return Err(failed("Leadership.stepDown", error).await);
    }
    common.format().print(
        || format!("{} does not lead any more.\n", visible::Shown(&status.name)),
        || SteppedDown {
            leader: status.name.clone(),
        },
    )
}
