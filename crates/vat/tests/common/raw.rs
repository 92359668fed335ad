//! A peer that sends raw messages, and so can break every rule.

use std::time::Duration;

use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions};
use capnp::serialize::{self, OwnedSegments};
use capnp_rpc::rpc_capnp::{cap_descriptor, exception, message, return_};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vat::{Address, SturdyRef};

pub(crate) type Message = Builder<HeapAllocator>;

pub(crate) struct RawPeer {
    pub(crate) stream: TcpStream,
}

/// A message to the peer, in short.
#[derive(Debug, PartialEq)]
pub(crate) enum PeerMessage {
    /// An answer: the export ids of the capabilities in it.
    Results {
        question: u32,
        exports: Vec<u32>,
    },
    Exception {
        question: u32,
        reason: String,
    },
    Abort(String),
    Resolve,
    /// A call of a capability of the peer's.
    Call,
    Other,
    End,
}

pub(crate) fn build(fill: impl FnOnce(message::Builder<'_>)) -> Message {
    let mut message = Builder::new_default();
    fill(message.init_root());
    message
}

/// A Bootstrap with these bytes where the text of the service id should be.
pub(crate) fn bootstrap(question: u32, text: Option<&[u8]>) -> Message {
    build(|message| {
        let mut bootstrap = message.init_bootstrap();
        bootstrap.set_question_id(question);
        if let Some(text) = text {
            bootstrap
                .get_deprecated_object_id()
                .set_as::<capnp::data::Owned>(text)
                .unwrap();
        }
    })
}

/// A call of the answer to a question.
pub(crate) fn call_answer(question: u32, target: u32, method: u16, bytes: &[u8]) -> Message {
    build(|message| {
        let mut call = message.init_call();
        call.set_question_id(question);
        call.set_interface_id(super::INTERFACE);
        call.set_method_id(method);
        call.reborrow()
            .init_target()
            .init_promised_answer()
            .set_question_id(target);
        call.init_params()
            .get_content()
            .set_as::<capnp::data::Owned>(bytes)
            .unwrap();
    })
}

/// A call of the answer to a question, with one capability for a parameter.
pub(crate) fn call_with(
    question: u32,
    target: u32,
    method: u16,
    describe: impl FnOnce(cap_descriptor::Builder<'_>),
) -> Message {
    let mut table = Vec::new();
    let mut message = Builder::new_default();
    let root: message::Builder<'_> = message.init_root();
    let mut call = root.init_call();
    call.set_question_id(question);
    call.set_interface_id(super::INTERFACE);
    call.set_method_id(method);
    call.reborrow()
        .init_target()
        .init_promised_answer()
        .set_question_id(target);
    let mut params = call.init_params();
    describe(params.reborrow().init_cap_table(1).get(0));
    // The pointer refers to the first entry of the table; only the table above is sent.
    let mut content = params.get_content();
    capnp::traits::ImbueMut::imbue_mut(&mut content, &mut table);
    content.set_as_capability(super::Echo::new().client().hook);
    message
}

pub(crate) fn finish(question: u32) -> Message {
    build(|message| message.init_finish().set_question_id(question))
}

pub(crate) fn resolve(promise: u32, describe: impl FnOnce(cap_descriptor::Builder<'_>)) -> Message {
    build(|message| {
        let mut resolve = message.init_resolve();
        resolve.set_promise_id(promise);
        describe(resolve.init_cap());
    })
}

impl RawPeer {
    pub(crate) async fn connect(sturdy_ref: &SturdyRef) -> Self {
        let Address::Tcp { host, port } = &sturdy_ref.address else {
            panic!("only for TCP");
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await.unwrap();
        Self { stream }
    }

    pub(crate) async fn send(&mut self, message: &Message) {
        let bytes = serialize::write_message_to_words(message);
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // The other side may have closed the connection.
        self.stream.write_all(bytes).await.unwrap_or(());
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
        let table = bytes.len().next_multiple_of(8);
        let padding = table - bytes.len();
        bytes.resize(table + 8 * words, 0);
        let rest = bytes.len() - table + padding;
        let start = bytes.len() - rest;
        self.stream.read_exact(&mut bytes[start..]).await.ok()?;
        Some(serialize::read_message(&bytes[..], ReaderOptions::new()).unwrap())
    }

    /// Waits for a message, and returns it in short.
    pub(crate) async fn next(&mut self) -> PeerMessage {
        let Some(reader) = self.receive().await else {
            return PeerMessage::End;
        };
        let text = |e: exception::Reader<'_>| e.get_reason().unwrap().to_string().unwrap();
        match reader.get_root::<message::Reader<'_>>().unwrap().which() {
            Ok(message::Abort(e)) => PeerMessage::Abort(text(e.unwrap())),
            Ok(message::Resolve(_)) => PeerMessage::Resolve,
            Ok(message::Call(_)) => PeerMessage::Call,
            Ok(message::Return(answer)) => {
                let answer = answer.unwrap();
                let question = answer.get_answer_id();
                match answer.which() {
                    Ok(return_::Exception(e)) => PeerMessage::Exception {
                        question,
                        reason: text(e.unwrap()),
                    },
                    Ok(return_::Results(payload)) => {
                        let table = payload.unwrap().get_cap_table().unwrap();
                        let exports = table.iter().map(|cap| match cap.which() {
                            Ok(
                                cap_descriptor::SenderHosted(id)
                                | cap_descriptor::SenderPromise(id),
                            ) => id,
                            _ => panic!("not the sender's"),
                        });
                        let exports = exports.collect();
                        PeerMessage::Results { question, exports }
                    }
                    _ => PeerMessage::Other,
                }
            }
            _ => PeerMessage::Other,
        }
    }

    /// Reads until the other side ends the stream, and returns the reason of the first Abort on the way.
    pub(crate) async fn abort_reason(&mut self) -> Option<String> {
        let mut reason = None;
        loop {
            match self.next().await {
                PeerMessage::Abort(text) => reason = reason.or(Some(text)),
                PeerMessage::End => return reason,
                _ => {}
            }
        }
    }

    /// Reads until the other side ends the stream.
    pub(crate) async fn wait_for_end(&mut self) {
        let mut bytes = [0; 4096];
        while matches!(self.stream.read(&mut bytes).await, Ok(n) if n > 0) {}
    }

    /// Asserts that the other side ends the stream before any of its timeouts.
    pub(crate) async fn assert_closed_at_once(&mut self) {
        tokio::time::timeout(Duration::from_secs(5), self.wait_for_end())
            .await
            .expect("it was not closed");
    }
}
