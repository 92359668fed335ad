//! Kinds of jobs that are run by programs, in any language.
//!
//! The program reads the payload, works in the job's source, and prints the job's log. Its variables and the file for
//! its result are an interface that users rely on: `docs/design/0017-custom-jobs.md` describes it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cluster_api::{CustomJob, Description};
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

use super::running::MARK;
use super::secrets::check_secrets;
use super::{CustomError, CustomExecutor, CustomUser, RunningJob, check_kind};
use crate::outcome::JobError;
use crate::process::{Command, Environment, is_executable};

const KIND: &str = "OCLUSTER_CUSTOM_KIND";
const PAYLOAD: &str = "OCLUSTER_CUSTOM_PAYLOAD";
const CACHE_HINT: &str = "OCLUSTER_CUSTOM_CACHE_HINT";
const COMMITS: &str = "OCLUSTER_CUSTOM_COMMITS";
const RESULT: &str = "OCLUSTER_CUSTOM_RESULT";
const SECRETS: &str = "OCLUSTER_CUSTOM_SECRETS";

/// The variables that only programs of custom jobs get.
///
/// No option may have a variable of such a name: a program that submits a job would pass its own value on by accident.
pub const CUSTOM_VARIABLES: [&str; 7] = [KIND, PAYLOAD, CACHE_HINT, COMMITS, RESULT, SECRETS, MARK];

/// The largest result of a job, in bytes. It is for an id or a few lines, and the scheduler forwards it in one message.
const MAX_RESULT: u64 = 64 << 10;

/// A kind of custom job, and the program that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomCommand {
    kind: String,
    words: Vec<String>,
}

impl FromStr for CustomCommand {
    type Err = CustomError;

    /// Reads `KIND=COMMAND`, with the words of the command quoted as for a shell.
    fn from_str(text: &str) -> Result<Self, CustomError> {
        let (kind, command) = text
            .split_once('=')
            .ok_or_else(|| CustomError::NotACommand(text.to_owned()))?;
        check_kind(kind)?;
        let words = shlex::split(command);
        let words = words.ok_or_else(|| CustomError::OpenQuote(command.to_owned()))?;
        if words.first().is_none_or(String::is_empty) {
            return Err(CustomError::NoCommand(kind.to_owned()));
        }
        Ok(Self {
            kind: kind.to_owned(),
            words,
        })
    }
}

impl CustomCommand {
    /// Returns the executor of such jobs, if the program is there.
    ///
    /// The program is looked up at once and kept as an absolute path, so that it does not depend on a job's source.
    pub(super) fn find(self, environment: &Environment) -> Result<Program, CustomError> {
        let Self { kind, words } = self;
        let mut words = words.into_iter();
        let name = words.next().unwrap_or_default();
        let found = environment.find_program(name.as_ref());
        let program = found.and_then(|path| std::path::absolute(path).ok());
        match program {
            Some(program) if is_executable(&program) => Ok(Program {
                kind,
                program,
                args: words.map(OsString::from).collect(),
            }),
            Some(_) => Err(CustomError::NoProgram {
                kind,
                program: name,
                reason: "it is not an executable file",
            }),
            None => Err(CustomError::NoProgram {
                kind,
                program: name,
                reason: "no such program in PATH",
            }),
        }
    }
}

/// Runs a program for each job.
pub(super) struct Program {
    pub(super) kind: String,
    program: PathBuf,
    args: Vec<OsString>,
}

impl CustomExecutor for Program {
    fn admit(&self, _job: &CustomJob, description: &Description) -> Result<(), JobError> {
        check_secrets(&description.secrets).map_err(JobError::failed)
    }

    async fn run(&self, job: RunningJob<'_>) -> Result<String, JobError> {
        let tools = job.tools;
        let result = ResultFile::new(&tools.tmp)?;
        tools.give(result.dir.path()).await?;
        let secrets = tools.secrets.place(&job.description.secrets)?;
        let mut environment = tools
            .environment
            .clone()
            .with(KIND, job.kind)
            .with(CACHE_HINT, &job.description.cache_hint)
            .with(COMMITS, job.description.commits.join(" "))
            .with(RESULT, result.path());
        if let Some(secrets) = &secrets {
            environment = environment.with(SECRETS, secrets.path());
        }
        let (form, payload) = match job.payload.to_data() {
            Some(bytes) => ("bytes", bytes),
            None => ("message", job.payload.to_message()),
        };
        let environment = environment.with(PAYLOAD, form);
        let command = Command::new(self.kind.clone(), &self.program, &self.args, environment);
        let command = command.in_dir(job.source).reading(payload);
        job.run(&command).await?;
        result.read(tools.user.as_ref()).map_err(|reason| {
            JobError::failed(format!("cannot read the result of {}: {reason}", self.kind))
        })
    }
}

/// The file for a program's result, in a directory of its own. Dropping it removes both.
struct ResultFile {
    dir: TempDir,
}

impl ResultFile {
    fn new(tmp: &Path) -> Result<Self, JobError> {
        let dir = tempfile::Builder::new()
            .prefix("custom-")
            .tempdir_in(tmp)
            .map_err(|error| {
                JobError::failed(format!("cannot make a temporary directory: {error}"))
            })?;
        Ok(Self { dir })
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("result")
    }

    /// Returns the file's text without line breaks at its end. Empty if there is no file.
    ///
    /// This follows no link, and does not wait if the file is a pipe.
    fn read(&self, user: Option<&CustomUser>) -> Result<String, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(self.path(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(String::new()),
            Err(error) => return Err(error.to_string()),
        };
        let data = file.metadata().map_err(|error| error.to_string())?;
        if !data.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        // It may be a hard link to a file that only the worker can read.
        if user.is_some_and(|user| !user.owns(data.uid())) {
            return Err("it belongs to another user".to_owned());
        }
        let mut bytes = Vec::new();
        let mut limited = file.take(MAX_RESULT + 1);
        limited
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_RESULT {
            return Err(format!("it has more than {MAX_RESULT} bytes"));
        }
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }
}
