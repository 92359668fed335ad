//! Measures what connections cost: `cargo run --release -p vat --example measure`.
//!
//! The server is a process of its own, so that its memory can be measured. Both run on this machine, so the rates are
//! those of two cores at most.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Deref;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use capnp::capability::{
    Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server,
};
use capnp::private::capability::ClientHook;
use capnp::{any_pointer, data};
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use vat::{
    Address, Auth, Dialer, Identity, Listener, Peer, Restore, RestoreError, Security, ServeOptions,
    ServiceId, SturdyRef,
};

const TIME: Duration = Duration::from_secs(3);
const IN_FLIGHT: usize = 64;
const IDLE: usize = 2000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    match std::env::args().nth(1).as_deref() {
        Some("serve-tls") => {
            local.block_on(&runtime, serve(Security::Tls(Identity::ephemeral())));
        }
        Some("serve-plain") => local.block_on(&runtime, serve(Security::Plaintext)),
        _ => local.block_on(&runtime, measure()),
    }
}

async fn measure() {
    for (name, mode) in [("plain", "serve-plain"), ("TLS", "serve-tls")] {
        let server = ServerProcess::start(mode);
        let calls = calls_per_second(&server.sturdy_ref, &[]).await;
        println!("{name}: {calls:.0} empty calls/s, {IN_FLIGHT} in flight");
        let blob = vec![7; 256 * 1024];
        let blobs = calls_per_second(&server.sturdy_ref, &blob).await;
        println!(
            "{name}: {:.0} MiB/s each way in calls of 256 KiB",
            blobs / 4.0
        );
        let latency = latency(&server.sturdy_ref).await;
        println!("{name}: {latency:.1?} for one empty call at a time");
        let before = server.processor_time();
        let connects = connects_per_second(&server.sturdy_ref).await;
        let each = (server.processor_time() - before) / (connects * TIME.as_secs_f64()) as u32;
        println!(
            "{name}: {connects:.0} connects/s, {each:.0?} of the server's processor time each"
        );
        drop(server);
        let server = ServerProcess::start(mode);
        println!(
            "{name}: {} bytes of the server for an idle connection",
            idle_memory(&server).await
        );
    }
}

async fn calls_per_second(sturdy_ref: &SturdyRef, blob: &[u8]) -> f64 {
    let session = Dialer::new(Default::default())
        .connect(sturdy_ref)
        .await
        .unwrap();
    let client = &session.bootstrap();
    let start = Instant::now();
    let calls = futures::stream::repeat(())
        .take_while(|()| futures::future::ready(start.elapsed() < TIME))
        .map(|()| echo(client, blob))
        .buffer_unordered(if blob.is_empty() { IN_FLIGHT } else { 4 })
        .count()
        .await;
    calls as f64 / start.elapsed().as_secs_f64()
}

async fn latency(sturdy_ref: &SturdyRef) -> Duration {
    let session = Dialer::new(Default::default())
        .connect(sturdy_ref)
        .await
        .unwrap();
    let client = session.bootstrap();
    let start = Instant::now();
    for _ in 0..2000 {
        echo(&client, &[]).await;
    }
    start.elapsed() / 2000
}

async fn echo(client: &Client, blob: &[u8]) {
    let mut request = client.new_call::<any_pointer::Owned, any_pointer::Owned>(1, 0, None);
    request.get().set_as::<data::Owned>(blob).unwrap();
    request.send().promise.await.unwrap();
}

async fn connects_per_second(sturdy_ref: &SturdyRef) -> f64 {
    let dialer = &Dialer::new(Default::default());
    let start = Instant::now();
    let connects = futures::stream::repeat(())
        .take_while(|()| futures::future::ready(start.elapsed() < TIME))
        .map(|()| async { drop(dialer.connect(sturdy_ref).await.unwrap()) })
        .buffer_unordered(32)
        .count()
        .await;
    connects as f64 / start.elapsed().as_secs_f64()
}

async fn idle_memory(server: &ServerProcess) -> usize {
    let dialer = &Dialer::new(Default::default());
    let connect = |count| {
        futures::stream::iter(0..count)
            .map(|_| async { dialer.connect(&server.sturdy_ref).await.unwrap() })
            .buffer_unordered(32)
            .collect::<Vec<_>>()
    };
    let _first = connect(100).await;
    let before = server.memory();
    let _sessions = connect(IDLE).await;
    (server.memory() - before) / IDLE
}

struct ServerProcess {
    child: Child,
    sturdy_ref: SturdyRef,
}

impl ServerProcess {
    fn start(mode: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut uri = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut uri)
            .unwrap();
        let sturdy_ref = uri.parse().unwrap();
        Self { child, sturdy_ref }
    }

    fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks = rest
            .split(' ')
            .skip(12)
            .take(2)
            .map(|t| t.parse::<u32>().unwrap());
        Duration::from_millis(10) * ticks.sum::<u32>()
    }

    fn memory(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

async fn serve(security: Security) {
    // Exit when the parent process does.
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        std::process::exit(0);
    });
    let auth = match &security {
        Security::Tls(identity) => Auth::Sha256(identity.fingerprint()),
        Security::Plaintext => Auth::Insecure,
    };
    let listener = Listener::bind(&Address::tcp("127.0.0.1", 0), security).unwrap();
    let sturdy_ref = SturdyRef {
        auth,
        address: listener.local_address(),
        service: ServiceId::random(),
    };
    println!("{}", sturdy_ref.to_uri());
    let EchoClient(echo) = capnp_rpc::new_client(Echo);
    listener
        .serve(Rc::new(Services(echo)), ServeOptions::default())
        .await;
}

struct Services(Client);

impl Restore for Services {
    fn restore(
        &self,
        _id: &ServiceId,
        _peer: &Peer,
    ) -> LocalBoxFuture<'static, Result<Client, RestoreError>> {
        let client = self.0.clone();
        Box::pin(async { Ok(client) })
    }
}

struct Echo;

#[derive(Clone)]
struct Dispatch(Rc<Echo>);

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
        _method: u16,
        params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        let answer = params.get().and_then(|params| {
            let bytes: data::Reader<'_> = params.get_as()?;
            results.hook.get()?.set_as::<data::Owned>(bytes)
        });
        DispatchCallResult::new(Promise::from(answer), false)
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
