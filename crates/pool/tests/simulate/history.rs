//! A history: what happened to a pool, step by step. It can be run again, shortened, and printed as a
//! test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};

use pool::{Cancel, InactiveReason, PopId, TicketId, WaitingView, WorkerId};

use crate::random::Random;
use crate::story::{ADMIN, SHUTDOWN, Story, WORKER, worker};

const WORKERS: [&str; 4] = ["w1", "w2", "w3", "w4"];
const CLIENTS: [&str; 3] = ["alice", "bob", "carol"];
const HINTS: [&str; 4] = ["", "a", "b", "c"];
const REASONS: [(InactiveReason, &str); 3] =
    [(WORKER, "WORKER"), (ADMIN, "ADMIN"), (SHUTDOWN, "SHUTDOWN")];

/// Something that happens. Registrations, pops and tickets are known by the number of the step that
/// made them, so that steps can be left out without renaming the rest.
#[derive(Clone, Copy, Debug)]
enum Step {
    Register {
        name: &'static str,
    },
    Late {
        registration: usize,
    },
    SetActive {
        registration: usize,
        reason: usize,
        active: bool,
    },
    Silent {
        registration: usize,
    },
    Heard {
        registration: usize,
    },
    TakeOver {
        name: &'static str,
    },
    SetPaused {
        name: &'static str,
        paused: bool,
    },
    Release {
        registration: usize,
    },
    Forget {
        name: &'static str,
    },
    Pop {
        registration: usize,
    },
    CancelPop {
        pop: usize,
    },
    Submit {
        client: &'static str,
        hint: &'static str,
        urgent: bool,
    },
    /// As a job is queued again whose worker was lost, or after a restart.
    SubmitAgain {
        client: &'static str,
        fair_start: i64,
        was_assigned: bool,
    },
    Cancel {
        ticket: usize,
    },
    Finish {
        ticket: usize,
    },
    Rate {
        client: &'static str,
        rate: f64,
    },
    RemoveClient {
        client: &'static str,
    },
    Advance {
        seconds: u64,
    },
    Pause,
}

/// A bug to plant, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The tickets in the queue of a worker that leaves are lost.
    ReleaseDropsQueue,
}

/// How a history went wrong.
pub(crate) struct Failure {
    pub(crate) problem: String,
    pub(crate) history: History,
}

pub(crate) struct History {
    /// What happened, with numbers that stay the same when others are left out.
    steps: Vec<(usize, Step)>,
}

impl History {
    /// Makes up a history. Not every step of it need be possible when its time comes.
    pub(crate) fn random(random: &mut Random, steps: usize) -> Self {
        // In some there is more work than workers can do, in others they mostly wait for some.
        let (submit, pop) = random.pick(&[(14, 8), (8, 14), (4, 14)]);
        let mut history = Self { steps: Vec::new() };
        for number in 0..steps {
            let step = match random.below(36 + submit + pop) {
                common if common < submit => Step::Submit {
                    client: random.pick(&CLIENTS),
                    hint: random.pick(&HINTS),
                    urgent: random.once_in(5),
                },
                common if common < submit + pop => match history.recent_registration(random) {
                    Some(registration) => Step::Pop { registration },
                    None => Step::Register {
                        name: random.pick(&WORKERS),
                    },
                },
                other => history.random_step(other - submit - pop, random),
            };
            history.steps.push((number, step));
        }
        history
    }

