//! What a round does, decided by its number alone.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::client_plan::ClientPlan;
use crate::kill::{Kill, Moment, StopSignal};
use crate::points::{AFTER_PRUNING, CYCLE, POINTS, Point};
use crate::random::Random;

/// A program that can be stopped, or the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    Scheduler,
    Worker(usize),
    Connection,
}

/// How many attempts of a job may be lost. A round does not kill as often.
const ATTEMPTS: NonZeroU8 = NonZeroU8::new(5).expect("it is not zero");

/// What a round does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) jobs: Vec<JobPlan>,
    /// Where a program kills itself, and how often it passes that point before.
    pub(crate) point: Option<(Victim, Point, u64)>,
    pub(crate) kills: Vec<Kill>,
    /// Whether the workers are killed with the scheduler. If not, they connect again by themselves, which takes up to
    /// ten seconds.
    pub(crate) kills_all: bool,
    /// Whether the jobs of earlier rounds are made so old that the scheduler removes them.
    pub(crate) ages_jobs: bool,
}

/// A job that is submitted.
#[derive(Clone, Debug)]
pub(crate) struct JobPlan {
    pub(crate) name: String,
    pub(crate) has_key: bool,
    pub(crate) is_sent_twice: bool,
    pub(crate) cancelled_after: Option<Duration>,
    pub(crate) work: Work,
    /// How many of its attempts may be lost.
    pub(crate) attempts: NonZeroU8,
    /// Whether the end of its log may be missing: there was no room for it, or the disk lost what was not synced.
    pub(crate) loses_log: bool,
    /// The client's program that shows it, if there is one.
    pub(crate) client: Option<ClientPlan>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Prints some lines.
    Quick,
    /// Prints a line now and then for half a second.
    Slow,
    /// Prints half a megabyte.
    Chatty,
    /// Fails with exit code 3.
    Failing,
    /// Prints a line now and then for three seconds.
    Long,
    /// Prints a line now and then for twenty seconds.
    Lengthy,
    /// Prints a line now and then for more than a minute: workers take ten seconds to connect again.
    Lasting,
    /// A build of OBuilder that prints as a slow job does.
    Build,
    /// Prints so many lines, ten now and then.
    Steady(u32),
    /// A build of OBuilder that does so.
    SteadyBuild(u32),
    /// A build of Docker that prints a line now and then for two seconds.
    Docker,
    /// A build of Docker that prints some lines, and then runs for an hour.
    Endless,
}

impl Work {
    /// Returns how many numbered lines it prints, and how many of them between pauses; 0 for no pause.
    pub(crate) fn lines(self) -> (u32, u32) {
        match self {
            Self::Quick | Self::Failing => (40, 0),
            Self::Slow | Self::Build => (100, 10),
            Self::Chatty => (80_000, 0),
            Self::Docker => (400, 10),
            Self::Long => (600, 10),
            Self::Steady(lines) | Self::SteadyBuild(lines) => (lines, 10),
            Self::Lengthy => (4000, 10),
            Self::Lasting => (1500, 1),
            Self::Endless => (10, 10),
        }
    }

    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failing => 3,
            Self::Quick
            | Self::Slow
            | Self::Chatty
            | Self::Long
            | Self::Lengthy
            | Self::Lasting
            | Self::Build
            | Self::Steady(_)
            | Self::SteadyBuild(_)
            | Self::Docker
            | Self::Endless => 0,
        }
    }

    /// Returns whether it leaves marks in the folder of the site. A sandbox has no access to that.
    pub(crate) fn leaves_marks(self) -> bool {
        !matches!(
            self,
            Self::Build | Self::SteadyBuild(_) | Self::Docker | Self::Endless
        )
    }
}

