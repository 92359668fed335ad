//! Peers that know the addresses of both schedulers.

use rustix::process::Signal;

use crate::farm::{Farm, Place, free_port, holder};

#[test]
fn peers_with_both_addresses_go_to_the_scheduler_that_leads() {
    let test = "peers_with_both_addresses_go_to_the_scheduler_that_leads";
    let Some(holder) = holder(test) else { return };
    let ports = [free_port(), free_port()];
    let addresses = ports.map(|port| format!("tcp:127.0.0.1:{port}"));
    let place = |number: usize| Place {
        listen: addresses[number].clone(),
        // The cap files have one address, whichever scheduler leads.
        public: addresses[0].clone(),
        checks: format!("127.0.0.1:{}", free_port()),
        machine: Vec::new(),
    };
    let options = vec![format!("--also={}", addresses[1])];
    let started = Farm::start(test, holder, [place(0), place(1)], Vec::new(), options);
    let Some(mut farm) = started else { return };
    farm.start_worker();
    let client = farm.start_client();
    farm.until_log_goes_on();
    let report = farm.doctor();
    let leads = |number: usize| format!("the scheduler at {} leads", addresses[number]);
    assert!(report.contains(&leads(0)), "{report}");
    let refuses = format!("{} refuses connections", addresses[1]);
    assert!(report.contains(&refuses), "{report}");

    // The leader freezes. It keeps its connections, and its peers leave it.
    farm.signal(0, Signal::STOP);
    farm.until("the second scheduler leads", |farm| farm.leads(1));
    farm.until_log_goes_on();
    let report = farm.doctor();
    assert!(report.contains(&leads(1)), "{report}");
    let silent = format!("{} accepts connections, but does not respond", addresses[0]);
    assert!(report.contains(&silent), "{report}");
    let said = farm.text("client.errors");
    let silent = format!("silent for 3 s; {} answers", addresses[1]);
    assert!(said.contains(&silent), "{said}");

    // It is thawed, and is a standby. The new leader is killed, and its peers return.
    farm.signal(0, Signal::CONT);
    farm.until("the first scheduler is a standby", |farm| {
        farm.readiness(0) == Some(503)
    });
    farm.signal(1, Signal::KILL);
    farm.until("the first scheduler leads again", |farm| farm.leads(0));
    farm.until_log_goes_on();
    farm.start_scheduler(1);
    farm.finish(client);
}