    /// Returns one of thirty-six other things that may happen.
    fn random_step(&self, what: usize, random: &mut Random) -> Step {
        let registration = self.recent_registration(random);
        let pop = self.recent(random, |step| matches!(step, Step::Pop { .. }));
        let ticket = self.recent(random, |step| {
            matches!(step, Step::Submit { .. } | Step::SubmitAgain { .. })
        });
        let name = random.pick(&WORKERS);
        let client = random.pick(&CLIENTS);
        match (what, registration, pop, ticket) {
            (0, Some(registration), ..) => Step::Release { registration },
            (1, Some(registration), ..) => Step::Late { registration },
            // Most reasons that come are soon gone again.
            (2..10, Some(registration), ..) => {
                let reason = random.pick(&[0, 0, 0, 0, 1, 2]);
                let active = !random.once_in(6);
                Step::SetActive {
                    registration,
                    reason,
                    active,
                }
            }
            (10, ..) => Step::SetPaused {
                name,
                paused: random.once_in(4),
            },
            (11, ..) => Step::Forget { name },
            (12, _, Some(pop), _) => Step::CancelPop { pop },
            (13, _, _, Some(ticket)) => Step::Cancel { ticket },
            (14..20, _, _, Some(ticket)) => Step::Finish { ticket },
            (20, ..) => Step::Rate {
                client,
                rate: random.pick(&[0.5, 1.0, 2.0, 5.0]),
            },
            (21, ..) if random.once_in(5) => Step::RemoveClient { client },
            (22..25, ..) => Step::Advance {
                seconds: random.pick(&[1, 9, 20]),
            },
            (25..28, ..) => Step::Pause,
            (28, ..) if random.once_in(4) => Step::SubmitAgain {
                client,
                fair_start: random.pick(&[-100, 0, 3, 50, 1_000]),
                was_assigned: random.once_in(2),
            },
            (30, Some(registration), ..) if random.once_in(2) => Step::Silent { registration },
            (31..35, Some(registration), ..) => Step::Heard { registration },
            (35, ..) if random.once_in(3) => Step::TakeOver { name },
            _ => Step::Register { name },
        }
    }

    fn recent_registration(&self, random: &mut Random) -> Option<usize> {
        self.recent(random, |step| {
            matches!(step, Step::Register { .. } | Step::TakeOver { .. })
        })
    }

    /// Returns one of the last steps of a kind: what they made is likely to be there still.
    fn recent(&self, random: &mut Random, wanted: fn(&Step) -> bool) -> Option<usize> {
        let all = self.steps.iter().rev().filter(|(_, step)| wanted(step));
        let all: Vec<_> = all.map(|(number, _)| *number).take(8).collect();
        (!all.is_empty()).then(|| random.pick(&all))
    }

    /// Runs it. Returns the pool's decisions, or what went wrong.
    pub(crate) fn run(&self, bug: Option<Bug>) -> Result<String, String> {
        let mut world = World {
            bug,
            ..World::new()
        };
        let ran = panic::catch_unwind(AssertUnwindSafe(|| {
            for (number, step) in &self.steps {
                world.perform(*number, *step);
            }
            let asked = world.story.asked().split_whitespace().count();
            world.story.log() + &"is asked\n".repeat(asked)
        }));
        ran.map_err(|panic| match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(_) => "panicked without saying why".to_owned(),
        })
    }

    /// Leaves out whatever it can without curing the problem.
    pub(crate) fn shorten(mut self, mut problem: String, bug: Option<Bug>) -> Failure {
        let mut size = self.steps.len() / 2;
        while size > 0 {
            let mut start = 0;
            while start < self.steps.len() {
                let end = (start + size).min(self.steps.len());
                let mut steps = self.steps.clone();
                steps.drain(start..end);
                let shorter = Self { steps };
                match shorter.run(bug) {
                    Ok(_) => start = end,
                    Err(same) => (self, problem) = (shorter, same),
                }
            }
            size /= 2;
        }
        Failure {
            problem,
            history: self,
        }
    }
}

/// A story, and what has been made in it.
struct World {
    story: Story,
    registrations: BTreeMap<usize, (&'static str, WorkerId)>,
    pops: BTreeMap<usize, PopId>,
    tickets: BTreeMap<usize, TicketId>,
    bug: Option<Bug>,
}

impl World {
    fn new() -> Self {
        Self {
            story: Story::probing_after(15),
            registrations: BTreeMap::new(),
            pops: BTreeMap::new(),
            tickets: BTreeMap::new(),
            bug: None,
        }
    }

