//! Peers that know an address that moves: keepalived, with the project's configuration, on two machines.

use std::path::Path;

use rustix::process::Signal;

use crate::farm::{Farm, Place, holder, wrapped};
use crate::machines::Machines;

/// The address in the project's configuration.
const ADDRESS: &str = "192.0.2.10";

/// Makes a machine's /etc/keepalived of the files in `$1`, and runs keepalived.
const SCRIPT: &str = r#"
mount -t tmpfs tmpfs /etc/keepalived && mount -t tmpfs tmpfs /run &&
install -m 644 "$1/keepalived.conf" /etc/keepalived/ &&
install -m 755 "$1/check-scheduler" /etc/keepalived/ &&
exec keepalived --dont-fork --log-console --vrrp
"#;

#[test]
fn keepalived_moves_an_address_to_the_scheduler_that_leads() {
    let test = "keepalived_moves_an_address_to_the_scheduler_that_leads";
    if !rig::is_root() {
        return rig::report_not_run(test, "root, for network namespaces");
    }
    if rig::find_program("keepalived").is_none() || rig::find_program("curl").is_none() {
        return rig::report_not_run(test, "keepalived and curl");
    }
    let Some(holder) = holder(test) else { return };
    let machines = Machines::new(&holder);
    let place = |number: usize| Place {
        listen: "tcp:0.0.0.0:9000".to_owned(),
        public: format!("tcp:{ADDRESS}:9000"),
        checks: "127.0.0.1:9090".to_owned(),
        machine: machines.on(number),
    };
    let places = [place(0), place(1)];
    let started = Farm::start(test, holder, places, machines.on(2), Vec::new());
    let Some(mut farm) = started else { return };
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/keepalived");
    for number in [0, 1] {
        // With mounts and process ids of its own, so that all of it ends with its first process.
        let mut keepalived = wrapped("unshare", &machines.on(number));
        keepalived
            .args(["--mount", "--pid", "--mount-proc", "--fork", "--kill-child"])
            .args(["sh", "-c", SCRIPT, "sh"])
            .arg(&files);
        let log = format!("keepalived-{number}.log");
        let running = farm.holder().run(&keepalived, &log);
        running.expect("it starts");
    }
    let has_address = |number: usize| {
        let mut ip = wrapped("ip", &machines.on(number));
        let output = ip.args(["addr", "show"]).output().expect("ip runs");
        String::from_utf8_lossy(&output.stdout).contains(ADDRESS)
    };
    farm.until("the first machine has the address", |_| has_address(0));
    farm.start_worker();
    let client = farm.start_client();
    farm.until_log_goes_on();

    // The leader is killed.
    farm.signal(0, Signal::KILL);
    farm.until("the second scheduler leads", |farm| farm.leads(1));
    farm.until("its machine has the address", |_| has_address(1));
    assert!(!has_address(0), "no other machine has it");
    farm.until_log_goes_on();

    // The new one freezes, and its connections are lost when the address has moved.
    farm.start_scheduler(0);
    farm.until("the first scheduler is a standby", |farm| {
        farm.readiness(0) == Some(503)
    });
    farm.signal(1, Signal::STOP);
    farm.until("the first machine has the address again", |_| {
        has_address(0)
    });
    farm.until_log_goes_on();
    farm.finish(client);
}
