//! Connects a container's terminal with that of this process.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Interval between checks of the size of our terminal, in nanoseconds.
const SIZE_CHECK_NANOSECONDS: i64 = 250_000_000;

/// A socket that receives the container's side of its terminal.
pub(super) struct Terminal {
    listener: UnixListener,
    socket: PathBuf,
}

impl Terminal {
    /// Listens in the bundle, which is the current directory: its absolute path may be too long for a socket.
    pub(super) fn listen(bundle: &Path) -> io::Result<Self> {
        let name = "console.sock";
        Ok(Self {
            listener: UnixListener::bind(name)?,
            socket: bundle.join(name),
        })
    }

    /// Returns the path of the socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Connects the two, until the container's first process has ended.
    pub(super) fn pass_on(self, init: BorrowedFd<'_>) -> io::Result<()> {
        let (connection, _) = self.listener.accept()?;
        let theirs = receive(connection.as_fd())?;
        let ours = Raw::new()?;
        let result = connect(theirs.as_fd(), init);
        drop(ours);
        result
    }
}

fn receive(connection: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 256];
    let mut parts = [IoSliceMut::new(&mut name)];
    recvmsg(
        connection,
        &mut parts,
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fd.ok_or_else(|| io::Error::other("the container did not send a terminal"))
}

/// Our terminal in raw mode. Dropping this restores its mode.
struct Raw(Termios);

impl Raw {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A closed terminal needs no restoring.
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

fn connect(theirs: BorrowedFd<'_>, init: BorrowedFd<'_>) -> io::Result<()> {
    let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let look = Timespec {
        tv_sec: 0,
        tv_nsec: SIZE_CHECK_NANOSECONDS,
    };
    let mut typing = true;
    loop {
        if let Ok(size) = tcgetwinsize(input) {
            tcsetwinsize(theirs, size)?;
        }
        let mut fds = [
            PollFd::from_borrowed_fd(theirs, PollFlags::IN),
            PollFd::from_borrowed_fd(init, PollFlags::IN),
            PollFd::from_borrowed_fd(
                input,
                if typing {
                    PollFlags::IN
                } else {
                    PollFlags::empty()
                },
            ),
        ];
        match poll(&mut fds, Some(&look)) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        let [from_theirs, ended, typed] = fds.map(|fd| fd.revents());
        if !from_theirs.is_empty() {
            // The last process has closed the other side: this is the end of a terminal.
            if !pass(theirs, output)? {
                return Ok(());
            }
        } else if !ended.is_empty() {
            return Ok(());
        }
        if typing && !typed.is_empty() {
            typing = pass(input, theirs)?;
        }
    }
}

/// Passes on the available bytes, and returns whether there may be more.
fn pass(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let length = match rustix::io::read(from, &mut buffer) {
        Err(Errno::IO) => 0,
        read => read?,
    };
    let mut rest = buffer.get(..length).unwrap_or_default();
    while !rest.is_empty() {
        let written = rustix::io::write(to, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(length > 0)
}