    /// Performs a step, if it is possible now.
    fn perform(&mut self, number: usize, step: Step) {
        match step {
            Step::Register { name } => self.register(number, name),
            Step::Late { registration } => self.late(registration),
            Step::SetActive {
                registration,
                reason,
                active,
            } => self.set_active(registration, reason, active),
            Step::Silent { registration } => {
                if let Some(id) = self.connected(registration) {
                    self.story.falls_silent(id);
                }
            }
            Step::Heard { registration } => {
                if let Some(id) = self.connected(registration) {
                    self.story.heard(id);
                }
            }
            Step::TakeOver { name } => {
                let id = self.story.take_over(name);
                self.registrations.insert(number, (name, id));
            }
            Step::SetPaused { name, paused } => self.story.set_paused(name, paused),
            Step::Release { registration } => self.release(registration),
            Step::Forget { name } => self.forget(name),
            Step::Pop { registration } => {
                if let Some(id) = self.connected(registration) {
                    self.pops.insert(number, self.story.pop(id));
                }
            }
            Step::CancelPop { pop } => {
                if let Some(pop) = self.pops.get(&pop) {
                    self.story.cancel_pop(*pop);
                }
            }
            Step::Submit {
                client,
                hint,
                urgent,
            } => self.submit(number, client, hint, urgent),
            Step::SubmitAgain {
                client,
                fair_start,
                was_assigned,
            } => {
                let job = format!("job{number}");
                let ticket = self
                    .story
                    .submit_again(client, &job, fair_start, was_assigned);
                self.tickets.insert(number, ticket);
            }
            Step::Cancel { ticket } => {
                if let Some(ticket) = self.tickets.get(&ticket) {
                    let _: Cancel = self.story.cancel(*ticket);
                }
            }
            Step::Finish { ticket } => {
                if self.tickets.contains_key(&ticket) {
                    self.story.finish(&format!("job{ticket}"));
                }
            }
            Step::Rate { client, rate } => self.story.rate(client, rate),
            Step::RemoveClient { client } => {
                self.story.remove_client(client);
            }
            Step::Advance { seconds } => self.story.advance(seconds),
            Step::Pause => self.story.pause(),
        }
    }

    fn register(&mut self, number: usize, name: &'static str) {
        if self.story.pool.registration(&worker(name)).is_none() {
            let id = self.story.register(name);
            self.registrations.insert(number, (name, id));
        }
    }

    fn late(&mut self, registration: usize) {
        if let Some((_, id)) = self.registrations.get(&registration)
            && self.connected(registration).is_none()
        {
            self.story.late(*id);
        }
    }

    fn set_active(&mut self, registration: usize, reason: usize, active: bool) {
        if let Some(id) = self.connected(registration) {
            let (reason, _) = REASONS[reason];
            match active {
                true => self.story.activate(id, reason),
                false => self.story.deactivate(id, reason),
            }
        }
    }

    fn release(&mut self, registration: usize) {
        if let Some(id) = self.connected(registration) {
            if self.bug == Some(Bug::ReleaseDropsQueue) {
                self.drop_queue(registration);
            }
            self.story.release(id);
        }
    }

    fn forget(&mut self, name: &str) {
        if self.story.forget(name).is_ok() {
            assert!(
                self.story.pool.worker(&worker(name)).is_none(),
                "still known"
            );
        }
    }

    fn submit(&mut self, number: usize, client: &str, hint: &str, urgent: bool) {
        let job = format!("job{number}");
        let ticket = match urgent {
            true => self.story.submit_urgent(client, &job, hint),
            false => self.story.submit(client, &job, hint),
        };
        self.tickets.insert(number, ticket);
    }

    /// Returns the worker with this registration, if that has not ended.
    fn connected(&self, registration: usize) -> Option<WorkerId> {
        let (name, id) = *self.registrations.get(&registration)?;
        (self.story.pool.registration(&worker(name)) == Some(id)).then_some(id)
    }

