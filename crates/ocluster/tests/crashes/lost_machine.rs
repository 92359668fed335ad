//! A scheduler that is lost with its disk, but for what other machines have: the key, the database and the log store.

use std::fs;
use std::io;
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
    loses_its_disk(|logs, _| fs::remove_dir_all(logs));
}

/// Another scheduler has led while the job ended: this one has the log as far as it has followed it.
#[test]
fn a_part_of_a_log_that_an_earlier_leader_has_is_not_taken_for_the_whole() {
    loses_its_disk(|logs, job| {
        let (_, bytes) = job.seen().unwrap_or_else(|| panic!("{}", job.describe()));
        let folder = { fs::read_dir(logs)?.flatten() }.next();
        let folder = folder.ok_or_else(|| io::Error::other("no log on disk"))?;
        for file in fs::read_dir(folder.path())?.flatten() {
            fs::remove_file(file.path())?;
        }
        let name = format!("{}.1.log", job.id());
        fs::write(folder.path().join(name), &bytes[0][..bytes[0].len() / 2])
    });
}

/// Ends a job whose log cannot be uploaded, changes the logs on the scheduler's disk while it does not run, and reads
/// the log again.
fn loses_its_disk(lose: impl Fn(&Path, &SeenJob) -> io::Result<()>) {
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
            lose(&logs, &job).map_err(|error| error.to_string())?;
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
