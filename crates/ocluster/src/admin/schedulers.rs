//! `schedulers`: lists the scheduler that leads, and its standbys.

use std::ffi::OsString;
use std::fmt::Write as _;

use cluster_api::{LeaderStatus, Standby};
use visible::Shown;

use super::Common;
use super::service::{About, Service};
use crate::json::admin::{Scheduler, Schedulers};
use cli::error::CommandError;

/// A standby that looked at the lease longer ago, in seconds, has ended or cannot reach the database.
const PRESENT: u64 = 5;

/// List the scheduler that leads, and its standbys
///
/// Schedulers on one PostgreSQL database (--store) wait for one another. The one that answers leads.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin schedulers [OPTIONS] [CAP]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, positionals) = common.split(args.positionals)?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let status = match service.admin().leader_status().await {
        Ok(status) => status,
        Err(error) => {
            let about = About::default();
            return Err(service.failed("Leadership.status", about, error).await);
        }
    };
    common.format().print(|| text(&status), || json(&status))
}

fn text(status: &LeaderStatus) -> String {
    let LeaderStatus {
        name,
        address,
        lease,
        confirmed,
        standbys,
    } = status;
    let mut text = format!("leader:  {}, {}", Shown(name), Shown(address));
    // Nothing is printed into a text but text, which cannot fail.
    match lease {
        0 => text.push_str("; its state is in files, so it has no standbys\n"),
        lease => {
            let confirmed = confirmed.as_secs();
            writeln!(text, "; lease {lease}, confirmed {confirmed} s ago").ok();
            if standbys.is_empty() {
                text.push_str("No standby has looked at the lease.\n");
            }
        }
    }
    for standby in standbys {
        let Standby {
            name,
            address,
            pages: _,
            looked,
            reaches_leader,
        } = standby;
        let state = match (looked.as_secs(), reaches_leader) {
            (ago @ PRESENT.., _) => format!("away for {ago} s"),
            (_, true) => "ready".to_owned(),
            (_, false) => "ready; cannot connect to the leader".to_owned(),
        };
        writeln!(
            text,
            "standby: {}, {}; {state}",
            Shown(name),
            Shown(address)
        )
        .ok();
    }
    text
}

fn json(status: &LeaderStatus) -> Schedulers {
    Schedulers {
        leader: Scheduler {
            name: status.name.clone(),
            address: status.address.clone(),
        },
        lease: Some(status.lease).filter(|lease| *lease > 0),
        standbys: status
            .standbys
            .iter()
            .map(|standby| crate::json::admin::Standby {
                name: standby.name.clone(),
                address: standby.address.clone(),
                looked_seconds_ago: standby.looked.as_secs_f64(),
                is_ready: standby.looked.as_secs() < PRESENT,
                reaches_leader: standby.reaches_leader,
            })
            .collect(),
    }
}
