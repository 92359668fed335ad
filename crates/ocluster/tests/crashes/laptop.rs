//! A client's machine, which sleeps when its lid is closed.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};

use rig::Wire;
use rustix::process::{Pid, Signal, kill_process};

use crate::network::at_far_end;
use crate::program::command;
use crate::site::INTERVAL;

/// A machine at the far end of a wire, with client programs.
pub(crate) struct Laptop<'a> {
    folder: &'a Path,
    wire: &'a Wire,
}

/// A window of the laptop: a client program, and what it prints.
pub(crate) struct Window {
    child: RefCell<Child>,
    output: PathBuf,
    errors: PathBuf,
}

impl<'a> Laptop<'a> {
    pub(crate) fn new(folder: &'a Path, wire: &'a Wire) -> Self {
        Self { folder, wire }
    }

    /// Starts a command of `ocluster-client`. The name is that of the files for what it prints.
    pub(crate) fn start(&self, name: &str, args: &[&str]) -> Window {
        let path = env!("CARGO_BIN_EXE_ocluster-client");
        let file = |kind: &str| self.folder.join(format!("{name}.{kind}"));
        let (output, errors) = (file("output"), file("errors"));
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut command = command(&at_far_end(self.wire), path, &args, self.folder);
        command
            .stdout(File::create(&output).expect("made a file"))
            .stderr(File::create(&errors).expect("made a file"));
        Window {
            child: RefCell::new(command.spawn().expect("started the program")),
            output,
            errors,
        }
    }

    /// The lid is closed: the programs stand still, and the network reaches the machine no more.
    pub(crate) fn close(&self, programs: &[&Window]) {
        programs
            .iter()
            .for_each(|program| program.signal(Signal::STOP));
        self.wire.connect(false).expect("the network fails");
    }

    /// The lid is opened.
    pub(crate) fn open(&self, programs: &[&Window]) {
        self.wire.connect(true).expect("the network works again");
        programs
            .iter()
            .for_each(|program| program.signal(Signal::CONT));
    }
}

impl Window {
    /// Returns what it has printed on its standard output.
    pub(crate) fn output(&self) -> String {
        read(&self.output)
    }

    /// Returns what it has printed on its standard error.
    pub(crate) fn errors(&self) -> String {
        read(&self.errors)
    }

    /// Waits until it has ended with this exit code.
    pub(crate) async fn ends_with(&self, expected: i32) -> Result<(), String> {
        let status = self.ended().await;
        match status.code() {
            Some(code) if code == expected => Ok(()),
            _ => Err(format!(
                "expected exit code {expected}, found {status}; see {}",
                self.errors.display()
            )),
        }
    }

    async fn ended(&self) -> ExitStatus {
        loop {
            let status = self.child.borrow_mut().try_wait();
            if let Some(status) = status.expect("asked for its status") {
                return status;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child.borrow());
        kill_process(pid, signal).expect("sent a signal");
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.get_mut().kill());
        drop(self.child.get_mut().wait());
    }
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).expect("read what it has printed");
    String::from_utf8_lossy(&bytes).into_owned()
}
