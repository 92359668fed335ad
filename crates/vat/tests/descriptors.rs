//! Running out of file descriptors closes no connection. It is a file of its own, as the limit is that of the process.

mod common;

use std::fs::File;

use common::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vat::Security;

#[test]
fn a_listener_without_descriptors_continues_when_there_are_some() {
    run(async {
        let served = Served::start(Security::Plaintext);
        let first = served.connect().await;
        let limit = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(64),
                ..limit
            },
        )
        .unwrap();
        let mut hog = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hog.push(file);
        }
        assert!(!hog.is_empty());
        // One descriptor for the client's end, none for the server's.
        hog.pop();
        let dialer = dialer();
        let connecting = dialer.connect(&served.sturdy_ref);
        let beside = async {
            // Many failed accepts later, open connections are still open.
            tokio::time::sleep(std::time::Duration::from_millis(350)).await;
            assert_eq!(served.counters.read().connections_opened, 1);
            assert_eq!(echo(&first.bootstrap(), b"hi").await.unwrap(), b"hi");
            hog.clear();
        };
        let (second, ()) = tokio::join!(connecting, beside);
        assert_eq!(
            echo(&second.unwrap().bootstrap(), b"hi").await.unwrap(),
            b"hi"
        );
    });
}
