//! The process that makes one container, and waits for it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
};
use visible::with_causes;

use super::entering::Entrance;
use super::executor::{ExecFailure, OwnExecutor};
use super::hierarchies::VisibleHierarchy;
use super::terminal::Terminal;
use super::{Report, bpf, finishing, hierarchies, home, kernel};
use crate::sandbox::stdio::Input;

/// Makes the container `id` of `bundle`, and waits until all its processes have ended.
pub(super) fn run(
    bundle: &Path,
    id: &str,
    input: Input,
    entrance: &Entrance,
) -> Result<Report, String> {
    let unprepared = |error| describe("prepare the process that makes the container", &error);
    let control = match input {
        Input::Empty => Some(take_control().map_err(unprepared)?),
        Input::Inherited | Input::Terminal => None,
    };
    prepare().map_err(unprepared)?;
    let visible = hierarchies::enter(entrance)
        .map_err(|error| describe("enter the control groups", &error))?;
    let spec = complete_config(bundle, &visible)?;
    let filter = filter(&spec)?;
    let terminal = (input == Input::Terminal)
        .then(|| Terminal::listen(bundle))
        .transpose()
        .map_err(|error| describe("create a terminal", &error))?;
    let failure = ExecFailure::new().map_err(unprepared)?;
    let mut builder = ContainerBuilder::new(id.to_owned(), SyscallType::default())
        .with_executor(OwnExecutor::new(&failure, filter))
        .with_root_path(bundle.join("state"))
        .map_err(|error| with_causes(&error))?;
    if let Some(terminal) = &terminal {
        builder = builder.with_console_socket(Some(terminal.socket()));
    }
    let built = builder.validate_id().and_then(|builder| {
        // The library's word for a container whose terminal the caller handles.
        let detached = terminal.is_some();
        let builder = builder.as_init(bundle).with_systemd(false);
        builder.with_detach(detached).build()
    });
    let mut container = match built {
        Ok(container) => container,
        Err(error) => return Err(failure.message().unwrap_or_else(|| with_causes(&error))),
    };
    let ended = start_and_wait(&mut container, &spec, control.as_ref(), terminal);
    let removed = container.delete(true).map_err(|error| with_causes(&error));
    if let Some(why) = failure.message() {
        return Err(why);
    }
    let report = ended?;
    removed?;
    Ok(report)
}

/// Returns the seccomp program for the command, if there is one.
fn filter(spec: &Spec) -> Result<Option<Vec<libc::sock_filter>>, String> {
    let linux = spec.linux().as_ref();
    let rules = linux.and_then(|linux| linux.seccomp().as_ref());
    rules.map(bpf::compile).transpose()
}

fn start_and_wait(
    container: &mut Container,
    spec: &Spec,
    control: Option<&OwnedFd>,
    terminal: Option<Terminal>,
) -> Result<Report, String> {
    let pid = container
        .pid()
        .and_then(|pid| Pid::from_raw(pid.as_raw()))
        .ok_or("the container has no process")?;
    let init = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|error| describe("find the container's process", &error.into()))?;
    finishing::finish(spec, pid).map_err(|error| describe("finish the container", &error))?;
    container.start().map_err(|error| with_causes(&error))?;
    let waited = match terminal {
        Some(terminal) => terminal.pass_on(init.as_fd()),
        None => wait(init.as_fd(), control),
    };
    if waited.is_err() {
        end(init.as_fd()).map_err(|error| describe("kill the container", &error))?;
    }
    let status = rustix::process::waitid(WaitId::PidFd(init.as_fd()), WaitIdOptions::EXITED)
        .map_err(|error| describe("wait for the container", &error.into()))?;
    waited.map_err(|error| describe("wait for the container", &error))?;
    Ok(report(status.as_ref()))
}

fn report(status: Option<&WaitIdStatus>) -> Report {
    let Some(status) = status else {
        return Report::Failed("cannot find out how the container ended".to_owned());
    };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => Report::Exit(status),
        (None, signal) => Report::Signal(signal.unwrap_or_default()),
    }
}

/// Waits for the container's first process, and kills it when `control` is closed: then the container is no longer
/// wanted. The kernel ends all processes of a namespace together with the first.
fn wait(init: BorrowedFd<'_>, control: Option<&OwnedFd>) -> io::Result<()> {
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(init, PollFlags::IN)];
        fds.extend(control.map(|control| PollFd::new(control, PollFlags::IN)));
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        if ready(0) {
            return Ok(());
        }
        if ready(1) {
            return end(init);
        }
    }
}

fn end(init: BorrowedFd<'_>) -> io::Result<()> {
    match pidfd_send_signal(init, Signal::KILL) {
        Err(Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes over standard input, whose end means that the container is no longer wanted, and replaces it by an empty one.
fn take_control() -> io::Result<OwnedFd> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let (empty, _) = io::pipe()?;
    rustix::stdio::dup2_stdin(&empty)?;
    Ok(control)
}

/// Resets settings of this process that a container must not inherit.
fn prepare() -> io::Result<()> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::thread::set_thread_groups(&[])?;
    kernel::join_new_keyring()
}

/// Adds settings to the bundle's config that the library would otherwise find in an unsafe way.
fn complete_config(bundle: &Path, visible: &[VisibleHierarchy]) -> Result<Spec, String> {
    let file = bundle.join("config.json");
    let mut spec = Spec::load(&file).map_err(|error| with_causes(&error))?;
    home::add(&mut spec).map_err(|error| describe("read the image's /etc/passwd", &error))?;
    finishing::lend_for_filter(&mut spec);
    finishing::mount_groups(&mut spec, visible)?;
    spec.save(&file).map_err(|error| with_causes(&error))?;
    Ok(spec)
}

fn describe(action: &str, error: &io::Error) -> String {
    format!("cannot {action}: {error}")
}
