//! The `docker` command lines. Their arguments have upstream's order, as some users replace `docker` by a script.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::process::{Command, Environment};

use super::push::{Login, PushTarget};

/// Makes `docker` commands.
#[derive(Debug, Clone)]
pub(super) struct Docker {
    pub(super) command: OsString,
    pub(super) environment: Environment,
}

/// One build.
#[derive(Debug)]
pub(super) struct Build<'a> {
    pub(super) build_args: &'a [String],
    pub(super) squash: bool,
    /// The ids of the secrets and their files.
    pub(super) secrets: &'a [(&'a str, PathBuf)],
    /// Whether base images are pulled even if they are present.
    pub(super) pull: bool,
    /// The file for the image's id.
    pub(super) iid_file: &'a Path,
    pub(super) dockerfile: &'a Path,
    pub(super) context: &'a Path,
    pub(super) buildkit: bool,
    /// The host entry that identifies its containers, if they can be identified.
    pub(super) host: Option<&'a str>,
    /// The limits of each command of the build. BuildKit does not support them.
    pub(super) limits: &'a cgroup::Limits,
}

impl Docker {
    fn command<A: Into<OsString>>(
        &self,
        label: &'static str,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        Command::new(label, self.command.clone(), args, self.environment.clone())
    }

    pub(super) fn build(&self, build: &Build<'_>) -> Command {
        let mut args: Vec<OsString> = vec!["build".into()];
        for arg in build.build_args {
            args.extend(["--build-arg".into(), arg.into()]);
        }
        if build.squash {
            args.push("--squash".into());
        }
        for (id, file) in build.secrets {
            let mut value = OsString::from(format!("id={id},src="));
            value.push(file);
            args.extend(["--secret".into(), value]);
        }
        if build.pull {
            args.push("--pull".into());
        }
        if let Some(host) = build.host {
            args.extend(["--add-host".into(), host.into()]);
        }
        if !build.buildkit {
            args.extend(limit_args(build.limits));
        }
        args.extend(["--iidfile".into(), build.iid_file.into()]);
        args.extend(["-f".into(), build.dockerfile.into(), build.context.into()]);
        let mut docker = self.clone();
        if build.buildkit {
            docker.environment = docker.environment.with("DOCKER_BUILDKIT", "1");
        }
        docker.command("docker-build", args)
    }

    /// Logs in to the target's registry, for commands with this configuration directory.
    pub(super) fn login(
        &self,
        config: &Path,
        login: &Login<'_>,
        target: &PushTarget<'_>,
    ) -> Command {
        let args = ["login", "--password-stdin", "--username", login.user].into_iter();
        // Without a name, this is the public registry.
        let registry = target
            .registry()
            .into_iter()
            .flat_map(|registry| ["--", registry]);
        let args = with_config(config, args.chain(registry));
        self.command("docker-login", args).reading(login.password)
    }

    pub(super) fn tag(&self, config: &Path, image: &str, target: &PushTarget<'_>) -> Command {
        self.command(
            "docker-tag",
            with_config(config, ["tag", "--", image, &target.to_string()]),
        )
    }

    pub(super) fn push(&self, config: &Path, target: &PushTarget<'_>) -> Command {
        self.command(
            "docker-push",
            with_config(config, ["push", "--", &target.to_string()]),
        )
    }

    /// Prints the digests of an image.
    pub(super) fn digests(&self, target: &PushTarget<'_>) -> Command {
        let format = "{{ range index .RepoDigests }}{{ . }} {{ end }}";
        self.command(
            "docker-inspect",
            ["image", "inspect", "-f", format, "--", &target.to_string()],
        )
    }

    /// Prints the id of an image. Fails if it is not present.
    pub(super) fn image_id(&self, image: &str) -> Command {
        self.command(
            "docker-inspect",
            ["image", "inspect", "-f", "{{.Id}}", "--", image],
        )
    }

    /// Prints the triggers of an image, one instruction per line. Fails if it is not present.
    pub(super) fn triggers(&self, image: &str) -> Command {
        let format = "{{ range .Config.OnBuild }}{{ println . }}{{ end }}";
        self.command(
            "docker-inspect",
            ["image", "inspect", "-f", format, "--", image],
        )
    }

