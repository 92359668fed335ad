//! Two schedulers on one database: one leads, the other waits.

#![expect(
    clippy::disallowed_methods,
    reason = "tests poll what other processes do"
)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rig::{PostgreSql, report_not_run};
use rustix::process::Signal;

use crate::cluster::{POOL, install_fake_docker};
use crate::harness::{LIMIT, Outcome, Place, Running};

/// One of the schedulers.
struct Member {
    number: usize,
    port: u16,
    http: u16,
    running: Running,
}

/// Schedulers with one key on one database. Each has its own state, ports and cap files.
struct Farm {
    server: PostgreSql,
    place: Place,
    store: String,
    members: Vec<Member>,
}

impl Farm {
    /// Starts so many schedulers. The first one leads. `None`: there is no PostgreSQL here.
    fn start(what: &str, count: usize) -> Option<Self> {
        let server = match PostgreSql::start(&[]) {
            Ok(server) => server,
            Err(error) => {
                report_not_run(what, &format!("{error:#}"));
                return None;
            }
        };
        let store = server.create("farm").expect("a database");
        let place = Place::new();
        install_fake_docker(&place);
        let mut farm = Self {
            server,
            place,
            store,
            members: Vec::new(),
        };
        for number in 0..count {
            let [port, http] = free_ports();
            std::fs::create_dir(farm.place.path().join(format!("secrets-{number}")))
                .expect("made the directory");
            let running = farm.start_scheduler(number, port, http);
            farm.members.push(Member {
                number,
                port,
                http,
                running,
            });
            let is_first = number == 0;
            farm.wait_until(number, if is_first { "ok" } else { "standby: process" });
        }
        farm.wait_for_standbys(count - 1);
        Some(farm)
    }

    fn start_scheduler(&self, number: usize, port: u16, http: u16) -> Running {
        let store = &self.store;
        self.place.start(&format!(
            "ocluster-scheduler --capnp-secret-key-file=./key.pem --capnp-listen-address=tcp:127.0.0.1:{port} \
             --secrets-dir=./secrets-{number} --state-dir=./scheduler-{number} --pools={POOL} \
             --listen-prometheus={http} --store={store}"
        ))
    }

    /// Starts a scheduler again that has ended.
    fn start_again(&mut self, number: usize) {
        let Member { port, http, .. } = self.members[number];
        self.members[number].running = self.start_scheduler(number, port, http);
    }

