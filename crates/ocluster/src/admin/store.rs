//! `store copy`: moves the state of a cluster between SQLite files and PostgreSQL.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Subcommand;
use cluster_postgres::SettingsError;
use cluster_scheduler::{CopiedTable, StorePlace, copy_store};
use visible::counted;

use super::Common;
use crate::json::admin::{CopiedStore, CopiedStoreTable};
use crate::scheduler::store_args::with_password;
use cli::error::CommandError;

/// Move the state of a cluster
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    Copy(CopyArgs),
}

/// Copy the state of a cluster between SQLite files and PostgreSQL
///
/// Stop the scheduler first. Clients, workers, rates, pauses, cache hints, jobs with their history and the audit log
/// are copied; logs of jobs and the key stay files. The target must be empty, and is complete or unchanged afterwards.
/// A scheduler that still runs on the database can save nothing more.
#[derive(Debug, clap::Args)]
struct CopyArgs {
    /// State directory, or postgres://USER@HOST/DATABASE
    #[arg(value_parser = place)]
    from: Place,
    /// Empty place of the other kind
    #[arg(value_parser = place)]
    to: Place,
    /// File with the password of the database's user
    ///
    /// It may also be in the environment, as OCLUSTER_STORE_PASSWORD or PGPASSWORD.
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<PathBuf>,
}

/// A place, or why it is none. The parser of options would show one that it refuses, which may have a password.
#[derive(Clone, Debug)]
struct Place(Result<StorePlace, SettingsError>);

fn place(text: &str) -> Result<Place, Infallible> {
    Ok(Place(if text.contains("://") {
        text.parse().map(StorePlace::Postgres)
    } else {
        Ok(StorePlace::StateDir(text.into()))
    }))
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let StoreCommand::Copy(CopyArgs {
        from,
        to,
        store_password_file: file,
    }) = args.command;
    let resolve = |name: &str, Place(place): Place| match place {
        Ok(StorePlace::Postgres(settings)) => {
            with_password(settings, file.as_deref()).map(StorePlace::Postgres)
        }
        Ok(place @ StorePlace::StateDir(_)) => Ok(place),
        Err(error) => Err(CommandError::usage(format_args!("{name}: {error}"))),
    };
    let (from, to) = (resolve("FROM", from)?, resolve("TO", to)?);
    let copied = tokio::task::spawn_blocking(move || copy_store(&from, &to)).await;
    let tables = copied
        .map_err(CommandError::internal)?
        .map_err(CommandError::caused)?;
    common.format().print(|| text(&tables), || json(&tables))
}

fn text(tables: &[CopiedTable]) -> String {
    let line = |copied: &CopiedTable| {
        let rows = counted(copied.rows, "row");
        match copied.left_out {
            0 => format!("{}: {rows}\n", copied.table),
            left_out => format!(
                "{}: {rows}, and {left_out} left out: their texts are not UTF-8\n",
                copied.table
            ),
        }
    };
    tables.iter().map(line).collect()
}

fn json(tables: &[CopiedTable]) -> CopiedStore {
    let tables = tables.iter().map(|copied| CopiedStoreTable {
        table: copied.table.to_owned(),
        rows: copied.rows,
        left_out: copied.left_out,
    });
    CopiedStore {
        tables: tables.collect(),
    }
}
