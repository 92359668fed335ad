//! The two generations of command lines: how a command gets its cap file.
//!
//! The readme's commands take it as the first positional argument (`show admin.cap POOL`); later ones as `-c FILE`,
//! before or after the command (`-c admin.cap show POOL`). With `-c` the other positionals move up by one, so clap gets
//! one flat list, from which the commands take their arguments in order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vat::{Address, DialOptions, SturdyRef};

use crate::error::CommandError;

/// The option by which later command lines name the cap file.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ConnectArgs {
    /// Cap file (replaces the CAP argument)
    #[arg(short, long, global = true, value_name = "FILE")]
    pub connect: Option<PathBuf>,
    /// Further addresses of the scheduler.
    #[command(flatten)]
    pub also: AlsoArgs,
}

/// The option by which a program knows further schedulers of a cluster.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct AlsoArgs {
    /// Further address of the scheduler, such as tcp:HOST:PORT; may be repeated
    ///
    /// A cluster with several schedulers has a leader, which may change. The program connects to the address at which a
    /// scheduler leads: that of the cap file, or one of these.
    #[arg(long, global = true, value_name = "ADDR", value_delimiter = ',')]
    pub also: Vec<Address>,
}

impl ConnectArgs {
    /// Takes the cap file from `--connect`, or else from the first of `positionals`.
    ///
    /// # Errors
    /// If there is no cap file.
    pub fn split(
        &self,
        positionals: Vec<OsString>,
    ) -> Result<(CapFile, Positionals), CommandError> {
        let mut rest = positionals.into_iter();
        let (path, given) = match &self.connect {
            Some(path) => (path.clone(), "option '--connect'"),
            None => {
                let Some(path) = rest.next() else {
                    return Err(CommandError::usage("required argument CAP is missing")
                        .hint("give the cap file as the first argument, or with --connect=FILE"));
                };
                (path.into(), "argument CAP")
            }
        };
        let cap = CapFile::existing(path, given)?.with(&self.also);
        Ok((cap, Positionals(rest.collect())))
    }
}

/// The path of a cap file that existed when the command line was parsed, and the further addresses of its scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapFile {
    path: PathBuf,
    also: Vec<Address>,
}

impl CapFile {
    /// Checks that there is a file at `path`, which was `given` by an option or argument.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn existing(path: PathBuf, given: &str) -> Result<Self, CommandError> {
        require_file(&path, given).map_err(|error| {
            error.hint("the scheduler writes cap files to its --secrets-dir when it starts")
        })?;
        let also = Vec::new();
        Ok(Self { path, also })
    }

    /// Adds further addresses of the scheduler.
    #[must_use]
    pub fn with(mut self, also: &AlsoArgs) -> Self {
        self.also.clone_from(&also.also);
        self
    }

    /// Returns how to connect: as by default, and to all of these addresses.
    pub fn dial_options(&self) -> DialOptions {
        DialOptions {
            also: self.also.clone(),
            ..DialOptions::default()
        }
    }

    /// Reads the sturdy ref in it.
    ///
    /// # Errors
    /// If the file cannot be read, or has no sturdy ref.
    pub fn load(&self) -> Result<SturdyRef, CommandError> {
        vat::cap_file::load(&self.path).map_err(CommandError::caused)
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Checks that a file named on the command line exists, naming the option it was `given` by.
///
/// # Errors
/// If there is no such file.
pub fn require_file(path: &Path, given: &str) -> Result<(), CommandError> {
    match path.metadata() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(CommandError::usage(
            format_args!("{given}: no '{}' file or directory", path.display()),
        )),
        Err(error) => Err(CommandError::usage(format_args!(
            "{given}: '{}': {error}",
            path.display()
        ))),
    }
}

/// The positional arguments after the cap file, taken from left to right.
#[derive(Debug)]
pub struct Positionals(std::collections::VecDeque<OsString>);

impl Positionals {
    /// Takes the next argument, which is required.
    ///
    /// # Errors
    /// If none is left, or it is not UTF-8 text.
    pub fn required(&mut self, name: &str) -> Result<String, CommandError> {
        self.optional(name)?
            .ok_or_else(|| CommandError::usage(format_args!("required argument {name} is missing")))
    }

    /// Takes the next argument, if there is one.
    ///
    /// # Errors
    /// If it is not UTF-8 text.
    pub fn optional(&mut self, name: &str) -> Result<Option<String>, CommandError> {
        self.0.pop_front().map(|arg| text(name, arg)).transpose()
    }

    /// Takes all that are left.
    ///
    /// # Errors
    /// If one of them is not UTF-8 text.
    pub fn rest(self, name: &str) -> Result<Vec<String>, CommandError> {
        self.0.into_iter().map(|arg| text(name, arg)).collect()
    }

    /// Takes all that are left, whatever bytes they are made of.
    pub fn rest_raw(self) -> Vec<OsString> {
        self.0.into()
    }

    /// Checks that none is left.
    ///
    /// # Errors
    /// If an argument is left.
    pub fn finish(self) -> Result<(), CommandError> {
        match self.0.front() {
            None => Ok(()),
            Some(extra) => Err(CommandError::usage(format_args!(
                "too many arguments, don't know what to do with '{}'",
                extra.display()
            ))),
        }
    }
}

fn text(name: &str, arg: OsString) -> Result<String, CommandError> {
    arg.into_string().map_err(|arg| {
        CommandError::usage(format_args!(
            "argument {name}: '{}' is not UTF-8 text",
            arg.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Splits `--connect` and the positionals into the cap file and `POOL [WORKER]`.
    fn split(connect: Option<&str>, positionals: &[&str]) -> String {
        let args = ConnectArgs {
            connect: connect.map(PathBuf::from),
            also: AlsoArgs::default(),
        };
        let outcome = args
            .split(positionals.iter().map(OsString::from).collect())
            .and_then(|(cap, mut rest)| {
                let pool = rest.required("POOL")?;
                let worker = rest.optional("WORKER")?;
                rest.finish()?;
                Ok(format!(
                    "{} {pool} {worker:?}",
                    cap.path().file_name().unwrap().display()
                ))
            });
        outcome.unwrap_or_else(|error| error.message)
    }

    #[test]
    fn both_generations_have_the_same_meaning() {
        let dir = tempfile::tempdir().unwrap();
        let cap = dir.path().join("admin.cap");
        std::fs::write(&cap, "capnp://").unwrap();
        let cap = cap.to_str().unwrap();
        let missing = "no-such.cap";
        let cases: &[(Option<&str>, &[&str])] = &[
            (None, &[cap, "pool"]),
            (Some(cap), &["pool"]),
            (None, &[cap, "pool", "w1"]),
            (Some(cap), &["pool", "w1"]),
            (None, &[]),
            (None, &[cap]),
            (Some(cap), &[]),
            (None, &[cap, "pool", "w1", "w2"]),
            (Some(cap), &["pool", "w1", "w2"]),
            (None, &[missing, "pool"]),
            (Some(missing), &["pool"]),
        ];
        let table: Vec<String> = cases
            .iter()
            .map(|(connect, positionals)| split(*connect, positionals))
            .collect();
        expect![[r#"
            admin.cap pool None
            admin.cap pool None
            admin.cap pool Some("w1")
            admin.cap pool Some("w1")
            required argument CAP is missing
            required argument POOL is missing
            required argument POOL is missing
            too many arguments, don't know what to do with 'w2'
            too many arguments, don't know what to do with 'w2'
            argument CAP: no 'no-such.cap' file or directory
            option '--connect': no 'no-such.cap' file or directory"#]]
        .assert_eq(&table.join("\n"));
    }
}
