//! Replaces this worker by its latest version, if it is a container of a Docker swarm's service; else it only ends, for
//! whoever started it to start it again.

use std::ffi::OsString;

use crate::cancel::Cancel;
use crate::process::{Command, Environment, ProcessError, Processes};

/// What an engine writes on containers of a swarm's service.
const SERVICE_LABEL: &str = "{{ .Label \"com.docker.swarm.service.name\" }}";
const SERVICE_IMAGE: &str = "{{ .Spec.TaskTemplate.ContainerSpec.Image }}";
const IMAGE_DIGESTS: &str = "{{ range index .RepoDigests }}{{ . }} {{ end }}";

/// Upstream's image, whose tag a service no longer has once upstream's worker has updated it.
const UPSTREAM: TaggedImage<'static> = TaggedImage {
    repository: "ocurrent/ocluster-worker",
    tag: "live",
};

/// How a worker changes to its latest version on an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMethod {
    /// In a container of a swarm's service, the service is given the newest image with the same tag. Anywhere else, the
    /// worker ends, and whoever started it starts it again.
    #[default]
    Auto,
    /// It ends, and Docker is not asked anything.
    Restart,
}

/// Updates the worker.
pub(crate) struct Updater {
    docker: OsString,
    environment: Environment,
    processes: Processes,
    /// The id of the container that we may be replaced in.
    container: Option<String>,
}

/// A version to change to, of which everything is here already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// Nothing to change: starting again is enough.
    Restart,
    /// This image, by its tag and digest, for this service.
    Service { service: String, image: String },
}

/// Why a worker goes on as it is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UpdateError {
    #[error(
        "{0}, but only Docker knows how to update a container: give the worker its socket, or the option --update=restart"
    )]
    NoAnswer(ProcessError),
    #[error(transparent)]
    Docker(ProcessError),
    #[error(
        "the service {service:?} runs the image {image:?}, which has no tag that a newer one could have: give it one with \
         docker service update --image REPOSITORY:TAG {service}"
    )]
    NoTag { service: String, image: String },
    #[error("No new image starts with {0:?}!")]
    NoDigest(String),
}

impl Updater {
    /// `container` is the id of the container that this is, if it is one and may be replaced.
    pub(crate) fn new(
        docker: OsString,
        environment: Environment,
        processes: Processes,
        container: Option<String>,
    ) -> Self {
        Self {
            docker,
            environment,
            processes,
            container,
        }
    }

    /// Fetches the latest version, while jobs go on.
    pub(crate) async fn fetch(&self) -> Result<Update, UpdateError> {
        let Some(container) = &self.container else {
            return Ok(Update::Restart);
        };
        let service = self.service_of(container).await?;
        if service.is_empty() {
            return Ok(Update::Restart);
        }
        let format = ["service", "inspect", "-f", SERVICE_IMAGE, "--", &service];
        let current = self.ask("docker-service-inspect", &format).await?;
        let Some(wanted) = TaggedImage::parse(&current) else {
            return Err(UpdateError::NoTag {
                service,
                image: current,
            });
        };
        let TaggedImage { repository, tag } = wanted;
        let name = format!("{repository}:{tag}");
        self.ask("docker-pull", &["pull", &name]).await?;
        let format = ["image", "inspect", "-f", IMAGE_DIGESTS, "--", &name];
        let digests = self.ask("docker-inspect", &format).await?;
        let digest = digests
            .split_whitespace()
            .find_map(|digest| digest.strip_prefix(repository)?.strip_prefix('@'));
        let digest = digest.ok_or_else(|| UpdateError::NoDigest(format!("{repository}@")))?;
        // With its tag, so that the next update knows where to look.
        let image = format!("{name}@{digest}");
        tracing::info!("Latest service version is {image}");
        Ok(Update::Service { service, image })
    }

