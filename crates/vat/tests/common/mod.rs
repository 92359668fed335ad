//! A small service behind real sockets, and functions to call it.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "ends a test program that hangs"
)]
#![expect(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod raw;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use capnp::capability::{
    Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server,
};
use capnp::private::capability::ClientHook;
use capnp::{Error, any_pointer, data};
use futures::future::LocalBoxFuture;
use vat::{
    Address, Auth, DialOptions, Dialer, Identity, Listener, Peer, Restore, RestoreError, Security,
    ServeOptions, ServiceId, Session, SturdyRef,
};

/// The interface of [`Echo`].
pub(crate) const INTERFACE: u64 = 0xe3f0_1c5a_8d22_4b91;
/// Bytes in, the same bytes out.
pub(crate) const ECHO: u16 = 0;
/// Nothing in, a new [`Echo`] out.
pub(crate) const MAKE: u16 = 1;
/// A text in, a failure with that text out.
pub(crate) const FAIL: u16 = 2;
/// A capability in, which is called with [`ECHO`]; its answer out.
pub(crate) const CALL_BACK: u16 = 3;
/// Nothing in, no answer ever.
pub(crate) const HANG: u16 = 4;
/// A capability in, kept; nothing out.
pub(crate) const KEEP: u16 = 5;
/// Nothing in; the answer of the kept capability to [`ECHO`], or its failure, out.
pub(crate) const ASK_KEPT: u16 = 6;

/// Nothing in, a panic.
pub(crate) const PANIC: u16 = 7;

/// A service that returns what it gets.
#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) kept: RefCell<Option<Client>>,
    /// How many objects there are: this one and those made by it.
    pub(crate) alive: Rc<Cell<usize>>,
}

impl Echo {
    pub(crate) fn new() -> Self {
        let echo = Self::default();
        echo.alive.set(1);
        echo
    }

    pub(crate) fn client(self) -> Client {
        let EchoClient(client) = capnp_rpc::new_client(self);
        client
    }

    fn another(&self) -> Self {
        self.alive.set(self.alive.get() + 1);
        Self {
            kept: RefCell::default(),
            alive: self.alive.clone(),
        }
    }

