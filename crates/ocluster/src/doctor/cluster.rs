//! Checks of a running cluster: its workers, their responsiveness, and the queue.

use std::path::Path;
use std::time::Duration;

use cluster_api::{
    Admin, ConnectedWorker, InactiveReason, PoolDetails, Presence, RpcError, RpcErrorKind,
    WorkerDetails, WorkerInfo,
};
use visible::{CompactElapsed, counted};

use super::cap_files::{dial, judge_connection, judge_file};
use super::check::Check;

/// The time limit for an answer of the scheduler, which has it in memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// A job that has waited this long for a worker is worth a warning.
const LONG_WAIT: Duration = Duration::from_secs(3600);

/// A job that has run this long is likely to be stuck.
const LONG_RUN: Duration = Duration::from_secs(6 * 3600);

/// This many registrations, the last of them fresh, look like a connection that does not last.
const MANY_REGISTRATIONS: u64 = 5;
const FRESH: Duration = Duration::from_secs(600);

/// Checks the cluster whose `admin.cap` is at `cap`.
pub(super) async fn checks(cap: &Path) -> Vec<Check> {
    let name = format!("cap file {}", cap.display());
    let file = judge_file(&name, cap, cap.metadata());
    let Ok(target) = vat::cap_file::load(cap) else {
        // The check of the file reports the error.
        return super::cap_files::checks(cap).await;
    };
    let session = match dial(&target).await {
        Ok(session) => session,
        Err(error) => return vec![file, judge_connection("scheduler", &target, Err(&error))],
    };
    let mut checks = vec![file, judge_connection("scheduler", &target, Ok(&()))];
    let admin = Admin::from_client(session.bootstrap());
    match within(admin.pools()).await {
        Ok(pools) => {
            let each = pools.iter().map(|pool| check_pool(&admin, pool, cap));
            checks.extend(futures::future::join_all(each).await.concat());
        }
        Err(error) => checks.push(Check::problem(
            "admin",
            format!("cannot list pools: {error}"),
            "use the scheduler's admin.cap",
        )),
    }
    checks
}

async fn within<T>(answer: impl Future<Output = Result<T, RpcError>>) -> Result<T, RpcError> {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(RpcError::failed("no answer within 10 s")))
}

async fn check_pool(admin: &Admin, name: &str, cap: &Path) -> Vec<Check> {
    let pool = admin.pool(name);
    let todo = Advice { cap, pool: name };
    match within(pool.details()).await {
        Ok(details) => judge_pool(&todo, &details),
        // Upstream's scheduler.
        Err(error) if error.kind == RpcErrorKind::Unimplemented => {
            match within(pool.workers()).await {
                Ok(workers) => judge_workers(&todo, &workers),
                Err(error) => vec![unanswered(name, &error)],
            }
        }
        Err(error) => vec![unanswered(name, &error)],
    }
}

fn unanswered(pool: &str, error: &RpcError) -> Check {
    Check::problem(
        format!("pool {pool}"),
        format!("cannot read the state: {error}"),
        "see its log",
    )
}

/// Builds the command lines that would help.
struct Advice<'a> {
    cap: &'a Path,
    pool: &'a str,
}

impl Advice<'_> {
    fn command(&self, command: &str, worker: &str) -> String {
        let line = format!(
            "ocluster-admin {command} {} {} {worker}",
            self.cap.display(),
            self.pool
        );
        line.trim_end().to_owned()
    }
}

fn judge_pool(todo: &Advice<'_>, details: &PoolDetails) -> Vec<Check> {
    let PoolDetails {
        workers,
        backlog,
        oldest_wait,
        ..
    } = details;
    let connected: Vec<&ConnectedWorker> = workers
        .iter()
        .filter_map(|worker| match &worker.presence {
            Presence::Connected(connected) => Some(connected),
            Presence::NeverSeen | Presence::Left(_) => None,
        })
        .collect();
    let active = connected
        .iter()
        .filter(|worker| worker.inactive.is_empty())
        .count();
    let queued = connected.iter().map(|worker| worker.queued).sum::<u32>() + backlog;
    let name = format!("pool {}", todo.pool);
    let (found, start) = if connected.is_empty() {
        (
            format!("no worker is connected, {queued} wait"),
            "start a worker",
        )
    } else {
        (
            format!(
                "{active} of {} workers take jobs; {}, {queued} wait",
                workers.len(),
                busy(&connected)
            ),
            "start a worker, or unpause one that is connected",
        )
    };
    let pool = if queued > 0 && active == 0 {
        Check::problem(name, format!("{found}, and no worker accepts jobs"), start)
    } else if active == 0 {
        Check::warning(name, found, start)
    } else if *oldest_wait > LONG_WAIT {
        Check::warning(
            name,
            format!("{found}, the oldest for {}", CompactElapsed(*oldest_wait)),
            format!(
                "add workers, or see which client submits so much: {}",
                todo.command("show", "")
            ),
        )
    } else {
        Check::fit(name, found)
    };
    let mut checks = vec![pool];
    for worker in workers {
        checks.extend(judge_worker(todo, worker));
    }
    checks
}

