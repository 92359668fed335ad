//! Jobs that build an image from a Dockerfile.

use std::fmt;

use crate::RpcError;
use crate::encoded::MAX_DESCRIPTION_BYTES;
use crate::raw::schema_capnp::docker_build;
use crate::text::{list_length, long_text, long_texts, set_texts, text};

/// A Docker build, with the commits of the description as its context.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DockerBuild {
    /// The Dockerfile.
    pub dockerfile: Dockerfile,
    /// The repository and tag to push the image to after a successful build. Empty: it is not pushed.
    pub push_target: String,
    /// The user for the login before the push. Empty: no login.
    pub push_user: String,
    /// The password for the login.
    pub push_password: Password,
    /// Options for `--build-arg`, each `NAME=VALUE`.
    pub build_args: Vec<String>,
    /// Whether to merge the layers of the build into one.
    pub squash: bool,
    /// Whether to build with BuildKit.
    pub buildkit: bool,
    /// Whether the context includes the `.git` directory.
    pub include_git: bool,
}

/// The Dockerfile of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// Its text.
    Contents(String),
    /// Its path, relative to the root of the context.
    Path(String),
}

impl Default for Dockerfile {
    /// Returns one without text, which an absent Dockerfile is on the wire.
    fn default() -> Self {
        Self::Contents(String::new())
    }
}

/// A password. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(String);

impl Password {
    /// Returns the password. Handle with care.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "Password(none)"
        } else {
            "Password(redacted)"
        })
    }
}

impl DockerBuild {
    pub(crate) fn read(reader: docker_build::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            dockerfile: Dockerfile::read(reader.get_dockerfile())?,
            push_target: text(reader.get_push_target(), "description.pushTarget")?,
            push_user: text(reader.get_push_user(), "description.pushUser")?,
            push_password: Password(text(
                reader.get_push_password(),
                "description.pushPassword",
            )?),
            build_args: long_texts(
                reader.get_build_args(),
                "description.buildArgs",
                MAX_DESCRIPTION_BYTES,
            )?,
            squash: reader.get_squash(),
            buildkit: reader.get_buildkit(),
            include_git: reader.get_include_git(),
        })
    }

    pub(crate) fn write(&self, mut builder: docker_build::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            dockerfile,
            push_target,
            push_user,
            push_password: Password(push_password),
            build_args,
            squash,
            buildkit,
            include_git,
        } = self;
        let mut target = builder.reborrow().get_dockerfile();
        match dockerfile {
            Dockerfile::Contents(contents) => target.set_contents(contents),
            Dockerfile::Path(path) => target.set_path(path),
        }
        // An empty text means that there is none, which is a null pointer on the wire.
        if !push_target.is_empty() {
            builder.set_push_target(push_target);
        }
        if !push_user.is_empty() {
            builder.set_push_user(push_user);
        }
        if !push_password.is_empty() {
            builder.set_push_password(push_password);
        }
        let length = list_length(build_args, "description.buildArgs")?;
        set_texts(builder.reborrow().init_build_args(length), build_args);
        builder.set_squash(*squash);
        builder.set_buildkit(*buildkit);
        builder.set_include_git(*include_git);
        Ok(())
    }

    /// Returns the number of bytes in its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let (Dockerfile::Contents(dockerfile) | Dockerfile::Path(dockerfile)) = &self.dockerfile;
        dockerfile.len()
            + self.push_target.len()
            + self.push_user.len()
            + self.push_password.0.len()
            + self.build_args.iter().map(String::len).sum::<usize>()
    }
}

impl Dockerfile {
    fn read(reader: docker_build::dockerfile::Reader<'_>) -> Result<Self, RpcError> {
        match reader.which() {
            Ok(docker_build::dockerfile::Contents(contents)) => Ok(Self::Contents(long_text(
                contents,
                "description.dockerfile.contents",
                MAX_DESCRIPTION_BYTES,
            )?)),
            Ok(docker_build::dockerfile::Path(path)) => {
                Ok(Self::Path(text(path, "description.dockerfile.path")?))
            }
            Err(capnp::NotInSchema(tag)) => {
                Err(RpcError::failed(format!("Unknown Dockerfile type {tag}")))
            }
        }
    }
}
