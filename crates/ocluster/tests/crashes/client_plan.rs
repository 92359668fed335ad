//! What the client's program does with a job, and how it is stopped meanwhile.

use std::time::Duration;

use crate::kill::{Moment, StopSignal};
use crate::plan::Work;
use crate::random::Random;

/// A command that shows a job to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ClientCommand {
    /// `submit-custom`, with a key. SIGTERM and SIGINT cancel the job.
    Submit,
    /// `logs -f`, of a job that goes on without it.
    Follow,
}

/// A client's program that is stopped some times, and started again each time.
#[derive(Clone, Debug)]
pub(crate) struct ClientPlan {
    pub(crate) command: ClientCommand,
    pub(crate) stops: Vec<ClientStop>,
}

/// A stop of a process of the client's program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientStop {
    pub(crate) moment: Moment,
    pub(crate) signal: StopSignal,
    /// How long until it is started again.
    pub(crate) pause: Duration,
}

impl ClientPlan {
    /// Returns one for a job with this work.
    pub(crate) fn draw(work: Work, random: &mut Random) -> Self {
        let command = random.pick(&[ClientCommand::Submit, ClientCommand::Follow]);
        let stops = 1 + random.below(2);
        Self {
            command,
            stops: (0..stops).map(|_| ClientStop::draw(work, random)).collect(),
        }
    }
}

impl ClientStop {
    fn draw(work: Work, random: &mut Random) -> Self {
        let (lines, _) = work.lines();
        let shown = 1 + random.below(u64::from(lines) * 3 / 4);
        let after = random.millis(600);
        Self {
            moment: match random.one_in(3) {
                true => Moment::After(after),
                false => Moment::Shown(usize::try_from(shown).expect("few lines")),
            },
            signal: random.pick(&StopSignal::ALL),
            pause: random.millis(200),
        }
    }
}
