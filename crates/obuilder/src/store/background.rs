//! What nobody should wait for: removing trees, and writing back what has been published.
//!
//! A thread of its own rather than the runtime's, because a runtime that ends waits for its threads, and a build that has
//! ended must not wait for a tree to be removed. What is not done by then is done when the store is next opened.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::oneshot;

use super::error::unless;
use super::tree;

/// Something to do.
#[derive(Debug)]
pub(super) enum Chore {
    /// Remove a tree.
    Remove(PathBuf),
    /// Write back what is in memory, and take away the marks that say that it might be lost.
    Sync {
        /// Somewhere on the filesystem.
        root: PathBuf,
        /// The directory of the marks.
        marks: PathBuf,
    },
    /// Say that all before this is done.
    Say(oneshot::Sender<()>),
}

/// A thread that does chores, one after another. It is started by the first.
#[derive(Debug, Default)]
pub(super) struct Background {
    chores: OnceLock<Sender<Chore>>,
}

impl Background {
    /// Leaves `chore` to the thread.
    pub(super) fn leave(&self, chore: Chore) {
        let chores = self.chores.get_or_init(|| {
            let (sender, receiver) = channel();
            let thread = std::thread::Builder::new().name("store".to_owned());
            if let Err(error) = thread.spawn(move || work(&receiver)) {
                tracing::warn!("Cannot start the cleanup thread of the store: {error}");
            }
            sender
        });
        if chores.send(chore).is_err() {
            tracing::debug!(
                "The cleanup thread of the store is not running; the task is left for the next start"
            );
        }
    }

    /// Waits until everything that was left so far is done.
    pub(super) async fn finished(&self) {
        if self.chores.get().is_none() {
            return;
        }
        let (sender, receiver) = oneshot::channel();
        self.leave(Chore::Say(sender));
        // It ends with an error when there is no thread, and then there is nothing to wait for.
        if receiver.await.is_err() {
            tracing::debug!("The cleanup thread of the store is not running");
        }
    }
}

fn work(chores: &Receiver<Chore>) {
    for chore in chores {
        match chore {
            Chore::Remove(path) => complain(tree::remove(&path), "remove", &path),
            Chore::Sync { root, marks } => complain(sync(&root, &marks), "sync", &root),
            Chore::Say(done) => {
                // Whoever asked may have stopped waiting.
                let _ignored: Result<(), ()> = done.send(());
            }
        }
    }
}

/// Writes back what is in memory, then removes the marks that were there before.
fn sync(root: &Path, marks: &Path) -> io::Result<()> {
    let covered: Vec<_> = fs::read_dir(marks)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    rustix::fs::syncfs(File::open(root)?)?;
    for mark in covered {
        unless(io::ErrorKind::NotFound, fs::remove_file(mark))?;
    }
    Ok(())
}

/// What fails here is tried again when the store is next opened, and there is nobody to tell but the log.
fn complain(result: io::Result<()>, what: &str, path: &Path) {
    if let Err(error) = result {
        tracing::warn!("Cannot {what} {path:?}: {error}");
    }
}
