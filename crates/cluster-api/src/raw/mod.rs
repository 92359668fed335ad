//! The code that `cargo xtask codegen` generates from `api/*.capnp`; nothing here is written by
//! hand but this file.
//!
//! It is private to the crate: other crates see typed handles and plain values, so a change of
//! generator, or of its idea of an API, ends here.

#![expect(
    unreachable_pub,
    clippy::all,
    clippy::use_self,
    clippy::semicolon_if_nothing_returned,
    reason = "generated code has a style of its own"
)]

#[rustfmt::skip]
pub(crate) mod extensions_capnp;
#[rustfmt::skip]
pub(crate) mod schema_capnp;
