//! Descriptions of jobs, by the names that a [`MockBuilder`](crate::MockBuilder) knows them by.

use cluster_api::{
    Action, CustomJob, CustomPayload, Description, DockerBuild, Dockerfile, JobRequest, Unwatched,
};

/// The hint of upstream's tests.
const DEFAULT_HINT: &str = "1";

/// Describes a job that builds `dockerfile`, with the hint "1" as in upstream's tests.
pub fn docker(dockerfile: &str) -> Description {
    docker_with_hint(dockerfile, DEFAULT_HINT)
}

/// Describes a job that builds `dockerfile`, with this hint.
pub fn docker_with_hint(dockerfile: &str, hint: &str) -> Description {
    let dockerfile = Dockerfile::Contents(dockerfile.to_owned());
    let mut description = Description::new(Action::Docker(DockerBuild {
        dockerfile,
        ..DockerBuild::default()
    }));
    description.cache_hint = hint.to_owned();
    description
}

/// Returns a request for a durable job that builds `dockerfile` in a pool named `pool`, also without its client.
pub fn job_request(dockerfile: &str) -> JobRequest {
    JobRequest {
        unwatched: Unwatched::Continues,
        ..JobRequest::new("pool", docker(dockerfile).encode().unwrap())
    }
}

/// Describes a custom job whose payload is the struct `OBuilder` with `spec` in it.
pub fn custom(kind: &str, spec: &str) -> Description {
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
    // Without the zero byte at the end of a text.
    let length = usize::try_from(length).unwrap() - 1;
    String::from_utf8(bytes[16..][..length].to_vec()).unwrap()
}
