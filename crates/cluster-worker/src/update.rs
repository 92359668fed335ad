//! Updates the worker. As a container of a Docker swarm's service, it updates the service. Otherwise it exits, and its
//! supervisor starts the latest version.

use std::ffi::OsString;

use crate::cancel::Cancel;
use crate::process::{Command, Environment, ProcessError, Processes};

/// Formats for `docker`: the label of a swarm's service on its containers, and the names of images.
const SERVICE_LABEL: &str = "{{ .Label \"com.docker.swarm.service.name\" }}";
const SERVICE_IMAGE: &str = "{{ .Spec.TaskTemplate.ContainerSpec.Image }}";
const IMAGE_DIGESTS: &str = "{{ range index .RepoDigests }}{{ . }} {{ end }}";

/// Upstream's image. After an update by upstream's worker, the service's image has no tag.
const UPSTREAM: TaggedImage<'static> = TaggedImage {
    repository: "ocurrent/ocluster-worker",
    tag: "live",
};

/// How a worker updates itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMethod {
    /// In a container of a swarm's service, the worker updates the service to the newest image with the same tag.
    /// Anywhere else, it exits, and its supervisor restarts it.
    #[default]
    Auto,
    /// It exits without using Docker, and its supervisor restarts it.
    Restart,
}

/// Updates the worker.
pub(crate) struct Updater {
    docker: OsString,
    environment: Environment,
    processes: Processes,
    /// The id of the container that may be replaced.
    container: Option<String>,
}

/// An update that has been fetched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// A restart is enough.
    Restart,
    /// The service gets this image, named by tag and digest.
    Service { service: String, image: String },
}

/// Why a worker cannot update itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UpdateError {
    #[error(
        "cannot update this container by way of Docker: {0}; mount Docker's socket in the container, or use \
         --update=restart"
    )]
    NoAnswer(ProcessError),
    #[error(transparent)]
    Docker(ProcessError),
    #[error(
        "cannot update service {service:?}: its image {image:?} has no tag; set one with \
         docker service update --image REPOSITORY:TAG {service}"
    )]
    NoTag { service: String, image: String },
    #[error("No new image starts with {0:?}!")]
    NoDigest(String),
}

impl Updater {
    /// `container` is the id of the container that the worker runs in, if it may be replaced.
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

    /// Fetches the latest version, while jobs are running.
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
        // With its tag, which the next update needs.
        let image = format!("{name}@{digest}");
        tracing::info!("Latest service version is {image}");
        Ok(Update::Service { service, image })
    }

    /// Applies an update. No job may be running.
    pub(crate) async fn apply(&self, update: &Update) -> Result<(), UpdateError> {
        match update {
            Update::Restart => Ok(()),
            Update::Service { service, image } => {
                let args = ["service", "update", "--image", image, service];
                self.ask("docker-service-update", &args).await.map(drop)
            }
        }
    }

    /// Returns the service that a container belongs to. Empty if it belongs to none, or if the engine does not know it.
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

/// An image, named by a tag.
#[derive(Debug, PartialEq, Eq)]
struct TaggedImage<'a> {
    repository: &'a str,
    tag: &'a str,
}

impl<'a> TaggedImage<'a> {
    /// Reads the image of a service: `HOST:PORT/NAME:TAG@DIGEST`, where only the name is required.
    fn parse(image: &'a str) -> Option<Self> {
        let name = image.split_once('@').map_or(image, |(name, _)| name);
        match name.rsplit_once(':') {
            // A colon before a slash precedes a port.
            Some((repository, tag)) if !tag.contains('/') => Some(Self { repository, tag }),
            _ if name == UPSTREAM.repository => Some(UPSTREAM),
            _ => None,
        }
    }
}

/// Returns the id of the container with these mounts, from `/proc/self/mountinfo`.
///
/// An engine mounts a few files into every container, from a directory that is named by the container's id. This works
/// with both versions of cgroups, on any network and with any host name, from which the id cannot be read reliably.
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
    fn without_a_service_a_restart_is_enough() {
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
                + "'image inspect -f '*' -- 127.0.0.1:5000/w:live') \
                   echo x@sha256:1 127.0.0.1:5000/w@sha256:2 ;;\n";
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
                "cannot update service \"agent\": its image \"some/image@sha256:1\" has no tag; set one with \
                 docker service update --image REPOSITORY:TAG agent"
            );
        });
    }

    #[test]
    fn the_tag_of_a_services_image_is_parsed() {
        let parsed = |image| TaggedImage::parse(image).map(|image| (image.repository, image.tag));
        assert_eq!(parsed("w:live"), Some(("w", "live")));
        assert_eq!(parsed("a/w:1.2@sha256:0"), Some(("a/w", "1.2")));
        assert_eq!(parsed("h:5000/w:x"), Some(("h:5000/w", "x")));
        assert_eq!(parsed("h:5000/w@sha256:0"), None);
        assert_eq!(parsed("w@sha256:0"), None);
        // `ocurrent/ocluster-worker:live` after an update by upstream's worker.
        assert_eq!(
            TaggedImage::parse("ocurrent/ocluster-worker@sha256:0"),
            Some(UPSTREAM)
        );
    }

    #[test]
    fn the_containers_id_is_in_its_mounts() {
        let line = |source: &str, target: &str| {
            format!("126 106 254:0 {source} {target} rw,relatime - ext4 /dev/vda rw\n")
        };
        let root = "105 60 0:40 / / rw,relatime - overlay overlay rw\n";
        let hostname = format!("/var/lib/docker/containers/{ID}/hostname");
        let container = root.to_owned() + &line(&hostname, "/etc/hostname");
        assert_eq!(container_id(&container), Some(ID));
        // A mounted file of another container does not count.
        assert_eq!(container_id(&line(&hostname, "/mnt/hostname")), None);
        // Podman's directories have other names, and other machines have none.
        let podman = format!("/containers/storage/overlay-containers/{ID}/userdata/hostname");
        assert_eq!(container_id(&line(&podman, "/etc/hostname")), None);
        assert_eq!(container_id(root), None);
        assert_eq!(container_id(""), None);
    }
}
