//! The last action in a container before the command: finds it, and replaces this process by it.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use caps::{CapSet, Capability};
use libcontainer::oci_spec::runtime::{Process, Spec};
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use rustix::process::Signal;

use super::kernel;

/// The capability for installing a filter with which programs such as `sudo` work.
pub(super) const INSTALLS_FILTERS: Capability = Capability::CAP_SYS_ADMIN;

/// The error of the container's first process if it cannot become the command. On success the pipe is closed without
/// one.
pub(super) struct ExecFailure {
    reader: PipeReader,
    writer: Rc<PipeWriter>,
}

impl ExecFailure {
    /// Creates the pipe.
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self {
            reader,
            writer: Rc::new(writer),
        })
    }

    /// Returns the error, after the container has ended.
    pub(super) fn message(self) -> Option<String> {
        let Self { mut reader, writer } = self;
        drop(writer);
        let mut text = String::new();
        match reader.read_to_string(&mut text) {
            Ok(length) => (length > 0).then_some(text),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Becomes the command of a config, with exactly its environment, in its order.
#[derive(Clone)]
pub(super) struct OwnExecutor {
    failure: Rc<PipeWriter>,
    filter: Option<Rc<[libc::sock_filter]>>,
}

impl OwnExecutor {
    /// Returns an executor that reports errors to `failure`.
    ///
    /// The command gets the seccomp filter `filter`. Until it is installed, the container has [`INSTALLS_FILTERS`].
    pub(super) fn new(failure: &ExecFailure, filter: Option<Vec<libc::sock_filter>>) -> Self {
        Self {
            failure: Rc::clone(&failure.writer),
            filter: filter.map(Rc::from),
        }
    }

    /// Installs the filter, and drops the capability for that.
    ///
    /// In this order, so a filter must allow `capget` and `capset`, in addition to the calls for becoming the command.
    fn confine(&self) -> Result<(), String> {
        let Some(filter) = &self.filter else {
            return Ok(());
        };
        kernel::install_filter(filter)
            .map_err(|error| format!("cannot install the seccomp filter: {error}"))?;
        for set in [CapSet::Effective, CapSet::Permitted] {
            caps::drop(None, set, INSTALLS_FILTERS)
                .map_err(|error| format!("cannot drop {INSTALLS_FILTERS}: {error}"))?;
        }
        Ok(())
    }

    fn fail(&self, why: String) -> ExecutorError {
        // The library passes the error on only if the container has not been started yet.
        drop((&*self.failure).write_all(why.as_bytes()));
        ExecutorError::Other(why)
    }
}

impl Executor for OwnExecutor {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref().ok_or(ExecutorError::InvalidArg)?;
        let program = find(process).map_err(|why| self.fail(why))?;
        let words = |words: &[String]| {
            let words = words.iter().map(|word| CString::new(word.as_str()));
            words.collect::<Result<Vec<_>, _>>()
        };
        let args = process.args().clone().unwrap_or_default();
        let env = last_of_each(process.env().clone().unwrap_or_default());
        let (Ok(args), Ok(env)) = (words(&args), words(&env)) else {
            return Err(self.fail("an argument or a variable has a zero byte".to_owned()));
        };
        let path = CString::new(program.as_os_str().as_encoded_bytes());
        let path = path.map_err(|_| ExecutorError::InvalidArg)?;
        self.confine().map_err(|why| self.fail(why))?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| self.fail(error.to_string()))?;
        kernel::reset_signals();
        let Err(error) = nix::unistd::execve(&path, &args, &env);
        let error = io::Error::from_raw_os_error(error as i32);
        Err(self.fail(format!("exec: {program:?}: {error}")))
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let process = spec.process().as_ref();
        let process = process.ok_or(ExecutorValidationError::CantHandle("OBuilder's"))?;
        find(process).map(drop).map_err(|why| {
            drop((&*self.failure).write_all(why.as_bytes()));
            ExecutorValidationError::ArgValidationError(why)
        })
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // These are unordered. The config has the order.
        Ok(())
    }
}

/// Returns the program of the first word of a command.
fn find(process: &Process) -> Result<PathBuf, String> {
    let args = process.args().as_deref().unwrap_or_default();
    let name = args.first().ok_or("there is no command")?;
    let refuse = |why: &str| format!("exec: {name:?}: {why}");
    if name.contains('/') {
        return match is_program(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            Err(error) => Err(refuse(&io::Error::from(error).to_string())),
        };
    }
    let env = process.env().as_deref().unwrap_or_default();
    let path = env.iter().rev().find_map(|v| v.strip_prefix("PATH="));
    let folders = path
        .unwrap_or_default()
        .split(':')
        .filter(|f| !f.is_empty());
    folders
        .map(|folder| Path::new(folder).join(name))
        .find(|file| is_program(file).is_ok())
        .ok_or_else(|| refuse("executable file not found in $PATH"))
}

fn is_program(file: &Path) -> Result<(), Errno> {
    let stat = rustix::fs::stat(file)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(Errno::ACCESS);
    }
    rustix::fs::accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS)
}

/// Removes variables that are set again later.
fn last_of_each(env: Vec<String>) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut last: HashMap<String, usize> = HashMap::new();
    for (index, variable) in env.iter().enumerate() {
        last.insert(name(variable), index);
    }
    env.into_iter()
        .enumerate()
        .filter(|(index, variable)| last.get(&name(variable)) == Some(index))
        .map(|(_, variable)| variable)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::last_of_each;

    #[test]
    fn a_variable_has_the_value_given_last() {
        let env = ["A=1", "B=2", "A=3=4"].map(str::to_owned).to_vec();
        assert_eq!(last_of_each(env), ["B=2", "A=3=4"]);
    }
}
