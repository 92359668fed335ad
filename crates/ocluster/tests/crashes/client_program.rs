//! The client's program: it shows a job to its end, and is started again whenever it was stopped.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};

use crate::client_plan::{ClientCommand, ClientPlan, ClientStop};
use crate::incident::Incident;
use crate::job::{SeenJob, count_lines};
use crate::kill::{Moment, StopSignal};
use crate::program::command;
use crate::scene::until;
use crate::script::{KIND, payload};
use crate::shown::Shown;
use crate::site::{INTERVAL, POOL};
use crate::user::User;

/// How long until it is started again after it has found no scheduler.
const PAUSE: Duration = Duration::from_millis(50);

/// The exit codes of a client that has found no scheduler, or one that shuts down.
const TRY_LATER: [i32; 2] = [69, 75];

/// The client's program, with all that its processes have printed.
pub(crate) struct ClientProgram<'a> {
    user: &'a User,
    job: &'a SeenJob,
    plan: &'a ClientPlan,
    args: Vec<String>,
    /// How many processes were started.
    starts: u32,
    shown: Vec<Shown>,
}

/// A process of it.
struct Process {
    child: Child,
    start: Instant,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What to do after a process has ended.
enum Next {
    /// Start it again after this time. It was stopped if `is_stopped`.
    Again { after: Duration, is_stopped: bool },
    /// It has shown the job to its end.
    Done,
}

impl<'a> ClientProgram<'a> {
    /// Returns a program that submits a job, each time with the same key.
    pub(crate) fn submitting(
        user: &'a User,
        job: &'a SeenJob,
        plan: &'a ClientPlan,
        round: u64,
    ) -> Self {
        let name = &job.plan.name;
        let file = format!("{name}.payload");
        let payload = payload(user.folder(), &job.plan);
        fs::write(user.folder().join(&file), payload).expect("wrote the payload");
        let args = [
            format!("--pool={POOL}"),
            format!("--kind={KIND}"),
            format!("--payload={file}"),
            format!("--key={name}"),
            format!("--label=name={name}"),
            format!("--label=round={round}"),
            format!("--attempts={}", job.plan.attempts),
            // However busy the machine is.
            "--return-timeout=3600".to_owned(),
        ];
        let args = [&["submit-custom".to_owned()], &user.cap[..], &args].concat();
        Self::new(user, job, plan, args)
    }

    /// Returns a program that follows the log of a job.
    pub(crate) fn following(user: &'a User, job: &'a SeenJob, plan: &'a ClientPlan) -> Self {
        let command = ["logs", "-f"].map(str::to_owned);
        let args = [&command, &user.cap[..], &[job.id()]].concat();
        Self::new(user, job, plan, args)
    }

    fn new(user: &'a User, job: &'a SeenJob, plan: &'a ClientPlan, args: Vec<String>) -> Self {
        Self {
            user,
            job,
            plan,
            args,
            starts: 0,
            shown: Vec::new(),
        }
    }

    /// Runs it until it has shown the job to its end.
    pub(crate) async fn run(&mut self) -> Result<(), String> {
        // It is not there before the scheduler's first start.
        until(|| self.user.client.has_cap_file()).await;
        self.job.doing.set("shown by the client's program");
        let mut stops = self.plan.stops.iter().peekable();
        loop {
            let process = self.start();
            let stop = stops.peek().copied();
            match self.attend(process, stop).await? {
                Next::Done if self.job.id().is_empty() => {
                    return Err(self.failed("it has submitted no job"));
                }
                Next::Done => return Ok(()),
                Next::Again { after, is_stopped } => {
                    if is_stopped {
                        stops.next();
                    }
                    tokio::time::sleep(after).await;
                }
            }
        }
    }

