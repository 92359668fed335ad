//! `obuilder build`.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use obuilder::builder::{BuildError, Context};

use super::console::{Console, watch};
use super::shared_args::SharedArgs;
use super::spec_file::{SpecArgs, read_file};
use super::store_args::StoreArgs;
use cli::error::CommandError;
use cli::quantities::seconds;
use cli::signals::Interrupts;

/// How long to wait for results to be uploaded. One that is left is uploaded with a later one.
const SHARE_LIMIT: Duration = Duration::from_secs(300);

/// Build a spec
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Directory that the spec copies files from
    #[arg(value_name = "DIR")]
    source: PathBuf,
    /// Secret for the build, read from PATH; may be repeated
    #[arg(long = "secret", value_name = "ID:PATH", value_parser = secret)]
    secrets: Vec<(String, PathBuf)>,
    /// Time limit of the build, in seconds (0: no limit)
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    job_timeout: Duration,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    shared: SharedArgs,
}

fn secret(text: &str) -> Result<(String, PathBuf), String> {
    let (id, path) = text
        .split_once(':')
        .ok_or_else(|| format!("invalid value '{text}', missing a ':' separator"))?;
    Ok((id.to_owned(), path.into()))
}

pub(super) async fn run(args: Args) -> Result<(), CommandError> {
    if !args.source.is_dir() {
        return Err(CommandError::usage(format_args!(
            "argument DIR: no '{}' directory",
            args.source.display()
        )));
    }
    let mut secrets = Vec::new();
    for (id, path) in args.secrets {
        secrets.push((id.into(), read_file("--secret", &path)?));
    }
    let spec = args.spec.read()?;
    let mut interrupts = Interrupts::listen()?;
    let builder = args.store.open_sharing(args.shared.options())?;
    let console = Rc::new(Console::new());
    let mut context = Context::new(args.source, Rc::clone(&console) as Rc<_>);
    context.secrets = secrets;
    let mut timed_out = false;
    let building = async {
        let mut building = std::pin::pin!(builder.build(&context, &spec));
        let limit = async {
            match args.job_timeout {
                Duration::ZERO => std::future::pending().await,
                limit => tokio::time::sleep(limit).await,
            }
        };
        let built = tokio::select! {
            built = &mut building => built,
            () = limit => {
                timed_out = true;
                context.cancel.cancel();
                building.await
            }
        };
        // A cancelled build ends before its step, whose container must not outlive this process.
        builder.idle().await;
        // A worker shares results while it goes on; this process ends.
        let sharing = tokio::time::timeout(SHARE_LIMIT, builder.all_shared());
        if let Some(Err(_)) = context.cancel.run_until_cancelled(sharing).await {
            tracing::warn!(
                "Some results were not shared within {} s",
                SHARE_LIMIT.as_secs()
            );
        }
        built
    };
    let built = watch(building, &context.cancel, &console, &mut interrupts).await?;
    match built {
        Err(BuildError::Cancelled) if timed_out => Err(CommandError::failed(format_args!(
            "Build stopped: it took longer than --job-timeout={}",
            args.job_timeout.as_secs_f64()
        ))),
        Ok(id) => cli::print::print_line(format_args!("Got: \"{id}\"")),
        Err(BuildError::Log(error)) => Err(CommandError::from_output(&error)),
        Err(error) => Err(CommandError::failed(format_args!(
            "Build step failed: {error}"
        ))),
    }
}