    /// Waits until a scheduler's health check begins with this.
    fn wait_until(&self, number: usize, text: &str) {
        let member = &self.members[number];
        let begin = Instant::now();
        loop {
            let found = get(member.http, "/readyz");
            if found
                .split_once("\r\n\r\n")
                .is_some_and(|(_, body)| body.starts_with(text))
            {
                return;
            }
            assert!(
                begin.elapsed() < LIMIT,
                "scheduler {} never was {text:?}, but {found:?}\n{}",
                member.number,
                member.running.stderr()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the first scheduler knows so many standbys.
    fn wait_for_standbys(&self, count: usize) {
        let begin = Instant::now();
        loop {
            let page = get(self.members[0].http, "/metrics");
            if page.contains(&format!("\nocluster_standbys {count}\n")) {
                return;
            }
            assert!(
                begin.elapsed() < LIMIT,
                "never {count} standbys in:\n{page}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn cap(number: usize, name: &str) -> String {
        format!("./secrets-{number}/{name}.cap")
    }

    fn submit(&self, number: usize, dockerfile: &str, key: &str) -> Outcome {
        let cap = Self::cap(number, "submission");
        self.place.run(&format!(
            "ocluster-client submit-docker -c {cap} --pool={POOL} --detach --key={key} --local-dockerfile {dockerfile}"
        ))
    }

    fn admin(&self, number: usize, command: &str) -> Outcome {
        let cap = Self::cap(number, "admin");
        self.place.run(&format!("ocluster-admin {command} {cap}"))
    }

    /// Returns how many jobs the scheduler knows.
    fn jobs(&self, number: usize) -> usize {
        let cap = Self::cap(number, "submission");
        let jobs = self
            .place
            .run(&format!("ocluster-client jobs --output json -c {cap}"))
            .success();
        jobs.stdout.matches("\"attached\":").count()
    }

    fn worker(&self, number: usize) -> Running {
        let cap = Self::cap(number, &format!("pool-{POOL}"));
        let mut worker = self.place.start(&format!(
            "ocluster-worker {cap} --state-dir=./worker --name=w1 --capacity=2"
        ));
        worker.wait_for("Requesting a new job...");
        worker
    }

    fn wait_for_job(&self, number: usize, id: &str) -> Outcome {
        let cap = Self::cap(number, "submission");
        self.place
            .run(&format!("ocluster-client wait -c {cap} {id}"))
    }

    /// Ends all schedulers as an operator would.
    fn end(mut self) {
        for member in &mut self.members {
            member.running.signal(Signal::TERM);
            member.running.wait_until_ended();
        }
    }
}

/// Returns ports that no other program has now.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address").port())
}

/// Returns the answer of a server, or nothing if it gives none.
fn get(port: u16, path: &str) -> String {
    let answer = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    // Between two processes of a scheduler, nobody listens.
    answer().unwrap_or_default()
}

#[test]
fn a_standby_leads_when_the_leader_is_killed_and_when_it_ends() {
    let Some(mut farm) = Farm::start("a leader that is killed", 2) else {
        return;
    };
    // The standby is not to be mistaken for a leader.
    let refused = TcpStream::connect(("127.0.0.1", farm.members[1].port));
    assert_eq!(
        refused.map_err(|error| error.kind()).err(),
        Some(std::io::ErrorKind::ConnectionRefused)
    );
    assert!(get(farm.members[1].http, "/livez").starts_with("HTTP/1.1 200"));
    assert!(get(farm.members[1].http, "/readyz").starts_with("HTTP/1.1 503"));
    let queued = farm.submit(0, "Dockerfile", "first").success();
    let queued = queued.stdout.trim();

    farm.members[0].running.signal(Signal::KILL);
    farm.members[0].running.wait_until_ended();
    farm.wait_until(1, "ok");
    assert_eq!(farm.jobs(1), 1);
    // The same submission is the same job.
    let again = farm.submit(1, "Dockerfile", "first").success();
    assert_eq!(again.stdout.trim(), queued);
    let worker = farm.worker(1);
    let _ended = farm.wait_for_job(1, queued).success();

    // The first one is a standby now. It leads when the other one ends.
    farm.start_again(0);
    farm.wait_until(0, "standby: process");
    farm.members[1].running.signal(Signal::TERM);
    farm.members[1].running.wait_until_ended();
    farm.wait_until(0, "ok");
    drop(worker);
    let _worker = farm.worker(0);
    let last = farm.submit(0, "Dockerfile", "last").success();
    let _ended = farm.wait_for_job(0, last.stdout.trim()).success();
    assert_eq!(farm.jobs(0), 2);
    farm.start_again(1);
    farm.wait_until(1, "standby: process");
    farm.end();
}

#[test]
fn a_frozen_leader_writes_nothing_and_becomes_a_standby() {
    let Some(farm) = Farm::start("a frozen leader", 2) else {
        return;
    };
    let _saved = farm.submit(0, "Dockerfile", "before").success();
    farm.members[0].running.signal(Signal::STOP);
    // The system accepts connections for it.
    let cap = Farm::cap(0, "submission");
    let late = farm.place.start(&format!(
        "ocluster-client submit-docker -c {cap} --pool={POOL} --detach --key=late --local-dockerfile Dockerfile"
    ));
    farm.wait_until(1, "ok");
    let _saved = farm.submit(1, "Dockerfile", "meanwhile").success();
    farm.members[0].running.signal(Signal::CONT);
    farm.wait_until(0, "standby: process");
    let log = farm.members[0].running.stderr();
    assert!(log.contains("Stopped leading: "), "{log}");
    drop(late);
    assert_eq!(farm.jobs(1), 2, "what the frozen one was sent is not saved");
    farm.end();
}

#[test]
fn a_standby_leads_when_an_operator_asks_for_it() {
    let Some(farm) = Farm::start("a handover", 2) else {
        return;
    };
    let listed = farm.admin(0, "schedulers").success().stdout;
    assert!(
        listed.contains("; lease 1, ") && listed.contains("; ready\n"),
        "{listed}"
    );
    let step_down = |leader: usize| {
        let _done = farm.admin(leader, "step-down").success();
        farm.wait_until(1 - leader, "ok");
        farm.wait_until(leader, "standby: process");
    };
    // Each is sent to a scheduler that is about to step down. A client of one address waits until that one leads again.
    let mut submissions: [Vec<Running>; 2] = Default::default();
    for round in 0..6 {
        let leader = round % 2;
        for number in 0..3 {
            let (cap, key) = (Farm::cap(leader, "submission"), format!("{round}-{number}"));
            submissions[leader].push(farm.place.start(&format!(
                "ocluster-client submit-docker -c {cap} --pool={POOL} --detach --key={key} \
                 --local-dockerfile Dockerfile"
            )));
        }
        step_down(leader);
    }
    let [to_first, to_second] = submissions;
    for submission in to_first {
        let _accepted = submission.wait().success();
    }
    step_down(0);
    for submission in to_second {
        let _accepted = submission.wait().success();
    }
    step_down(1);
    assert_eq!(farm.jobs(0), 18);
    let audit = farm.admin(0, "audit --limit 50").success().stdout;
    assert_eq!(audit.matches("step-down").count(), 8, "{audit}");
    farm.end();
}

#[test]
fn nobody_steps_down_alone() {
    let Some(farm) = Farm::start("a single scheduler", 1) else {
        return;
    };
    let refused = farm.admin(0, "step-down");
    assert_ne!(refused.code(), 0);
    let text = refused.raw_transcript();
    assert!(
        text.contains("no standby has looked at the lease lately"),
        "{text}"
    );
    farm.end();
}

#[test]
fn one_of_two_leads_again_after_the_database_was_away() {
    let Some(farm) = Farm::start("a database that goes away", 2) else {
        return;
    };
    let _saved = farm.submit(0, "Dockerfile", "before").success();
    farm.server.stop().expect("it stops");
    // Nobody knows who leads.
    farm.wait_until(0, "standby: no scheduler leads");
    farm.server.start_again().expect("it starts");
    let begin = Instant::now();
    let leader = loop {
        let leads =
            |number: &usize| get(farm.members[*number].http, "/readyz").ends_with("\r\n\r\nok\n");
        if let Some(leader) = (0..2).find(leads) {
            break leader;
        }
        assert!(begin.elapsed() < LIMIT, "no scheduler leads");
        std::thread::sleep(Duration::from_millis(20));
    };
    farm.wait_until(1 - leader, "standby: process");
    assert_eq!(farm.jobs(leader), 1);
    let _worker = farm.worker(leader);
    let same = farm.submit(leader, "Dockerfile", "before").success();
    let _ended = farm.wait_for_job(leader, same.stdout.trim()).success();
    farm.end();
}
