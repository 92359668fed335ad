//! The options about results that are shared with workers.

use std::path::PathBuf;
use std::time::Duration;

use obuilder::shared::{SharedMode, SharedOptions};
use oci::fetch::RepositoryPlace;

use cli::quantities::age;

/// The options about results that are shared with other workers.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Shared results")]
pub(super) struct SharedArgs {
    /// Share results with workers: oci://REGISTRY/REPOSITORY or dir:/PATH
    ///
    /// A step that another worker has run is fetched rather than run, if that is expected to be faster. Results of
    /// steps with secrets are not shared.
    #[arg(long, value_name = "PLACE", value_parser = RepositoryPlace::parse, requires = "store")]
    cache: Option<RepositoryPlace>,
    /// Use of the shared results: read, write or read-write
    #[arg(long, value_name = "MODE", default_value_t)]
    cache_mode: SharedMode,
    /// File with the public keys of the workers whose results to use, one per line
    ///
    /// Own results are always used. "obuilder key" prints the key of a store.
    #[arg(long, value_name = "FILE")]
    cache_accept: Option<PathBuf>,
    /// Maximum age of shared results to use, such as 30d (0: any age)
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = age)]
    cache_max_age: Duration,
    /// Share the results of steps with secrets, too
    #[arg(long)]
    cache_secrets: bool,
}

impl SharedArgs {
    /// Returns how results are shared, under the name of this machine. `None` if they are not.
    pub(super) fn options(&self) -> Option<SharedOptions> {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let is_name = visible::check_name(&host).is_ok();
        Some(SharedOptions {
            place: self.cache.clone()?,
            mode: self.cache_mode,
            accepted: self.cache_accept.clone(),
            worker: if is_name { host } else { "obuilder".to_owned() },
            max_age: Some(self.cache_max_age).filter(|age| !age.is_zero()),
            with_secrets: self.cache_secrets,
        })
    }
}
