//! What a client waits for, said on a terminal until the job's log begins.

use std::convert::Infallible;
use std::time::Duration;

use cluster_api::{Ticket, TicketStatus};

use crate::status_line::StatusLine;

/// How often the scheduler is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps `line` up to date with how far `ticket` has come, until it is dropped.
///
/// Asks nothing more once the line is retired, or when the scheduler cannot tell (upstream's cannot).
pub(super) async fn show(ticket: &Ticket, line: &StatusLine) -> Infallible {
    while line.is_enabled() {
        tokio::time::sleep(INTERVAL).await;
        match ticket.status().await {
            Ok(TicketStatus::Finished) | Err(_) => line.retire(),
            Ok(status) => line.show(&describe(&status)),
        }
    }
    std::future::pending().await
}

fn describe(status: &TicketStatus) -> String {
    match status {
        TicketStatus::Queued { ahead } => format!("queued: {}", ahead_of_this(*ahead)),
        TicketStatus::Assigned { worker, ahead } => {
            format!("queued on {worker}: {}", ahead_of_this(*ahead))
        }
        TicketStatus::Running { worker } => format!("building on {worker}"),
        TicketStatus::Finished => "finished".to_owned(),
    }
}

fn ahead_of_this(ahead: u32) -> String {
    match ahead {
        0 => "next in line".to_owned(),
        1 => "1 job ahead of this one".to_owned(),
        n => format!("{n} jobs ahead of this one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_says_what_it_waits_for() {
        let worker = || "w1".to_owned();
        let text = |status| describe(&status);
        assert_eq!(
            text(TicketStatus::Queued { ahead: 3 }),
            "queued: 3 jobs ahead of this one"
        );
        assert_eq!(
            text(TicketStatus::Queued { ahead: 1 }),
            "queued: 1 job ahead of this one"
        );
        assert_eq!(
            text(TicketStatus::Assigned {
                worker: worker(),
                ahead: 0
            }),
            "queued on w1: next in line"
        );
        assert_eq!(
            text(TicketStatus::Running { worker: worker() }),
            "building on w1"
        );
    }
}
