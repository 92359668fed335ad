//! The messages between a [`Holder`](crate::Holder) and its reaper, one line of JSON each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A request of the owner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Start a process. The reply is [`Reply::Started`].
    Start(Start),
    /// Send a signal to a process started before.
    Signal { pid: i32, signal: i32 },
    /// Return whether a process still runs. The reply is [`Reply::State`].
    State { pid: i32 },
    /// Run this command at the end. The last one requested is run first.
    Undo(Vec<String>),
    /// Remove these cgroups, in every hierarchy, at the end.
    RemoveCgroup(String),
}

/// A process to start under the reaper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) folder: PathBuf,
    /// The file for its output.
    pub(crate) log: PathBuf,
    pub(crate) isolation: Isolation,
}

/// How a process is isolated from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Isolation {
    /// Not at all.
    None,
    /// It has process ids and mounts of its own, so that the kernel ends all of it at once.
    Private,
    /// It has a network of its own, too, without a connection to any other.
    Offline,
}

/// A reply of the reaper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    /// The first reply, which no request asks for: the directory.
    Folder(PathBuf),
    Started {
        pid: i32,
    },
    /// `None` while it runs.
    State {
        exit: Option<i32>,
    },
    Failed(String),
}
