//! A connection as the RPC system sees it: a network with exactly one peer.
//!
//! Every message passes here in both directions. So this is where messages are counted and checked, and where service
//! ids are put into bootstraps and read from them (see [`crate::restore`]).

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

/// By how much the RPC system usually overestimates a segment: it requests 8 KiB for every call, all of which would be
/// zeroed first.
const OVERESTIMATE: u32 = 2;

type Message = Builder<HeapAllocator>;

/// The one connection of one RPC system.
pub(crate) struct Network {
    link: Rc<Link>,
    /// Whether the RPC system gets the connection when it accepts, instead of when it connects.
    accepts: bool,
}

impl Network {
    pub(crate) fn new(link: Rc<Link>) -> Self {
        let accepts = matches!(link.role, Role::Listener);
        Self { link, accepts }
    }
}

impl capnp_rpc::VatNetwork<()> for Network {
    fn connect(&mut self, (): ()) -> Option<Box<dyn capnp_rpc::Connection<()>>> {
        Some(Box::new(RpcConnection(self.link.clone())))
    }

    fn accept(&mut self) -> Promise<Box<dyn capnp_rpc::Connection<()>>, Error> {
        if std::mem::take(&mut self.accepts) {
            Promise::ok(Box::new(RpcConnection(self.link.clone())))
        } else {
            Promise::from_future(std::future::pending())
        }
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        // The connection's task reads and writes, and drops the RPC system when it is done.
        Promise::from_future(std::future::pending())
    }
}

struct RpcConnection(Rc<Link>);

impl capnp_rpc::Connection<()> for RpcConnection {
    fn get_peer_vat_id(&self) {}

    fn new_outgoing_message(&mut self, words: u32) -> Box<dyn capnp_rpc::OutgoingMessage> {
        let words = (words / OVERESTIMATE).clamp(*SEGMENT_WORDS.start(), *SEGMENT_WORDS.end());
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
                Err(reason) => Err(link.exception(&reason)),
            })
        }))
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), Error> {
        let error = match (self.0.close_reason(), result) {
            (Some(reason), _) => self.0.exception(&reason),
            (None, Err(error)) => error,
            (None, Ok(())) => Error::disconnected("closed".to_owned()),
        };
        self.0.set_closed(error);
        self.0.wake();
        Promise::ok(())
    }
}
