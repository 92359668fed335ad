//! What has happened to programs, for the counts at the end of all rounds.

use std::collections::BTreeMap;

use crate::client_plan::ClientCommand;
use crate::kill::StopSignal;
use crate::points::{POINTS, Point};

/// Something that has happened to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Incident {
    /// It has killed itself there.
    Point(Point),
    /// The scheduler was stopped, and has ended as it should.
    Scheduler(StopSignal),
    /// So was a worker.
    Worker(StopSignal),
    /// The client's connection was closed.
    Connection,
    /// The client's program was stopped before it had shown anything of the job's output.
    BeforeOutput(ClientCommand, StopSignal),
    /// The client's program was stopped when it had shown a part of the job's output.
    AfterOutput(ClientCommand, StopSignal),
}

/// How often each has happened.
pub(crate) type Incidents = BTreeMap<Incident, u32>;

impl Incident {
    /// Returns what must have happened after all rounds.
    fn expected() -> impl Iterator<Item = Self> {
        let signals = StopSignal::ALL.into_iter().flat_map(|signal| {
            [
                Self::Scheduler(signal),
                Self::Worker(signal),
                Self::AfterOutput(ClientCommand::Submit, signal),
                Self::AfterOutput(ClientCommand::Follow, signal),
            ]
        });
        let points = POINTS.into_iter().map(Self::Point);
        points.chain(signals).chain([Self::Connection])
    }

    /// Returns what should have happened, and has not.
    pub(crate) fn missed(incidents: &Incidents) -> Vec<Self> {
        Self::expected()
            .filter(|incident| !incidents.contains_key(incident))
            .collect()
    }
}

/// Shows the counts, one in a line.
pub(crate) fn show(incidents: &Incidents) -> String {
    let lines = incidents.iter().map(|(incident, count)| match incident {
        Incident::Point(point) => format!("{count:5} × {}\n", point.name),
        _ => format!("{count:5} × {incident:?}\n"),
    });
    lines.collect()
}
