//! Messages of the RPC protocol as bytes: separated, changed in place, and created.

use capnp::message::Builder;
use capnp::serialize::write_message_to_words;
use capnp_rpc::rpc_capnp::{cap_descriptor, exception, message, resolve, return_};

use crate::input::Input;

const WORD: usize = 8;

/// Removes the complete messages from the beginning of a stream, and returns them.
pub(crate) fn take_frames(stream: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(length) = frame_length(stream).filter(|length| *length <= stream.len()) {
        let rest = stream.split_off(length);
        frames.push(std::mem::replace(stream, rest));
    }
    frames
}

fn frame_length(stream: &[u8]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = stream.get(4 * at..4 * at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let segments = number(0)? + 1;
    let mut length = (4 + 4 * segments).next_multiple_of(WORD);
    for segment in 1..=segments {
        length += WORD * number(segment)?;
    }
    Some(length)
}

/// Returns the offset of the fields of the struct in a message: its `Call`, `Return` and so on.
fn fields(frame: &[u8]) -> Option<usize> {
    // All messages of a legal conversation have one segment.
    let segments = u32::from_le_bytes(frame.get(..4)?.try_into().ok()?);
    if segments != 0 {
        return None;
    }
    let root = follow(frame, WORD)?;
    let data_words = usize::from(*frame.get(WORD + 4)?);
    follow(frame, root + data_words * WORD)
}

fn follow(frame: &[u8], pointer: usize) -> Option<usize> {
    let word = u32::from_le_bytes(frame.get(pointer..pointer + 4)?.try_into().ok()?);
    let is_struct = word & 3 == 0 && word >> 31 == 0;
    is_struct.then(|| pointer + WORD + (word >> 2) as usize * WORD)
}

/// Sets a number in the fields of a message. The first one is mostly the id of its question.
pub(crate) fn set_field(frame: &mut [u8], index: usize, value: u32) {
    if let Some(start) = fields(frame)
        && let Some(field) = frame.get_mut(start + 4 * index..start + 4 * index + 4)
    {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

/// Returns a number in the fields of a message.
pub(crate) fn field(frame: &[u8], index: usize) -> u32 {
    fields(frame)
        .and_then(|start| frame.get(start + 4 * index..start + 4 * index + 4))
        .and_then(|field| field.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// Replaces a text in a message by another one of the same length.
pub(crate) fn rename(frame: &mut [u8], from: &str, to: &str) {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    if from.is_empty() || from.len() != to.len() {
        return;
    }
    for at in 0..=frame.len().saturating_sub(from.len()) {
        if let Some(found) = frame.get_mut(at..at + from.len())
            && found == from
        {
            found.copy_from_slice(to);
        }
    }
}

/// Returns the interface and the method that a message calls, if it is a call.
#[cfg(test)]
pub(crate) fn called_method(frame: &[u8]) -> (u64, u16) {
    let interface = u64::from(field(frame, 2)) | u64::from(field(frame, 3)) << 32;
    let method = field(frame, 1).to_le_bytes();
    (interface, u16::from_le_bytes([method[0], method[1]]))
}

fn framed(fill: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
    let mut message = Builder::new_default();
    fill(message.init_root());
    write_message_to_words(&message)
}

/// Makes a message of any kind, with the content that the input decides. `near` is a message before it.
pub(crate) fn any_message(input: &mut Input<'_>, near: &[u8]) -> Vec<u8> {
    let kind = input.byte() % 13;
    framed(|message| match kind {
        0 => call(message, input, near),
        1 => answer(message.init_return(), input),
        2 => {
            let mut finish = message.init_finish();
            finish.set_question_id(input.id());
            finish.set_release_result_caps(input.flag());
        }
        3 => resolution(message.init_resolve(), input),
        4 => {
            let mut release = message.init_release();
            release.set_id(input.id());
            release.set_reference_count(input.id());
        }
        5 => disembargo(message, input),
        6 => fail(message.init_abort(), input),
        7 => {
            let mut bootstrap = message.init_bootstrap();
            bootstrap.set_question_id(input.id());
            content(bootstrap.get_deprecated_object_id(), input);
        }
        8 => {
            let mut call = message.init_unimplemented().init_call();
            call.set_question_id(input.id());
        }
        9 => {
            let mut provide = message.init_provide();
            provide.set_question_id(input.id());
            target(provide.init_target(), input);
        }
        10 => {
            let mut accept = message.init_accept();
            accept.set_question_id(input.id());
            accept.set_embargo(input.flag());
        }
        11 => {
            let mut join = message.init_join();
            join.set_question_id(input.id());
            target(join.init_target(), input);
        }
        _ => resolution(message.init_unimplemented().init_resolve(), input),
    })
}

fn call(message: message::Builder<'_>, input: &mut Input<'_>, near: &[u8]) {
    let mut call = message.init_call();
    call.set_question_id(input.id());
    // Mostly the interface of the message before, which exists.
    let (low, high) = (field(near, 2), field(near, 3));
    let interface = u64::from(low) | u64::from(high) << 32;
    call.set_interface_id(if input.flag() { interface } else { input.u64() });
    call.set_method_id(u16::from(input.byte() & 7));
    target(call.reborrow().init_target(), input);
    let mut payload = call.init_params();
    descriptors(&mut payload, input);
    content(payload.get_content(), input);
}

fn disembargo(message: message::Builder<'_>, input: &mut Input<'_>) {
    let mut disembargo = message.init_disembargo();
    target(disembargo.reborrow().init_target(), input);
    let mut context = disembargo.init_context();
    match input.byte() & 3 {
        0 => context.set_sender_loopback(input.id()),
        1 => context.set_receiver_loopback(input.id()),
        2 => context.set_accept(()),
        _ => context.set_provide(input.id()),
    }
}

type Target<'a> = capnp_rpc::rpc_capnp::message_target::Builder<'a>;
type Payload<'a> = capnp_rpc::rpc_capnp::payload::Builder<'a>;

fn target(mut target: Target<'_>, input: &mut Input<'_>) {
    if input.flag() {
        target.set_imported_cap(input.id());
        return;
    }
    let mut answer = target.init_promised_answer();
    answer.set_question_id(input.id());
    let count = u32::from(input.byte() & 3);
    let mut transform = answer.init_transform(count);
    for index in 0..count {
        let mut op = transform.reborrow().get(index);
        match input.byte() {
            255 => op.set_noop(()),
            field => op.set_get_pointer_field(u16::from(field & 3)),
        }
    }
}

fn descriptors(payload: &mut Payload<'_>, input: &mut Input<'_>) {
    let count = u32::from(input.byte() & 3);
    let mut table = payload.reborrow().init_cap_table(count);
    for index in 0..count {
        descriptor(table.reborrow().get(index), input);
    }
}

fn descriptor(mut cap: cap_descriptor::Builder<'_>, input: &mut Input<'_>) {
    match input.byte() % 6 {
        0 => cap.set_none(()),
        1 => cap.set_sender_hosted(input.id()),
        2 => cap.set_sender_promise(input.id()),
        3 => cap.set_receiver_hosted(input.id()),
        4 => {
            let mut answer = cap.init_receiver_answer();
            answer.set_question_id(input.id());
            let mut transform = answer.init_transform(1);
            transform
                .reborrow()
                .get(0)
                .set_get_pointer_field(u16::from(input.byte() & 3));
        }
        _ => cap.init_third_party_hosted().set_vine_id(input.id()),
    }
}

fn content(mut content: capnp::any_pointer::Builder<'_>, input: &mut Input<'_>) {
    if input.flag() {
        // The receiver has to keep these bytes, which also tests its limits.
        let bytes = input.piece(255);
        drop(content.set_as::<capnp::data::Owned>(bytes));
    }
}

fn answer(mut answer: return_::Builder<'_>, input: &mut Input<'_>) {
    answer.set_answer_id(input.id());
    answer.set_release_param_caps(input.flag());
    answer.set_no_finish_needed(input.byte() > 200);
    match input.byte() % 7 {
        0 | 1 => {
            let mut payload = answer.init_results();
            descriptors(&mut payload, input);
            content(payload.get_content(), input);
        }
        2 => fail(answer.init_exception(), input),
        3 => answer.set_canceled(()),
        4 => answer.set_results_sent_elsewhere(()),
        5 => answer.set_take_from_other_question(input.id()),
        _ => {}
    }
}

fn resolution(mut resolve: resolve::Builder<'_>, input: &mut Input<'_>) {
    resolve.set_promise_id(input.id());
    if input.byte() > 200 {
        fail(resolve.init_exception(), input);
    } else {
        descriptor(resolve.init_cap(), input);
    }
}

fn fail(mut exception: exception::Builder<'_>, input: &mut Input<'_>) {
    let kinds = [
        exception::Type::Failed,
        exception::Type::Overloaded,
        exception::Type::Disconnected,
        exception::Type::Unimplemented,
    ];
    exception.set_type(input.choose(&kinds));
    let bytes = input.piece(255);
    let times = 1 + usize::from(input.byte());
    exception.set_reason(String::from_utf8_lossy(&bytes.repeat(times)).as_ref());
}
