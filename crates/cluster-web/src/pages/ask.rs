//! What was submitted.

use schemars::JsonSchema;
use serde::Serialize;

use crate::cluster::{Submitted, Work};

/// What was submitted. Secrets are only named.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Asked {
    /// The kind of the job: `docker`, `obuilder`, or that of a custom job.
    pub kind: String,
    /// The repository that is its source; null if it has none.
    pub repository: Option<String>,
    /// The commits, of which the first is checked out and the others are merged.
    pub commits: Vec<String>,
    /// The Dockerfile or the spec, if it was submitted with the job.
    pub text: Option<AskedText>,
    /// The options of its build, as flags of `ocluster-client`.
    pub options: Vec<String>,
    /// The ids of its secrets.
    pub secrets: Vec<String>,
    /// How large the payload of a custom job is, in bytes; null for other jobs.
    pub payload_bytes: Option<u64>,
}

/// A file that was submitted with a job.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct AskedText {
    /// Its name: `Dockerfile` or `spec`.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Asked {
    /// Returns whether it is a custom job, whose kind may be any word.
    pub(super) fn is_custom(&self) -> bool {
        self.payload_bytes.is_some()
    }

    /// Returns what was submitted; `None` if it is not known.
    pub fn of(submitted: &Submitted) -> Option<Self> {
        let Submitted {
            what,
            repository,
            commits,
            has_submodules: _,
            secrets,
        } = submitted;
        let asked = Self {
            repository: Some(repository.clone()).filter(|url| !url.is_empty()),
            commits: commits.clone(),
            secrets: secrets.clone(),
            ..Self::default()
        };
        let text = |name: &str, text: &String| AskedText {
            name: name.to_owned(),
            text: text.clone(),
        };
        match what {
            Work::Unknown => None,
            Work::Docker {
                dockerfile,
                path,
                options,
                push_to,
            } => {
                let file = path
                    .iter()
                    .map(|path| format!("--context-dockerfile={path}"));
                let push = push_to.iter().map(|target| format!("--push-to={target}"));
                Some(Self {
                    kind: "docker".to_owned(),
                    text: dockerfile
                        .as_ref()
                        .map(|contents| text("Dockerfile", contents)),
                    options: file.chain(options.iter().cloned()).chain(push).collect(),
                    ..asked
                })
            }
            Work::OBuilder { spec } => Some(Self {
                kind: "obuilder".to_owned(),
                text: Some(text("spec", spec)),
                ..asked
            }),
            Work::Custom {
                kind,
                payload_bytes,
            } => Some(Self {
                kind: kind.clone(),
                payload_bytes: Some(*payload_bytes),
                ..asked
            }),
        }
    }
}