    async fn call(
        self: Rc<Self>,
        method: u16,
        params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> Result<(), Error> {
        match method {
            ECHO => {
                let bytes: data::Reader<'_> = params.get()?.get_as()?;
                results.hook.get()?.set_as::<data::Owned>(bytes)
            }
            MAKE => {
                let made = self.another().client();
                results.hook.get()?.set_as_capability(made.hook);
                Ok(())
            }
            FAIL => {
                let text: data::Reader<'_> = params.get()?.get_as()?;
                Err(Error::failed(String::from_utf8_lossy(text).into_owned()))
            }
            CALL_BACK => {
                let client: Client = params.get()?.get_as_capability()?;
                let answer = echo(&client, b"called back").await?;
                results.hook.get()?.set_as::<data::Owned>(&answer[..])
            }
            HANG => std::future::pending().await,
            KEEP => {
                *self.kept.borrow_mut() = Some(params.get()?.get_as_capability()?);
                Ok(())
            }
            ASK_KEPT => {
                let kept = self.kept.borrow().clone();
                let kept = kept.ok_or_else(|| Error::failed("nothing kept".to_owned()))?;
                let answer = echo(&kept, b"still there?").await?;
                results.hook.get()?.set_as::<data::Owned>(&answer[..])
            }
            PANIC => panic!("this is a test of panics"),
            other => Err(Error::unimplemented(format!("method {other}"))),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.alive.set(self.alive.get().saturating_sub(1));
    }
}

#[derive(Clone)]
pub(crate) struct Dispatch(Rc<Echo>);

impl Deref for Dispatch {
    type Target = Echo;
    fn deref(&self) -> &Echo {
        &self.0
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        _interface: u64,
        method: u16,
        params: Params<any_pointer::Owned>,
        results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        let promise = Promise::from_future(self.0.call(method, params, results));
        DispatchCallResult::new(promise, false)
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }
}

struct EchoClient(Client);

impl FromClientHook for EchoClient {
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

impl FromServer<Echo> for EchoClient {
    type Dispatch = Dispatch;
    fn from_server(echo: Rc<Echo>) -> Dispatch {
        Dispatch(echo)
    }
}

type Request = capnp::capability::Request<any_pointer::Owned, any_pointer::Owned>;

pub(crate) fn request(client: &Client, method: u16) -> Request {
    client.new_call(INTERFACE, method, None)
}

/// Calls a method with bytes, and returns the bytes of its answer.
pub(crate) async fn call(client: &Client, method: u16, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut request = request(client, method);
    request.get().set_as::<data::Owned>(bytes)?;
    let response = request.send().promise.await?;
    let answer: data::Reader<'_> = response.get()?.get_as()?;
    Ok(answer.to_vec())
}

pub(crate) async fn echo(client: &Client, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    call(client, ECHO, bytes).await
}

/// Calls a method with a capability, and returns the bytes of its answer.
pub(crate) async fn call_with_cap(
    client: &Client,
    method: u16,
    cap: Client,
) -> Result<Vec<u8>, Error> {
    let mut request = request(client, method);
    request.get().set_as_capability(cap.hook);
    let response = request.send().promise.await?;
    let answer: data::Reader<'_> = response.get()?.get_as()?;
    Ok(answer.to_vec())
}

/// Asks for a new echo; it can be called before the answer has come.
pub(crate) fn make(client: &Client) -> Client {
    Client::new(request(client, MAKE).send().pipeline.as_cap())
}

/// Services in a table, and the peers that have asked for one.
#[derive(Default)]
pub(crate) struct Services {
    pub(crate) table: RefCell<HashMap<ServiceId, Client>>,
    pub(crate) peers: RefCell<Vec<Peer>>,
    /// How long a restore takes.
    pub(crate) delay: Option<Duration>,
}

impl Services {
    pub(crate) fn with(id: &ServiceId, client: Client) -> Rc<Self> {
        let services = Self::default();
        services.table.borrow_mut().insert(id.clone(), client);
        Rc::new(services)
    }

    pub(crate) fn last_peer(&self) -> Peer {
        self.peers.borrow().last().unwrap().clone()
    }
}

impl Restore for Services {
    fn restore(
        &self,
        id: &ServiceId,
        peer: &Peer,
    ) -> LocalBoxFuture<'static, Result<Client, RestoreError>> {
        self.peers.borrow_mut().push(peer.clone());
        let found = self.table.borrow().get(id).cloned();
        let delay = self.delay;
        Box::pin(async move {
            if let Some(delay) = delay {
                tokio::time::sleep(delay).await;
            }
            found.ok_or(RestoreError::UnknownService)
        })
    }
}

/// A vat with one [`Echo`] that listens on loopback.
pub(crate) struct Served {
    pub(crate) services: Rc<Services>,
    pub(crate) alive: Rc<Cell<usize>>,
    pub(crate) sturdy_ref: SturdyRef,
    pub(crate) counters: vat::Counters,
    pub(crate) connections: vat::Connections,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl Served {
    pub(crate) fn start(security: Security) -> Self {
        Self::start_at(
            &Address::tcp("127.0.0.1", 0),
            security,
            ServeOptions::default(),
        )
    }

    pub(crate) fn start_at(address: &Address, security: Security, options: ServeOptions) -> Self {
        let auth = match &security {
            Security::Tls(identity) => Auth::Sha256(identity.fingerprint()),
            Security::Plaintext => Auth::Insecure,
        };
        let listener = Listener::bind(address, security).unwrap();
        let id = ServiceId::from_bytes(*b"a\0b\xff");
        let echo = Echo::new();
        let alive = echo.alive.clone();
        let services = Services::with(&id, echo.client());
        let sturdy_ref = SturdyRef {
            auth,
            address: listener.local_address(),
            service: id,
        };
        let counters = listener.counters();
        let connections = listener.connections();
        let task = tokio::task::spawn_local(listener.serve(services.clone(), options));
        Self {
            services,
            alive,
            sturdy_ref,
            counters,
            connections,
            task,
        }
    }

    /// Starts one whose restores take `delay`.
    pub(crate) fn start_slowly(delay: Option<Duration>) -> Self {
        let mut served = Self::start(Security::Plaintext);
        served.task.abort();
        let address = Address::tcp("127.0.0.1", 0);
        let listener = Listener::bind(&address, Security::Plaintext).unwrap();
        served.sturdy_ref.address = listener.local_address();
        let services = Rc::new(Services {
            table: RefCell::new(served.services.table.take()),
            delay,
            ..Services::default()
        });
        let serving = listener.serve(services.clone(), ServeOptions::default());
        served.task = tokio::task::spawn_local(serving);
        served.services = services;
        served
    }

    pub(crate) fn tls() -> Self {
        Self::start(Security::Tls(Identity::ephemeral()))
    }

    pub(crate) async fn connect(&self) -> Session {
        dialer().connect(&self.sturdy_ref).await.unwrap()
    }
}

/// The id of the service in [`Served`], as it is on the wire.
pub(crate) const KNOWN: &[u8] = b"a\0b\xff\0";

/// Serves on a port of loopback.
pub(crate) fn serve(security: Security, options: ServeOptions) -> Served {
    Served::start_at(&Address::tcp("127.0.0.1", 0), security, options)
}

pub(crate) fn dialer() -> Dialer {
    Dialer::new(DialOptions::default())
}

/// Runs a test in a `LocalSet`, and ends it if it hangs, even in a loop that never waits.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let (_awake, asleep) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if asleep.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("a test is in an endless loop");
            std::process::abort();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(60), test)
            .await
            .expect("the test hangs");
    });
}

/// Waits until a condition is true.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}
