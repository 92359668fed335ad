//! The common parts of all handles and served objects.

use std::rc::Rc;

/// Declares the handle of an interface: a typed reference that is cheap to clone. The interface is one of upstream's
/// schema, unless the path of another is given.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $interface:ident) => {
        crate::handle::handle! { $(#[$doc])* $name, crate::raw::schema_capnp::$interface }
    };
    ($(#[$doc:meta])* $name:ident, $($interface:tt)::+) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            client: $($interface)::+::Client,
        }

        impl $name {
            /// Returns the handle of an untyped capability.
            ///
            /// It is not checked: if it has another interface, calls fail with `Unimplemented`.
            pub fn from_client(client: capnp::capability::Client) -> Self {
                Self::from_raw($($interface)::+::Client { client })
            }

            /// Returns the untyped capability.
            pub fn into_client(self) -> capnp::capability::Client {
                self.into_raw().client
            }

            /// Returns a broken handle: every call on it fails with `error`, also when it is sent to a peer.
            pub fn broken(error: crate::RpcError) -> Self {
                Self::from_client(crate::promised::Promised::broken(error.into()))
            }

            pub(crate) fn from_raw(client: $($interface)::+::Client) -> Self {
                Self { client }
            }

            pub(crate) fn into_raw(self) -> $($interface)::+::Client {
                self.client
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

pub(crate) use handle;

/// The RPC system's reference to a served object.
///
/// It separates references from calls. A call in progress holds the object itself, so that it can finish; only
/// references hold this. So it is dropped with the last reference, even while a call waits for its answer. That is
/// the normal case for a job: the scheduler waits for `result` without a reference to the job.
pub(crate) struct Served<S> {
    object: Rc<S>,
    released: fn(&S),
}

impl<S> Served<S> {
    /// `released` is called once, when the last reference is dropped.
    pub(crate) fn new(object: Rc<S>, released: fn(&S)) -> Self {
        Self { object, released }
    }

    /// Returns the object for a call, and drops the reference through which the call came in.
    pub(crate) fn object(self: Rc<Self>) -> Rc<S> {
        Rc::clone(&self.object)
    }
}

impl<S> Drop for Served<S> {
    fn drop(&mut self) {
        (self.released)(&self.object);
    }
}

/// Does nothing: for objects that do not react to their release.
pub(crate) fn nothing<S>(_object: &S) {}
