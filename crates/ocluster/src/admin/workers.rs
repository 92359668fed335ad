//! The workers that a command acts on: the named one, all, or else a list to choose from.

use std::ffi::OsString;

use cluster_api::{Pipelined, PoolAdmin, RpcError, WorkerInfo};
use visible::natural;

use super::Common;
use super::service::{About, Service};
use cli::capability_args::CapFile;
use cli::error::CommandError;
use cli::quote::printable;

/// A pool, and optionally one of its workers, as named on the command line.
pub(super) struct Target {
    pub(super) pool: Pipelined<PoolAdmin>,
    pub(super) pool_name: String,
    worker: Option<String>,
    cap: CapFile,
    service: Service,
}

/// The workers that a command acts on.
pub(super) enum Chosen {
    /// The named one. The scheduler checks whether it exists.
    Named(String),
    /// All that the scheduler knows.
    All(Vec<WorkerInfo>),
}

impl Target {
    /// Connects to the scheduler, for a command whose arguments are `CAP POOL [WORKER]`.
    pub(super) async fn connect(
        common: &Common,
        positionals: Vec<OsString>,
    ) -> Result<Self, CommandError> {
        let (cap, mut positionals) = common.split(positionals)?;
        let pool_name = positionals.required("POOL")?;
        let worker = positionals.optional("WORKER")?;
        positionals.finish()?;
        let service = Service::connect(&cap).await?;
        Ok(Self {
            pool: service.pool(&pool_name),
            pool_name,
            worker,
            cap,
            service,
        })
    }

    /// Returns the named worker, or with `all` every worker of the pool. Without either, a pool with workers is an
    /// error.
    pub(super) async fn chosen(&self, all: bool) -> Result<Chosen, CommandError> {
        if let Some(worker) = &self.worker {
            return Ok(Chosen::Named(worker.clone()));
        }
        let known = match self.pool.workers().await {
            Ok(known) => known,
            Err(error) => return Err(self.failed("PoolAdmin.workers", None, error).await),
        };
        match all || known.is_empty() {
            true => Ok(Chosen::All(known)),
            false => Err(choose(&known, true)),
        }
    }

    /// Returns the error for a `method` that failed, with the worker, if any, and a hint.
    pub(super) async fn failed(
        &self,
        method: &str,
        worker: Option<&str>,
        error: RpcError,
    ) -> CommandError {
        self.service.failed(method, self.about(worker), error).await
    }

    /// Adds a hint about `error` to `failed`, if there is one.
    pub(super) async fn advise(
        &self,
        worker: Option<&str>,
        error: &RpcError,
        failed: CommandError,
    ) -> CommandError {
        let about = self.about(worker);
        self.service.advise(about, error, failed).await
    }

    fn about<'a>(&'a self, worker: Option<&'a str>) -> About<'a> {
        About {
            worker,
            ..About::pool(&self.pool_name)
        }
    }

    /// Returns the command line of another `command` for the pool, or for one of its workers.
    pub(super) fn command(&self, command: &str, worker: Option<&str>) -> String {
        let cap = self.cap.path().display();
        let pool = &self.pool_name;
        let worker = worker
            .map(|worker| format!(" {worker}"))
            .unwrap_or_default();
        format!("ocluster-admin {command} {cap} {pool}{worker}")
    }
}

/// Returns a worker's name with the note that upstream adds in a list of candidates.
pub(super) fn candidate(worker: &WorkerInfo) -> String {
    let WorkerInfo {
        name,
        active,
        connected,
    } = worker;
    match (connected, active) {
        (true, true) => name.clone(),
        (true, false) => format!("{name} (paused)"),
        (false, true) => format!("{name} (disconnected)"),
        (false, false) => format!("{name} (disconnected, paused)"),
    }
}

/// Returns the error that asks for a worker. `all`: whether the command has the option `--all`.
pub(super) fn choose(workers: &[WorkerInfo], all: bool) -> CommandError {
    let or_all = if all { " (or use --all)" } else { "" };
    let mut workers: Vec<&WorkerInfo> = workers.iter().collect();
    workers.sort_by(|a, b| natural(&a.name, &b.name));
    let names: String = workers
        .into_iter()
        .map(|worker| format!("\n{}", printable(&candidate(worker))))
        .collect();
    CommandError::failed(format_args!(
        "Specify which worker you want to affect{or_all}.\nCandidates are:{names}"
    ))
}

/// Returns `words` with `separator` between them, wrapped like upstream's: the line begins with `prefix`, and further
/// lines are indented by its width.
pub(super) fn filled(prefix: &str, separator: &str, words: &[String]) -> String {
    /// A word goes on a new line when it would end beyond this column.
    const MARGIN: usize = 77;
    let indent = prefix.chars().count();
    let mut text = prefix.to_owned();
    let mut column = indent;
    for (i, word) in words.iter().enumerate() {
        let word = printable(word);
        let width = word.chars().count();
        if i > 0 {
            text.push_str(separator);
            column += separator.chars().count() + 1;
            if column + width > MARGIN {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else {
                text.push(' ');
            }
        }
        text.push_str(&word);
        column += width;
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn candidates_have_their_state() {
        let worker = |name: &str, active, connected| WorkerInfo {
            name: name.into(),
            active,
            connected,
        };
        let workers = [
            worker("w1", true, true),
            worker("w2", false, true),
            worker("w3", true, false),
            worker("w4", false, false),
        ];
        expect![[r#"
            Specify which worker you want to affect (or use --all).
            Candidates are:
            w1
            w2 (paused)
            w3 (disconnected)
            w4 (disconnected, paused)"#]]
        .assert_eq(&choose(&workers, true).message);
    }

    #[test]
    fn long_lists_are_broken_after_column_77() {
        let words: Vec<String> = (0..14).map(|i| format!("worker-{i:02}")).collect();
        expect![[r#"
            Updating: [worker-00, worker-01, worker-02, worker-03, worker-04, worker-05,
                       worker-06, worker-07, worker-08, worker-09, worker-10, worker-11,
                       worker-12, worker-13"#]]
        .assert_eq(&filled("Updating: [", ",", &words));
    }
}
