//! What all handles and all served objects have in common.

use std::rc::Rc;

/// Declares the handle of an interface: a typed reference that is cheap to clone.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $interface:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            client: crate::raw::schema_capnp::$interface::Client,
        }

        impl $name {
            /// Takes an untyped capability for one of this interface.
            ///
            /// Nothing is checked: if it is something else, calls end in `Unimplemented`.
            pub fn from_client(client: capnp::capability::Client) -> Self {
                Self::from_raw(crate::raw::schema_capnp::$interface::Client { client })
            }

            /// Returns the untyped capability.
            pub fn into_client(self) -> capnp::capability::Client {
                self.into_raw().client
            }

            /// Returns a handle to nothing: every call on it ends in `error`, and a peer that is sent it is told so.
            pub fn broken(error: crate::RpcError) -> Self {
                Self::from_client(crate::promised::Promised::broken(error.into()))
            }

            pub(crate) fn from_raw(client: crate::raw::schema_capnp::$interface::Client) -> Self {
                Self { client }
            }

            pub(crate) fn into_raw(self) -> crate::raw::schema_capnp::$interface::Client {
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

/// What the RPC system holds of a served object.
///
/// It exists to tell two ends apart. A call in progress holds the object itself, so that it can
/// finish; only references hold this. So when the last reference goes, this is dropped, even if
/// somebody still waits for an answer. That is the normal case for a job: its scheduler waits for
/// `result` without holding the job.
pub(crate) struct Served<S> {
    object: Rc<S>,
    released: fn(&S),
}

impl<S> Served<S> {
    /// `released` is called once, when the last reference has gone.
    pub(crate) fn new(object: Rc<S>, released: fn(&S)) -> Self {
        Self { object, released }
    }

    /// Returns the object for the length of a call, and lets go of the reference by which the call
    /// came in.
    pub(crate) fn object(self: Rc<Self>) -> Rc<S> {
        Rc::clone(&self.object)
    }
}

impl<S> Drop for Served<S> {
    fn drop(&mut self) {
        (self.released)(&self.object);
    }
}

/// For interfaces whose objects have nothing to do when they are released.
pub(crate) fn nothing<S>(_object: &S) {}
