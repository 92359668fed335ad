//! What happens to the leader, or to the database.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::disk::Filler;
use super::farm::{Farm, SCHEDULERS, also, cap};
use super::gaps::{Gaps, Outage};
use super::ledger;
use super::machines::text;
use crate::program::command;
use crate::random::Random;

/// What happens in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The leader is killed, and started again later.
    Killed,
    /// The leader is stopped, and goes on later as if nothing had happened.
    Frozen,
    /// What the leader and the database send each other is held.
    CutFromDatabase,
    /// What the leader and all peers send each other is dropped.
    CutFromPeers,
    /// The database ends all connections, and is started again.
    DatabaseRestarted,
    /// The database has no room for more rows.
    DatabaseFull,
    /// The database has no room for its journal, either, and ends.
    JournalFull,
    /// An operator asks the leader to step down.
    StepDown,
}

/// How long until the disk of the database has room again.
const POLL: Duration = Duration::from_millis(100);

impl Trouble {
    pub(super) const ALL: [Self; 8] = [
        Self::Killed,
        Self::Frozen,
        Self::CutFromDatabase,
        Self::CutFromPeers,
        Self::DatabaseRestarted,
        Self::DatabaseFull,
        Self::JournalFull,
        Self::StepDown,
    ];

    /// Returns how long it lasts.
    pub(super) fn draw_length(self, random: &mut Random) -> Duration {
        let seconds = |from: u64, to: u64, random: &mut Random| {
            Duration::from_secs(from) + random.millis((to - from) * 1000)
        };
        match self {
            // A machine that slept for a minute, or one that was paged out.
            Self::Frozen if random.one_in(3) => Duration::from_secs(60),
            Self::Frozen => seconds(8, 16, random),
            Self::Killed => seconds(0, 12, random),
            Self::CutFromDatabase | Self::CutFromPeers => seconds(8, 20, random),
            // Shorter than a lease, or longer.
            Self::DatabaseRestarted if random.one_in(2) => seconds(0, 2, random),
            Self::DatabaseRestarted => seconds(5, 12, random),
            Self::DatabaseFull | Self::JournalFull => seconds(2, 12, random),
            Self::StepDown => Duration::ZERO,
        }
    }

    /// Returns how long it lasts where a test has little time: still longer than a lease.
    pub(super) fn short_length(self) -> Duration {
        match self {
            Self::StepDown => Duration::ZERO,
            // Longer than a lease: a scheduler that is started at once leads again.
            Self::Killed | Self::Frozen | Self::CutFromDatabase | Self::CutFromPeers => {
                Duration::from_secs(8)
            }
            Self::DatabaseRestarted => Duration::from_secs(1),
            Self::DatabaseFull | Self::JournalFull => Duration::from_secs(2),
        }
    }

    /// Makes it, and undoes it.
    pub(super) async fn make(
        self,
        farm: &Farm<'_>,
        length: Duration,
        gaps: &Gaps,
    ) -> Result<(), String> {
        let leader = ledger::leader(farm.machines).await?;
        let leader = SCHEDULERS.iter().position(|name| *name == leader);
        let leader = leader.ok_or("no scheduler has the lease")?;
        match self {
            Self::Killed => {
                farm.kill(leader, length);
                tokio::time::sleep(length).await;
            }
            Self::Frozen => {
                farm.signal(leader, Signal::STOP);
                tokio::time::sleep(length).await;
                farm.signal(leader, Signal::CONT);
            }
            Self::CutFromDatabase => {
                farm.machines.reach_database(leader, false)?;
                tokio::time::sleep(length).await;
                farm.machines.reach_database(leader, true)?;
            }
            Self::CutFromPeers => {
                farm.machines.reach_peers(leader, false)?;
                tokio::time::sleep(length).await;
                farm.machines.reach_peers(leader, true)?;
            }
            Self::DatabaseRestarted => {
                let begin = Instant::now();
                let machines = farm.machines;
                machines
                    .administer(|database| text(database.stop()))
                    .await?;
                tokio::time::sleep(length).await;
                let start = machines.administer(|database| text(database.start_again()));
                start.await?;
                gaps.note_outage(Outage::Everything, begin);
            }
            Self::DatabaseFull | Self::JournalFull => {
                let begin = Instant::now();
                self.fill_disk(farm, length).await?;
                let outage = match self {
                    Self::JournalFull => Outage::Everything,
                    _ => Outage::Submissions,
                };
                gaps.note_outage(outage, begin);
            }
            Self::StepDown => step_down(farm).await?,
        }
        Ok(())
    }

    /// Leaves no room on the disk of the database until some time after it has noticed.
    async fn fill_disk(self, farm: &Farm<'_>, length: Duration) -> Result<(), String> {
        let machines = farm.machines;
        let complaints =
            || machines.administer(|database| Ok(database.log().matches(NO_ROOM).count()));
        let before = complaints().await?;
        let filler = Filler::fill(machines.disk())?;
        if self == Self::JournalFull {
            // What is written next begins a new file of it. The database may end before it answers.
            let _ended = machines.sql("SELECT pg_switch_wal()").await;
        }
        while complaints().await? == before {
            tokio::time::sleep(POLL).await;
        }
        tokio::time::sleep(length).await;
        filler.remove()?;
        serve_again(farm).await
    }
}

/// What the database logs when it has no room.
const NO_ROOM: &str = "No space left on device";

/// Waits until a database that has room again serves. One that has ended without room is started.
async fn serve_again(farm: &Farm<'_>) -> Result<(), String> {
    loop {
        if farm.machines.sql("SELECT 1").await.is_ok() {
            return Ok(());
        }
        let machines = farm.machines;
        let has_ended = machines.administer(|database| text(database.has_ended()));
        if has_ended.await? {
            let start = machines.administer(|database| text(database.start_again()));
            start.await?;
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn step_down(farm: &Farm<'_>) -> Result<(), String> {
    let args = [
        "step-down".to_owned(),
        cap("admin"),
        format!("--also={}", also()),
    ];
    let program = env!("CARGO_BIN_EXE_ocluster-admin");
    let mut command = command(&[], program, &args, farm.folder());
    let log = farm.folder().join("step-down.err");
    let errors = std::fs::File::create(&log).map_err(|error| error.to_string())?;
    command.stdout(Stdio::null()).stderr(errors);
    let ended = tokio::task::spawn_blocking(move || command.status()).await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        ended => {
            let errors = std::fs::read_to_string(&log).unwrap_or_default();
            Err(format!("step-down: {ended:?}: {errors}"))
        }
    }
}
