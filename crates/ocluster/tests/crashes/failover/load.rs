//! What clients do during a round: they submit jobs, and follow logs.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster_api::{Description, JobRequest, Label, Unwatched};
use cluster_client::{Cluster, LogEvent, Options};
use futures::future::{join, try_join4};
use vat::{DialOptions, cap_file};

use super::farm::{Farm, also, cap};
use super::gaps::{Gaps, Wait};
use super::round::Plan;
use crate::client_plan::{ClientCommand, ClientPlan};
use crate::follow::live;
use crate::job::SeenJob;
use crate::plan::{JobPlan, Work};
use crate::program::command;
use crate::scene::until;
use crate::script::{KIND, action, payload};
use crate::site::POOL;

/// How long a client waits before it submits the next job.
const PAUSE: Duration = Duration::from_millis(250);

/// How long before it starts the next program that submits one.
const PROGRAM_PAUSE: Duration = Duration::from_millis(750);

/// How many lines a job prints in a second, if the machine has nothing else to do.
const LINES_PER_SECOND: u64 = 200;

/// How long logs go on after the trouble: another scheduler leads by then.
const AFTERWARDS: u64 = 8;

/// The jobs of a round.
pub(super) struct Load {
    round: u64,
    /// Followed by a program that uses the library.
    followed: [Rc<SeenJob>; 2],
    /// Shown by the client's program.
    shown: [Rc<SeenJob>; 2],
    /// Only submitted.
    submitted: RefCell<Vec<Rc<SeenJob>>>,
}

impl Load {
    pub(super) fn of(plan: &Plan) -> Self {
        let number = plan.number;
        let lines = (plan.length.as_secs() + AFTERWARDS) * LINES_PER_SECOND;
        let lines = u32::try_from(lines).expect("not for ever");
        let job = |name: &str, work, command: Option<ClientCommand>| {
            let client = command.map(|command| ClientPlan {
                command,
                stops: Vec::new(),
            });
            Rc::new(SeenJob::new(JobPlan {
                client,
                ..JobPlan::new(&format!("r{number}-{name}"), work)
            }))
        };
        Self {
            round: number,
            followed: [
                job("steady", Work::Steady(lines), None),
                job("build", Work::SteadyBuild(lines), None),
            ],
            shown: [
                job("shown", Work::Steady(lines), Some(ClientCommand::Follow)),
                job(
                    "submitted",
                    Work::Steady(lines),
                    Some(ClientCommand::Submit),
                ),
            ],
            submitted: RefCell::default(),
        }
    }

    /// Returns all jobs so far.
    pub(super) fn jobs(&self) -> Vec<Rc<SeenJob>> {
        let submitted = self.submitted.borrow();
        let long = self.followed.iter().chain(&self.shown);
        long.chain(&*submitted).cloned().collect()
    }

    /// Returns the long jobs, in words, and how many others there are.
    pub(super) fn describe(&self) -> String {
        let long = self.followed.iter().chain(&self.shown);
        let mut lines: Vec<_> = long.map(|job| job.describe()).collect();
        let submitted = self.submitted.borrow();
        let open = submitted.iter().filter(|job| job.id().is_empty());
        lines.push(format!(
            "{} others, {} of them not accepted",
            submitted.len(),
            open.count()
        ));
        lines.join("\n")
    }

    /// Returns whether so many lines have been shown of each log that the library follows.
    pub(super) fn has_shown(&self, lines: usize) -> bool {
        self.followed.iter().all(|job| job.lines() >= lines)
    }

    /// Submits and follows until the logs have ended and nothing more is to be submitted.
    pub(super) async fn run(
        &self,
        farm: &Farm<'_>,
        is_over: &Cell<bool>,
        gaps: &Gaps,
    ) -> Result<(), String> {
        let cluster = connect(farm)?;
        let [steady, build] = &self.followed;
        let [shown, submitted] = &self.shown;
        let logs = try_join4(
            self.follow(farm, &cluster, steady, gaps),
            self.follow(farm, &cluster, build, gaps),
            self.show(farm, shown, gaps),
            self.show(farm, submitted, gaps),
        );
        let submissions = self.submit(farm, &cluster, is_over, gaps);
        let programs = self.start_programs(farm, is_over, gaps);
        let (logs, submissions, programs) = futures::join!(logs, submissions, programs);
        logs?;
        submissions?;
        programs
    }

    fn request(&self, farm: &Farm<'_>, plan: &JobPlan) -> Result<JobRequest, String> {
        let description = Description::new(action(farm.folder(), plan));
        let label = |name: &str, value: String| Label {
            name: name.to_owned(),
            value,
        };
        Ok(JobRequest {
            key: Some(plan.name.clone()),
            labels: vec![
                label("round", self.round.to_string()),
                label("name", plan.name.clone()),
            ],
            attempts: Some(plan.attempts),
            unwatched: Unwatched::Continues,
            ..JobRequest::new(
                POOL,
                description.encode().map_err(|error| error.to_string())?,
            )
        })
    }