impl Plan {
    pub(crate) fn of(number: u64) -> Self {
        let mut random = Random::new(number);
        let target = usize::try_from(number % CYCLE).expect("small");
        let point = POINTS.get(target).filter(|_| cfg!(debug_assertions));
        let jobs = (0..3 + random.below(4))
            .map(|index| JobPlan::draw(format!("r{number}-{index}"), &mut random))
            .collect();
        let mut plan = Self {
            number,
            jobs,
            point: point.map(|point| match point.of_worker {
                true => (Victim::Worker(0), *point, random.below(2)),
                false => (Victim::Scheduler, *point, random.below(3)),
            }),
            kills: Vec::new(),
            kills_all: !random.one_in(3),
            ages_jobs: point.is_some_and(|point| point.name.ends_with("pruning")),
        };
        if let Some((_, point, passes)) = &mut plan.point
            && point.name == AFTER_PRUNING
        {
            // All of them are removed in one piece.
            *passes = 0;
        }
        let needs_lost_attempts = point.is_some_and(|point| point.name.ends_with("/retry"));
        if needs_lost_attempts {
            plan.kill_worker_of_slow_jobs(&mut random);
        }
        let is_of_an_end = point.is_some_and(|point| point.name.ends_with("/end"));
        if is_of_an_end && random.one_in(2) {
            plan.end_with_a_cancellation(&mut random);
        }
        if point.is_none() || random.one_in(3) {
            plan.kills.push(Kill::draw(&mut random));
        }
        if random.one_in(2) {
            let name = format!("r{number}-shown");
            plan.jobs.push(JobPlan::draw_shown(&name, &mut random));
        }
        plan
    }

    /// Returns a round that kills nothing, before the one in which its jobs are removed.
    pub(crate) fn of_jobs_to_age(number: u64) -> Self {
        let jobs =
            ["a", "b", "c"].map(|job| JobPlan::new(&format!("r{number}-{job}"), Work::Quick));
        Self {
            // Of no other round.
            number: u64::MAX - number,
            jobs: jobs.to_vec(),
            point: None,
            kills: Vec::new(),
            kills_all: true,
            ages_jobs: false,
        }
    }

    /// Returns it with builds of OBuilder for all jobs.
    pub(crate) fn with_builds(mut self) -> Self {
        self.jobs.retain(|job| job.client.is_none());
        self.jobs.iter_mut().for_each(|job| job.work = Work::Build);
        self
    }

    /// The first end is that of a job that is cancelled.
    fn end_with_a_cancellation(&mut self, random: &mut Random) {
        self.jobs.iter_mut().for_each(|job| {
            job.work = Work::Slow;
            job.cancelled_after = None;
        });
        if let (Some((_, _, passes)), Some(job)) = (&mut self.point, self.jobs.first_mut()) {
            *passes = 0;
            job.cancelled_after = Some(random.millis(200));
        }
    }

    /// Both workers have slow jobs, and one is killed meanwhile.
    fn kill_worker_of_slow_jobs(&mut self, random: &mut Random) {
        self.jobs.iter_mut().for_each(|job| {
            job.work = Work::Slow;
            job.cancelled_after = None;
        });
        if let Some((_, _, passes)) = &mut self.point {
            *passes = 0;
        }
        self.kills.push(Kill {
            moment: Moment::After(Duration::from_millis(400) + random.millis(200)),
            victim: Victim::Worker(0),
            signal: StopSignal::Kill,
            pause: random.millis(100),
        });
    }
}

impl JobPlan {
    /// Returns a job that is submitted with a key, and not cancelled.
    pub(crate) fn new(name: &str, work: Work) -> Self {
        Self {
            name: name.to_owned(),
            has_key: true,
            is_sent_twice: false,
            cancelled_after: None,
            work,
            attempts: ATTEMPTS,
            loses_log: false,
            client: None,
        }
    }

    fn draw(name: String, random: &mut Random) -> Self {
        let has_key = !random.one_in(4);
        Self {
            has_key,
            is_sent_twice: has_key && random.one_in(2),
            cancelled_after: random.one_in(4).then(|| random.millis(600)),
            work: random.pick(&[
                Work::Quick,
                Work::Quick,
                Work::Slow,
                Work::Slow,
                Work::Chatty,
                Work::Failing,
            ]),
            ..Self::new(&name, Work::Quick)
        }
    }

    /// Returns a job that the client's program shows.
    fn draw_shown(name: &str, random: &mut Random) -> Self {
        let work = random.pick(&[Work::Slow, Work::Slow, Work::Chatty, Work::Failing]);
        Self {
            client: Some(ClientPlan::draw(work, random)),
            ..Self::new(name, work)
        }
    }
}