    /// Prints the ids of the running containers.
    pub(super) fn running(&self) -> Command {
        self.command("docker-ps", ["ps", "-q", "--no-trunc"])
    }

    /// Prints the extra hosts of a container.
    pub(super) fn hosts(&self, container: &str) -> Command {
        let format = "{{ range .HostConfig.ExtraHosts }}{{ println . }}{{ end }}";
        self.command("docker-inspect", ["inspect", "-f", format, "--", container])
    }

    /// Prints the ids of the containers that have ended or were never started.
    pub(super) fn ended(&self) -> Command {
        let args = ["ps", "-aq", "--no-trunc"].into_iter();
        let filters = ["created", "exited", "dead"];
        let filters = filters.map(|state| format!("--filter=status={state}"));
        self.command("docker-ps", args.map(str::to_owned).chain(filters))
    }

    /// Prints a line for each container: its id, whether the kernel killed a process in it for lack of memory, and its
    /// extra hosts.
    pub(super) fn fates<'a>(&self, containers: impl IntoIterator<Item = &'a str>) -> Command {
        let format =
            "{{ .Id }} {{ .State.OOMKilled }}{{ range .HostConfig.ExtraHosts }} {{ . }}{{ end }}";
        let args = ["inspect", "-f", format, "--"].into_iter();
        self.command("docker-inspect", args.chain(containers))
    }

    /// Removes containers and their anonymous volumes.
    pub(super) fn remove<'a>(&self, containers: impl IntoIterator<Item = &'a str>) -> Command {
        let args = ["rm", "--force", "--volumes", "--"].into_iter();
        self.command("docker-rm", args.chain(containers))
    }

    pub(super) fn kill(&self, container: &str) -> Command {
        self.command("docker-kill", ["kill", "--", container])
    }

    pub(super) fn pull(&self, image: &str) -> Command {
        self.command("docker-pull", ["pull", "--", image])
    }

    /// Prints the engine's version. Fails if the engine does not answer.
    pub(super) fn version(&self) -> Command {
        self.command(
            "docker-version",
            ["version", "--format", "{{.Server.Version}}"],
        )
    }

    /// Prints the directory of the engine's files.
    pub(super) fn root_dir(&self) -> Command {
        self.command("docker-info", ["info", "-f", "{{.DockerRootDir}}"])
    }

    /// Prints how much space images, containers, volumes and caches take.
    pub(super) fn disk_usage(&self) -> Command {
        self.command(
            "docker-system-df",
            ["system", "df", "--format", "{{.Size}}"],
        )
    }

    /// Removes everything that no container uses.
    pub(super) fn prune(&self) -> [Command; 2] {
        [
            self.command("docker-system-prune", ["system", "prune", "-af"]),
            self.command("docker-builder-prune", ["builder", "prune", "-af"]),
        ]
    }
}

/// Returns the options that limit the commands of the classic builder.
fn limit_args(limits: &cgroup::Limits) -> Vec<OsString> {
    let mut args = Vec::new();
    if let Some(memory) = limits.memory {
        let bytes = memory.bytes();
        // The second is for memory and swap together. By default it is twice the memory.
        args.push(format!("--memory={bytes}").into());
        args.push(format!("--memory-swap={bytes}").into());
    }
    if let Some(cpus) = limits.cpus {
        args.push(format!("--cpu-period={}", cgroup::CpuLimit::PERIOD).into());
        args.push(format!("--cpu-quota={}", cpus.quota()).into());
    }
    args
}

