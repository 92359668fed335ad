//! A peer that speaks raw messages, with or without a secret, and so can break every rule.

use std::sync::Arc;

use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions};
use capnp::private::layout::{PointerBuilder, StructBuilder, StructSize};
use capnp::serialize::{self, OwnedSegments};
use capnp::traits::{FromPointerBuilder, ImbueMut as _};
use capnp_rpc::rpc_capnp::{call, cap_descriptor, exception, message, return_};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vat::{Address, Auth, SturdyRef};

pub(crate) type Message = Builder<HeapAllocator>;

/// The interfaces of `api/schema.capnp`.
pub(crate) const SUBMISSION: u64 = 0xf4e8_a768_b32a_7c42;
pub(crate) const TICKET: u64 = 0x9497_c03b_7ca5_b27b;
pub(crate) const JOB: u64 = 0xca66_fd1f_972e_fccc;
pub(crate) const REGISTRATION: u64 = 0xe098_a12b_91e3_5740;
pub(crate) const QUEUE: u64 = 0x817f_986f_8026_3aaf;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

pub(crate) struct RawPeer {
    stream: Box<dyn Stream>,
}

impl RawPeer {
    /// Connects as a peer that knows only the address, encrypted if the sturdy ref is.
    pub(crate) async fn connect(sturdy_ref: &SturdyRef) -> Self {
        Self::try_connect(sturdy_ref).await.expect("connected")
    }

    /// Connects, unless it is closed meanwhile.
    pub(crate) async fn try_connect(sturdy_ref: &SturdyRef) -> Option<Self> {
        let socket = Self::dial(sturdy_ref).await;
        let stream: Box<dyn Stream> = match sturdy_ref.auth {
            Auth::Insecure => Box::new(socket),
            Auth::Sha256(_) => {
                let connector = tokio_rustls::TlsConnector::from(client_config());
                let name = ServerName::try_from("localhost").expect("a name");
                Box::new(connector.connect(name, socket).await.ok()?)
            }
        };
        Some(Self { stream })
    }

    /// Connects, and does no more than that.
    pub(crate) async fn dial(sturdy_ref: &SturdyRef) -> TcpStream {
        let Address::Tcp { host, port } = &sturdy_ref.address else {
            panic!("only for TCP");
        };
        let socket = TcpStream::connect((host.as_str(), *port)).await;
        socket.expect("connected")
    }

    /// Connects and asks for the service: that is question 0.
    pub(crate) async fn bootstrapped(sturdy_ref: &SturdyRef) -> Self {
        let mut peer = Self::connect(sturdy_ref).await;
        let mut id = sturdy_ref.service.as_bytes().to_vec();
        id.push(0);
        peer.send(&bootstrap(0, &id)).await;
        peer
    }

    /// Sends a message; the other side may have had enough already.
    pub(crate) async fn send(&mut self, message: &Message) {
        let bytes = serialize::write_message_to_words(message);
        let _sent = self.send_bytes(&bytes).await;
    }