/// Returns how much of their capacity the workers use. The jobs of workers that report none are counted apart.
fn busy(connected: &[&ConnectedWorker]) -> String {
    let (reporting, others): (Vec<&ConnectedWorker>, Vec<&ConnectedWorker>) =
        connected.iter().partition(|worker| worker.capacity > 0);
    let running = |workers: &[&ConnectedWorker]| -> usize {
        workers.iter().map(|worker| worker.running.len()).sum()
    };
    let capacity: u32 = reporting.iter().map(|worker| worker.capacity).sum();
    let slots = format!("{} of {capacity} slots are busy", running(&reporting));
    let apart = format!(
        "{} run on workers that report no capacity",
        counted(running(&others), "job")
    );
    if others.is_empty() {
        slots
    } else if reporting.is_empty() {
        apart
    } else {
        format!("{slots}, {apart}")
    }
}

fn judge_worker(todo: &Advice<'_>, worker: &WorkerDetails) -> Vec<Check> {
    let name = format!("worker {} of {}", worker.name, todo.pool);
    let away = |found: String| {
        let forget = todo.command("forget", &worker.name);
        vec![Check::warning(
            name.clone(),
            found,
            format!("start it, or if it is gone for good: {forget}"),
        )]
    };
    let connected = match &worker.presence {
        Presence::NeverSeen => return away("not seen since the scheduler started".to_owned()),
        Presence::Left(ago) => return away(format!("left {} ago", CompactElapsed(*ago))),
        Presence::Connected(connected) => connected,
    };
    let mut checks: Vec<Check> = connected
        .inactive
        .iter()
        .filter_map(|reason| judge_reason(todo, &name, &worker.name, connected, *reason))
        .collect();
    checks.extend(connected.pause_reasons.iter().map(|reason| {
        let found = format!("has paused itself: {}", reason.problem);
        match reason.advice.as_str() {
            "" => Check::warning(name.clone(), found, "wait: this ends by itself"),
            advice => Check::problem(
                name.clone(),
                found,
                format!("on the machine at {}: {advice}", connected.address),
            ),
        }
    }));
    if worker.registrations >= MANY_REGISTRATIONS && connected.registered_for < FRESH {
        checks.push(Check::warning(
            name.clone(),
            format!(
                "has registered {} times, last {} ago",
                worker.registrations,
                CompactElapsed(connected.registered_for)
            ),
            "see its log for why it reconnects: the network, or a supervisor that restarts it",
        ));
    }
    for job in connected
        .running
        .iter()
        .filter(|job| job.running_for > LONG_RUN)
    {
        checks.push(Check::warning(
            name.clone(),
            format!(
                "has been running a job of {} for {}",
                job.client,
                CompactElapsed(job.running_for)
            ),
            "if it is stuck, let its client cancel it, or restart the worker",
        ));
    }
    checks
}

fn judge_reason(
    todo: &Advice<'_>,
    name: &str,
    worker: &str,
    connected: &ConnectedWorker,
    reason: InactiveReason,
) -> Option<Check> {
    let warning = |found: &str, advice: String| Some(Check::warning(name, found, advice));
    match reason {
        InactiveReason::NotAnswering => Some(Check::problem(
            name,
            format!(
                "connected, but unresponsive for {}",
                CompactElapsed(connected.silent_for)
            ),
            format!(
                "check the machine at {}: it may be stopped, swapping, or out of disk space",
                connected.address
            ),
        )),
        // Each of them has a line of its own.
        InactiveReason::WorkerPause if !connected.pause_reasons.is_empty() => None,
        InactiveReason::WorkerPause => warning(
            "has paused itself, without a reason",
            format!(
                "see its log; on that machine: ocluster doctor (it connects from {})",
                connected.address
            ),
        ),
        InactiveReason::AdminPause => {
            warning("paused by an operator", todo.command("unpause", worker))
        }
        InactiveReason::TemporaryPause => warning(
            "paused by an operator until it reconnects",
            todo.command("unpause-worker", worker),
        ),
        InactiveReason::ShuttingDown => None,
        InactiveReason::Other => warning(
            "takes no jobs, for a reason unknown to this version",
            format!("see {}", todo.command("show", "")),
        ),
    }
}