    /// Changes to it, once there are no jobs.
    pub(crate) async fn apply(&self, update: &Update) -> Result<(), UpdateError> {
        match update {
            Update::Restart => Ok(()),
            Update::Service { service, image } => {
                let args = ["service", "update", "--image", image, service];
                self.ask("docker-service-update", &args).await.map(drop)
            }
        }
    }

    /// Returns the service that a container belongs to: "" for one that belongs to none, or is not known to our engine.
    async fn service_of(&self, container: &str) -> Result<String, UpdateError> {
        let of_id = format!("id={container}");
        let args = ["ps", "--all", "--filter", &of_id, "--format", SERVICE_LABEL];
        let answer = self.ask("docker-ps", &args).await;
        answer.map_err(|error| match error {
            UpdateError::Docker(error) => UpdateError::NoAnswer(error),
            other => other,
        })
    }

    async fn ask(&self, label: &'static str, args: &[&str]) -> Result<String, UpdateError> {
        let command = Command::new(label, self.docker.clone(), args, self.environment.clone());
        let answer = self.processes.ask(&command, &Cancel::new()).await;
        let answer = answer.map_err(UpdateError::Docker)?;
        Ok(answer.trim().to_owned())
    }
}

/// An image as people name it.
#[derive(Debug, PartialEq, Eq)]
struct TaggedImage<'a> {
    repository: &'a str,
    tag: &'a str,
}

impl<'a> TaggedImage<'a> {
    /// Reads what a service says about its image: `HOST:PORT/NAME:TAG@DIGEST`, of which much may be missing.
    fn parse(image: &'a str) -> Option<Self> {
        let name = image.split_once('@').map_or(image, |(name, _)| name);
        match name.rsplit_once(':') {
            // A colon before a slash is that of a port.
            Some((repository, tag)) if !tag.contains('/') => Some(Self { repository, tag }),
            _ if name == UPSTREAM.repository => Some(UPSTREAM),
            _ => None,
        }
    }
}

