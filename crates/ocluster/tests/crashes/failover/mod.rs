//! Rounds in which the leader of several schedulers fails, and the same checker knows every job.
//!
//! Two schedulers share a database, a key and a store of logs; three workers build. While jobs are submitted and logs
//! are followed, a round makes one [`trouble`], and ends when every job has. A round's number is the seed of all that
//! it does; `cargo xtask failovers --rounds 1 --seed NUMBER` repeats it.

mod disk;
mod farm;
mod gaps;
mod ledger;
mod load;
mod machines;
mod report;
mod round;
mod trouble;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};

use rig::{Lan, report_not_run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use self::farm::Farm;
use self::machines::{Machines, PEERS};
use self::report::Report;
use self::round::Plan;
use crate::number;
use crate::scene::in_folder;

/// How many rounds a lane makes before it begins with a new cluster, so that one that fails does not end all.
const ROUNDS_OF_A_FARM: usize = 10;

/// How many rounds the tests make: one, in which the leader is killed. The others are for `cargo xtask failovers`.
const ROUNDS: u64 = 1;

#[test]
fn failovers_lose_nothing() {
    let count = number("FAILOVER_ROUNDS", ROUNDS);
    let first = number("FAILOVER_SEED", 0);
    println!("rounds {first} to {}", first + count - 1);
    let plan = match count {
        ROUNDS => Plan::short,
        _ => Plan::of,
    };
    make((first..first + count).map(plan).collect());
}

/// Makes rounds, in some clusters at once, and reports how long clients waited.
#[expect(clippy::print_stdout, reason = "its report")]
fn make(plans: Vec<Plan>) {
    let test = "failovers_lose_nothing";
    let lanes = number("FAILOVER_LANES", 2).clamp(1, 16);
    let image = tempfile::tempdir().expect("a folder");
    if !rig::is_root() || rig::busybox_rootfs(image.path()).is_err() {
        return report_not_run(test, "root, and a busybox that is linked statically");
    }
    let lanes_now = usize::try_from(lanes).expect("few lanes");
    let plans: Vec<_> = plans
        .chunks(plans.len().div_ceil(lanes_now).clamp(1, ROUNDS_OF_A_FARM))
        .map(<[Plan]>::to_vec)
        .collect();
    let plans = Arc::new(Mutex::new(plans.into_iter()));
    let image = Arc::new(image);
    let lanes: Vec<_> = (0..lanes)
        .map(|_| {
            let (plans, image) = (Arc::clone(&plans), Arc::clone(&image));
            std::thread::spawn(move || {
                let mut report = Report::default();
                let next = || plans.lock().expect("no lane panics here").next();
                while let Some(plans) = next() {
                    let rounds = on_farm(image.path(), plans, &mut report);
                    report.failures.extend(rounds.err());
                }
                report
            })
        })
        .collect();
    let mut report = Report::default();
    for lane in lanes {
        report.add(lane.join().expect("a lane reports what it finds"));
    }
    println!("{report}");
    assert!(
        report.failures.is_empty(),
        "{}",
        report.failures.join("\n\n")
    );
}

/// Makes rounds in a new cluster.
fn on_farm(image: &std::path::Path, plans: Vec<Plan>, report: &mut Report) -> Result<(), String> {
    let machines = Machines::new()?;
    std::thread::scope(|scope| {
        // The thread, and what it starts, are where workers and clients are.
        let rounds = scope.spawn(|| {
            enter(machines.lan());
            in_folder(async |folder| {
                let farm = Farm::new(folder, image, &machines)?;
                let done = round::all(&farm, plans, report).await;
                farm.end();
                done.map_err(|error| format!("{error}\nlogs: {:#?}", farm.logs()))
            })
        });
        rounds.join().expect("the rounds report what they find")
    })
}

fn enter(lan: &Lan) {
    let namespace = lan.namespace(PEERS).expect("there is one");
    let namespace = File::open(namespace).expect("a namespace");
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("root may enter it");
}
