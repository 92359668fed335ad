//! Two schedulers on one database, and how workers and clients find the one that leads: by several addresses, through
//! HAProxy, and at an address that keepalived moves. The configuration files are those in `packaging`.

#![expect(
    clippy::disallowed_methods,
    reason = "tests poll what other processes do"
)]

mod addresses;
mod farm;
mod keepalived;
mod machines;
mod proxy;