fn with_config<'a>(config: &Path, args: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    let config = [OsString::from("--config"), config.into()];
    config
        .into_iter()
        .chain(args.into_iter().map(OsString::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expect_test::expect;

    use super::{Build, Docker, Login, PushTarget};
    use crate::process::{Command, Environment};
    use crate::testing::wrapped;

    fn docker() -> Docker {
        Docker {
            command: "docker".into(),
            environment: Environment::default(),
        }
    }

    fn show(commands: impl IntoIterator<Item = Command>) -> String {
        commands
            .into_iter()
            .map(|command| wrapped(&format!("{}: {command}\n", command.label())))
            .collect()
    }

    #[test]
    fn builds() {
        let limits = cgroup::Limits {
            memory: "4GiB".parse().ok(),
            pids: "100".parse().ok(),
            cpus: "1.5".parse().ok(),
        };
        let plain = Build {
            build_args: &[],
            squash: false,
            secrets: &[],
            pull: true,
            iid_file: Path::new("/tmp/iid"),
            dockerfile: Path::new("/ctx/Dockerfile"),
            context: Path::new("/ctx"),
            buildkit: false,
            host: Some("build-1.invalid:127.0.0.1"),
            limits: &limits,
        };
        let full = Build {
            build_args: &["A=1".into(), "B=--squash x".into()],
            squash: true,
            secrets: &[
                ("token", "/tmp/secret-0".into()),
                ("key", "/tmp/secret-1".into()),
            ],
            pull: false,
            buildkit: true,
            host: None,
            ..plain
        };
        let commands = [docker().build(&plain), docker().build(&full)];
        assert_eq!(commands[0].environment(), &Environment::default());
        assert_eq!(
            commands[1].environment(),
            &Environment::default().with("DOCKER_BUILDKIT", "1")
        );
        expect![[r#"
            docker-build: "docker" "build" "--pull" "--add-host" "build-1.invalid:127.0.0.1"
                "--memory=4294967296" "--memory-swap=4294967296" "--cpu-period=100000" "--cpu-quota=150000"
                "--iidfile" "/tmp/iid" "-f" "/ctx/Dockerfile" "/ctx"
            docker-build: "docker" "build" "--build-arg" "A=1" "--build-arg" "B=--squash x" "--squash"
                "--secret" "id=token,src=/tmp/secret-0" "--secret" "id=key,src=/tmp/secret-1" "--iidfile"
                "/tmp/iid" "-f" "/ctx/Dockerfile" "/ctx"
        "#]].assert_eq(&show(commands));
    }

    #[test]
    fn pushes() {
        let config = Path::new("/tmp/config");
        let hub = PushTarget::parse("org/staging:build-1").unwrap();
        let own = PushTarget::parse("localhost:5000/x:v1").unwrap();
        let login = Login {
            user: "bob",
            password: "s3cret",
        };
        let commands = [
            docker().login(config, &login, &hub),
            docker().login(config, &login, &own),
            docker().tag(config, "sha256:1234", &own),
            docker().push(config, &own),
            docker().digests(&own),
        ];
        assert_eq!(commands[0].input(), b"s3cret");
        expect![[r#"
            docker-login: "docker" "--config" "/tmp/config" "login" "--password-stdin" "--username" "bob"
            docker-login: "docker" "--config" "/tmp/config" "login" "--password-stdin" "--username" "bob"
                "--" "localhost:5000"
            docker-tag: "docker" "--config" "/tmp/config" "tag" "--" "sha256:1234" "localhost:5000/x:v1"
            docker-push: "docker" "--config" "/tmp/config" "push" "--" "localhost:5000/x:v1"
            docker-inspect: "docker" "image" "inspect" "-f" "{{ range index .RepoDigests }}{{ . }} {{ end
                }}" "--" "localhost:5000/x:v1"
        "#]].assert_eq(&show(commands));
    }

    #[test]
    fn housekeeping() {
        let commands = [
            docker().version(),
            docker().root_dir(),
            docker().disk_usage(),
            docker().ended(),
            docker().fates(["1", "2"]),
            docker().remove(["1", "2"]),
        ];
        expect![[r#"
            docker-version: "docker" "version" "--format" "{{.Server.Version}}"
            docker-info: "docker" "info" "-f" "{{.DockerRootDir}}"
            docker-system-df: "docker" "system" "df" "--format" "{{.Size}}"
            docker-ps: "docker" "ps" "-aq" "--no-trunc" "--filter=status=created" "--filter=status=exited"
                "--filter=status=dead"
            docker-inspect: "docker" "inspect" "-f" "{{ .Id }} {{ .State.OOMKilled }}{{ range
                .HostConfig.ExtraHosts }} {{ . }}{{ end }}" "--" "1" "2"
            docker-rm: "docker" "rm" "--force" "--volumes" "--" "1" "2"
            docker-system-prune: "docker" "system" "prune" "-af"
            docker-builder-prune: "docker" "builder" "prune" "-af"
        "#]]
        .assert_eq(&show(commands.into_iter().chain(docker().prune())));
    }
}
