//! Conversations of legal peers, recorded message by message on their way.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_local;

use crate::script::Line;
use crate::wire::take_frames;

/// What one side said, each message with how many it had heard before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) lines: Vec<Line>,
}

/// Both sides of a conversation: of the one who connects, and of the one who serves.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) asking: Conversation,
    pub(crate) serving: Conversation,
}

/// Listens at `from`, connects the first who comes there with the socket `to`, and writes down what they say.
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
        let said = Rc::clone(&recorded);
        spawn_local(pass(from_asking, to_serving, move |frame| {
            let mut record = said.borrow_mut();
            let after = record.serving.lines.len();
            record.asking.lines.push(Line {
                bytes: frame,
                after,
            });
        }));
        spawn_local(pass(from_serving, to_asking, move |frame| {
            let mut record = recorded.borrow_mut();
            let after = record.asking.lines.len();
            record.serving.lines.push(Line {
                bytes: frame,
                after,
            });
        }));
    });
    Ok(record)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, write_down: impl Fn(Vec<u8>)) {
    let (mut buffer, mut stream) = (vec![0; 64 * 1024], Vec::new());
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        stream.extend_from_slice(&buffer[..count]);
        // One by one, so that what was heard before each is known.
        for frame in take_frames(&mut stream) {
            write_down(frame.clone());
            if to.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}
