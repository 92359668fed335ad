//! The type ids are the protocol: peers call interfaces by id, so each is pinned here to
//! upstream's.

use capnp::introspect::{Introspect, TypeVariant};
use capnp::schema_capnp::node;
use capnp::traits::HasTypeId;

use crate::raw::{extensions_capnp as extensions, schema_capnp as schema};

/// What a struct is to the wire: its id, and its size in data words and pointers.
fn layout<T: Introspect>() -> (u64, u16, u16) {
    let TypeVariant::Struct(schema) = T::introspect().which() else {
        panic!("not a struct");
    };
    let node = capnp::schema::StructSchema::new(schema).get_proto();
    let node::Struct(size) = node.which().unwrap() else {
        panic!("not a struct");
    };
    (
        node.get_id(),
        size.get_data_word_count(),
        size.get_pointer_count(),
    )
}

fn id<T: HasTypeId>() -> u64 {
    T::TYPE_ID
}

#[test]
fn structs_have_upstreams_ids_and_sizes() {
    assert_eq!(
        layout::<schema::docker_build::Owned>(),
        (0xb7cdf36259df55e5, 1, 5)
    );
    assert_eq!(
        layout::<schema::o_builder::Owned>(),
        (0x8b282bf65fdee6f3, 0, 1)
    );
    assert_eq!(
        layout::<schema::custom::Owned>(),
        (0xa5a1f28b5d271349, 0, 2)
    );
    assert_eq!(
        layout::<schema::secret::Owned>(),
        (0xd3d0bc06b7e0ea84, 0, 2)
    );
    assert_eq!(
        layout::<schema::job_descr::Owned>(),
        (0xe8a11e4cd6914f3e, 1, 5)
    );
    assert_eq!(
        layout::<schema::metric::Owned>(),
        (0xa6d34960e6d0feab, 0, 2)
    );
    assert_eq!(
        layout::<schema::additional_metric::Owned>(),
        (0xcf9916b2e02f841b, 1, 1)
    );
    assert_eq!(
        layout::<schema::worker_info::Owned>(),
        (0x89d251d58984b1eb, 1, 1)
    );
}

#[test]
fn enums_have_upstreams_ids_and_values() {
    let TypeVariant::Enum(raw) = schema::worker::MetricsSource::introspect().which() else {
        panic!("not an enum");
    };
    let node = capnp::schema::EnumSchema::new(raw).get_proto();
    assert_eq!(node.get_id(), 0xd5f57e8b6e40f85a);
    assert_eq!(schema::worker::MetricsSource::Agent as u16, 0);
    assert_eq!(schema::worker::MetricsSource::Host as u16, 1);
}

#[test]
fn interfaces_have_upstreams_ids() {
    assert_eq!(id::<schema::job::Client>(), 0xca66fd1f972efccc);
    assert_eq!(id::<schema::queue::Client>(), 0x817f986f80263aaf);
    assert_eq!(id::<schema::worker::Client>(), 0xe06eedcf95bf7905);
    assert_eq!(id::<schema::registration::Client>(), 0xe098a12b91e35740);
    assert_eq!(id::<schema::ticket::Client>(), 0x9497c03b7ca5b27b);
    assert_eq!(id::<schema::submission::Client>(), 0xf4e8a768b32a7c42);
    assert_eq!(id::<schema::progress::Client>(), 0xd7529e2702cd958a);
    assert_eq!(id::<schema::pool_admin::Client>(), 0xd906b771b4082451);
    assert_eq!(id::<schema::admin::Client>(), 0xdd51f35540dac6ad);
    assert_eq!(id::<extensions::persistent::Client>(), 0xc8cb212fcd9f5691);
}

#[test]
fn extensions_keep_their_ids() {
    assert_eq!(
        id::<extensions::ticket_status::Client>(),
        0xfa88968e688b903b
    );
    assert_eq!(
        id::<extensions::ticket_number::Client>(),
        0xb4d1c9e07a3f5286
    );
    assert_eq!(
        id::<extensions::temporary_pause::Client>(),
        0xcb857b1f4f698543
    );
    assert_eq!(id::<extensions::pool_details::Client>(), 0xfcf5d5f36fc6a8aa);
    assert_eq!(id::<extensions::pool_control::Client>(), 0xfa531e7cec24d80a);
    assert_eq!(
        id::<extensions::worker_control::Client>(),
        0xda98782be4730cdd
    );
    assert_eq!(id::<extensions::job_outcome::Client>(), 0x9f3b6c1d5a8e2047);
    assert_eq!(
        id::<extensions::progress_status::Client>(),
        0xb7e2408c6d91f35b
    );
    assert_eq!(
        id::<extensions::returning_workers::Client>(),
        0xa4c1f0936be2d758
    );
    assert_eq!(
        id::<extensions::durable_queue::Client>(),
        0xe35d7a1c08f94b62
    );
    assert_eq!(id::<extensions::kept_job::Client>(), 0xd06e92f7b3158ca4);
    assert_eq!(id::<extensions::jobs_admin::Client>(), 0x97879369efd601a3);
    assert_eq!(id::<extensions::durable_jobs::Client>(), 0xd782edfcc9a0ec60);
    assert_eq!(id::<extensions::durable_job::Client>(), 0x9e02f439cc1e128b);
    assert_eq!(
        layout::<extensions::ticket_status::status::Owned>(),
        (0xc061e154535ae062, 1, 1)
    );
}