/// Judges what upstream's scheduler reports.
fn judge_workers(todo: &Advice<'_>, workers: &[WorkerInfo]) -> Vec<Check> {
    let name = format!("pool {}", todo.pool);
    let active = workers
        .iter()
        .filter(|worker| worker.active && worker.connected)
        .count();
    let found = format!(
        "{active} of {} workers take jobs (this scheduler reports no more)",
        workers.len()
    );
    let pool = if active == 0 {
        Check::warning(
            name,
            found,
            "start a worker, or unpause one that is connected",
        )
    } else {
        Check::fit(name, found)
    };
    let mut checks = vec![pool];
    for worker in workers {
        let name = format!("worker {} of {}", worker.name, todo.pool);
        if !worker.connected {
            let forget = todo.command("forget", &worker.name);
            checks.push(Check::warning(
                name,
                "not connected",
                format!("start it, or if it is gone for good: {forget}"),
            ));
        } else if !worker.active {
            checks.push(Check::warning(
                name,
                "paused",
                todo.command("unpause", &worker.name),
            ));
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use cluster_api::{PauseReason, RunningJob};
    use expect_test::expect;

    use super::super::check::text;
    use super::*;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(3600 * hours)
    }

    fn connected() -> ConnectedWorker {
        ConnectedWorker {
            registered_for: hours(30),
            address: "10.0.0.7:41414".to_owned(),
            capacity: 4,
            inactive: Vec::new(),
            silent_for: Duration::ZERO,
            queued: 0,
            workload: Duration::ZERO,
            finished: 12,
            running: Vec::new(),
            pause_reasons: Vec::new(),
        }
    }

    fn worker(name: &str, presence: Presence) -> WorkerDetails {
        WorkerDetails {
            name: name.to_owned(),
            paused: false,
            registrations: 1,
            presence,
        }
    }

    fn judged(workers: Vec<WorkerDetails>, backlog: u32, oldest_wait: Duration) -> String {
        let todo = Advice {
            cap: Path::new("admin.cap"),
            pool: "linux",
        };
        let details = PoolDetails {
            workers,
            backlog,
            oldest_wait,
            clients: Vec::new(),
        };
        text(&judge_pool(&todo, &details), false)
    }

    #[test]
    fn each_way_of_a_worker_to_be() {
        let because = |reason| {
            Presence::Connected(ConnectedWorker {
                inactive: vec![reason],
                silent_for: Duration::from_secs(75),
                ..connected()
            })
        };
        let job = |client: &str, running_for| RunningJob {
            ticket: 1,
            client: client.to_owned(),
            cache_hint: String::new(),
            urgent: false,
            running_for,
        };
        let busy = ConnectedWorker {
            running: vec![job("alice", hours(9)), job("bob", hours(1))],
            ..connected()
        };
        let full = Presence::Connected(ConnectedWorker {
            inactive: vec![InactiveReason::WorkerPause],
            pause_reasons: vec![
                PauseReason::new(
                    "state-disk",
                    "12 MiB are free for the state directory",
                    "make room on its disk",
                ),
                PauseReason::new("obuilder-store", "Making room on the disk", ""),
            ],
            ..connected()
        });
        let fresh = ConnectedWorker {
            registered_for: Duration::from_secs(45),
            ..connected()
        };
        let workers = vec![
            worker("busy", Presence::Connected(busy)),
            WorkerDetails {
                registrations: 17,
                ..worker("flapping", Presence::Connected(fresh))
            },
            worker("frozen", because(InactiveReason::NotAnswering)),
            worker("full", full),
            worker("gone", Presence::Left(hours(50))),
            worker("mute", because(InactiveReason::WorkerPause)),
            worker("never", Presence::NeverSeen),
            worker("paused", because(InactiveReason::AdminPause)),
            worker("resting", because(InactiveReason::TemporaryPause)),
            worker("updating", because(InactiveReason::ShuttingDown)),
        ];
        expect![[r#"
            warning  pool linux                2 of 10 workers take jobs; 2 of 32 slots are busy, 3 wait, the oldest for 2h00m
                     -> add workers, or see which client submits so much: ocluster-admin show admin.cap linux
            warning  worker busy of linux      has been running a job of alice for 9h00m
                     -> if it is stuck, let its client cancel it, or restart the worker
            warning  worker flapping of linux  has registered 17 times, last 45s ago
                     -> see its log for why it reconnects: the network, or a supervisor that restarts it
            problem  worker frozen of linux    connected, but unresponsive for 1m15s
                     -> check the machine at 10.0.0.7:41414: it may be stopped, swapping, or out of disk space
            problem  worker full of linux      has paused itself: 12 MiB are free for the state directory
                     -> on the machine at 10.0.0.7:41414: make room on its disk
            warning  worker full of linux      has paused itself: Making room on the disk
                     -> wait: this ends by itself
            warning  worker gone of linux      left 2d02h ago
                     -> start it, or if it is gone for good: ocluster-admin forget admin.cap linux gone
            warning  worker mute of linux      has paused itself, without a reason
                     -> see its log; on that machine: ocluster doctor (it connects from 10.0.0.7:41414)
            warning  worker never of linux     not seen since the scheduler started
                     -> start it, or if it is gone for good: ocluster-admin forget admin.cap linux never
            warning  worker paused of linux    paused by an operator
                     -> ocluster-admin unpause admin.cap linux paused
            warning  worker resting of linux   paused by an operator until it reconnects
                     -> ocluster-admin unpause-worker admin.cap linux resting

            2 problems, 9 warnings.
        "#]].assert_eq(&judged(workers, 3, hours(2)));
    }

    #[test]
    fn a_pool_is_fit_when_somebody_takes_its_jobs() {
        let fine = || vec![worker("w1", Presence::Connected(connected()))];
        let texts = [
            judged(fine(), 0, Duration::ZERO),
            judged(fine(), 7, Duration::from_secs(30)),
            judged(Vec::new(), 0, Duration::ZERO),
            judged(Vec::new(), 7, Duration::from_secs(30)),
            judged(vec![worker("w1", Presence::NeverSeen)], 7, Duration::ZERO),
        ];
        expect![[r#"
            ok       pool linux  1 of 1 workers take jobs; 0 of 4 slots are busy, 0 wait

            No problems found.

            ok       pool linux  1 of 1 workers take jobs; 0 of 4 slots are busy, 7 wait

            No problems found.

            warning  pool linux  no worker is connected, 0 wait
                     -> start a worker

            0 problems, 1 warning.

            problem  pool linux  no worker is connected, 7 wait, and no worker accepts jobs
                     -> start a worker

            1 problem, 0 warnings.

            problem  pool linux          no worker is connected, 7 wait, and no worker accepts jobs
                     -> start a worker
            warning  worker w1 of linux  not seen since the scheduler started
                     -> start it, or if it is gone for good: ocluster-admin forget admin.cap linux w1

            1 problem, 1 warning.
        "#]].assert_eq(&texts.join("\n"));
    }

    #[test]
    fn jobs_of_workers_that_tell_no_capacity_are_in_no_slot() {
        let job = || RunningJob {
            ticket: 1,
            client: "alice".to_owned(),
            cache_hint: String::new(),
            urgent: false,
            running_for: Duration::ZERO,
        };
        let with = |capacity, running| {
            Presence::Connected(ConnectedWorker {
                capacity,
                running,
                ..connected()
            })
        };
        let new = || worker("new", with(4, vec![job()]));
        let old = || worker("old", with(0, vec![job(), job()]));
        let texts = [
            judged(vec![new(), old()], 0, Duration::ZERO),
            judged(vec![old()], 0, Duration::ZERO),
        ];
        expect![[r#"
            ok       pool linux  2 of 2 workers take jobs; 1 of 4 slots are busy, 2 jobs run on workers that report no capacity, 0 wait

            No problems found.

            ok       pool linux  1 of 1 workers take jobs; 2 jobs run on workers that report no capacity, 0 wait

            No problems found.
        "#]].assert_eq(&texts.join("\n"));
    }

    #[test]
    fn upstreams_scheduler_tells_less() {
        let todo = Advice {
            cap: Path::new("admin.cap"),
            pool: "linux",
        };
        let worker = |name: &str, active, connected| WorkerInfo {
            name: name.to_owned(),
            active,
            connected,
        };
        let workers = [
            worker("w1", true, true),
            worker("w2", false, true),
            worker("w3", true, false),
        ];
        expect![[r#"
            ok       pool linux          1 of 3 workers take jobs (this scheduler reports no more)
            warning  worker w2 of linux  paused
                     -> ocluster-admin unpause admin.cap linux w2
            warning  worker w3 of linux  not connected
                     -> start it, or if it is gone for good: ocluster-admin forget admin.cap linux w3

            0 problems, 2 warnings.
        "#]].assert_eq(&text(&judge_workers(&todo, &workers), false));
    }
}
