//! References to jobs that do not keep them going.

use std::fmt;
use std::rc::{Rc, Weak};

use capnp::any_pointer;
use capnp::capability::{Client, Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize};

use crate::Job;

/// A reference to a job that does not keep it going.
///
/// Calls can be made on the job for as long as somebody else holds it. When the last other reference is dropped, the
/// worker sees that its job was released, as if there were no weak one.
#[derive(Clone)]
pub struct WeakJob(Weak<Client>);

impl WeakJob {
    /// Returns the job, if there still is another reference to it. What is returned is one itself: drop it before
    /// anything is awaited, unless it is meant to keep the job going.
    pub fn upgrade(&self) -> Option<Job> {
        Some(Shared(self.0.upgrade()?).into_job())
    }
}

impl fmt::Debug for WeakJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakJob(..)")
    }
}

impl Job {
    /// Returns the same job, and a weak reference to it. From now on the job is held by what is returned and its
    /// copies, wherever they are.
    pub fn with_weak(self) -> (Self, WeakJob) {
        let client = Rc::new(self.into_client());
        let weak = WeakJob(Rc::downgrade(&client));
        (Shared(client).into_job(), weak)
    }
}

/// One of the references to a job. To the RPC system, each is an object of this vat that is no promise: were it
/// resolved to what is inside, peers would hold that, and it could not be seen any more when the last one leaves.
struct Shared(Rc<Client>);

impl Shared {
    fn into_job(self) -> Job {
        Job::from_client(Client::new(Box::new(self)))
    }
}

impl ClientHook for Shared {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(Self(Rc::clone(&self.0)))
    }

    fn new_call(
        &self,
        interface: u64,
        method: u16,
        size: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        self.0.hook.new_call(interface, method, size)
    }

    fn call(
        &self,
        interface: u64,
        method: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        self.0.hook.call(interface, method, params, results)
    }

    /// Of no connection.
    fn get_brand(&self) -> usize {
        0
    }

    fn get_ptr(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        None
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        None
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        Promise::ok(())
    }
}
