//! Whether a standby can connect to the leader: then peers can, too, most likely.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use vat::Address;

use super::LeaseState;

/// How often to connect, and how long that may take.
const PERIOD: Duration = Duration::from_secs(1);

/// Keeps `reaches` at whether the leader can be reached, for as long as it is awaited. Never ends.
pub(super) async fn watch(lease_state: watch::Receiver<LeaseState>, reaches: Arc<AtomicBool>) {
    loop {
        let address = lease_state
            .borrow()
            .leader
            .as_ref()
            .map(|leader| leader.address.clone());
        let can = match address.map(|address| address.parse()) {
            Some(Ok(address)) => answers(&address).await,
            // Nobody leads, or at an address that only a later version can read.
            None | Some(Err(_)) => true,
        };
        reaches.store(can, Ordering::Relaxed);
        sleep(PERIOD).await;
    }
}

/// Tells whether a machine answers at an address. One that refuses is there: its scheduler does not listen yet.
async fn answers(address: &Address) -> bool {
    let connected = async {
        match address {
            Address::Tcp { host, port } => {
                TcpStream::connect((host.as_str(), *port)).await.map(drop)
            }
            Address::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    };
    match timeout(PERIOD, connected).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}