    /// What the planted bug does: the tickets in a worker's queue vanish.
    fn drop_queue(&mut self, registration: usize) {
        let (name, _) = self.registrations[&registration];
        let snapshot = self.story.pool.snapshot(self.story.now, usize::MAX);
        assert!(matches!(
            snapshot.waiting,
            WaitingView::Backlog(_) | WaitingView::Ready(_)
        ));
        for view in snapshot
            .workers
            .iter()
            .filter(|view| view.name == worker(name))
        {
            for item in &view.queue.first {
                let _: Cancel = self.story.pool.cancel(item.ticket);
            }
        }
    }
}

/// Prints it as a test.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only what is used later gets a name.
        let mut used = BTreeSet::new();
        for (_, step) in &self.steps {
            match step {
                Step::Late {
                    registration: number,
                }
                | Step::SetActive {
                    registration: number,
                    ..
                }
                | Step::Silent {
                    registration: number,
                }
                | Step::Heard {
                    registration: number,
                }
                | Step::Release {
                    registration: number,
                }
                | Step::Pop {
                    registration: number,
                }
                | Step::CancelPop { pop: number }
                | Step::Cancel { ticket: number } => used.insert(*number),
                _ => false,
            };
        }
        writeln!(
            f,
            "#[test]\nfn found_by_simulation() {{\n    let mut s = Story::probing_after(15);"
        )?;
        for (number, step) in &self.steps {
            let mut line = String::from("    ");
            let letter = match step {
                Step::Register { .. } | Step::TakeOver { .. } => "w",
                Step::Pop { .. } => "p",
                _ => "t",
            };
            if used.contains(number) {
                write!(line, "let {letter}{number} = ")?;
            }
            step.write(&mut line, *number)?;
            writeln!(f, "{line}")?;
        }
        writeln!(f, "    s.pause();\n}}")
    }
}

impl Step {
    fn write(self, f: &mut String, number: usize) -> fmt::Result {
        match self {
            Self::Register { name } => write!(f, "s.register({name:?});"),
            Self::Late { registration } => write!(f, "s.late(w{registration});"),
            Self::SetActive {
                registration,
                reason,
                active,
            } => {
                let (_, reason) = REASONS[reason];
                let word = if active { "activate" } else { "deactivate" };
                write!(f, "s.{word}(w{registration}, {reason});")
            }
            Self::Silent { registration } => write!(f, "s.falls_silent(w{registration});"),
            Self::Heard { registration } => write!(f, "s.heard(w{registration});"),
            Self::TakeOver { name } => write!(f, "s.take_over({name:?});"),
            Self::SetPaused { name, paused } => write!(f, "s.set_paused({name:?}, {paused});"),
            Self::Release { registration } => write!(f, "s.release(w{registration});"),
            Self::Forget { name } => write!(f, "s.forget({name:?}).ok();"),
            Self::Pop { registration } => write!(f, "s.pop(w{registration});"),
            Self::CancelPop { pop } => write!(f, "s.cancel_pop(p{pop});"),
            Self::Submit {
                client,
                hint,
                urgent,
            } => {
                let word = if urgent { "submit_urgent" } else { "submit" };
                write!(f, "s.{word}({client:?}, \"job{number}\", {hint:?});")
            }
            Self::SubmitAgain {
                client,
                fair_start,
                was_assigned,
            } => write!(
                f,
                "s.submit_again({client:?}, \"job{number}\", {fair_start}, {was_assigned});"
            ),
            Self::Cancel { ticket } => write!(f, "let _ = s.cancel(t{ticket});"),
            Self::Finish { ticket } => write!(f, "s.finish(\"job{ticket}\");"),
            Self::Rate { client, rate } => write!(f, "s.rate({client:?}, {rate:?});"),
            Self::RemoveClient { client } => write!(f, "s.remove_client({client:?});"),
            Self::Advance { seconds } => write!(f, "s.advance({seconds});"),
            Self::Pause => write!(f, "s.pause();"),
        }
    }
}
