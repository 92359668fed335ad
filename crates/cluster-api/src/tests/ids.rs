//! The type ids are the protocol: a peer calls interfaces by id.

use capnp::introspect::{Introspect, TypeVariant};
use capnp::traits::HasTypeId;

use crate::raw::extensions_capnp as extensions;
use crate::raw::schema_capnp as schema;

fn struct_id<T: Introspect>() -> u64 {
    match T::introspect().which() {
        TypeVariant::Struct(schema) => capnp::schema::StructSchema::new(schema).get_proto().get_id(),
        other => panic!("not a struct: {other:?}"),
    }
}

fn interface_id<T: HasTypeId>() -> u64 {
    T::TYPE_ID
}
