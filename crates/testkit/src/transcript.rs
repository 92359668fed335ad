//! What a client sees of a job.

use cluster_api::{Job, RpcError, Ticket};

/// A job's log and result, as its client has them at the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The log. If it could not be read to its end, its last line is the error.
    pub log: String,
    /// The output, or the error of the result.
    pub result: Result<String, String>,
}

impl Transcript {
    /// Returns the transcript that a test expects.
    pub fn new(log: &str, result: Result<&str, &str>) -> Self {
        Self {
            log: log.into(),
            result: result.map(str::to_owned).map_err(str::to_owned),
        }
    }
}

/// Follows a ticket's job to its end, and keeps the ticket.
pub async fn follow_ticket(ticket: &Ticket) -> Transcript {
    let job = ticket.job();
    let transcript = follow(&job).await;
    drop(job);
    transcript
}

/// Follows a job to its end.
pub async fn follow(job: &Job) -> Transcript {
    let result = job.result();
    let mut log = Vec::new();
    if let Err(error) = read_into(&mut log, job).await {
        log.extend(format!("Error tailing logs: {error}").bytes());
    }
    Transcript {
        log: String::from_utf8(log).unwrap(),
        result: result.await.map_err(|error| error.to_string()),
    }
}

/// Reads a job's log to its end.
///
/// # Panics
/// When the log cannot be read.
pub async fn read_log(job: &Job) -> String {
    let mut log = Vec::new();
    read_into(&mut log, job).await.unwrap();
    String::from_utf8(log).unwrap()
}

/// Appends bytes, not text: a chunk may end inside of a character.
async fn read_into(log: &mut Vec<u8>, job: &Job) -> Result<(), RpcError> {
    let mut start = 0;
    loop {
        let chunk = job.log(start).await?;
        if chunk.bytes.is_empty() {
            return Ok(());
        }
        log.extend(chunk.bytes);
        start = chunk.next;
    }
}
