//! A custom payload that is a struct, read by those who know its type.

use crate::CustomPayload;
use crate::raw::schema_capnp::{job_descr, o_builder};

#[test]
fn a_struct_is_read_as_itself() {
    let mut message = capnp::message::Builder::new_default();
    let mut obuilder = message.init_root::<o_builder::Builder<'_>>();
    obuilder.set_spec("((from scratch))");
    let payload = CustomPayload::from_value::<o_builder::Owned>(obuilder.into_reader()).unwrap();
    let spec = payload.read::<o_builder::Owned, _>(|obuilder| {
        // Looked at as often as one likes.
        for _ in 0..10 {
            obuilder.get_spec()?;
        }
        Ok(obuilder.get_spec()?.to_string()?)
    });
    assert_eq!(spec.unwrap(), "((from scratch))");
    assert_eq!(payload.to_data(), None);
}

#[test]
fn what_is_no_such_struct_is_an_error_and_nothing_is_its_default() {
    let hint = |payload: &CustomPayload| {
        payload.read::<job_descr::Owned, _>(|job| Ok(job.get_cache_hint()?.to_string()?))
    };
    assert_eq!(hint(&CustomPayload::default()).unwrap(), "");
    let error = hint(&CustomPayload::from_text("hi").unwrap()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("Failed: the payload is malformed: "),
        "{text}"
    );
}
