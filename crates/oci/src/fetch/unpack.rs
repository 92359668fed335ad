//! Unpacks layers on a thread of its own, while others are still being downloaded.

use std::fs::File;
use std::io::PipeReader;
use std::path::Path;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use visible::{Size, counted};

use super::FetchError;
use super::log::Log;
use crate::compression::Decompressed;
use crate::layer::Unpacker;
use crate::{Digest, Limits, UnpackError};

/// A layer to unpack.
#[derive(Debug)]
pub(super) enum Source {
    /// A file, compressed or not, with its expected digest unless that was checked already.
    File(File, Option<Digest>),
    /// The output of a program.
    Pipe(PipeReader),
}

/// The thread that unpacks. Dropping this stops it.
#[derive(Debug)]
pub(super) struct Unpacking {
    layers: mpsc::UnboundedSender<(String, Source)>,
    thread: JoinHandle<Result<Summary, FetchError>>,
    stop: CancellationToken,
    _stops: DropGuard,
}

#[derive(Debug)]
struct Summary {
    files: u64,
    bytes: u64,
    notes: Vec<String>,
}

impl Unpacking {
    /// Starts to unpack into the empty directory `rootfs`, until `cancel` fires.
    pub(super) fn start(rootfs: &Path, limits: &Limits, cancel: &CancellationToken) -> Self {
        // Unbounded, because the number of layers has a limit.
        let (layers, received) = mpsc::unbounded_channel();
        let stop = cancel.child_token();
        let (rootfs, limits, stopped) = (rootfs.to_owned(), limits.clone(), stop.clone());
        let thread =
            tokio::task::spawn_blocking(move || unpack(&rootfs, limits, stopped, received));
        Self {
            layers,
            thread,
            _stops: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Queues the next layer. Returns `false` if unpacking has stopped: [`finish`](Self::finish) returns the reason.
    pub(super) fn add(&self, name: String, layer: Source) -> bool {
        self.layers.send((name, layer)).is_ok()
    }

    /// Waits for the last layer, and logs the totals.
    pub(super) async fn finish(self, log: Log<'_>) -> Result<(), FetchError> {
        let Self {
            layers,
            thread,
            stop: _,
            _stops,
        } = self;
        drop(layers);
        let Summary {
            files,
            bytes,
            notes,
        } = thread.await.map_err(broken)??;
        for note in notes {
            log.line(format_args!("Skipped {note}"))?;
        }
        log.line(format_args!(
            "Unpacked {}, {}",
            counted(files, "file"),
            Size(bytes)
        ))
    }

    /// Stops, and waits until the thread no longer writes.
    pub(super) async fn abandon(self) {
        self.stop.cancel();
        drop(self.layers);
        // It was cancelled: its result does not matter.
        drop(self.thread.await);
    }
}

fn broken(error: tokio::task::JoinError) -> FetchError {
    FetchError::Failed(format!("unpacking stopped: {error}"))
}

fn unpack(
    rootfs: &Path,
    limits: Limits,
    stop: CancellationToken,
    mut layers: mpsc::UnboundedReceiver<(String, Source)>,
) -> Result<Summary, FetchError> {
    let mut unpacker = Unpacker::new(rootfs, limits, stop).map_err(|error| failed("", error))?;
    while let Some((name, layer)) = layers.blocking_recv() {
        let applied = match layer {
            Source::Pipe(pipe) => unpacker.apply(pipe),
            Source::File(file, digest) => Decompressed::of(file, digest)
                .map_err(UnpackError::Read)
                .and_then(|layer| unpacker.apply(layer)),
        };
        applied.map_err(|error| failed(&name, error))?;
    }
    let (files, bytes) = unpacker.total();
    let notes = unpacker.notes().map(str::to_owned).collect();
    Ok(Summary {
        files,
        bytes,
        notes,
    })
}

fn failed(layer: &str, error: UnpackError) -> FetchError {
    match error {
        UnpackError::Cancelled => FetchError::Cancelled,
        UnpackError::Write { path, source } => FetchError::Write { path, source },
        error => FetchError::Failed(format!("{layer}: {error}")),
    }
}
