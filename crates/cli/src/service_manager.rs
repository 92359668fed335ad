//! Notifications to the service manager: systemd, or any other with its protocol.
//!
//! A unit of `Type=notify` counts as started once we report it, shows our status in one line, and with `WatchdogSec=`
//! is restarted when our reports stop. Each message is a datagram to the socket that `NOTIFY_SOCKET` names; without
//! that variable nothing happens. The existing library supports no abstract sockets, and blocks while the other end is
//! busy, which the one thread must not do.

use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::future;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// How often to report the status, unless the watchdog requires more.
const STATUS_PERIOD: Duration = Duration::from_secs(10);

/// The service manager, if there is one.
#[derive(Debug)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The watchdog's limit for the time between reports; `None` for no limit.
    watchdog: Option<Duration>,
    /// A necessary message that could not be sent, as the service manager was busy.
    unsent: Cell<Option<&'static str>>,
}

impl ServiceManager {
    /// Returns the service manager that the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_env() -> Self {
        let var = std::env::var_os;
        let is_for_us = var("WATCHDOG_PID")
            .is_none_or(|pid| number(&pid) == Some(u64::from(std::process::id())));
        let watchdog = var("WATCHDOG_USEC").filter(|_| is_for_us);
        Self::at(var("NOTIFY_SOCKET").as_deref(), watchdog.as_deref())
    }

    /// Returns one that reports nothing.
    pub fn none() -> Self {
        Self::at(None, None)
    }

    fn at(address: Option<&OsStr>, watchdog: Option<&OsStr>) -> Self {
        let micros = watchdog.and_then(number).filter(|micros| *micros > 0);
        Self {
            socket: address.and_then(|address| match open(address) {
                Ok(socket) => Some(socket),
                Err(error) => {
                    tracing::warn!("Cannot notify the service manager at {address:?}: {error}");
                    None
                }
            }),
            watchdog: micros.map(Duration::from_micros),
            unsent: Cell::new(None),
        }
    }

    /// Reports that the service has started.
    pub fn ready(&self, status: &str) {
        self.unsent.set(Some("READY=1"));
        self.send(&[&status_line(status)]);
    }

    /// Reports that the service is shutting down, and may take up to `limit`, whatever its unit file sets.
    pub fn stopping(&self, limit: Duration, status: &str) {
        let limit = format!("EXTEND_TIMEOUT_USEC={}", limit.as_micros());
        self.send(&["STOPPING=1", &limit, &status_line(status)]);
    }

    /// Reports periodically that the service is alive, and its status, for as long as it is awaited. Never ends.
    ///
    /// Must be awaited where the work is done, so that the reports stop when that stalls.
    pub async fn report_periodically(&self, status: impl Fn() -> String) -> Infallible {
        if self.socket.is_none() {
            return future::pending().await;
        }
        let half = self.watchdog.map(|limit| limit / 2);
        let period = half.map_or(STATUS_PERIOD, |half| half.min(STATUS_PERIOD));
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.send(&["WATCHDOG=1", &status_line(&status())]);
        }
    }

    fn send(&self, lines: &[&str]) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        let unsent = self.unsent.take();
        let lines: Vec<&str> = unsent.into_iter().chain(lines.iter().copied()).collect();
        let message = lines.join("\n");
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            // The next message repeats the rest.
            self.unsent.set(unsent);
            tracing::warn!("Cannot send {message:?} to the service manager: {error}");
        }
    }
}

/// Returns a socket that never blocks, and the address to send to. An address with `@` is an abstract one.
fn open(address: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => {
            return Err(io::Error::other(
                "NOTIFY_SOCKET is neither a path nor an abstract name",
            ));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn number(text: &OsStr) -> Option<u64> {
    text.to_str()?.parse().ok()
}

/// Returns the message's line that `systemctl status` shows. A line break would end it, and could begin a forged one.
fn status_line(status: &str) -> String {
    format!("STATUS={}", status.replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// The receiving end.
    struct Receiver(UnixDatagram);

    impl Receiver {
        fn next(&self) -> Option<String> {
            let mut bytes = [0; 4096];
            let size = self.0.recv(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes[..size]).into_owned())
        }
    }

    /// Returns a service manager at an abstract address of its own, and its receiver.
    fn manager(watchdog: Option<&str>) -> (ServiceManager, Receiver) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ocluster-test-{}-{number}", std::process::id());
        let end = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        end.set_nonblocking(true).unwrap();
        let address = format!("@{name}");
        let manager = ServiceManager::at(Some(OsStr::new(&address)), watchdog.map(OsStr::new));
        (manager, Receiver(end))
    }

    #[test]
    fn it_receives_our_reports() {
        let (manager, receiver) = manager(None);
        manager.ready("3 pools, 12 workers");
        manager.stopping(Duration::from_secs(15), "saving\nREADY=1");
        assert_eq!(
            receiver.next().unwrap(),
            "READY=1\nSTATUS=3 pools, 12 workers"
        );
        assert_eq!(
            receiver.next().unwrap(),
            "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=saving READY=1"
        );
        assert_eq!(receiver.next(), None);
    }

    #[test]
    fn readiness_is_reported_until_it_is_received() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = ServiceManager::at(Some(path.as_os_str()), None);
        manager.ready("up");
        let receiver = Receiver(UnixDatagram::bind(&path).unwrap());
        manager.send(&["WATCHDOG=1"]);
        manager.send(&["WATCHDOG=1"]);
        assert_eq!(receiver.next().unwrap(), "READY=1\nWATCHDOG=1");
        assert_eq!(receiver.next().unwrap(), "WATCHDOG=1");
    }

    #[test]
    fn it_may_have_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let receiver = Receiver(UnixDatagram::bind(&path).unwrap());
        ServiceManager::at(Some(path.as_os_str()), None).ready("up");
        assert_eq!(receiver.next().unwrap(), "READY=1\nSTATUS=up");
    }

    #[test]
    fn a_missing_or_busy_service_manager_does_no_harm() {
        let (busy, _receiver) = manager(None);
        // Its queue is full after a few hundred.
        for _ in 0..10_000 {
            busy.ready("");
        }
        for address in ["", "vsock:2:1", "/nonexistent/notify"] {
            ServiceManager::at(Some(OsStr::new(address)), None).ready("up");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reports_come_twice_in_the_watchdogs_time() {
        let (manager, receiver) = manager(Some("3000000"));
        let counted = std::cell::Cell::new(0);
        let status = || {
            counted.set(counted.get() + 1);
            format!("{} reports", counted.get())
        };
        let some_time = tokio::time::sleep(Duration::from_millis(4_600));
        tokio::select! {
            never = manager.report_periodically(status) => match never {},
            () = some_time => {}
        }
        let messages: Vec<String> = std::iter::from_fn(|| receiver.next()).collect();
        let expected = ["1", "2", "3", "4"].map(|n| format!("WATCHDOG=1\nSTATUS={n} reports"));
        assert_eq!(messages, expected);
    }

    #[test]
    fn only_a_positive_number_is_a_watchdog_limit() {
        let watchdog = |text| ServiceManager::at(None, Some(OsStr::new(text))).watchdog;
        assert_eq!(watchdog("30000000"), Some(Duration::from_secs(30)));
        for nonsense in ["", "0", "-1", "1s"] {
            assert_eq!(watchdog(nonsense), None, "{nonsense:?}");
        }
    }
}
