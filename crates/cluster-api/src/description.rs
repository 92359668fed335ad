//! The description of a job: what to run.

use std::fmt;

use visible::without_credentials;

use crate::encoded::{MAX_DESCRIPTION_BYTES, too_large};
use crate::raw::schema_capnp::job_descr;
use crate::text::{list_length, long_text, malformed, set_texts, text, texts};
use crate::{CustomJob, DockerBuild, EncodedDescription, OBuilderBuild, RpcError, Secret};

/// What to run: `JobDescr` on the wire.
///
/// Only its form is checked. A worker checks the rest, such as commits and URLs, and reports mistakes in the job's log.
/// `Debug` hides secrets, passwords and credentials in the repository's URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Description {
    /// The kind of job, and its parameters.
    pub action: Action,
    /// Jobs with the same hint prefer the same worker. Empty: no preference.
    pub cache_hint: String,
    /// The URL of the git repository that holds `commits`. Empty: the job has no source.
    pub repository: String,
    /// The commits to check out, as full hashes: the first, with the others merged into it.
    pub commits: Vec<String>,
    /// The secrets that the build may use.
    pub secrets: Vec<Secret>,
}

/// The kind of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Build an image from a Dockerfile.
    Docker(DockerBuild),
    /// Build an OBuilder spec.
    OBuilder(OBuilderBuild),
    /// Run a kind of job on which client and workers have agreed.
    Custom(CustomJob),
}

impl Description {
    /// Returns a description without hint, source or secrets.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            cache_hint: String::new(),
            repository: String::new(),
            commits: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// Returns the description as it is sent.
    ///
    /// # Errors
    /// When it is larger than [`MAX_DESCRIPTION_BYTES`].
    pub fn encode(&self) -> Result<EncodedDescription, RpcError> {
        EncodedDescription::build(|builder| self.write(builder))
    }

    pub(crate) fn read(reader: job_descr::Reader<'_>) -> Result<Self, RpcError> {
        let secrets = reader
            .get_secrets()
            .map_err(|error| malformed(&error, "description.secrets"))?;
        Ok(Self {
            action: Action::read(reader.get_action())?,
            cache_hint: long_text(
                reader.get_cache_hint(),
                "description.cacheHint",
                MAX_DESCRIPTION_BYTES,
            )?,
            repository: text(reader.get_repository(), "description.repository")?,
            commits: texts(reader.get_commits(), "description.commits")?,
            secrets: secrets
                .iter()
                .enumerate()
                .map(|(index, secret)| Secret::read(secret, index))
                .collect::<Result<_, _>>()?,
        })
    }

    fn write(&self, mut builder: job_descr::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            action,
            cache_hint,
            repository,
            commits,
            secrets,
        } = self;
        if self.text_bytes() > MAX_DESCRIPTION_BYTES {
            return Err(too_large());
        }
        action.write(builder.reborrow().get_action())?;
        builder.set_cache_hint(cache_hint);
        builder.set_repository(repository);
        let length = list_length(commits, "description.commits")?;
        set_texts(builder.reborrow().init_commits(length), commits);
        let length = list_length(secrets, "description.secrets")?;
        let mut list = builder.init_secrets(length);
        for (index, secret) in (0..).zip(secrets) {
            secret.write(list.reborrow().get(index));
        }
        Ok(())
    }

    /// Returns the number of bytes in its texts: a lower bound of its size, known before anything is allocated.
    fn text_bytes(&self) -> usize {
        let action = match &self.action {
            Action::Docker(build) => build.text_bytes(),
            Action::OBuilder(build) => build.spec.len(),
            Action::Custom(job) => job.kind.len() + job.payload.as_bytes().len(),
        };
        let commits = self.commits.iter().map(String::len).sum::<usize>();
        let secrets = self
            .secrets
            .iter()
            .map(|s| s.id.len() + s.value.expose().len())
            .sum::<usize>();
        action + self.cache_hint.len() + self.repository.len() + commits + secrets
    }
}

impl Action {
    fn read(reader: job_descr::action::Reader<'_>) -> Result<Self, RpcError> {
        match reader.which() {
            Ok(job_descr::action::DockerBuild(build)) => {
                let build = build.map_err(|error| malformed(&error, "description.dockerBuild"))?;
                Ok(Self::Docker(DockerBuild::read(build)?))
            }
            Ok(job_descr::action::Obuilder(build)) => {
                let build = build.map_err(|error| malformed(&error, "description.obuilder"))?;
                Ok(Self::OBuilder(OBuilderBuild::read(build)?))
            }
            Ok(job_descr::action::Custom(job)) => {
                let job = job.map_err(|error| malformed(&error, "description.custom"))?;
                Ok(Self::Custom(CustomJob::read(job)?))
            }
            Err(capnp::NotInSchema(tag)) => {
                Err(RpcError::failed(format!("Unknown action type {tag}")))
            }
        }
    }

    fn write(&self, builder: job_descr::action::Builder<'_>) -> Result<(), RpcError> {
        match self {
            Self::Docker(build) => build.write(builder.init_docker_build()),
            Self::OBuilder(build) => {
                build.write(builder.init_obuilder());
                Ok(())
            }
            Self::Custom(job) => job.write(builder.init_custom()),
        }
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            action,
            cache_hint,
            repository,
            commits,
            secrets,
        } = self;
        f.debug_struct("Description")
            .field("action", action)
            .field("cache_hint", cache_hint)
            .field("repository", &without_credentials(repository))
            .field("commits", commits)
            .field("secrets", secrets)
            .finish()
    }
}
