//! Promises of capabilities that may break, and that report this to the peer as an exception.

use std::cell::OnceCell;
use std::future::Future;
use std::rc::Rc;

use capnp::any_pointer;
use capnp::capability::{Client, FromClientHook, Promise, Request};
// In spite of its name, part of public traits: generated code uses it, too.
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize};

/// A promise of a capability.
///
/// The RPC crate's own promise does not break: it resolves to a capability on which all calls fail, and the peer gets a
/// `Resolve` with that, where upstream sends the exception. OCurrent's plugin waits for its job to start in this way:
/// it would take a job that was cancelled in the queue for one that has started.
pub(crate) struct Promised {
    /// The crate's promise, with the waiting calls.
    queued: Box<dyn ClientHook>,
    broken: Rc<OnceCell<Error>>,
}

impl Promised {
    /// Returns the promise of the capability that `resolved` returns.
    pub(crate) fn new<T: FromClientHook + 'static>(
        resolved: impl Future<Output = Result<T, Error>> + 'static,
    ) -> Self {
        let broken = Rc::<OnceCell<Error>>::default();
        let cause = Rc::clone(&broken);
        let resolved = async move {
            let resolved = resolved.await;
            if let Err(error) = &resolved {
                cause.get_or_init(|| error.clone());
            }
            resolved.map(|client| Client {
                hook: client.into_client_hook(),
            })
        };
        let queued: Client = capnp_rpc::new_future_client(resolved);
        Self {
            queued: queued.into_client_hook(),
            broken,
        }
    }

    /// Returns a broken capability.
    pub(crate) fn broken(error: Error) -> Client {
        let queued: Client = capnp_rpc::new_broken_cap(error.clone());
        let broken = Self {
            queued: queued.into_client_hook(),
            broken: Rc::new(error.into()),
        };
        broken.client()
    }

    /// Returns the promised capability.
    ///
    /// Each has its own export: the RPC crate takes a promise that is exported for the second time for settled.
    pub(crate) fn client(&self) -> Client {
        let Self { queued, broken } = self;
        Client::new(Box::new(Hook(Rc::new(Self {
            queued: queued.add_ref(),
            broken: Rc::clone(broken),
        }))))
    }
}

/// The RPC system's reference to a promise.
struct Hook(Rc<Promised>);

impl ClientHook for Hook {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(Self(Rc::clone(&self.0)))
    }

    fn new_call(
        &self,
        interface: u64,
        method: u16,
        size: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        self.0.queued.new_call(interface, method, size)
    }

    fn call(
        &self,
        interface: u64,
        method: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        self.0.queued.call(interface, method, params, results)
    }

    fn get_brand(&self) -> usize {
        self.0.queued.get_brand()
    }

    fn get_ptr(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }

    /// A broken promise is never resolved.
    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        match self.0.broken.get() {
            Some(_) => None,
            None => self.0.queued.get_resolved(),
        }
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        if let Some(error) = self.0.broken.get() {
            return Some(Promise::err(error.clone()));
        }
        let resolved = self.0.queued.when_more_resolved()?;
        let broken = Rc::clone(&self.0.broken);
        Some(Promise::from_future(async move {
            let resolved = resolved.await?;
            match broken.get() {
                Some(error) => Err(error.clone()),
                None => Ok(resolved),
            }
        }))
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        let Some(resolved) = self.when_more_resolved() else {
            return Promise::ok(());
        };
        Promise::from_future(async move { resolved.await?.when_resolved().await })
    }
}
