//! Completion of command lines, by the programs themselves: a shell runs the program that is being typed with the words
//! so far, and the names of pools, workers and clients come from the scheduler whose cap file is among them.
//!
//! Errors are silent, as the user is typing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Command;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use cluster_api::{Admin, AdminJobQuery, JobQuery, Submission};
use vat::{Address, DialOptions, Dialer};

use crate::error::CommandError;
use crate::positionals::{self, CapFileForm, LIST};
use crate::quote::printable;
use crate::runtime;

/// The variable by which a shell asks a program to complete a command line. Its value is the name of the shell.
pub const VARIABLE: &str = "OCLUSTER_COMPLETE";

/// The time limit of a completion.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Completes a command line if a shell asks for it. Returns whether one did.
pub(crate) fn answer(command: impl Fn() -> Command) -> bool {
    let shell = std::env::var_os(VARIABLE);
    if shell.is_none_or(|shell| shell.is_empty()) {
        return false;
    }
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let line = Line::read(command(), words.collect());
    let here = std::env::current_dir().ok();
    let completing = CompleteEnv::with_factory(|| completed(command(), &line)).var(VARIABLE);
    // Errors are not shown, and the command being typed must not run.
    drop(completing.try_complete(std::env::args_os(), here.as_deref()));
    true
}

/// Returns `command` with positional arguments whose values the scheduler knows.
fn completed(command: Command, line: &Line) -> Command {
    let cap = match line.connected {
        true => CapFileForm::Option,
        false => CapFileForm::Argument,
    };
    with_values(positionals::spelled_out(command, cap), line)
}

fn with_values(command: Command, line: &Line) -> Command {
    let command = command.mut_subcommands(|below| with_values(below, line));
    command.mut_args(|arg| {
        let what = match arg.get_value_names() {
            Some([name]) if arg.is_positional() || has_names(&arg) => name.as_str(),
            _ => return arg,
        };
        let names = match what {
            "POOL" => Names::Pools,
            "WORKER" => Names::Workers,
            "ID" => Names::Clients,
            "JOB" => Names::Jobs,
            _ => return arg,
        };
        let line = line.clone();
        arg.add(ArgValueCompleter::new(move |current: &OsStr| {
            line.names(names, current)
        }))
    })
}

/// Tells whether an option takes a name that an operator's scheduler knows.
fn has_names(option: &clap::Arg) -> bool {
    matches!(option.get_long(), Some("client" | "job"))
}

/// Names that only the scheduler knows.
#[derive(Clone, Copy, Debug)]
enum Names {
    Pools,
    /// Of the pool before it.
    Workers,
    Clients,
    /// The latest ones: of a client, or for an operator of all clients.
    Jobs,
}

/// The typed words, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    /// The cap file.
    cap: Option<PathBuf>,
    /// Further addresses of its scheduler.
    also: Vec<Address>,
    /// Whether it was given with `--connect`.
    connected: bool,
    /// The positional arguments after the cap file, without the one being typed.
    arguments: Vec<String>,
}

impl Line {
    fn read(command: Command, mut words: Vec<OsString>) -> Self {
        // Some shells give the index of the word being typed; with others it is the last.
        let typed = std::env::var("_CLAP_COMPLETE_INDEX");
        let typed = typed.ok().and_then(|index| index.parse().ok());
        let typed: usize = typed.unwrap_or(words.len().saturating_sub(1));
        words.truncate(typed);
        Self::of(command, words)
    }

    /// Parses an incomplete line, ignoring what is invalid.
    fn of(command: Command, words: Vec<OsString>) -> Self {
        let parsed = command.ignore_errors(true).try_get_matches_from(words);
        let Ok(mut matches) = parsed else {
            return Self::default();
        };
        while let Some((_, below)) = matches.remove_subcommand() {
            matches = below;
        }
        let connect = matches.try_get_one::<PathBuf>("connect");
        let connect = connect.ok().flatten().cloned();
        let also = matches.try_get_many::<Address>("also").ok().flatten();
        let list = matches.try_get_many::<OsString>(LIST).ok().flatten();
        let mut list = list.into_iter().flatten().cloned();
        Self {
            also: also.into_iter().flatten().cloned().collect(),
            connected: connect.is_some(),
            cap: connect.or_else(|| list.next().map(PathBuf::from)),
            arguments: list.filter_map(|word| word.into_string().ok()).collect(),
        }
    }

    /// Returns the names that begin with the typed text.
    fn names(&self, names: Names, typed: &OsStr) -> Vec<CompletionCandidate> {
        let Some(cap) = &self.cap else {
            return Vec::new();
        };
        let asked = async {
            tokio::time::timeout(TIMEOUT, self.ask(cap, names))
                .await
                .ok()
                .flatten()
                .ok_or_else(CommandError::already_reported)
        };
        let mut candidates = runtime::block_on(asked).unwrap_or_default();
        let typed = typed.as_encoded_bytes();
        candidates.retain(|candidate| candidate.get_value().as_encoded_bytes().starts_with(typed));
        candidates
    }

