//! Images of a local Docker engine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::FetchError;
use super::log::Log;
use super::tool::{self, Tool};
use super::unpack::{Source, Unpacking};
use crate::documents::RunConfig;
use crate::{Image, Limits, Platform};

/// How long an engine may take to answer. Creating and removing containers can be slow on a busy disk.
const LIMIT: Duration = Duration::from_secs(60);

/// A local Docker engine.
#[derive(Clone)]
pub(super) struct Docker {
    pub(super) program: PathBuf,
    pub(super) env: Vec<(OsString, OsString)>,
}

/// The output of `docker image inspect`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default)]
    config: Option<RunConfig>,
}

impl Inspected {
    pub(super) fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone().filter(|variant| !variant.is_empty()),
        }
    }

    pub(super) fn config(self) -> RunConfig {
        self.config.unwrap_or_default()
    }
}

impl Docker {
    fn tool(&self, args: &[&str]) -> Tool {
        Tool {
            program: self.program.clone(),
            args: args.iter().map(OsString::from).collect(),
            env: self.env.clone(),
        }
    }

    fn inspect(&self, image: &str) -> Tool {
        self.tool(&["image", "inspect", "--format", "{{json .}}", "--", image])
    }

    fn pull(&self, image: &str) -> Tool {
        self.tool(&["pull", "--", image])
    }

    /// The container is never started, but cannot be made of an image that names no command unless one is given.
    fn create(&self, image: &str) -> Tool {
        self.tool(&["create", "--", image, "true"])
    }

    fn export(&self, container: &str) -> Tool {
        self.tool(&["export", "--", container])
    }

    fn remove(&self, container: &str) -> Tool {
        self.tool(&["rm", "--force", "--", container])
    }

    /// Returns the engine's image with this name, or the reason why it has none.
    pub(super) async fn find(
        &self,
        image: &str,
        cancel: &CancellationToken,
    ) -> Result<Inspected, FetchError> {
        let inspect = self.inspect(image);
        let answer = tokio::select! {
            () = cancel.cancelled() => return Err(FetchError::Cancelled),
            answer = inspect.ask(b"", LIMIT) => answer.map_err(FetchError::Failed)?,
        };
        if !answer.succeeded {
            return Err(FetchError::Failed(answer.reason()));
        }
        serde_json::from_slice(&answer.stdout)
            .map_err(|error| FetchError::Failed(format!("cannot read its answer: {error}")))
    }

    /// Makes the engine pull an image.
    pub(super) async fn get(
        &self,
        image: &str,
        cancel: &CancellationToken,
    ) -> Result<(), FetchError> {
        let answer = self.pull(image).run(cancel).await?;
        if answer.succeeded {
            return Ok(());
        }
        Err(FetchError::Failed(pull_failure(&answer.stderr)))
    }

    /// Copies the files of an image that the engine has.
    pub(super) async fn extract(
        &self,
        image: &str,
        rootfs: &Path,
        limits: &Limits,
        log: Log<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), FetchError> {
        // Not cancelled midway: the container's name would be lost, and the container left behind.
        let created = self
            .create(image)
            .ask(b"", LIMIT)
            .await
            .map_err(FetchError::Failed)?;
        if !created.succeeded {
            return Err(FetchError::Failed(created.reason()));
        }
        let container = String::from_utf8_lossy(&created.stdout).trim().to_owned();
        let extracted = self.copy(&container, rootfs, limits, log, cancel).await;
        let removed = self.remove(&container).ask(b"", LIMIT).await;
        if let Some(why) = match removed {
            Ok(answer) if answer.succeeded => None,
            Ok(answer) => Some(answer.reason()),
            Err(why) => Some(why),
        } {
            // The files are there all the same.
            tracing::warn!("Cannot remove the container {container}: {why}");
        }
        extracted
    }

    async fn copy(
        &self,
        container: &str,
        rootfs: &Path,
        limits: &Limits,
        log: Log<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), FetchError> {
        let (mut export, pipe) = self.export(container).stream()?;
        let unpacking = Unpacking::start(rootfs, limits, cancel);
        unpacking.add("docker export".to_owned(), Source::Pipe(pipe));
        let exported = tokio::select! {
            () = cancel.cancelled() => Err(FetchError::Cancelled),
            exported = tool::wait(&mut export) => exported,
        };
        // When it was killed the pipe ends, and with it the unpacking.
        drop(export);
        let unpacked = unpacking.finish(log).await;
        match (exported, unpacked) {
            // If its output cannot be written, it fails as well: the first cause counts.
            (_, Err(error @ FetchError::Write { .. })) | (Err(error), _) => Err(error),
            (Ok(()), unpacked) => unpacked,
        }
    }
}

/// Returns why an engine did not pull an image. The engine's own text is not shown: it may contain the response of a
/// service that is not a registry, which the author of a job must not see.
fn pull_failure(stderr: &[u8]) -> String {
    const REASONS: [(&[&str], &str); 4] = [
        (
            &["toomanyrequests", "Too Many Requests"],
            "the registry's rate limit for pulls is exceeded",
        ),
        (
            &["denied", "unauthorized", "authentication required"],
            "the registry requires authentication, or has no such image",
        ),
        (
            &["manifest unknown", "not found", "no matching manifest"],
            "the registry has no such image",
        ),
        (
            &[
                "no such host",
                "connection refused",
                "timeout",
                "deadline exceeded",
                "unreachable",
                "network",
                "EOF",
            ],
            "it cannot reach the registry",
        ),
    ];
    let stderr = String::from_utf8_lossy(stderr);
    let known = |(words, _): &&(&[&str], &str)| words.iter().any(|word| stderr.contains(word));
    let reason = REASONS.iter().find(known);
    let reason = reason.map_or("see the log of the engine", |(_, reason)| reason);
    format!("it failed: {reason}")
}

/// Returns what an image declares for its processes, and logs which of its settings are not used.
pub(super) fn image(config: &RunConfig, log: Log<'_>) -> Result<Image, FetchError> {
    if let Some(sentence) = config.not_applied() {
        log.line(sentence)?;
    }
    config.image().map_err(FetchError::Failed)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_command_lines() {
        let docker = Docker {
            program: "docker".into(),
            env: Vec::new(),
        };
        let lines: Vec<String> = [
            docker.inspect("-v"),
            docker.pull("-v"),
            docker.create("-v"),
            docker.export("c0"),
            docker.remove("c0"),
        ]
        .iter()
        .map(|tool| {
            let words = tool.args.iter().map(|arg| arg.to_string_lossy());
            format!("docker {}", words.collect::<Vec<_>>().join(" "))
        })
        .collect();
        expect![[r#"
            docker image inspect --format {{json .}} -- -v
            docker pull -- -v
            docker create -- -v true
            docker export -- c0
            docker rm --force -- c0"#]]
        .assert_eq(&lines.join("\n"));
    }
}
