//! `submit-docker`: the description of a Docker build, from options.

use std::path::PathBuf;

use cluster_api::{Action, DockerBuild, Dockerfile};

use super::description::{JobArgs, Request, read_text};
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;

/// Build a Dockerfile on a worker
///
/// The build context is the commit HASH of the Git repository URL. Several commits are merged; without URL, the context
/// is empty.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "ocluster-client submit-docker [OPTIONS] [CAP] --pool <ID> [URL HASH...]"
)]
pub(super) struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// Local Dockerfile to build
    #[arg(long, value_name = "PATH")]
    local_dockerfile: Option<PathBuf>,
    /// Path of the Dockerfile in the commit [default: Dockerfile]
    #[arg(long, value_name = "PATH")]
    context_dockerfile: Option<String>,
    /// Repository and tag to push the image to
    #[arg(long, value_name = "REPO:TAG", value_parser = parse_target)]
    push_to: Option<String>,
    /// User name in the registry of --push-to
    #[arg(long, value_name = "USER")]
    push_user: Option<String>,
    /// File with the password of --push-user on its first line
    #[arg(long, value_name = "PATH")]
    push_password: Option<PathBuf>,
    /// Build argument NAME=VALUE; may be repeated
    #[arg(long = "build-arg", value_name = "ARG")]
    build_args: Vec<String>,
    /// Squash the new layers into one
    #[arg(long)]
    squash: bool,
    /// Build with BuildKit
    #[arg(long)]
    buildkit: bool,
    /// Include the .git directory in the build context
    #[arg(long)]
    include_git: bool,
}

impl Args {
    pub(super) fn request(self, connect: &ConnectArgs) -> Result<Request, CommandError> {
        let dockerfile = dockerfile(self.local_dockerfile, self.context_dockerfile)?;
        let push = Push::new(self.push_to, self.push_user, self.push_password)?;
        let build = DockerBuild {
            dockerfile,
            push_target: push.target,
            push_user: push.user,
            push_password: push.password.into(),
            build_args: self.build_args,
            squash: self.squash,
            buildkit: self.buildkit,
            include_git: self.include_git,
        };
        self.job.request(connect, Action::Docker(build))
    }
}

fn dockerfile(local: Option<PathBuf>, context: Option<String>) -> Result<Dockerfile, CommandError> {
    match (local, context) {
        (None, None) => Ok(Dockerfile::Path("Dockerfile".to_owned())),
        (None, Some(path)) => Ok(Dockerfile::Path(path)),
        (Some(path), None) => Ok(Dockerfile::Contents(read_text(
            "--local-dockerfile",
            &path,
        )?)),
        (Some(_), Some(_)) => Err(CommandError::usage(
            "Can't use --local-dockerfile and --context-dockerfile together!",
        )),
    }
}

/// Where to push, and with which account. Empty texts mean "not given", as on the wire.
#[derive(Default)]
struct Push {
    target: String,
    user: String,
    password: String,
}

impl Push {
    fn new(
        target: Option<String>,
        user: Option<String>,
        password: Option<PathBuf>,
    ) -> Result<Self, CommandError> {
        match (target, user, password) {
            (None, None, None) => Ok(Self::default()),
            (None, _, _) => Err(CommandError::usage(
                "Must use --push-to with --push-user/--push-password",
            )),
            (Some(target), None, None) => Ok(Self {
                target,
                ..Self::default()
            }),
            (Some(target), Some(user), Some(path)) => Ok(Self {
                target,
                user,
                password: first_line(&read_text("--push-password", &path)?),
            }),
            (Some(_), _, _) => Err(CommandError::usage(
                "Must use --push-user with --push-password",
            )),
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Checks that a push target has a tag. The `:` of a registry's port precedes a `/`, so it starts no tag.
fn parse_target(target: &str) -> Result<String, String> {
    let name = target.rsplit('/').next().unwrap_or(target);
    match name.rsplit_once(':') {
        None => Err(format!("Missing ':TAG' in target \"{target}\"")),
        Some((_, "")) => Err(format!("Tag empty in \"{target}\"")),
        Some(_) => Ok(target.to_owned()),
    }
}
