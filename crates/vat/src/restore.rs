//! Service ids on the wire: how a bootstrap names the service it wants.
//!
//! OCluster's peers put the service id into `Bootstrap.deprecatedObjectId`. The RPC system that we use neither sends
//! nor reads that field, and answers every Bootstrap with the same capability. So:
//!
//! * *Serving*: the first message for the RPC system is a Bootstrap that the peer has not sent, with a question id that
//!   the peer may not use. Its answer, which is not sent to the peer, is the [`Restorer`]. Each real Bootstrap with
//!   question `q` then becomes a Call with question `q` on that answer, with the service id as its parameter. The
//!   restorer puts the restored capability itself, not a struct, at the root of its results, as the answer to a
//!   Bootstrap has it. Pipelined calls on `q` work without more, and restoring may take time.
//! * *Dialing*: an outgoing Bootstrap is replaced by one with the service id.
//!
//! The injected Bootstrap has a side effect: the restorer becomes export 0. An injected Release reverts that (the
//! answer alone keeps the restorer alive), so that the peer sees the ids that it would see from upstream.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use capnp::capability::{
    Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server,
};
use capnp::message::{Builder, HeapAllocator};
use capnp::private::capability::ClientHook;
use capnp::{Error, any_pointer, data};
use capnp_rpc::rpc_capnp::{bootstrap, message};
use futures::future::LocalBoxFuture;

use crate::{Peer, ServiceId};

/// Finds the service with an id.
pub trait Restore {
    /// Returns the service with this id, for this peer.
    ///
    /// A peer for which it returns a service counts as authenticated from then on.
    fn restore(
        &self,
        id: &ServiceId,
        peer: &Peer,
    ) -> LocalBoxFuture<'static, Result<Client, RestoreError>>;
}

/// Why there is no service for an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// No service has this id.
    #[error("{UNKNOWN_SERVICE}")]
    UnknownService,
    /// There is one, but it cannot be provided. The text says why.
    #[error("{0}")]
    Failed(String),
}

/// Upstream's text.
pub(crate) const UNKNOWN_SERVICE: &str = "Unknown persistent service ID";

/// The question id of the injected Bootstrap. Real ids are small, as they are reused. A peer that uses this one is
/// disconnected.
pub(crate) const RESERVED_QUESTION: u32 = u32::MAX;

/// The interface of the restorer; it never appears on the wire.
const INTERFACE: u64 = 0xb5f9_6e52_1c0a_77d3;
const RESTORE: u16 = 0;

type Message = Builder<HeapAllocator>;

fn new_message() -> Message {
    Builder::new(HeapAllocator::new().first_segment_words(32))
}

/// Returns the messages that the RPC system reads before the peer's.
pub(crate) fn injected_messages() -> [Message; 2] {
    let mut bootstrap = new_message();
    bootstrap
        .init_root::<message::Builder<'_>>()
        .init_bootstrap()
        .set_question_id(RESERVED_QUESTION);
    let mut release = new_message();
    let mut export = release.init_root::<message::Builder<'_>>().init_release();
    export.set_id(0);
    export.set_reference_count(1);
    [bootstrap, release]
}

/// Returns the call of the restorer that replaces a peer's Bootstrap.
///
/// # Errors
///
/// When the message cannot be written.
pub(crate) fn call_for_bootstrap(question: u32, id: &ServiceId) -> capnp::Result<Message> {
    let mut message = new_message();
    let mut call = message.init_root::<message::Builder<'_>>().init_call();
    call.set_question_id(question);
    call.set_interface_id(INTERFACE);
    call.set_method_id(RESTORE);
    call.reborrow()
        .init_target()
        .init_promised_answer()
        .set_question_id(RESERVED_QUESTION);
    call.init_params()
        .get_content()
        .set_as::<data::Owned>(id.as_bytes())?;
    Ok(message)
}

