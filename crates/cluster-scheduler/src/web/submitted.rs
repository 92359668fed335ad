//! What was submitted, as pages show it: without the values of secrets.

use cluster_api::{Action, Description, DockerBuild, Dockerfile};
use cluster_web::cluster::{Submitted, Work};
use visible::without_credentials;

/// Returns what pages show of a description.
pub(super) fn of(description: &Description) -> Submitted {
    let Description {
        action,
        cache_hint: _,
        repository,
        commits,
        secrets,
    } = description;
    Submitted {
        what: work(action),
        repository: without_credentials(repository).to_string(),
        commits: commits.clone(),
        has_submodules: false,
        secrets: secrets.iter().map(|secret| secret.id.clone()).collect(),
    }
}

fn work(action: &Action) -> Work {
    match action {
        Action::Docker(build) => docker(build),
        Action::OBuilder(build) => Work::OBuilder {
            spec: build.spec.clone(),
        },
        Action::Custom(job) => Work::Custom {
            kind: job.kind.clone(),
            payload_bytes: job.payload.as_bytes().len() as u64,
        },
    }
}

fn docker(build: &DockerBuild) -> Work {
    let DockerBuild {
        dockerfile,
        push_target,
        push_user: _,
        push_password: _,
        build_args,
        squash,
        buildkit,
        include_git,
    } = build;
    let (dockerfile, path) = match dockerfile {
        Dockerfile::Contents(text) => (Some(text.clone()), None),
        Dockerfile::Path(path) => (None, Some(path.clone())),
    };
    let flags = [
        (*squash, "--squash"),
        (*buildkit, "--buildkit"),
        (*include_git, "--include-git"),
    ];
    let flags = flags.into_iter().filter(|(is_set, _)| *is_set);
    let arguments = build_args
        .iter()
        .map(|argument| format!("--build-arg={}", without_credentials(argument)));
    Work::Docker {
        dockerfile,
        path,
        options: flags
            .map(|(_, flag)| flag.to_owned())
            .chain(arguments)
            .collect(),
        push_to: Some(push_target.clone()).filter(|target| !target.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use cluster_api::{Password, Secret};

    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let build = DockerBuild {
            dockerfile: Dockerfile::Path("Dockerfile".to_owned()),
            push_target: "org/app:1".to_owned(),
            push_user: "robot".to_owned(),
            push_password: Password::from("hunter2".to_owned()),
            build_args: vec!["FROM=https://ann:hunter2@host/x".to_owned()],
            squash: false,
            buildkit: true,
            include_git: false,
        };
        let description = Description {
            repository: "https://ann:hunter2@git.example/app.git".to_owned(),
            commits: vec!["a".repeat(40)],
            secrets: vec![Secret {
                id: "token".to_owned(),
                value: b"hunter2".to_vec().into(),
            }],
            ..Description::new(Action::Docker(build))
        };
        let shown = of(&description);
        assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
        assert_eq!(shown.secrets, ["token"]);
        assert_eq!(shown.repository, "https://…@git.example/app.git");
        let Work::Docker {
            options, push_to, ..
        } = shown.what
        else {
            panic!("it is a Docker build");
        };
        assert_eq!(options, ["--buildkit", "--build-arg=FROM=https://…@host/x"]);
        assert_eq!(push_to.as_deref(), Some("org/app:1"));
    }
}
