//! Conversations of legal peers, recorded message by message.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_local;

use crate::wire::{rename, take_frames};

/// A message that a peer sends.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    /// How many messages the peer has received before, or has waited for in vain.
    pub(crate) after: usize,
}

/// The messages of one side of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) messages: Vec<Message>,
}

impl Conversation {
    /// Returns it with another text in place of one of the same length.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        for message in &mut self.messages {
            rename(&mut message.bytes, from, to);
        }
        self
    }
}

/// Both sides of a connection: of the peer that connects, and of the one that serves.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) asking: Conversation,
    pub(crate) serving: Conversation,
}

/// Listens at `from`, connects the first peer there with the socket `to`, and records their messages.
pub(crate) fn relay(from: &Path, to: &Path) -> std::io::Result<Rc<RefCell<Record>>> {
    let listener = UnixListener::bind(from)?;
    let to = to.to_owned();
    let record = Rc::new(RefCell::new(Record::default()));
    let recorded = Rc::clone(&record);
    spawn_local(async move {
        let (Ok((one, _)), Ok(other)) = (listener.accept().await, UnixStream::connect(to).await)
        else {
            return;
        };
        let ((from_asking, to_asking), (from_serving, to_serving)) =
            (one.into_split(), other.into_split());
        let asking = Rc::clone(&recorded);
        spawn_local(pass(from_asking, to_serving, move |frame| {
            let mut record = asking.borrow_mut();
            let after = record.serving.messages.len();
            record.asking.messages.push(Message {
                bytes: frame,
                after,
            });
        }));
        spawn_local(pass(from_serving, to_asking, move |frame| {
            let mut record = recorded.borrow_mut();
            let after = record.asking.messages.len();
            record.serving.messages.push(Message {
                bytes: frame,
                after,
            });
        }));
    });
    Ok(record)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, write: impl Fn(Vec<u8>)) {
    let (mut buffer, mut stream) = (vec![0; 64 * 1024], Vec::new());
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        stream.extend_from_slice(&buffer[..count]);
        // One by one, so that the number of messages before each is known.
        for frame in take_frames(&mut stream) {
            write(frame.clone());
            if to.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}
