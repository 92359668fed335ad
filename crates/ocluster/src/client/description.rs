//! The part of a job's description that all kinds of jobs have, from options and files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cluster_api::{Action, Description, Secret};

use super::checks;
use super::durable_args::DurableArgs;
use crate::timestamps::{TimestampArgs, TimestampStyle};
use cli::capability_args::{CapFile, ConnectArgs, require_file};
use cli::error::CommandError;
use cli::quote::quoted;

/// A complete request to the scheduler.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) cap: CapFile,
    pub(super) pool: String,
    pub(super) urgent: bool,
    pub(super) description: Description,
    pub(super) durable: DurableArgs,
    /// How the times of the log's lines are shown; `None` if they are not.
    pub(super) timestamps: Option<TimestampStyle>,
}

/// Options of all kinds of jobs.
#[derive(clap::Args, Debug)]
pub(super) struct JobArgs {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Pool to run the job in
    #[arg(long, value_name = "ID")]
    pool: String,
    /// Prefer a worker that has run jobs with this hint
    #[arg(
        long,
        value_name = "STRING",
        default_value = "",
        hide_default_value = true
    )]
    cache_hint: String,
    /// Schedule before non-urgent jobs
    #[arg(long)]
    urgent: bool,
    /// Secret for the job, read from FILE; may be repeated
    #[arg(long = "secret", value_name = "ID:FILE", value_parser = parse_secret)]
    secrets: Vec<(String, PathBuf)>,
    /// Skip the checks before submission, and let the worker decide
    #[arg(long)]
    unchecked: bool,
    #[command(flatten)]
    timestamps: TimestampArgs,
    #[command(flatten)]
    durable: DurableArgs,
}

impl JobArgs {
    /// Returns whether the job is checked before it is submitted.
    pub(super) fn are_checked(&self) -> bool {
        !self.unchecked
    }

    /// Completes the request with the job's `action`.
    pub(super) fn request(
        self,
        connect: &ConnectArgs,
        action: Action,
    ) -> Result<Request, CommandError> {
        let (cap, mut positionals) = connect.split(self.positionals)?;
        let repository = positionals.optional("URL")?.unwrap_or_default();
        let commits = positionals.rest("HASH")?;
        if !repository.is_empty() && commits.is_empty() {
            return Err(CommandError::usage(format_args!(
                "No commits requested from repository {}!",
                quoted(&repository)
            ))
            .hint("give the full hash of the commit to build after the URL"));
        }
        let secrets = self.secrets.into_iter().map(|(id, path)| {
            let value = read_file("--secret", &path)?.into();
            Ok(Secret { id, value })
        });
        let description = Description {
            action,
            cache_hint: self.cache_hint,
            repository,
            commits,
            secrets: secrets.collect::<Result<_, CommandError>>()?,
        };
        if !self.unchecked {
            checks::check(&description)?;
        }
        Ok(Request {
            cap,
            pool: self.pool,
            urgent: self.urgent,
            description,
            durable: self.durable,
            timestamps: self.timestamps.style(),
        })
    }
}

fn parse_secret(text: &str) -> Result<(String, PathBuf), String> {
    let (id, path) = text
        .split_once(':')
        .ok_or_else(|| format!("invalid value '{text}', missing a ':' separator"))?;
    Ok((id.to_owned(), path.into()))
}

/// Reads the file that `option` names.
pub(super) fn read_file(option: &str, path: &Path) -> Result<Vec<u8>, CommandError> {
    require_file(path, &format!("option '{option}'"))?;
    std::fs::read(path).map_err(|error| unreadable(option, path, &error))
}

/// Reads the text file that `option` names.
pub(super) fn read_text(option: &str, path: &Path) -> Result<String, CommandError> {
    String::from_utf8(read_file(option, path)?)
        .map_err(|_| unreadable(option, path, &"it is not UTF-8 text"))
}

fn unreadable(option: &str, path: &Path, why: &dyn std::fmt::Display) -> CommandError {
    CommandError::usage(format_args!(
        "option '{option}': cannot read '{}': {why}",
        path.display()
    ))
}
