//! Checks of Docker's engine and its builder.

use std::path::PathBuf;

use super::check::Check;
use super::probe::{Answer, ask};

const NAME: &str = "docker";

/// The template of the information about an engine, one item per line.
///
/// Docker 20.10, which Debian 12 has, succeeds without an engine, and reports the reason only in its answer.
const QUESTION: &str = "{{.ServerVersion}}\n{{.Driver}}\n{{.DockerRootDir}}\n\
                        {{range .ServerErrors}}{{println .}}{{end}}";

/// What was found of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// There is no program to reach one.
    Absent,
    /// It does not respond to this user: the reason.
    Unreachable(String),
    /// It responds.
    Running {
        version: String,
        /// How it stores images.
        driver: String,
        /// Where it stores them.
        files: PathBuf,
    },
}

impl Engine {
    pub(super) async fn probe() -> Self {
        match ask("docker", &["info", "--format", QUESTION]).await {
            Answer::Absent => Self::Absent,
            Answer::TimedOut => Self::Unreachable("no answer within 10 s".to_owned()),
            Answer::Failed(message) => Self::Unreachable(Self::reason_of_absence(message).await),
            Answer::Printed(message) => Self::read(&message),
        }
    }

    /// Returns why there is no engine, given the answer to another question.
    ///
    /// Without an engine, Docker 20.10 fails to fill the template of that one, and reports nothing else.
    async fn reason_of_absence(message: String) -> String {
        match ask("docker", &["version", "--format", "{{.Server.Version}}"]).await {
            Answer::Failed(reason) => reason,
            Answer::Absent | Answer::TimedOut | Answer::Printed(_) => message,
        }
    }

    fn read(answer: &str) -> Self {
        let mut lines = answer.lines();
        let mut next = || lines.next().unwrap_or_default().to_owned();
        let (version, driver, files) = (next(), next(), next());
        if !version.is_empty() {
            return Self::Running {
                version,
                driver,
                files: files.into(),
            };
        }
        // Without an engine, the program answers about itself.
        let errors: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        Self::Unreachable(match errors.is_empty() {
            true => "the engine reported no version".to_owned(),
            false => errors.join("; "),
        })
    }

    /// Returns where its files are, if that is known and on this machine.
    pub(super) fn files(&self) -> Option<PathBuf> {
        match self {
            Self::Running { files, .. } => Some(files.clone()).filter(|files| files.is_dir()),
            Self::Absent | Self::Unreachable(_) => None,
        }
    }
}

/// Checks the engine, and if there is one, what builds with BuildKit.
pub(super) async fn checks(engine: &Engine, has_store: bool) -> Vec<Check> {
    let mut checks = vec![judge(engine, has_store)];
    if matches!(engine, Engine::Running { .. }) {
        checks.push(judge_buildkit(&ask("docker", &["buildx", "version"]).await));
    }
    checks
}

fn judge(engine: &Engine, has_store: bool) -> Check {
    match engine {
        Engine::Absent if has_store => Check::warning(
            NAME,
            "there is no docker program: this worker can only run OBuilder jobs",
            "to build Dockerfiles, install an engine (on Debian: apt-get install docker.io)",
        ),
        Engine::Absent => Check::problem(
            NAME,
            "there is no docker program and no --obuilder-store: this worker cannot run any job",
            "install an engine (on Debian: apt-get install docker.io), or give --obuilder-store",
        ),
        Engine::Unreachable(message) => Check::problem(
            NAME,
            format!("the engine cannot be reached: {message}"),
            if message.contains("permission denied") {
                "run the worker as root, or add its user to the group docker (usermod -aG docker USER) and start it \
                 again"
            } else {
                "start it (systemctl start docker), and check why it stopped (journalctl -u docker)"
            },
        ),
        Engine::Running {
            version, driver, ..
        } if driver == "vfs" => Check::warning(
            NAME,
            format!("engine {version}, storage vfs, which copies every layer whole"),
            "put Docker's files on a filesystem that can hold overlays, such as ext4 or xfs",
        ),
        Engine::Running {
            version,
            driver,
            files,
        } => Check::fit(
            NAME,
            format!(
                "engine {version}, storage {driver}, files in {}",
                files.display()
            ),
        ),
    }
}

fn judge_buildkit(answer: &Answer) -> Check {
    const NAME: &str = "docker buildx";
    match answer {
        Answer::Printed(version) => Check::fit(NAME, version.clone()),
        Answer::Absent | Answer::TimedOut | Answer::Failed(_) => Check::warning(
            NAME,
            "not installed: jobs that ask for BuildKit may fail",
            "install it (on Debian: docker-buildx-plugin of Docker's own packages, or docker-buildx)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::doctor::testing::folded_text;

    #[test]
    fn each_finding_has_a_verdict() {
        let running = Engine::read("26.1.4\noverlay2\n/var/lib/docker");
        let refused = "permission denied while trying to connect to the Docker daemon socket";
        let checks = [
            judge(&running, false),
            judge(&Engine::read("26.1.4\nvfs\n/var/lib/docker"), false),
            judge(&Engine::read("\n\n"), false),
            judge(&Engine::Unreachable(refused.to_owned()), true),
            judge(
                &Engine::read(
                    "\n\n\nGot permission denied while trying to connect to the Docker daemon socket at \
                     unix:///var/run/docker.sock\n",
                ),
                false,
            ),
            judge(&Engine::Absent, true),
            judge(&Engine::Absent, false),
            judge_buildkit(&Answer::Printed(
                "github.com/docker/buildx v0.14.1".to_owned(),
            )),
            judge_buildkit(&Answer::Failed(
                "docker: 'buildx' is not a docker command.".to_owned(),
            )),
        ];
        expect![[r#"
            ok       docker         engine 26.1.4, storage overlay2, files in /var/lib/docker
            warning  docker         engine 26.1.4, storage vfs, which copies every layer whole
                     -> put Docker's files on a filesystem that can hold overlays, such as ext4 or xfs
            problem  docker         the engine cannot be reached: the engine reported no version
                     -> start it (systemctl start docker), and check why it stopped (journalctl -u docker)
            problem  docker         the engine cannot be reached: permission denied while trying to connect to \
                the Docker daemon socket
                     -> run the worker as root, or add its user to the group docker (usermod -aG docker USER) \
                and start it again
            problem  docker         the engine cannot be reached: Got permission denied while trying to connect \
                to the Docker daemon socket at unix:///var/run/docker.sock
                     -> run the worker as root, or add its user to the group docker (usermod -aG docker USER) \
                and start it again
            warning  docker         there is no docker program: this worker can only run OBuilder jobs
                     -> to build Dockerfiles, install an engine (on Debian: apt-get install docker.io)
            problem  docker         there is no docker program and no --obuilder-store: this worker cannot run \
                any job
                     -> install an engine (on Debian: apt-get install docker.io), or give --obuilder-store
            ok       docker buildx  github.com/docker/buildx v0.14.1
            warning  docker buildx  not installed: jobs that ask for BuildKit may fail
                     -> install it (on Debian: docker-buildx-plugin of Docker's own packages, or docker-buildx)

            4 problems, 3 warnings.
        "#]]
        .assert_eq(&folded_text(&checks));
    }
}