    /// Sends many messages at once; the other side may have had enough before the end.
    pub(crate) async fn send_all(&mut self, messages: impl Iterator<Item = Message>) {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend(serialize::write_message_to_words(&message));
            if bytes.len() > 1 << 20 {
                if !self.send_bytes(&bytes).await {
                    return;
                }
                bytes.clear();
            }
        }
        let _sent = self.send_bytes(&bytes).await;
    }

    /// Sends bytes; returns whether they went.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        let sent = self.stream.write_all(bytes).await.is_ok();
        sent && self.stream.flush().await.is_ok()
    }

    /// Waits for a message; `None` at the end of the stream.
    pub(crate) async fn receive(&mut self) -> Option<Reader<OwnedSegments>> {
        let count = self.stream.read_u32_le().await.ok()? + 1;
        let mut bytes = (count - 1).to_le_bytes().to_vec();
        let mut words = 0;
        for _ in 0..count {
            let size = self.stream.read_u32_le().await.ok()?;
            bytes.extend(size.to_le_bytes());
            words += size as usize;
        }
        let start = bytes.len();
        bytes.resize(start.next_multiple_of(8) + 8 * words, 0);
        self.stream.read_exact(&mut bytes[start..]).await.ok()?;
        Some(serialize::read_message(&bytes[..], ReaderOptions::new()).expect("a message"))
    }

    /// Waits for the answer to a question; an error has the reason of the exception, the Abort or the end.
    pub(crate) async fn answer(&mut self, question: u32) -> Result<(), String> {
        let text = |e: exception::Reader<'_>| e.get_reason().unwrap().to_string().unwrap();
        loop {
            let Some(reader) = self.receive().await else {
                return Err("the connection has ended".to_owned());
            };
            match reader.get_root::<message::Reader<'_>>().unwrap().which() {
                Ok(message::Abort(e)) => return Err(text(e.unwrap())),
                Ok(message::Return(answer)) => {
                    let answer = answer.unwrap();
                    if answer.get_answer_id() == question {
                        return match answer.which() {
                            Ok(return_::Exception(e)) => Err(text(e.unwrap())),
                            _ => Ok(()),
                        };
                    }
                }
                _ => {}
            }
        }
    }

    /// Reads until the other side ends the stream, and returns the reason of an Abort on the way.
    pub(crate) async fn abort_reason(&mut self) -> Option<String> {
        while let Some(reader) = self.receive().await {
            if let Ok(message::Abort(e)) = reader.get_root::<message::Reader<'_>>().unwrap().which()
            {
                let reason = e.unwrap().get_reason().unwrap();
                return Some(reason.to_string().unwrap());
            }
        }
        None
    }
}

pub(crate) fn build(fill: impl FnOnce(message::Builder<'_>)) -> Message {
    let mut message = Builder::new_default();
    fill(message.init_root());
    message
}

/// A Bootstrap with these bytes as the service id; a real one ends with a NUL.
pub(crate) fn bootstrap(question: u32, id: &[u8]) -> Message {
    build(|message| {
        let mut bootstrap = message.init_bootstrap();
        bootstrap.set_question_id(question);
        let object = bootstrap.get_deprecated_object_id();
        set_bytes(object, id);
    })
}

pub(crate) fn set_bytes(mut pointer: capnp::any_pointer::Builder<'_>, bytes: &[u8]) {
    pointer.set_as::<capnp::data::Owned>(bytes).expect("set");
}

pub(crate) fn abort(reason: &str) -> Message {
    build(|message| message.init_abort().set_reason(reason))
}

pub(crate) fn finish(question: u32) -> Message {
    build(|message| message.init_finish().set_question_id(question))
}

/// What is called: field `field` of the answer to question `question`, or that answer itself.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) question: u32,
    pub(crate) field: Option<u16>,
}

/// The answer itself, as that to a Bootstrap.
pub(crate) fn answer_to(question: u32) -> Target {
    Target {
        question,
        field: None,
    }
}

/// The first capability in the answer, as in those of `submit`, `job` and `register`.
pub(crate) fn first_of(question: u32) -> Target {
    Target {
        question,
        field: Some(0),
    }
}

