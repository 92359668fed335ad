//! Reads what upstream's programs really sent: every message of the recorded conversations is
//! decoded with our schema, and shown as one line in `tests/wire/messages.txt`.
//!
//! Each conversation `NAME` is two files: `NAME.c2s.bin` from the program that connected to the
//! scheduler, and `NAME.s2c.bin` the other way. Client and worker names in them, and the secrets,
//! belong to a scheduler that is no more.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::Path;

use capnp::message::ReaderOptions;
use capnp::traits::Owned;
use capnp::{any_pointer, serialize};
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, exception, message, message_target, payload, promised_answer, resolve,
    return_,
};
use expect_test::expect_file;

use crate::EncodedDescription;
use crate::raw::extensions_capnp::persistent;
use crate::raw::schema_capnp::{admin, job, pool_admin, queue, registration, submission, ticket};

/// Shows the parameters or results of one method.
type Show = fn(any_pointer::Reader<'_>) -> String;

/// A method, by interface id and number.
struct Method {
    interface: u64,
    number: u16,
    name: &'static str,
    params: Show,
    results: Show,
}

fn show<T: Owned>(content: any_pointer::Reader<'_>) -> String
where
    for<'a> T::Reader<'a>: Debug,
{
    let value: T::Reader<'_> = content.get_as().unwrap();
    format!("{value:?}")
}

fn show_submit(content: any_pointer::Reader<'_>) -> String {
    let params: submission::submit_params::Reader<'_> = content.get_as().unwrap();
    let description = EncodedDescription::copy(params.get_descr().unwrap()).unwrap();
    assert_eq!(
        description.cache_hint(),
        params.get_descr().unwrap().get_cache_hint().unwrap()
    );
    let (pool, urgent) = (params.get_pool().unwrap(), params.get_urgent());
    format!(
        "(pool = {pool:?}, urgent = {urgent}, {:?})",
        description.decode().unwrap()
    )
}

fn show_popped(content: any_pointer::Reader<'_>) -> String {
    let results: queue::pop_results::Reader<'_> = content.get_as().unwrap();
    let description = EncodedDescription::copy(results.get_descr().unwrap()).unwrap();
    format!("({:?})", description.decode().unwrap())
}

fn show_log(content: any_pointer::Reader<'_>) -> String {
    let results: job::log_results::Reader<'_> = content.get_as().unwrap();
    let log = results.get_log().unwrap();
    format!(
        "(log = {:?}, next = {})",
        String::from_utf8_lossy(log),
        results.get_next()
    )
}

fn show_saved(content: any_pointer::Reader<'_>) -> String {
    let results: persistent::save_results::Reader<'_> = content.get_as().unwrap();
    let uri: capnp::text::Reader<'_> = results.get_sturdy_ref().get_as().unwrap();
    format!("(sturdyRef = {uri:?})")
}

fn show_save(content: any_pointer::Reader<'_>) -> String {
    let params: persistent::save_params::Reader<'_> = content.get_as().unwrap();
    format!(
        "(sealFor is {})",
        if params.get_seal_for().is_null() {
            "null"
        } else {
            "set"
        }
    )
}

/// Returns the entry of a method whose parameters and results can be shown as they are.
macro_rules! method {
    ($interface:ident, $number:literal, $name:literal, $params:ident, $results:ident) => {
        Method {
            interface: $interface::_private::TYPE_ID,
            number: $number,
            name: $name,
            params: show::<$interface::$params::Owned>,
            results: show::<$interface::$results::Owned>,
        }
    };
}

/// The methods that occur in the conversations.
fn methods() -> Vec<Method> {
    let mut methods = job_methods();
    methods.extend(admin_methods());
    methods
}

fn job_methods() -> Vec<Method> {
    let job_log = method!(job, 0, "Job.log", log_params, log_results);
    let pop = method!(queue, 0, "Queue.pop", pop_params, pop_results);
    let submit = method!(
        submission,
        0,
        "Submission.submit",
        submit_params,
        submit_results
    );
    vec![
        Method {
            results: show_log,
            ..job_log
        },
        method!(job, 1, "Job.result", result_params, result_results),
        method!(job, 2, "Job.cancel", cancel_params, cancel_results),
        Method {
            results: show_popped,
            ..pop
        },
        method!(ticket, 0, "Ticket.job", job_params, job_results),
        Method {
            params: show_submit,
            ..submit
        },
        method!(
            registration,
            0,
            "Registration.register",
            register_params,
            register_results
        ),
    ]
}

fn admin_methods() -> Vec<Method> {
    vec![
        method!(admin, 0, "Admin.pools", pools_params, pools_results),
        method!(admin, 1, "Admin.pool", pool_params, pool_results),
        method!(
            admin,
            2,
            "Admin.addClient",
            add_client_params,
            add_client_results
        ),
        method!(
            admin,
            3,
            "Admin.removeClient",
            remove_client_params,
            remove_client_results
        ),
        method!(
            admin,
            4,
            "Admin.listClients",
            list_clients_params,
            list_clients_results
        ),
        method!(pool_admin, 0, "PoolAdmin.show", show_params, show_results),
        method!(
            pool_admin,
            1,
            "PoolAdmin.workers",
            workers_params,
            workers_results
        ),
        method!(
            pool_admin,
            2,
            "PoolAdmin.setActive",
            set_active_params,
            set_active_results
        ),
        method!(
            pool_admin,
            5,
            "PoolAdmin.setRate",
            set_rate_params,
            set_rate_results
        ),
        method!(
            pool_admin,
            6,
            "PoolAdmin.forget",
            forget_params,
            forget_results
        ),
        Method {
            interface: persistent::_private::TYPE_ID,
            number: 0,
            name: "Persistent.save",
            params: show_save,
            results: show_saved,
        },
    ]
}

/// A message as it was read from a file.
type Message = capnp::message::Reader<serialize::OwnedSegments>;

/// Reads all messages that went one way in a conversation.
fn read_stream(file: &Path) -> Vec<Message> {
    let bytes = fs::read(file).unwrap();
    let mut rest = bytes.as_slice();
    std::iter::from_fn(|| serialize::try_read_message(&mut rest, ReaderOptions::new()).unwrap())
        .collect()
}

/// The called methods by question id, with `None` for a bootstrap.
///
/// Ids are used again, but each question gets one return: so the first return with an id belongs to
/// the first question with it, and it does not matter that the two go different ways.
type Questions<'a> = BTreeMap<u32, VecDeque<Option<&'a Method>>>;

fn questions<'a>(stream: &[Message], methods: &'a [Method]) -> Questions<'a> {
    let mut questions = Questions::new();
    for message in stream {
        let (id, method) = match message.get_root::<message::Reader<'_>>().unwrap().which() {
            Ok(message::Bootstrap(bootstrap)) => (bootstrap.unwrap().get_question_id(), None),
            Ok(message::Call(call)) => {
                let call = call.unwrap();
                (call.get_question_id(), Some(called(call, methods)))
            }
            _ => continue,
        };
        questions.entry(id).or_default().push_back(method);
    }
    questions
}

