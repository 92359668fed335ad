//! The target and the login of a push, read from a job and checked before anything is built.

use std::fmt;

use cluster_api::DockerBuild;

/// A repository and the tag that an image is to have there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PushTarget<'a> {
    pub(super) repository: &'a str,
    tag: &'a str,
}

/// An account at a registry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
}

/// A push that a job asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PushRequest<'a> {
    pub(super) target: PushTarget<'a>,
    pub(super) login: Option<Login<'a>>,
}

/// Why a push is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PushError {
    #[error("Missing ':TAG' in target {0:?}")]
    NoTag(String),
    #[error("Tag empty in {0:?}")]
    EmptyTag(String),
    #[error("push-user and push-password must be given with push-target")]
    NoTarget,
    #[error("push-user and push-password must be given (or not given) together")]
    HalfLogin,
    #[error("To allow pushing to this repository, start the worker with --allow-push {0:?}")]
    NotAllowed(String),
}

impl<'a> PushTarget<'a> {
    /// Reads `REPO:TAG`. If the part after the last colon contains a slash, it is a registry's port and not a tag.
    pub(super) fn parse(text: &'a str) -> Result<Self, PushError> {
        match text.rsplit_once(':') {
            None => Err(PushError::NoTag(text.to_owned())),
            Some((_, tag)) if tag.contains('/') => Err(PushError::NoTag(text.to_owned())),
            Some((_, "")) => Err(PushError::EmptyTag(text.to_owned())),
            Some((repository, tag)) => Ok(Self { repository, tag }),
        }
    }

    /// Returns the registry. `None` for the public one, which needs no name.
    pub(super) fn registry(&self) -> Option<&'a str> {
        let (first, _) = self.repository.split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then_some(first)
    }

    /// Returns the repository as `docker` shows it: the short name, if it is in the public registry.
    pub(super) fn familiar(&self) -> &'a str {
        let name = self.repository;
        let public = name
            .strip_prefix("docker.io/")
            .or_else(|| name.strip_prefix("index.docker.io/"));
        let name = public.unwrap_or(name);
        name.strip_prefix("library/").unwrap_or(name)
    }
}

impl fmt::Display for PushTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

impl<'a> PushRequest<'a> {
    /// Returns the push that a job asks for. `None` if it asks for none.
    pub(super) fn of(
        build: &'a DockerBuild,
        allowed: &[String],
    ) -> Result<Option<Self>, PushError> {
        let (user, password) = (build.push_user.as_str(), build.push_password.expose());
        let login = match (user, password) {
            ("", "") => None,
            _ if build.push_target.is_empty() => return Err(PushError::NoTarget),
            ("", _) | (_, "") => return Err(PushError::HalfLogin),
            (user, password) => Some(Login { user, password }),
        };
        if build.push_target.is_empty() {
            return Ok(None);
        }
        let target = PushTarget::parse(&build.push_target)?;
        if !allowed
            .iter()
            .any(|repository| repository == target.repository)
        {
            return Err(PushError::NotAllowed(target.repository.to_owned()));
        }
        Ok(Some(Self { target, login }))
    }
}

#[cfg(test)]
mod tests {
    use cluster_api::DockerBuild;
    use expect_test::expect;

    use super::PushRequest;
    use crate::testing::wrapped;

    #[test]
    fn requests() {
        let allowed = [
            "org/staging".to_owned(),
            "host:5000/x".to_owned(),
            "docker.io/library/y".to_owned(),
        ];
        let mut shown = String::new();
        for (target, user, password) in [
            ("", "", ""),
            ("org/staging:build-1", "", ""),
            ("org/staging:build-1", "bob", "s3cret"),
            ("host:5000/x:v1", "", ""),
            ("docker.io/library/y:v1", "", ""),
            ("host:5000/x", "", ""),
            ("ab", "", ""),
            ("ab:", "", ""),
            ("", "bob", "s3cret"),
            ("", "bob", ""),
            ("org/staging:v1", "bob", ""),
            ("org/staging:v1", "", "s3cret"),
            ("org/staging-2:v1", "", ""),
            ("org/stag:v1", "", ""),
        ] {
            let build = DockerBuild {
                push_target: target.into(),
                push_user: user.into(),
                push_password: password.to_owned().into(),
                ..DockerBuild::default()
            };
            shown += &match PushRequest::of(&build, &allowed) {
                Ok(None) => "no push\n".to_owned(),
                Ok(Some(PushRequest { target, login })) => format!(
                    "{target}: {} at {:?} as {:?}\n",
                    target.familiar(),
                    target.registry(),
                    login.map(|login| login.user)
                ),
                Err(error) => format!("{target:?} {user:?}: {error}\n"),
            };
        }
        assert!(!shown.contains("s3cret"));
        expect![[r#"
            no push
            org/staging:build-1: org/staging at None as None
            org/staging:build-1: org/staging at None as Some("bob")
            host:5000/x:v1: host:5000/x at Some("host:5000") as None
            docker.io/library/y:v1: y at Some("docker.io") as None
            "host:5000/x" "": Missing ':TAG' in target "host:5000/x"
            "ab" "": Missing ':TAG' in target "ab"
            "ab:" "": Tag empty in "ab:"
            "" "bob": push-user and push-password must be given with push-target
            "" "bob": push-user and push-password must be given with push-target
            "org/staging:v1" "bob": push-user and push-password must be given (or not given) together
            "org/staging:v1" "": push-user and push-password must be given (or not given) together
            "org/staging-2:v1" "": To allow pushing to this repository, start the worker with --allow-push
                "org/staging-2"
            "org/stag:v1" "": To allow pushing to this repository, start the worker with --allow-push
                "org/stag"
        "#]]
        .assert_eq(&wrapped(&shown));
    }
}
