//! A network between the scheduler and its workers that fails for some seconds.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::Duration;

use futures::future::{join, try_join_all};
use rig::{End, Holder, Name, Wire, report_not_run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::follow::live;
use crate::job::SeenJob;
use crate::plan::{JobPlan, Work};
use crate::scene::{attended, on_site_with, until};
use crate::site::{Network, Site};

/// How long it fails. Connections survive that.
const OUTAGE: Duration = Duration::from_secs(5);

#[test]
fn a_job_runs_once_although_the_network_fails_meanwhile() {
    let test = "a_job_runs_once_although_the_network_fails_meanwhile";
    if !rig::is_root() {
        report_not_run(test, "root, for network namespaces");
        return;
    }
    let name = Name::new().expect("a name");
    let Ok(holder) = Holder::start(&name) else {
        return report_not_run(test, "the program rig");
    };
    let wire = Wire::new(&holder).expect("network namespaces");
    // The thread of the test, and what it starts, are where the scheduler is.
    let test = std::thread::spawn(move || {
        let near = File::open(wire.namespace(End::Near)).expect("a namespace");
        move_into_link_name_space(near.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter it");
        let network = Network {
            options: Vec::new(),
            address: format!("tcp:{}:9000", Wire::ADDRESS),
            workers: [
                "nsenter".to_owned(),
                format!("--net={}", wire.namespace(End::Far).display()),
                "--".to_owned(),
            ]
            .to_vec(),
        };
        on_site_with(network, async |site| outage(site, &wire).await)
    });
    let done = test.join().expect("the test reports what it finds");
    done.unwrap_or_else(|error| panic!("{error}"));
    holder.finish().expect("it cleans up");
}

async fn outage(site: &Site, wire: &Wire) -> Result<(), String> {
    let work = [Work::Long, Work::Slow, Work::Long, Work::Slow];
    let jobs: Vec<_> = (0..).zip(work).collect();
    let jobs: Vec<_> = jobs
        .into_iter()
        .map(|(number, work)| SeenJob::new(JobPlan::new(&format!("job-{number}"), work)))
        .collect();
    let cut = async {
        until(|| jobs.iter().all(|job| job.logs_length() > 0)).await;
        wire.connect(false).expect("the network fails");
        tokio::time::sleep(OUTAGE).await;
        wire.connect(true).expect("the network works again");
    };
    let lives = try_join_all(jobs.iter().map(|job| live(site, job, 0)));
    attended(site, async { join(lives, cut).await.0 }).await?;
    jobs.iter().try_for_each(|job| {
        job.check(site.folder(), 0, 0)?;
        match job.runs(site.folder()) {
            1 => Ok(()),
            runs => Err(format!("{} was run {runs} times", job.plan.name)),
        }
    })
}