fn called<'a>(call: call::Reader<'_>, methods: &'a [Method]) -> &'a Method {
    let (interface, number) = (call.get_interface_id(), call.get_method_id());
    methods
        .iter()
        .find(|method| method.interface == interface && method.number == number)
        .unwrap_or_else(|| panic!("unknown method {interface:#x}.{number}"))
}

fn show_caps(payload: payload::Reader<'_>) -> String {
    let caps: Vec<_> = payload
        .get_cap_table()
        .unwrap()
        .iter()
        .map(show_cap)
        .collect();
    format!("[{}]", caps.join(", "))
}

fn show_cap(cap: cap_descriptor::Reader<'_>) -> String {
    match cap.which().unwrap() {
        cap_descriptor::None(()) => "none".to_owned(),
        cap_descriptor::SenderHosted(id) => format!("senderHosted {id}"),
        cap_descriptor::SenderPromise(id) => format!("senderPromise {id}"),
        cap_descriptor::ReceiverHosted(id) => format!("receiverHosted {id}"),
        cap_descriptor::ReceiverAnswer(answer) => {
            format!("receiverAnswer {}", show_promised(answer.unwrap()))
        }
        cap_descriptor::ThirdPartyHosted(_) => panic!("no peer sends this"),
    }
}

fn show_promised(answer: promised_answer::Reader<'_>) -> String {
    let mut text = answer.get_question_id().to_string();
    for op in answer.get_transform().unwrap() {
        match op.which().unwrap() {
            promised_answer::op::Noop(()) => {}
            promised_answer::op::GetPointerField(field) => write!(text, ".{field}").unwrap(),
        }
    }
    text
}

