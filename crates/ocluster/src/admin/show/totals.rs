//! The totals of a scheduler's pools, one line each.

use crate::json::pools::Totals;
use cli::human::table;
use cli::quote::printable;
use visible::CompactElapsed;

/// Returns the table. A dash stands for what the scheduler cannot report.
pub(super) fn text(pools: &[Totals]) -> String {
    let heading = [
        "POOL",
        "CONNECTED",
        "INACTIVE",
        "RUNNING",
        "QUEUED",
        "LONGEST WAIT",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(pools.iter().map(row));
    table(&rows)
}

fn row(pool: &Totals) -> Vec<String> {
    let Totals {
        name,
        workers,
        connected,
        inactive,
        capacity,
        running,
        queued,
        oldest_wait_seconds,
    } = pool;
    let dash = || "-".to_owned();
    let running = running
        .zip(*capacity)
        .map(|(running, capacity)| format!("{running} of {capacity}"));
    let wait = oldest_wait_seconds.map(|seconds| CompactElapsed::from_seconds(seconds).to_string());
    vec![
        printable(name),
        format!("{connected} of {workers}"),
        inactive.to_string(),
        running.unwrap_or_else(dash),
        queued.map_or_else(dash, |queued| queued.to_string()),
        wait.unwrap_or_else(dash),
    ]
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_pool_has_a_line() {
        let ours = Totals {
            name: "linux-x86_64".to_owned(),
            workers: 4,
            connected: 3,
            inactive: 1,
            capacity: Some(12),
            running: Some(9),
            queued: Some(17_000),
            oldest_wait_seconds: Some(302.5),
        };
        let upstreams = Totals {
            name: "arm".to_owned(),
            workers: 1,
            connected: 1,
            inactive: 0,
            capacity: None,
            running: None,
            queued: None,
            oldest_wait_seconds: None,
        };
        expect![[r#"
            POOL          CONNECTED  INACTIVE  RUNNING  QUEUED  LONGEST WAIT
            linux-x86_64  3 of 4     1         9 of 12  17000   5m02s
            arm           1 of 1     0         -        -       -
        "#]]
        .assert_eq(&text(&[ours, upstreams]));
    }
}
