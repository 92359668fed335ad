//! Tables of jobs in the history.

use cluster_api::{JobState, ListedJob};
use visible::CompactElapsed;

use crate::labels::labels;
use crate::top::row::{Cells, Piece, Row, Target, Tone, table};

/// Returns a table of jobs. Each leads to its job.
pub(super) fn table_of(jobs: &[ListedJob], width: usize) -> Vec<Row> {
    let columns = ["JOB", "STATE", "SINCE", "CLIENT", "WORKER", "LABELS"];
    table(&columns, jobs.iter().map(cells).collect(), width)
}

fn cells(ListedJob { summary, client }: &ListedJob) -> Cells {
    let plain = |text: &str| Piece::new(text, Tone::Plain);
    Cells {
        cells: vec![
            plain(&summary.id),
            Piece::new(&summary.state.to_string(), tone(summary.state)),
            plain(&CompactElapsed(summary.changed_ago).to_string()),
            plain(client),
            plain(summary.worker.as_deref().unwrap_or("-")),
            plain(&labels(&summary.labels)),
        ],
        target: Some(Target::Job(summary.id.clone())),
    }
}

/// Returns the tone of a job's state.
pub(super) fn tone(state: JobState) -> Tone {
    match state {
        JobState::Succeeded | JobState::Running => Tone::Good,
        JobState::Queued | JobState::Cancelled => Tone::Plain,
        JobState::TimedOut | JobState::Failed | JobState::Lost => Tone::Bad,
    }
}