fn show_target(target: message_target::Reader<'_>) -> String {
    match target.which().unwrap() {
        message_target::ImportedCap(id) => format!("import {id}"),
        message_target::PromisedAnswer(answer) => {
            format!("answer {}", show_promised(answer.unwrap()))
        }
    }
}

/// Shows one message in a line. If it is an answer, it is one to the `questions`, which it is
/// struck off.
fn show_message(
    message: message::Reader<'_>,
    methods: &[Method],
    questions: &mut Questions<'_>,
) -> String {
    match message.which().unwrap() {
        message::Bootstrap(bootstrap) => {
            let bootstrap = bootstrap.unwrap();
            let id: capnp::text::Reader<'_> =
                bootstrap.get_deprecated_object_id().get_as().unwrap();
            format!(
                "bootstrap {}, an id of {} bytes",
                bootstrap.get_question_id(),
                id.len()
            )
        }
        message::Call(call) => {
            let call = call.unwrap();
            let method = called(call, methods);
            let params = call.get_params().unwrap();
            format!(
                "call {} of {} on {} {} caps {}",
                call.get_question_id(),
                method.name,
                show_target(call.get_target().unwrap()),
                (method.params)(params.get_content()),
                show_caps(params),
            )
        }
        message::Return(ret) => show_return(ret.unwrap(), questions),
        message::Finish(finish) => format!("finish {}", finish.unwrap().get_question_id()),
        message::Release(release) => {
            let release = release.unwrap();
            format!(
                "release {} × {}",
                release.get_id(),
                release.get_reference_count()
            )
        }
        message::Resolve(resolve) => {
            let resolve = resolve.unwrap();
            let promise = resolve.get_promise_id();
            match resolve.which().unwrap() {
                resolve::Cap(cap) => format!("resolve {promise} to {}", show_cap(cap.unwrap())),
                resolve::Exception(exception) => {
                    format!(
                        "resolve {promise} to {}",
                        show_exception(exception.unwrap())
                    )
                }
            }
        }
        message::Abort(abort) => format!("abort {:?}", abort.unwrap().get_reason().unwrap()),
        _ => panic!("no peer sends this"),
    }
}

fn show_return(ret: return_::Reader<'_>, questions: &mut Questions<'_>) -> String {
    let id = ret.get_answer_id();
    let method = questions
        .get_mut(&id)
        .and_then(VecDeque::pop_front)
        .unwrap_or_else(|| panic!("an answer to no question: {id}"));
    let name = method.map_or("Bootstrap", |method| method.name);
    match ret.which().unwrap() {
        return_::Results(results) => {
            let results = results.unwrap();
            let content = method.map(|method| (method.results)(results.get_content()));
            let content = content.unwrap_or_else(|| "the service".to_owned());
            format!(
                "return {id} of {name} {content} caps {}",
                show_caps(results)
            )
        }
        return_::Exception(exception) => {
            format!(
                "return {id} of {name} {}",
                show_exception(exception.unwrap())
            )
        }
        return_::Canceled(()) => format!("return {id} of {name} canceled"),
        _ => panic!("no peer sends this"),
    }
}

fn show_exception(exception: exception::Reader<'_>) -> String {
    format!(
        "{:?} {:?}",
        exception.get_type().unwrap(),
        exception.get_reason().unwrap()
    )
}

#[test]
fn every_recorded_message_is_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".c2s.bin").map(str::to_owned)
        })
        .collect();
    names.sort();
    let methods = methods();
    let mut shown = String::new();
    for name in &names {
        writeln!(shown, "\n# {name}").unwrap();
        let to_server = read_stream(&folder.join(format!("{name}.c2s.bin")));
        let to_client = read_stream(&folder.join(format!("{name}.s2c.bin")));
        for (arrow, stream, other) in [('>', &to_server, &to_client), ('<', &to_client, &to_server)]
        {
            let mut questions = questions(other, &methods);
            for message in stream {
                let message = message.get_root().unwrap();
                let line = show_message(message, &methods, &mut questions);
                writeln!(shown, "{arrow} {line}").unwrap();
            }
        }
    }
    expect_file!["../../tests/wire/messages.txt"].assert_eq(&shown);
}