/// Reads the service id in a peer's Bootstrap: a Text on the wire, which may have any bytes.
///
/// # Errors
///
/// When it is no Text.
pub(crate) fn service_id(bootstrap: bootstrap::Reader<'_>) -> Result<ServiceId, String> {
    let text: data::Reader<'_> = bootstrap
        .get_deprecated_object_id()
        .get_as()
        .map_err(|e| format!("cannot read the service id: {e}"))?;
    match text {
        [] => Ok(ServiceId::from_bytes([])),
        [id @ .., 0] => Ok(ServiceId::from_bytes(id)),
        _ => Err("the service id is not a text: its last byte is not zero".to_owned()),
    }
}

/// Returns a Bootstrap for this service.
///
/// # Errors
///
/// When the message cannot be written.
pub(crate) fn bootstrap(question: u32, id: &ServiceId) -> capnp::Result<Message> {
    let words = 8 + id.as_bytes().len() / 8;
    let words = u32::try_from(words).map_err(|_| Error::failed("service id too long".into()))?;
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(words));
    let mut bootstrap = message.init_root::<message::Builder<'_>>().init_bootstrap();
    bootstrap.set_question_id(question);
    if !id.as_bytes().is_empty() {
        let mut text = id.as_bytes().to_vec();
        text.push(0);
        bootstrap
            .get_deprecated_object_id()
            .set_as::<data::Owned>(&text[..])?;
    }
    Ok(message)
}

/// The answer to the reserved question: a capability with one method, which takes a service id and returns the service.
pub(crate) struct Restorer {
    services: Rc<dyn Restore>,
    peer: Peer,
}

impl Restorer {
    pub(crate) fn client(services: Rc<dyn Restore>, peer: Peer) -> Client {
        let RestorerClient(client) = capnp_rpc::new_client(Self { services, peer });
        client
    }

    async fn restore(
        self: Rc<Self>,
        params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> Result<(), Error> {
        let id: data::Reader<'_> = params.get()?.get_as()?;
        let id = ServiceId::from_bytes(id);
        match self.services.restore(&id, &self.peer).await {
            Ok(service) => {
                self.peer.set_authenticated();
                results.hook.get()?.set_as_capability(service.hook);
                Ok(())
            }
            Err(e) => {
                if e == RestoreError::UnknownService {
                    let delay = self.peer.count_unknown_service();
                    if !delay.is_zero() {
                        // This makes guessing slow.
                        tokio::time::sleep(delay).await;
                    }
                }
                Err(Error::failed(e.to_string()))
            }
        }
    }
}

impl fmt::Debug for Restorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Restorer for {}", self.peer.address())
    }
}

#[derive(Clone)]
struct Dispatch(Rc<Restorer>);

impl Deref for Dispatch {
    type Target = Restorer;

    fn deref(&self) -> &Restorer {
        &self.0
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        interface_id: u64,
        method_id: u16,
        params: Params<any_pointer::Owned>,
        results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        let promise = if (interface_id, method_id) == (INTERFACE, RESTORE) {
            Promise::from_future(self.0.restore(params, results))
        } else {
            Promise::err(Error::unimplemented(format!(
                "Unknown interface {interface_id}UL"
            )))
        };
        DispatchCallResult::new(promise, false)
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }
}

struct RestorerClient(Client);

impl FromClientHook for RestorerClient {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        Self(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0.hook
    }

    fn as_client_hook(&self) -> &dyn ClientHook {
        self.0.hook.as_ref()
    }
}

impl FromServer<Restorer> for RestorerClient {
    type Dispatch = Dispatch;

    fn from_server(restorer: Rc<Restorer>) -> Dispatch {
        Dispatch(restorer)
    }
}

/// The services of a vat that only dials: none.
pub(crate) struct NoServices;

impl Restore for NoServices {
    fn restore(
        &self,
        _id: &ServiceId,
        _peer: &Peer,
    ) -> LocalBoxFuture<'static, Result<Client, RestoreError>> {
        Box::pin(async { Err(RestoreError::Failed("This vat has no restorer".to_owned())) })
    }
}