/// Returns the id of the container that has these mounts, as `/proc/self/mountinfo` tells them.
///
/// An engine mounts a few files of its own into every container, from a directory that is called like the container.
/// That is so with either version of cgroups, on any network and whatever the container's host name is; none of these
/// tell.
pub(crate) fn container_id(mountinfo: &str) -> Option<&str> {
    mountinfo.lines().find_map(|line| {
        // `126 106 254:0 /var/lib/docker/containers/ID/hostname /etc/hostname rw …`
        let mut fields = line.split(' ').skip(3);
        let (source, target) = (fields.next()?, fields.next()?);
        if !matches!(target, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf") {
            return None;
        }
        let (_, below) = source.rsplit_once("/containers/")?;
        let (id, _) = below.split_once('/')?;
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{TaggedImage, UPSTREAM, Update, UpdateError, Updater, container_id};
    use crate::process::{Environment, ProcessError, Processes};
    use crate::testing::local;

    const ID: &str = "566fee9c49b2594f23f7b3415be016dc20066ccca9323cb1d411f604c0dd1a0e";

    /// Updates with a script for `docker`, in a container or not.
    async fn update(docker: &str, container: Option<&str>) -> Result<Update, UpdateError> {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("docker");
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in\n{docker}\n*) echo \"unexpected: docker $*\" >&2; exit 99 ;;\nesac\n"
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let environment = Environment::default().with("PATH", "/usr/bin:/bin");
        let container = container.map(str::to_owned);
        let updater = Updater::new(script.into(), environment, Processes::new(), container);
        let update = updater.fetch().await?;
        updater.apply(&update).await?;
        Ok(update)
    }

    fn failed(label: &'static str) -> ProcessError {
        ProcessError::Exit {
            label: label.into(),
            code: 99,
        }
    }

    #[test]
    fn what_is_no_service_only_starts_again() {
        local(async {
            assert_eq!(update("", None).await, Ok(Update::Restart));
            let none = format!("'ps --all --filter id={ID} --format '*) ;;");
            assert_eq!(update(&none, Some(ID)).await, Ok(Update::Restart));
            assert_eq!(
                update("", Some(ID)).await,
                Err(UpdateError::NoAnswer(failed("docker-ps")))
            );
        });
    }

    #[test]
    fn a_service_gets_the_newest_image_of_its_tag() {
        local(async {
            let service = format!("'ps --all --filter id={ID} --format '*) echo agent ;;\n");
            let inspect = service.clone()
                + "'service inspect -f '*' -- agent') echo 127.0.0.1:5000/w:live@sha256:1 ;;\n";
            let pull = inspect.clone() + "'pull 127.0.0.1:5000/w:live') echo pulled ;;\n";
            let image = pull.clone()
                + "'image inspect -f '*' -- 127.0.0.1:5000/w:live') echo x@sha256:1 127.0.0.1:5000/w@sha256:2 ;;\n";
            let done = image.clone()
                + "'service update --image 127.0.0.1:5000/w:live@sha256:2 agent') ;;\n";
            assert_eq!(
                update(&done, Some(ID)).await,
                Ok(Update::Service {
                    service: "agent".to_owned(),
                    image: "127.0.0.1:5000/w:live@sha256:2".to_owned(),
                })
            );
            for (docker, label) in [
                (&service, "docker-service-inspect"),
                (&inspect, "docker-pull"),
                (&pull, "docker-inspect"),
                (&image, "docker-service-update"),
            ] {
                let error = UpdateError::Docker(failed(label));
                assert_eq!(update(docker, Some(ID)).await, Err(error));
            }
            let other = pull + "'image inspect -f '*) echo x@sha256:1 ;;\n";
            let none = UpdateError::NoDigest("127.0.0.1:5000/w@".to_owned());
            assert_eq!(update(&other, Some(ID)).await, Err(none));
            let untagged = service + "'service inspect -f '*) echo some/image@sha256:1 ;;\n";
            assert_eq!(
                update(&untagged, Some(ID)).await.unwrap_err().to_string(),
                "the service \"agent\" runs the image \"some/image@sha256:1\", which has no tag that a newer one could \
                 have: give it one with docker service update --image REPOSITORY:TAG agent"
            );
        });
    }

    #[test]
    fn the_tag_of_a_services_image() {
        let parsed = |image| TaggedImage::parse(image).map(|image| (image.repository, image.tag));
        assert_eq!(parsed("w:live"), Some(("w", "live")));
        assert_eq!(parsed("a/w:1.2@sha256:0"), Some(("a/w", "1.2")));
        assert_eq!(parsed("h:5000/w:x"), Some(("h:5000/w", "x")));
        assert_eq!(parsed("h:5000/w@sha256:0"), None);
        assert_eq!(parsed("w@sha256:0"), None);
        // What upstream's worker leaves of `ocurrent/ocluster-worker:live`.
        assert_eq!(
            TaggedImage::parse("ocurrent/ocluster-worker@sha256:0"),
            Some(UPSTREAM)
        );
    }

    #[test]
    fn a_container_knows_which_it_is() {
        let line = |source: &str, target: &str| {
            format!("126 106 254:0 {source} {target} rw,relatime - ext4 /dev/vda rw\n")
        };
        let root = "105 60 0:40 / / rw,relatime - overlay overlay rw\n";
        let hostname = format!("/var/lib/docker/containers/{ID}/hostname");
        let container = root.to_owned() + &line(&hostname, "/etc/hostname");
        assert_eq!(container_id(&container), Some(ID));
        // Not by a file of another container that somebody has mounted.
        assert_eq!(container_id(&line(&hostname, "/mnt/hostname")), None);
        // Podman's have directories of other names, and other machines none at all.
        let podman = format!("/containers/storage/overlay-containers/{ID}/userdata/hostname");
        assert_eq!(container_id(&line(&podman, "/etc/hostname")), None);
        assert_eq!(container_id(root), None);
        assert_eq!(container_id(""), None);
    }
}
