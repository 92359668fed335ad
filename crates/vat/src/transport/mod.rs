//! What the RPC system sees of a connection: its idea of a network, with exactly one peer.
//!
//! Every message passes here in both directions, so this is where it is counted, checked, and where service ids go in and
//! out of bootstraps (see [`crate::restore`]).

mod exceptions;
mod incoming;
mod outgoing;

use std::ops::RangeInclusive;
use std::rc::Rc;

use capnp::Error;
use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator};

use self::incoming::poll_message;
use self::outgoing::Outgoing;
use crate::link::{Link, Role};

/// How large the first segment of a message is, in words.
const SEGMENT_WORDS: RangeInclusive<u32> = 16..=64;

/// How far the RPC system's wishes for segments exceed what is needed as a rule: it asks for 8 KiB for every call, and
/// all of it would be zeroed first.
const EXAGGERATION: u32 = 2;

type Message = Builder<HeapAllocator>;

/// The one connection of one RPC system.
pub(crate) struct Network {
    link: Rc<Link>,
    /// What the RPC system gets when it waits for the peer to come, as opposed to going there itself.
    accepts: bool,
}

impl Network {
    pub(crate) fn new(link: Rc<Link>) -> Self {
        let accepts = matches!(link.role, Role::Serving);
        Self { link, accepts }
    }
}

impl capnp_rpc::VatNetwork<()> for Network {
    fn connect(&mut self, (): ()) -> Option<Box<dyn capnp_rpc::Connection<()>>> {
        Some(Box::new(Connection(self.link.clone())))
    }

    fn accept(&mut self) -> Promise<Box<dyn capnp_rpc::Connection<()>>, Error> {
        if std::mem::take(&mut self.accepts) {
            Promise::ok(Box::new(Connection(self.link.clone())))
        } else {
            Promise::from_future(std::future::pending())
        }
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        // The connection's task reads and writes, and drops the RPC system when it is done.
        Promise::from_future(std::future::pending())
    }
}

struct Connection(Rc<Link>);

impl capnp_rpc::Connection<()> for Connection {
    fn get_peer_vat_id(&self) {}

    fn new_outgoing_message(&mut self, words: u32) -> Box<dyn capnp_rpc::OutgoingMessage> {
        let words = (words / EXAGGERATION).clamp(*SEGMENT_WORDS.start(), *SEGMENT_WORDS.end());
        Box::new(Outgoing {
            message: Builder::new(HeapAllocator::new().first_segment_words(words)),
            link: self.0.clone(),
        })
    }

    fn receive_incoming_message(
        &mut self,
    ) -> Promise<Option<Box<dyn capnp_rpc::IncomingMessage>>, Error> {
        let link = self.0.clone();
        Promise::from_future(std::future::poll_fn(move |cx| {
            poll_message(&link, cx).map(|result| match result {
                Ok(message) => Ok(Some(message)),
                Err(ending) => Err(link.exception(&ending)),
            })
        }))
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), Error> {
        let error = match (self.0.ending(), result) {
            (Some(ending), _) => self.0.exception(&ending),
            (None, Err(error)) => error,
            (None, Ok(())) => Error::disconnected("closed".to_owned()),
        };
        self.0.set_ended(error);
        self.0.wake();
        Promise::ok(())
    }
}
