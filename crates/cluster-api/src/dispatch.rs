//! Answers calls of methods that an object does not have with the texts of upstream.
//!
//! The generated code answers `Method not implemented.` to all of them. Operators and scripts know upstream's texts,
//! which distinguish an object of another kind (the wrong cap file) from one that is only older.

use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use capnp::any_pointer;
use capnp::capability::{
    DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server,
};
// In spite of its name, part of a public trait: generated code uses it, too.
use capnp::private::capability::ClientHook;
use capnp::traits::HasTypeId;

use crate::raw::extensions_capnp as extensions;
use crate::raw::schema_capnp as schema;

/// Serves `object` to clients of the type `C`.
pub(crate) fn new_client<C: FromServer<S> + Methods + 'static, S>(object: S) -> C {
    capnp_rpc::new_client::<Strict<C>, S>(object).0
}

/// The methods of an object.
pub(crate) trait Methods {
    /// The ids of its interfaces, each with the number of its methods.
    const METHODS: &[(u64, u16)];
}

macro_rules! methods {
    ($($client:ty: $($interface:ty = $count:literal),+;)+) => {$(
        impl Methods for $client {
            const METHODS: &[(u64, u16)] = &[$((<$interface as HasTypeId>::TYPE_ID, $count)),+];
        }
    )+};
}

methods! {
    extensions::extended_admin::Client:
        schema::admin::Client = 5, extensions::jobs_admin::Client = 6, extensions::job_timelines::Client = 2,
        extensions::admin_pages::Client = 1, extensions::job_explanations::Client = 1,
        extensions::leadership::Client = 2;
    extensions::extended_registration::Client:
        schema::registration::Client = 1, extensions::returning_workers::Client = 1;
    extensions::extended_job::Client:
        schema::job::Client = 3, extensions::job_outcome::Client = 1, extensions::kept_job::Client = 1,
        extensions::job_times::Client = 1;
    extensions::extended_pool_admin::Client:
        schema::pool_admin::Client = 8, extensions::temporary_pause::Client = 1, extensions::pool_details::Client = 2,
        extensions::pool_control::Client = 3, extensions::pool_explanations::Client = 4;
    extensions::extended_worker::Client: schema::worker::Client = 3, extensions::worker_control::Client = 2;
    extensions::extended_ticket::Client:
        schema::ticket::Client = 2, extensions::ticket_status::Client = 1, extensions::ticket_number::Client = 1,
        extensions::explained::Client = 1;
    extensions::extended_progress::Client: schema::progress::Client = 1, extensions::progress_status::Client = 1;
    extensions::extended_queue::Client:
        schema::queue::Client = 2, extensions::pause_reasons::Client = 1, extensions::durable_queue::Client = 1,
        extensions::pruned_caches::Client = 1;
    extensions::persistent_submission::Client:
        schema::submission::Client = 1, extensions::persistent::Client = 1, extensions::durable_jobs::Client = 3,
        extensions::client_pages::Client = 1;
    extensions::extended_durable_job::Client:
        extensions::durable_job::Client = 7, extensions::job_timeline::Client = 2,
        extensions::job_pages::Client = 1, extensions::explained::Client = 1;
}

/// Returns the error for a method that does not exist; `None` if it does.
fn missing(methods: &[(u64, u16)], interface: u64, method: u16) -> Option<capnp::Error> {
    let text = match methods.iter().find(|(id, _)| *id == interface) {
        Some((_, count)) if method < *count => return None,
        Some(_) if interface == extensions::persistent::Client::TYPE_ID => {
            format!("Unknown persistence method {method}")
        }
        Some(_) => format!("Unknown method {interface}UL.{method}"),
        None => format!("Unknown interface {interface}UL"),
    };
    Some(capnp::Error::unimplemented(text))
}

/// A client whose object is served by [`StrictDispatch`].
struct Strict<C>(C);

impl<C: FromClientHook> FromClientHook for Strict<C> {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        Self(C::new(hook))
    }

    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0.into_client_hook()
    }

    fn as_client_hook(&self) -> &dyn ClientHook {
        self.0.as_client_hook()
    }
}

impl<C: FromServer<S> + Methods + 'static, S> FromServer<S> for Strict<C> {
    type Dispatch = StrictDispatch<C, C::Dispatch>;

    fn from_server(object: Rc<S>) -> Self::Dispatch {
        StrictDispatch {
            generated: C::from_server(object),
            client: PhantomData,
        }
    }
}

/// The generated dispatch, after a check of the method.
struct StrictDispatch<C, D> {
    generated: D,
    client: PhantomData<C>,
}

impl<C, D: Clone> Clone for StrictDispatch<C, D> {
    fn clone(&self) -> Self {
        Self {
            generated: self.generated.clone(),
            client: PhantomData,
        }
    }
}

impl<C, D: Deref> Deref for StrictDispatch<C, D> {
    type Target = D::Target;

    fn deref(&self) -> &D::Target {
        &self.generated
    }
}

impl<C: Methods, D: Server> Server for StrictDispatch<C, D> {
    fn dispatch_call(
        self,
        interface: u64,
        method: u16,
        params: Params<any_pointer::Owned>,
        results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        match missing(C::METHODS, interface, method) {
            Some(error) => DispatchCallResult::new(Promise::err(error), false),
            None => self
                .generated
                .dispatch_call(interface, method, params, results),
        }
    }

    fn as_ptr(&self) -> usize {
        self.generated.as_ptr()
    }
}
