//! A build's log on its way from the builder's thread to the job's.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bstr::{BStr, BString};
use futures::future::{FutureExt as _, LocalBoxFuture};
use jiff::Timestamp;
use obuilder::builder::{BuildLog, OpProgress};
use tokio::sync::{mpsc, watch};
use visible::Elapsed;

use super::decoration;

/// How many bytes may be in the pipe before the build has to wait.
const MAX_UNREAD: usize = 1 << 20;

/// Returns both ends of a log.
pub(super) fn pipe() -> (LogWriter, LogReader) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let unread = Arc::new(watch::Sender::new(0));
    let writer = LogWriter {
        sender,
        unread: Arc::clone(&unread),
    };
    (writer, LogReader { receiver, unread })
}

/// What goes through the pipe.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The heading of an op, as in the spec.
    Heading(BString),
    /// Output, or a remark.
    Output(BString),
    Progress(OpProgress),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Heading(bytes) | Self::Output(bytes) => bytes.len(),
            Self::Progress(_) => 0,
        }
    }
}

/// The builder's end.
pub(super) struct LogWriter {
    sender: mpsc::UnboundedSender<Piece>,
    unread: Arc<watch::Sender<usize>>,
}

/// The job's end. When it is dropped, the builder's writes fail.
pub(super) struct LogReader {
    receiver: mpsc::UnboundedReceiver<Piece>,
    unread: Arc<watch::Sender<usize>>,
}

impl LogWriter {
    fn send(&self, piece: Piece) -> io::Result<()> {
        self.unread.send_modify(|unread| *unread += piece.len());
        let sent = self.sender.send(piece);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Writes a remark about the build, in upstream's format.
    pub(super) fn remark(&self, text: &str) -> io::Result<()> {
        self.send(Piece::Output(decoration::note(text, Timestamp::now())))
    }
}

impl BuildLog for LogWriter {
    fn heading(&self, text: &BStr) -> io::Result<()> {
        self.send(Piece::Heading(text.to_owned()))
    }

    fn note(&self, text: &str) -> io::Result<()> {
        self.remark(text)
    }

    fn took(&self, time: Duration) -> io::Result<()> {
        self.remark(&format!("The step took {}", Elapsed(time)))
    }

    fn progress(&self, progress: OpProgress) -> io::Result<()> {
        self.send(Piece::Progress(progress))
    }

    fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>> {
        async move {
            self.send(Piece::Output(bytes.into()))?;
            let mut unread = self.unread.subscribe();
            tokio::select! {
                // `self` holds the sender, so this ends only when the reader has caught up.
                _ = unread.wait_for(|unread| *unread <= MAX_UNREAD) => Ok(()),
                () = self.sender.closed() => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        .boxed_local()
    }
}

impl LogReader {
    /// Returns the next piece, or `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        let piece = self.receiver.recv().await?;
        self.unread.send_modify(|unread| *unread -= piece.len());
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::local;

    #[test]
    fn a_build_that_prints_much_waits_for_its_reader() {
        local(async {
            let (writer, mut reader) = pipe();
            let much = vec![b'x'; MAX_UNREAD + 1];
            let mut output = writer.output(&much);
            assert!(futures::poll!(&mut output).is_pending());
            assert_eq!(reader.next().await.unwrap().len(), much.len());
            output.await.unwrap();
        });
    }

    #[test]
    fn writes_fail_when_the_reader_is_dropped() {
        local(async {
            let (writer, reader) = pipe();
            let much = vec![b'x'; MAX_UNREAD + 1];
            let mut output = writer.output(&much);
            assert!(futures::poll!(&mut output).is_pending());
            drop(reader);
            assert!(output.await.is_err());
            assert!(writer.note("hello").is_err());
        });
    }
}
