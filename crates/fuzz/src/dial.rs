//! How peers connect to a scheduler.

use std::path::PathBuf;
use std::time::Duration;

use vat::{Address, Auth, DialOptions, Dialer, Session, SturdyRef};

/// How long a bystander may have to wait. Far longer than it should, because the machine may be busy.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// Connects a legal peer.
///
/// # Panics
/// When it is refused.
pub(crate) async fn connect(cap: &SturdyRef) -> Session {
    let dialer = Dialer::new(DialOptions::default());
    dialer.connect(cap).await.expect("a legal peer can connect")
}

/// Returns the sturdy ref of a service at a socket.
pub(crate) fn at_socket(path: PathBuf) -> SturdyRef {
    SturdyRef {
        auth: Auth::Insecure,
        address: Address::Unix(path),
        service: vat::ServiceId::from_bytes(*b"service"),
    }
}
