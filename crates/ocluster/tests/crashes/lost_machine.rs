//! A scheduler that is lost with its disk, but for what other machines have: the key, the database and the log store.

use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::follow::live;
use crate::job::SeenJob;
use crate::network::Network;
use crate::plan::{JobPlan, Victim, Work};
use crate::round::compare_again;
use crate::scene::{attended, on_site_with, until};

/// Long enough to change the folders of a scheduler before it is started again.
const PAUSE: Duration = Duration::from_secs(2);

#[test]
fn the_next_scheduler_takes_from_the_worker_what_the_store_does_not_have() {
    let network = Network {
        scheduler_options: vec!["--log-acknowledge=store".to_owned()],
        ..Network::default()
    };
    let done = on_site_with(network, async |site| {
        let job = Rc::new(SeenJob::new(JobPlan::new("kept", Work::Quick)));
        let store = site.folder().join("log-store");
        let logs = site.folder().join("state/job-logs");
        let work = async {
            until(|| site.is_served()).await;
            // A store that cannot write: there is a file where it wants folders.
            fs::remove_dir_all(&store).map_err(|error| error.to_string())?;
            fs::write(&store, "").map_err(|error| error.to_string())?;
            live(&site.user, &job, 0).await?;
            site.kill(Victim::Scheduler, PAUSE);
            fs::remove_dir_all(&logs).map_err(|error| error.to_string())?;
            fs::remove_file(&store).map_err(|error| error.to_string())?;
            until(|| has_files(&store)).await;
            Ok(())
        };
        attended(site, work).await?;
        compare_again(site, &[job]).await
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}

/// Tells whether there is a file in a folder, or below it.
fn has_files(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    { entries }.any(|entry| entry.path().is_file() || has_files(&entry.path()))
}
