//! Peers that know the address of a proxy: HAProxy, with the project's configuration.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::farm::{Farm, Place, free_port, holder};

#[test]
fn haproxy_leads_peers_to_the_scheduler_that_leads() {
    let test = "haproxy_leads_peers_to_the_scheduler_that_leads";
    let Some(program) = rig::find_program("haproxy") else {
        return rig::report_not_run(test, "haproxy");
    };
    let Some(holder) = holder(test) else { return };
    let ports = [free_port(), free_port()];
    let checks = [free_port(), free_port()];
    let proxy = free_port();
    let place = |number: usize| Place {
        listen: format!("tcp:127.0.0.1:{}", ports[number]),
        public: format!("tcp:127.0.0.1:{proxy}"),
        checks: format!("127.0.0.1:{}", checks[number]),
        machine: Vec::new(),
    };
    let places = [place(0), place(1)];
    let started = Farm::start(test, holder, places, Vec::new(), Vec::new());
    let Some(farm) = started else { return };

    // The configuration as it is, but for the ports of this test.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/haproxy/haproxy.cfg");
    let mut text = fs::read_to_string(file).expect("a configuration");
    let mut replace = |old: &str, new: String| {
        assert!(text.contains(old), "no {old:?} in the configuration");
        text = text.replace(old, &new);
    };
    replace("bind :9000", format!("bind 127.0.0.1:{proxy}"));
    for (number, (port, check)) in (1..).zip(ports.into_iter().zip(checks)) {
        replace(
            &format!(" scheduler-{number}:9000"),
            format!(" 127.0.0.1:{port} port {check}"),
        );
    }
    fs::write(farm.file("haproxy.cfg"), text).expect("a file");
    let mut haproxy = Command::new(program);
    haproxy.args(["-db", "-f", "haproxy.cfg"]);
    let running = farm.holder().run(&haproxy, "haproxy.log");
    running.expect("it starts");
    farm.until("the proxy knows who leads", |farm| {
        farm.text("haproxy.log").contains("scheduler-2 is DOWN")
    });

    farm.start_worker();
    let client = farm.start_client();
    farm.until_log_goes_on();

    // The leader is killed.
    farm.signal(0, Signal::KILL);
    farm.until("the second scheduler leads", |farm| farm.leads(1));
    farm.until_log_goes_on();

    // The new one freezes, and the proxy closes its connections.
    let mut farm = farm;
    farm.start_scheduler(0);
    farm.until("the first scheduler is a standby", |farm| {
        farm.readiness(0) == Some(503)
    });
    farm.signal(1, Signal::STOP);
    farm.until("the first scheduler leads again", |farm| farm.leads(0));
    farm.until_log_goes_on();
    farm.finish(client);
}
