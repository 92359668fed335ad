//! Judges a pool.

use std::time::Duration;

use cluster_api::{ConnectedWorker, PoolDetails, Presence};

use super::{Commands, Finding, Severity, worker};
use visible::{CompactElapsed, counted};

/// A job that has waited this long for a worker is worth a warning.
const LONG_WAIT: Duration = Duration::from_secs(3600);

/// Returns what there is to say about a pool, and then the problems of its workers.
///
/// `obstacle` is why no worker takes jobs, if that is known and none does: it ends with what to do.
pub fn of_pool(
    commands: Commands<'_>,
    details: &PoolDetails,
    obstacle: Option<&str>,
) -> Vec<Finding> {
    let PoolDetails {
        workers,
        backlog,
        oldest_wait,
        clients: _,
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
    let (severity, found, advice) = match obstacle.filter(|_| active == 0) {
        Some(obstacle) if queued > 0 => (Severity::Problem, stopped(queued, obstacle), None),
        Some(obstacle) => (Severity::Warning, stopped(queued, obstacle), None),
        None if active == 0 && queued > 0 => {
            let found = format!("{found}, and no worker accepts jobs");
            (Severity::Problem, found, Some(start.to_owned()))
        }
        None if active == 0 => (Severity::Warning, found, Some(start.to_owned())),
        None if *oldest_wait > LONG_WAIT => {
            let found = format!("{found}, the oldest for {}", CompactElapsed(*oldest_wait));
            let show = commands.line("show", "");
            let advice = format!("add workers, or see which client submits so much: {show}");
            (Severity::Warning, found, Some(advice))
        }
        None => (Severity::Fine, found, None),
    };
    let pool = Finding {
        worker: None,
        severity,
        found,
        advice,
    };
    let workers = workers
        .iter()
        .flat_map(|worker| worker::findings(commands, worker));
    std::iter::once(pool).chain(workers).collect()
}

/// Returns that no worker takes jobs, and why.
fn stopped(queued: u32, obstacle: &str) -> String {
    match queued {
        0 => format!("no job could run: {obstacle}"),
        1 => format!("1 job waits: {obstacle}"),
        _ => format!("{queued} jobs wait: {obstacle}"),
    }
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

#[cfg(test)]
mod tests {
    use cluster_api::WorkerDetails;

    use super::*;

    fn found(backlog: u32, obstacle: Option<&str>) -> (Severity, String, Option<String>) {
        let commands = Commands {
            cap: "admin.cap",
            pool: "linux",
        };
        let worker = WorkerDetails {
            name: "w1".to_owned(),
            paused: false,
            registrations: 1,
            presence: Presence::Left(Duration::from_secs(60)),
        };
        let details = PoolDetails {
            workers: vec![worker],
            backlog,
            oldest_wait: Duration::ZERO,
            clients: Vec::new(),
        };
        let findings = of_pool(commands, &details, obstacle);
        let names: Vec<_> = findings.iter().map(|found| found.worker.clone()).collect();
        assert_eq!(names, [None, Some("w1".to_owned())]);
        let pool = findings.into_iter().next();
        let Finding {
            severity,
            found,
            advice,
            ..
        } = pool.expect("there is one");
        (severity, found, advice)
    }

    #[test]
    fn an_obstacle_is_told_with_the_jobs_that_it_stops() {
        let obstacle = Some("w1 left 1 min ago; start it");
        let text = |text: &str| text.to_owned();
        let expected = text("2 jobs wait: w1 left 1 min ago; start it");
        assert_eq!(found(2, obstacle), (Severity::Problem, expected, None));
        let expected = text("no job could run: w1 left 1 min ago; start it");
        assert_eq!(found(0, obstacle), (Severity::Warning, expected, None));
        let expected = text("no worker is connected, 2 wait, and no worker accepts jobs");
        let advice = Some(text("start a worker"));
        assert_eq!(found(2, None), (Severity::Problem, expected, advice));
    }
}
