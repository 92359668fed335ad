//! Background tasks of a store: removing trees, and syncing published results.
//!
//! They have a thread of their own rather than one of the runtime, because a runtime waits for its threads at its
//! end, and a program must not wait for a tree to be removed. Tasks that are not done by then are done when the
//! store is next opened.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::oneshot;

use super::error::ignore;
use super::tree;

/// A task of the thread.
#[derive(Debug)]
pub(super) enum Task {
    /// Remove a tree.
    Remove(PathBuf),
    /// Sync the filesystem, and remove the marks of results that a power cut could have damaged.
    Sync {
        /// A directory on the filesystem.
        root: PathBuf,
        /// The directory of the marks.
        marks: PathBuf,
    },
    /// Notify the sender that all earlier tasks are done.
    Notify(oneshot::Sender<()>),
}

/// A thread that does tasks in order. The first task starts it.
#[derive(Debug, Default)]
pub(super) struct Background {
    tasks: OnceLock<Sender<Task>>,
}

impl Background {
    /// Queues a task.
    pub(super) fn enqueue(&self, task: Task) {
        let tasks = self.tasks.get_or_init(|| {
            let (sender, receiver) = channel();
            let thread = std::thread::Builder::new().name("store".to_owned());
            if let Err(error) = thread.spawn(move || work(&receiver)) {
                tracing::warn!("Cannot start the cleanup thread of the store: {error}");
            }
            sender
        });
        if tasks.send(task).is_err() {
            tracing::debug!(
                "The cleanup thread of the store is not running; the task is left for the next start"
            );
        }
    }

    /// Waits until all tasks so far are done.
    pub(super) async fn finished(&self) {
        if self.tasks.get().is_none() {
            return;
        }
        let (sender, receiver) = oneshot::channel();
        self.enqueue(Task::Notify(sender));
        // It fails if there is no thread, and then there is nothing to wait for.
        if receiver.await.is_err() {
            tracing::debug!("The cleanup thread of the store is not running");
        }
    }
}

fn work(tasks: &Receiver<Task>) {
    for task in tasks {
        match task {
            Task::Remove(path) => log_failure(tree::remove(&path), "remove", &path),
            Task::Sync { root, marks } => log_failure(sync(&root, &marks), "sync", &root),
            Task::Notify(done) => {
                // The caller may have stopped waiting.
                let _ignored: Result<(), ()> = done.send(());
            }
        }
    }
}

/// Syncs the filesystem, then removes the marks that existed before.
fn sync(root: &Path, marks: &Path) -> io::Result<()> {
    let covered: Vec<_> = fs::read_dir(marks)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    rustix::fs::syncfs(File::open(root)?)?;
    for mark in covered {
        ignore(io::ErrorKind::NotFound, fs::remove_file(mark))?;
    }
    Ok(())
}

/// Logs the failure of a task. It is retried when the store is next opened.
fn log_failure(result: io::Result<()>, what: &str, path: &Path) {
    if let Err(error) = result {
        tracing::warn!("Cannot {what} {}: {error}", path.display());
    }
}
