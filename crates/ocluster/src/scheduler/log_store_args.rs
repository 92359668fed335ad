//! Options about logs that several schedulers can read.

use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use cluster_scheduler::{
    Acknowledge, LogStoreAddress, LogStoreCredentials, LogStoreSettings, StoreSettings,
};

use cli::error::CommandError;
use cli::quantities::disk_bytes;

/// Where logs that are whole are kept beside the disk.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Logs in an object store")]
pub(crate) struct LogStoreArgs {
    /// Object store for the logs of jobs that have ended: s3:, gs: or az://BUCKET/PREFIX, or dir:PATH
    ///
    /// Add ?endpoint=URL for a service of your own, and &region=NAME, &ca=PATH (certificates to trust) or, for Azure,
    /// &account=NAME. Another scheduler with the same key can read the logs there. Without it, they are only on disk.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    log_store: Option<LogStoreAddress>,
    /// File with lines such as AWS_ACCESS_KEY_ID=ID and AWS_SECRET_ACCESS_KEY=KEY
    ///
    /// They are added to those of the environment, whose names begin with AWS_, GOOGLE_ or AZURE_.
    #[arg(long, value_name = "PATH", requires = "log_store")]
    log_store_credentials: Option<PathBuf>,
    /// Disk space for logs that are in the log store; the latest are kept
    #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = disk_bytes)]
    log_cache: u64,
    /// When a worker may forget a log: when it is on the scheduler's disk, or in the log store
    ///
    /// With "store", no log is lost with the scheduler's machine. That is the default with a database, as another
    /// scheduler may have to read it; without one, it is "disk".
    #[arg(long, value_name = "WHERE", requires_if("store", "log_store"))]
    log_acknowledge: Option<Where>,
}

/// Where a log is when its worker may forget it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    /// On the scheduler's disk.
    Disk,
    /// In the log store.
    Store,
}

impl LogStoreArgs {
    /// Returns where logs are kept, by a scheduler whose state is in `store`; `None` if they are only on disk.
    pub(super) fn settings(
        self,
        store: &StoreSettings,
    ) -> Result<Option<LogStoreSettings>, CommandError> {
        let Self {
            log_store,
            log_store_credentials,
            log_cache,
            log_acknowledge,
        } = self;
        let Some(address) = log_store else {
            return Ok(None);
        };
        // Those that are no text cannot be credentials.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut credentials = LogStoreCredentials::new(environment);
        if let Some(path) = log_store_credentials {
            let cannot_use = |why: &dyn std::fmt::Display| {
                CommandError::usage(format_args!(
                    "option '--log-store-credentials': cannot use {}: {why}",
                    path.display()
                ))
            };
            let text = fs::read_to_string(&path).map_err(|error| cannot_use(&error))?;
            credentials
                .add_lines(&text)
                .map_err(|line| cannot_use(&format_args!("line {line} is not NAME=VALUE")))?;
        }
        Ok(Some(LogStoreSettings {
            address,
            credentials,
            cache_bytes: log_cache,
            acknowledge: match (log_acknowledge, store) {
                (Some(Where::Disk), _) | (None, StoreSettings::Files) => Acknowledge::OnDisk,
                (Some(Where::Store), _) | (None, StoreSettings::Postgres(_)) => {
                    Acknowledge::InStore
                }
            },
        }))
    }
}

fn parse_address(text: &str) -> Result<LogStoreAddress, String> {
    text.parse()
        .map_err(|error: cluster_scheduler::ParseLogStoreError| error.to_string())
}
