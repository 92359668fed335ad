//! What the processes of the client's program have printed: each the beginning of the log, and the last one all of it.

use cluster_api::{DurableOutcome, Outcome};

use crate::client_plan::ClientCommand;
use crate::job::{SeenJob, count_lines};
use crate::kill::StopSignal;

/// What is printed before the log of a job that was submitted.
const HEADING: &[u8] = b"Tailing log:\n";

/// How many bytes to show where something else was expected.
const EXCERPT: usize = 200;

/// What a process has printed, and how it has ended.
pub(crate) struct Shown {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl Shown {
    pub(crate) fn code(&self) -> Option<i32> {
        self.code
    }

    /// Returns whether it has printed nothing of a job: it has not reached it.
    pub(crate) fn is_empty(&self) -> bool {
        self.submitted_id().is_none() && (self.stdout.is_empty() || self.stdout == HEADING)
    }

    /// Returns the id of the job that it has submitted.
    pub(crate) fn submitted_id(&self) -> Option<&str> {
        let line = self
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("Submitted job "));
        line?.split(' ').next()
    }

    /// Returns whether it has reported that the job was cancelled at its request.
    pub(crate) fn has_cancelled(&self) -> bool {
        self.stderr.contains("Interrupted: the job was cancelled.")
    }

    /// Returns whether it has ended because of a signal. One that does not listen for signals yet is killed by it.
    pub(crate) fn was_stopped_by(&self, signal: StopSignal) -> bool {
        match signal {
            StopSignal::Kill => self.signal == Some(signal.number()),
            StopSignal::Terminate | StopSignal::Interrupt => {
                self.code == Some(128 + signal.number())
                    || (self.signal == Some(signal.number()) && self.is_empty())
            }
        }
    }

    /// Returns how it has ended, with the end of what it has printed.
    pub(crate) fn describe(&self) -> String {
        format!(
            "a process with exit code {:?}, signal {:?}, {} bytes of output, standard error:\n{}",
            self.code,
            self.signal,
            self.stdout.len(),
            self.stderr
        )
    }

    /// Checks what all processes of a program have shown of a job.
    pub(crate) fn check(all: &[Self], command: ClientCommand, job: &SeenJob) -> Result<(), String> {
        let (outcome, logs) = job.seen().ok_or("the job has no end")?;
        for shown in all {
            shown.begins_as(command, job, &logs)?;
        }
        let last = all.last().ok_or("it was not started")?;
        last.is_whole(command, job, &logs)?;
        let expected = match (command, &outcome) {
            (ClientCommand::Follow, _)
            | (ClientCommand::Submit, DurableOutcome::Done(Outcome::Succeeded(_))) => 0,
            (ClientCommand::Submit, DurableOutcome::CancelledByClient) => 130,
            (ClientCommand::Submit, _) => 1,
        };
        match last.code {
            Some(code) if code == expected => Ok(()),
            code => Err(format!(
                "expected exit code {expected} for {outcome:?}, found {code:?}"
            )),
        }
    }

    /// Returns what it may show: the logs of all attempts, or from a later one on.
    fn expected(command: ClientCommand, logs: &[Vec<u8>]) -> Vec<Vec<u8>> {
        match command {
            ClientCommand::Submit => vec![[HEADING, &logs.concat()].concat()],
            // It begins with the latest attempt at that time.
            ClientCommand::Follow => (0..logs.len().max(1))
                .map(|first| logs.get(first..).unwrap_or_default().concat())
                .collect(),
        }
    }

    /// Checks that it has shown nothing but the beginning of the log, or all of it and how the job ended.
    fn begins_as(
        &self,
        command: ClientCommand,
        job: &SeenJob,
        logs: &[Vec<u8>],
    ) -> Result<(), String> {
        let expected = Self::expected(command, logs);
        let is_beginning = expected.iter().any(|whole| whole.starts_with(&self.stdout));
        match is_beginning {
            true => Ok(()),
            false => self.is_whole(command, job, logs),
        }
    }

    /// Checks that it has shown all of the log, and after that only how the job ended.
    fn is_whole(
        &self,
        command: ClientCommand,
        job: &SeenJob,
        logs: &[Vec<u8>],
    ) -> Result<(), String> {
        let expected = Self::expected(command, logs);
        let is_end = |rest: &[u8]| {
            let lines = rest.iter().filter(|byte| **byte == b'\n').count();
            lines <= 1 && count_lines(rest, &job.plan.name) == 0
        };
        let is_whole = expected
            .iter()
            .filter_map(|whole| self.stdout.strip_prefix(&**whole))
            .any(is_end);
        match is_whole {
            true => Ok(()),
            false => Err(self.difference(expected.first().map_or(&[], Vec::as_slice))),
        }
    }

    fn difference(&self, expected: &[u8]) -> String {
        let differing = expected.iter().zip(&self.stdout).position(|(a, b)| a != b);
        let at = differing.unwrap_or(expected.len().min(self.stdout.len()));
        let excerpt = |bytes: &[u8]| {
            let excerpt: Vec<u8> = bytes.iter().skip(at).take(EXCERPT).copied().collect();
            String::from_utf8_lossy(&excerpt).into_owned()
        };
        format!(
            "expected {:?} at {at} of what it shows, found {:?}",
            excerpt(expected),
            excerpt(&self.stdout)
        )
    }
}