    /// Submits a job and follows its log.
    async fn follow(
        &self,
        farm: &Farm<'_>,
        cluster: &Cluster,
        job: &SeenJob,
        gaps: &Gaps,
    ) -> Result<(), String> {
        let request = self.request(farm, &job.plan)?;
        let has_ended = Cell::new(false);
        let follow = async {
            let found = cluster.submit_durable(&request).await;
            let found = found.map_err(|error| format!("{}: {error}", job.plan.name))?;
            job.is_accepted_as(found.id().unwrap_or_default().to_owned())?;
            let mut log = found.log();
            let mut attempt = 1;
            while let Some(event) = log.next().await.map_err(|error| error.to_string())? {
                match event {
                    LogEvent::Bytes(bytes) => {
                        // The library says how the log goes on; where, is what it has shown.
                        job.shows(attempt, job.log_length(attempt), &bytes)?;
                    }
                    LogEvent::Retrying { attempt: next, .. } => attempt = next,
                    LogEvent::CutOff(reason) => {
                        return Err(format!("{}: {reason}", job.describe()));
                    }
                }
            }
            has_ended.set(true);
            let (attempt, outcome) = found.ended().await.map_err(|error| error.to_string())?;
            job.has_ended(attempt, outcome)
        };
        let length = || (!has_ended.get()).then(|| job.logs_length() as u64);
        join(follow, gaps.watch(Wait::Log, length)).await.0
    }

    /// Has the client's program show a job.
    async fn show(&self, farm: &Farm<'_>, job: &SeenJob, gaps: &Gaps) -> Result<(), String> {
        let output = farm
            .folder()
            .join(format!("{}-client-1.out", job.plan.name));
        let length = || Some(fs::metadata(&output).ok()?.len());
        let has_ended = Cell::new(false);
        let lives = async {
            let lived = live(&farm.user, job, self.round).await;
            has_ended.set(true);
            lived
        };
        let watched = gaps.watch(Wait::LogProgram, || length().filter(|_| !has_ended.get()));
        join(lives, watched).await.0
    }

    /// Adds a job that is only submitted.
    fn add(&self, what: &str, number: u32) -> Rc<SeenJob> {
        let name = format!("r{}-{what}{number}", self.round);
        let job = Rc::new(SeenJob::new(JobPlan::new(&name, Work::Quick)));
        self.submitted.borrow_mut().push(Rc::clone(&job));
        job
    }

    /// Submits a job after the other.
    async fn submit(
        &self,
        farm: &Farm<'_>,
        cluster: &Cluster,
        is_over: &Cell<bool>,
        gaps: &Gaps,
    ) -> Result<(), String> {
        until(|| self.has_shown(1)).await;
        for number in 1.. {
            if is_over.get() {
                break;
            }
            let job = self.add("quick", number);
            let request = self.request(farm, &job.plan)?;
            let begin = Instant::now();
            let id = loop {
                match cluster.submit_durable(&request).await {
                    Ok(found) => break found.id().unwrap_or_default().to_owned(),
                    // The scheduler says that it cannot save jobs now.
                    Err(_refused) => tokio::time::sleep(PAUSE).await,
                }
            };
            gaps.waited(Wait::Submission, begin);
            job.is_accepted_as(id)?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Starts programs that submit a job each, one after the other.
    async fn start_programs(
        &self,
        farm: &Farm<'_>,
        is_over: &Cell<bool>,
        gaps: &Gaps,
    ) -> Result<(), String> {
        until(|| self.has_shown(1)).await;
        for number in 1.. {
            if is_over.get() {
                break;
            }
            let job = self.add("program", number);
            let begin = Instant::now();
            let id = loop {
                match self.submit_with_program(farm, &job.plan).await? {
                    Some(id) => break id,
                    None => tokio::time::sleep(PAUSE).await,
                }
            };
            gaps.waited(Wait::NewProgram, begin);
            job.is_accepted_as(id)?;
            tokio::time::sleep(PROGRAM_PAUSE).await;
        }
        Ok(())
    }

    /// Returns the id of a job; none if the program has found no scheduler that can save it.
    async fn submit_with_program(
        &self,
        farm: &Farm<'_>,
        plan: &JobPlan,
    ) -> Result<Option<String>, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", plan.name);
        let path = |what| -> PathBuf { farm.folder().join(format!("{}.{what}", plan.name)) };
        fs::write(path("payload"), payload(farm.folder(), plan)).map_err(failed)?;
        let args = [
            &["submit-custom".to_owned()],
            &farm.user.cap[..],
            &[
                format!("--pool={POOL}"),
                format!("--kind={KIND}"),
                format!("--payload={}.payload", plan.name),
                format!("--key={}", plan.name),
                format!("--label=name={}", plan.name),
                format!("--label=round={}", self.round),
                format!("--attempts={}", plan.attempts),
                "--detach".to_owned(),
            ],
        ];
        let program = env!("CARGO_BIN_EXE_ocluster-client");
        let mut command = command(&[], program, &args.concat(), farm.folder());
        let out = File::create(path("out")).map_err(failed)?;
        let errors = File::create(path("err")).map_err(failed)?;
        let mut child = command.stdout(out).stderr(errors).spawn().map_err(failed)?;
        let status = loop {
            match child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let read = |what| fs::read_to_string(path(what)).map_err(failed);
        let (id, errors) = (read("out")?.trim().to_owned(), read("err")?);
        for what in ["payload", "out", "err"] {
            fs::remove_file(path(what)).map_err(failed)?;
        }
        match status.code() {
            Some(0) => Ok(Some(id)),
            // It has found no scheduler, or one that cannot save jobs.
            Some(69 | 75) => Ok(None),
            _ => Err(format!(
                "{} was not submitted ({status}): {errors}",
                plan.name
            )),
        }
    }
}

/// Returns a connection of the library to the cluster.
fn connect(farm: &Farm<'_>) -> Result<Cluster, String> {
    let path = farm.folder().join(cap("submission"));
    let sturdy_ref = cap_file::load(&path).map_err(|error| error.to_string())?;
    let options = Options {
        dial: DialOptions {
            also: vec![also().parse().map_err(|_| "no address")?],
            ..DialOptions::default()
        },
        ..Options::default()
    };
    Ok(Cluster::new(sturdy_ref, options))
}