    async fn ask(&self, cap: &Path, names: Names) -> Option<Vec<CompletionCandidate>> {
        let target = vat::cap_file::load(cap).ok()?;
        let options = DialOptions {
            also: self.also.clone(),
            ..DialOptions::default()
        };
        let session = Dialer::new(options).connect(&target).await.ok()?;
        let admin = Admin::from_client(session.bootstrap());
        let plain = |names: Vec<String>| names.into_iter().map(CompletionCandidate::new).collect();
        match names {
            Names::Pools => admin.pools().await.ok().map(plain),
            Names::Clients => admin.list_clients().await.ok().map(plain),
            Names::Jobs => match jobs(&Submission::from_client(session.bootstrap())).await {
                Some(of_client) => Some(of_client),
                None => jobs_of_all(&admin).await,
            },
            Names::Workers => {
                let workers = admin.pool(self.arguments.first()?).workers().await.ok()?;
                let candidates = workers.into_iter().map(|worker| {
                    let state = match (worker.connected, worker.active) {
                        (true, true) => "active",
                        (true, false) => "paused",
                        (false, true) => "disconnected",
                        (false, false) => "disconnected, paused",
                    };
                    CompletionCandidate::new(worker.name).help(Some(state.into()))
                });
                Some(candidates.collect())
            }
        }
    }
}

/// Returns the latest jobs of all clients, by their ids.
async fn jobs_of_all(admin: &Admin) -> Option<Vec<CompletionCandidate>> {
    let listed = admin.list_jobs(&AdminJobQuery::default()).await.ok()?;
    let candidates = listed.jobs.into_iter().map(|job| {
        let help = format!("{}, of {}", job.summary.state, job.client);
        CompletionCandidate::new(job.summary.id).help(Some(printable(&help).into()))
    });
    Some(candidates.collect())
}

/// Returns the latest jobs of a client, by their ids.
async fn jobs(submission: &Submission) -> Option<Vec<CompletionCandidate>> {
    let page = submission.list_durable(&JobQuery::default()).await.ok()?;
    let candidates = page.jobs.into_iter().map(|job| {
        let labels = job
            .labels
            .iter()
            .map(|label| format!(" {}={}", label.name, label.value));
        let help = format!(
            "{} in {}{}",
            job.state,
            job.pool,
            labels.collect::<String>()
        );
        CompletionCandidate::new(job.id).help(Some(printable(&help).into()))
    });
    Some(candidates.collect())
}

#[cfg(test)]
mod tests {
    use crate::capability_args::ConnectArgs;
    use crate::program::command;

    use super::*;

    /// A program with commands such as those of `ocluster-admin`.
    #[derive(clap::Parser)]
    struct Args {
        #[command(subcommand)]
        command: Subcommand,
        #[command(flatten)]
        connect: ConnectArgs,
    }

    #[derive(clap::Subcommand)]
    enum Subcommand {
        Show(List),
        Pause(List),
        SetRate(List),
    }

    #[derive(clap::Args)]
    struct List {
        #[arg(long)]
        all: bool,
        #[arg(hide = true)]
        positionals: Vec<OsString>,
    }

    fn read(line: &str) -> (Option<&'static str>, bool, String) {
        let words = line.split_whitespace().map(OsString::from).collect();
        let line = Line::of(command::<Args>("ocluster-admin"), words);
        let cap = line.cap.map(|path| {
            assert_eq!(path, Path::new("admin.cap"));
            "admin.cap"
        });
        (cap, line.connected, line.arguments.join(" "))
    }

    #[test]
    fn an_incomplete_line_is_parsed_as_far_as_possible() {
        let cap = Some("admin.cap");
        let nothing = String::new;
        for (line, expected) in [
            ("ocluster-admin", (None, false, nothing())),
            ("ocluster-admin show", (None, false, nothing())),
            ("ocluster-admin show admin.cap", (cap, false, nothing())),
            ("ocluster-admin show admin.cap p", (cap, false, "p".into())),
            ("ocluster-admin sh admin.cap p", (cap, false, "p".into())),
            (
                "ocluster-admin -c admin.cap show p",
                (cap, true, "p".into()),
            ),
            (
                "ocluster-admin show --connect=admin.cap",
                (cap, true, nothing()),
            ),
            (
                "ocluster-admin pause --all admin.cap p",
                (cap, false, "p".into()),
            ),
            (
                "ocluster-admin set-rate admin.cap p alice",
                (cap, false, "p alice".into()),
            ),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
