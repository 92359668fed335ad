//! What a client does: describe a job, submit it, and follow it to its end.

use cluster_api::{
    Action, CustomJob, CustomPayload, Description, DockerBuild, Dockerfile, Job, RpcError, Ticket,
};

/// How a job ended, as its client sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The log, and if it could not be read to its end, why.
    pub(crate) log: String,
    /// The output, or how it failed.
    pub(crate) result: Result<String, String>,
}

impl Ended {
    pub(crate) fn new(log: &str, result: Result<&str, &str>) -> Self {
        Self {
            log: log.into(),
            result: result.map(str::to_owned).map_err(str::to_owned),
        }
    }
}

/// Describes a job that builds `dockerfile`, with the hint "1" as in upstream's tests.
pub(crate) fn docker(dockerfile: &str) -> Description {
    described(dockerfile, "1")
}

pub(crate) fn described(dockerfile: &str, hint: &str) -> Description {
    let dockerfile = Dockerfile::Contents(dockerfile.to_owned());
    let mut description = Description::new(Action::Docker(DockerBuild {
        dockerfile,
        ..DockerBuild::default()
    }));
    description.cache_hint = hint.to_owned();
    description
}

/// Describes a custom job whose payload is the struct `OBuilder` with `spec` in it.
pub(crate) fn custom(kind: &str, spec: &str) -> Description {
    let length = u32::try_from(spec.len() + 1).unwrap();
    // A pointer to a struct of no data words and one pointer, which points to a list of bytes.
    let mut words = [0, 0, 0, 0, 0, 0, 1, 0].to_vec();
    words.extend(1_u32.to_le_bytes());
    words.extend((length << 3 | 2).to_le_bytes());
    words.extend(spec.bytes());
    words.resize(words.len().next_multiple_of(8) + 8, 0);
    let payload = CustomPayload::from_bytes(&words).unwrap();
    Description::new(Action::Custom(CustomJob {
        kind: kind.to_owned(),
        payload,
    }))
}

/// Returns the spec in a payload that [`custom`] made.
pub(crate) fn spec_in(payload: &CustomPayload) -> String {
    let bytes = payload.as_bytes();
    let [0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, length @ ..] = bytes else {
        panic!("{bytes:?}")
    };
    let length = u32::from_le_bytes(length[..4].try_into().unwrap()) >> 3;
    String::from_utf8(length_of_text(&bytes[16..], length).to_vec()).unwrap()
}

fn length_of_text(bytes: &[u8], length: u32) -> &[u8] {
    &bytes[..usize::try_from(length).unwrap() - 1]
}

/// Follows a ticket's job to its end, holding on to the ticket.
pub(crate) async fn ended_ticket(ticket: &Ticket) -> Ended {
    let job = ticket.job();
    let ended = ended(&job).await;
    drop(job);
    ended
}

/// Follows a job to its end.
pub(crate) async fn ended(job: &Job) -> Ended {
    let result = job.result();
    let log = read_log(job).await;
    Ended {
        log,
        result: result.await.map_err(|error: RpcError| error.to_string()),
    }
}

async fn read_log(job: &Job) -> String {
    let (mut text, mut start) = (Vec::new(), 0);
    loop {
        match job.log(start).await {
            Ok(chunk) if chunk.bytes.is_empty() => break,
            Ok(chunk) => {
                text.extend(chunk.bytes);
                start = chunk.next;
            }
            Err(error) => {
                text.extend(format!("Error tailing logs: {error}").bytes());
                break;
            }
        }
    }
    String::from_utf8(text).unwrap()
}