/// A call, whose parameters are filled in.
pub(crate) fn call(
    question: u32,
    target: Target,
    (interface, method): (u64, u16),
    fill: impl FnOnce(call::Builder<'_>),
) -> Message {
    build(|message| {
        let mut call = message.init_call();
        call.set_question_id(question);
        call.set_interface_id(interface);
        call.set_method_id(method);
        let mut answer = call.reborrow().init_target().init_promised_answer();
        answer.set_question_id(target.question);
        if let Some(field) = target.field {
            let mut transform = answer.init_transform(1);
            transform.reborrow().get(0).set_get_pointer_field(field);
        }
        fill(call);
    })
}

/// A call of `submit` for the pool `q` with a cache hint.
pub(crate) fn submit(question: u32, target: Target, hint: &str) -> Message {
    call(question, target, (SUBMISSION, 0), |call| {
        let mut params = params(call, 1, 2);
        params.pointer(0).set_text("q".into());
        let mut description = params.structure(1, 1, 5);
        description.pointer(1).set_text(hint.into());
    })
}

/// A call of `register`, with the peer's export `export` as the worker.
pub(crate) fn register(question: u32, target: Target, name: &str, export: u32) -> Message {
    call(question, target, (REGISTRATION, 0), |call| {
        let worker = |mut cap: cap_descriptor::Builder<'_>| cap.set_sender_hosted(export);
        params_with_cap(call, (1, 2), 1, worker, |params| {
            params.pointer(0).set_text(name.into());
            params.set_number(0, 1);
        });
    })
}

/// A call of `pop`, with the capability that `describe` writes as the job.
pub(crate) fn pop(
    question: u32,
    target: Target,
    describe: impl FnOnce(cap_descriptor::Builder<'_>),
) -> Message {
    call(question, target, (QUEUE, 0), |call| {
        params_with_cap(call, (0, 1), 0, describe, |_| {});
    })
}

/// A call of `log` from the start.
pub(crate) fn log(question: u32, target: Target) -> Message {
    call(question, target, (JOB, 0), |call| {
        params(call, 1, 0);
    })
}

/// Says that a promise has become another.
pub(crate) fn resolve(promise: u32, next: u32) -> Message {
    build(|message| {
        let mut resolve = message.init_resolve();
        resolve.set_promise_id(promise);
        resolve.init_cap().set_sender_promise(next);
    })
}

/// A call without parameters.
pub(crate) fn bare(question: u32, target: Target, method: (u64, u16)) -> Message {
    call(question, target, method, |_| {})
}

/// A struct of any shape.
pub(crate) struct Shapeless<'a>(StructBuilder<'a>);

impl Shapeless<'_> {
    pub(crate) fn pointer(&mut self, index: usize) -> PointerBuilder<'_> {
        self.0.reborrow().get_pointer_field(index)
    }

    /// Writes a number of the struct's data.
    pub(crate) fn set_number(&mut self, index: usize, number: i32) {
        self.0.set_data_field(index, number);
    }

    /// Makes a struct in a pointer of this one.
    pub(crate) fn structure(&mut self, index: usize, data: u16, pointers: u16) -> Shapeless<'_> {
        Shapeless(
            self.pointer(index)
                .init_struct(StructSize { data, pointers }),
        )
    }
}

impl<'a> FromPointerBuilder<'a> for Shapeless<'a> {
    /// The length stands for the words of data, and how many pointers follow.
    fn init_pointer(builder: PointerBuilder<'a>, length: u32) -> Self {
        let (data, pointers) = ((length >> 16) as u16, (length & 0xffff) as u16);
        Self(builder.init_struct(StructSize { data, pointers }))
    }

    fn get_from_pointer(
        _builder: PointerBuilder<'a>,
        _default: Option<&'a [capnp::Word]>,
    ) -> capnp::Result<Self> {
        Err(capnp::Error::unimplemented("only to write".to_owned()))
    }
}

/// Makes the parameters of a call.
pub(crate) fn params(call: call::Builder<'_>, data: u16, pointers: u16) -> Shapeless<'_> {
    let content = call.get_params().expect("params").get_content();
    content.initn_as(u32::from(data) << 16 | u32::from(pointers))
}

/// Makes the parameters of a call with one capability: `describe` writes it, and pointer `index` points to it.
pub(crate) fn params_with_cap(
    mut call: call::Builder<'_>,
    (data, pointers): (u16, u16),
    index: usize,
    describe: impl FnOnce(cap_descriptor::Builder<'_>),
    fill: impl FnOnce(&mut Shapeless<'_>),
) {
    let mut payload = call.reborrow().get_params().expect("params");
    describe(payload.reborrow().init_cap_table(1).get(0));
    // The pointer names the first entry of its own table; only the table above is sent.
    let mut table = Vec::new();
    let mut content = payload.get_content();
    content.imbue_mut(&mut table);
    let mut params: Shapeless<'_> = content.initn_as(u32::from(data) << 16 | u32::from(pointers));
    let nothing = capnp_rpc::new_broken_cap(capnp::Error::failed(String::new()));
    params.pointer(index).set_capability(nothing.hook);
    fill(&mut params);
}

/// The settings of a client with a key of its own that takes any server: attackers do not check.
fn client_config() -> Arc<ClientConfig> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["capnp".to_owned()])
        .and_then(|params| params.self_signed(&key))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_client_auth_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        );
    Arc::new(config.expect("settings"))
}

#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
