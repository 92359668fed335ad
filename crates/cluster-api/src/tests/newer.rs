//! Descriptions from clients that are newer than this program.

use capnp::Word;
use capnp::message::{Builder, ReaderOptions};

use super::assemble::{BYTES, text, to_list, to_struct, words};
use crate::EncodedDescription;
use crate::raw::schema_capnp::{job_descr, queue};
use crate::words::OneSegment;

/// A `JobDescr` of three data words and seven pointers, where we know of one and five.
fn newer_description() -> Box<[Word]> {
    words(&[
        to_struct(0, 3, 7),
        0, // the action: a Docker build
        0x1111_2222_3333_4444,
        0x5555_6666_7777_8888,
        0,                    // dockerBuild
        to_list(5, BYTES, 5), // cacheHint
        0,
        0,
        0,
        0,
        to_list(1, BYTES, 6), // something new
        text(b"hint"),
        text(b"later"),
    ])
}

fn copy(words: &[Word]) -> EncodedDescription {
    let message = capnp::message::Reader::new(OneSegment(words), ReaderOptions::new());
    EncodedDescription::copy(message.get_root().unwrap()).unwrap()
}

#[test]
fn unknown_fields_are_kept() {
    let original = newer_description();
    let encoded = copy(&original);
    assert_eq!(encoded.words, original);
    assert_eq!(encoded.cache_hint(), "hint");
    assert_eq!(encoded.decode().unwrap().cache_hint, "hint");
}

#[test]
fn unknown_fields_reach_the_worker() {
    let original = newer_description();
    let mut message = Builder::new_default();
    let mut results: queue::pop_results::Builder<'_> = message.init_root();
    copy(&original)
        .with_reader(|reader| Ok(results.set_descr(reader)?))
        .unwrap();
    let received: job_descr::Reader<'_> = results.into_reader().get_descr().unwrap();
    assert_eq!(EncodedDescription::copy(received).unwrap().words, original);
}