    /// Checks what all its processes have shown of a job whose logs and end are known.
    pub(crate) fn check(&self) -> Result<(), String> {
        let checked = Shown::check(&self.shown, self.plan.command, self.job);
        checked.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &str) -> String {
        let processes: Vec<_> = self.shown.iter().map(Shown::describe).collect();
        format!(
            "{:?}: {error}\n{}\n{}",
            self.plan.command,
            processes.join("\n"),
            self.job.describe()
        )
    }

    fn start(&mut self) -> Process {
        self.starts += 1;
        let folder = self.user.folder();
        let path = |what| {
            folder.join(format!(
                "{}-client-{}.{what}",
                self.job.plan.name, self.starts
            ))
        };
        let (stdout, stderr) = (path("out"), path("err"));
        let program = env!("CARGO_BIN_EXE_ocluster-client");
        let mut command = command(&[], program, &self.args, folder);
        command
            .stdout(File::create(&stdout).expect("made a file"))
            .stderr(File::create(&stderr).expect("made a file"));
        Process {
            child: command.spawn().expect("started the client"),
            start: Instant::now(),
            stdout,
            stderr,
        }
    }

    /// Stops a process at its moment, waits until it has ended, and takes what it has printed.
    async fn attend(
        &mut self,
        mut process: Process,
        stop: Option<&ClientStop>,
    ) -> Result<Next, String> {
        // The signal, and how many lines of the job had been shown before.
        let mut sent = None;
        let status = loop {
            if let Some(status) = process.child.try_wait().expect("asked for its status") {
                break status;
            }
            if let Some(stop) = stop.filter(|_| sent.is_none())
                && let Some(lines) = process.has_reached(stop.moment, &self.job.plan.name)
            {
                process.signal(stop.signal);
                sent = Some((stop, lines));
            }
            tokio::time::sleep(INTERVAL).await;
        };
        let shown = process.take(status);
        if let Some(id) = shown.submitted_id() {
            self.job.is_accepted_as(id.to_owned())?;
        }
        let next = match sent {
            Some((stop, lines)) if shown.was_stopped_by(stop.signal) => {
                self.was_stopped(&shown, stop.signal, lines);
                Next::Again {
                    after: stop.pause,
                    is_stopped: true,
                }
            }
            _ if shown.is_empty() && shown.code().is_some_and(|code| TRY_LATER.contains(&code)) => {
                Next::Again {
                    after: PAUSE,
                    is_stopped: false,
                }
            }
            _ => Next::Done,
        };
        self.shown.push(shown);
        Ok(next)
    }

    fn was_stopped(&self, shown: &Shown, signal: StopSignal, lines: usize) {
        let command = self.plan.command;
        self.user.note(match lines {
            0 => Incident::BeforeOutput(command, signal),
            _ => Incident::AfterOutput(command, signal),
        });
        if command == ClientCommand::Submit && signal != StopSignal::Kill {
            self.job.may_be_cancelled.set(true);
            if shown.has_cancelled() {
                self.job.is_reported_as_cancelled();
            }
        }
    }
}

impl Process {
    /// Returns how many lines of a job it has shown, if it is time to stop it.
    fn has_reached(&self, moment: Moment, name: &str) -> Option<usize> {
        let lines = || count_lines(&fs::read(&self.stdout).unwrap_or_default(), name);
        match moment {
            Moment::After(time) => (self.start.elapsed() >= time).then(lines),
            Moment::Shown(wanted) => Some(lines()).filter(|shown| *shown >= wanted),
        }
    }

    fn signal(&self, signal: StopSignal) {
        kill_process(Pid::from_child(&self.child), signal.signal()).expect("sent a signal");
    }

    /// Returns what it has printed, and removes that from the disk.
    fn take(&self, status: ExitStatus) -> Shown {
        let take = |path: &PathBuf| {
            let text = fs::read(path).expect("read its output");
            fs::remove_file(path).expect("removed its output");
            text
        };
        Shown {
            stdout: take(&self.stdout),
            stderr: String::from_utf8_lossy(&take(&self.stderr)).into_owned(),
            code: status.code(),
            signal: status.signal(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // These fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
