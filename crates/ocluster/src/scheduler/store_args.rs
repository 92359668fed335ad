//! Options about the place where a scheduler keeps its state.

use std::convert::Infallible;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cluster_postgres::{Settings, SettingsError};
use cluster_scheduler::StoreSettings;

use cli::error::CommandError;

/// The variables that may have the password, the first one first. The second one is PostgreSQL's own.
const PASSWORD_VARIABLES: [&str; 2] = ["OCLUSTER_STORE_PASSWORD", "PGPASSWORD"];

/// The most that is read of a file with a password, in bytes.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// Where the state is kept.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// PostgreSQL database for the state [default: SQLite files in the state directory]
    ///
    /// The form is postgres://USER@HOST:PORT/DATABASE, or postgres://USER@/DATABASE?host=DIRECTORY for a local socket.
    /// Connections to other hosts are encrypted, and the server's certificate must have its name. The authorities are
    /// those of this machine, or those in the file that sslrootcert names: ?sslrootcert=FILE. Without encryption:
    /// ?sslmode=disable.
    #[arg(long, value_name = "URL", value_parser = address)]
    store: Option<Address>,
    /// File with the password of the database's user
    ///
    /// It may also be in the environment, as OCLUSTER_STORE_PASSWORD or PGPASSWORD.
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<PathBuf>,
}

/// An address, or why it is none. The parser of options would show one that it refuses, which may have a password.
#[derive(Clone, Debug)]
struct Address(Result<Settings, SettingsError>);

fn address(text: &str) -> Result<Address, Infallible> {
    Ok(Address(text.parse()))
}

impl StoreArgs {
    pub(super) fn settings(self) -> Result<StoreSettings, CommandError> {
        let Self {
            store,
            store_password_file: file,
        } = self;
        match (store, file) {
            (Some(Address(settings)), file) => {
                let settings = settings.map_err(|error| {
                    CommandError::usage(format_args!("option '--store': {error}"))
                })?;
                with_password(settings, file.as_deref()).map(StoreSettings::Postgres)
            }
            (None, None) => Ok(StoreSettings::Files),
            (None, Some(_)) => Err(CommandError::usage(
                "option '--store-password-file' needs '--store'",
            )),
        }
    }
}

/// Returns the settings with the password from a file, or else from the environment, if there is one.
pub(crate) fn with_password(
    settings: Settings,
    file: Option<&Path>,
) -> Result<Settings, CommandError> {
    let password = match file {
        Some(path) => {
            let read = read_password(path);
            Some(read.map_err(|why| {
                let path = path.display();
                CommandError::usage(format_args!(
                    "option '--store-password-file': cannot read {path}: {why}"
                ))
            })?)
        }
        None => PASSWORD_VARIABLES
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty())),
    };
    Ok(match password {
        Some(password) => settings.with_password(&password),
        None => settings,
    })
}

/// Returns the first line of a file.
fn read_password(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(MAX_PASSWORD_BYTES + 1).read_to_string(&mut text);
    let read = read.map_err(|error| error.to_string())? as u64;
    if read > MAX_PASSWORD_BYTES {
        return Err(format!("it has more than {MAX_PASSWORD_BYTES} bytes"));
    }
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err("its first line is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let password = |content: &str| {
            std::fs::write(file.path(), content).unwrap();
            read_password(file.path())
        };
        assert_eq!(password("hunter2\n").as_deref(), Ok("hunter2"));
        assert_eq!(password("hunter2").as_deref(), Ok("hunter2"));
        assert!(password("\nhunter2").is_err());
        assert!(password(&"x".repeat(5000)).unwrap_err().contains("4096"));
    }
}
