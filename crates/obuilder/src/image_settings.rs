//! The settings of an image of a result, for the processes that run in it.

use bstr::{BString, ByteSlice as _};
use obuilder_spec::User;
use oci::RunConfig;

/// The settings with which the next command of a spec would have run in a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSettings {
    /// The environment.
    pub env: Vec<(BString, BString)>,
    /// The user that runs commands.
    pub user: User,
    /// The working directory.
    pub workdir: BString,
    /// The words before the command of a `run`. Empty if they are not known.
    pub shell: Vec<BString>,
}

/// A setting that is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot write the setting {0:?}: an image's settings must be UTF-8")]
pub struct BadSetting(BString);

impl ImageSettings {
    /// Returns the settings of a result with a known environment only.
    pub fn of_env(env: Vec<(BString, BString)>) -> Self {
        Self {
            env,
            user: User::ROOT,
            workdir: "/".into(),
            shell: Vec::new(),
        }
    }

    /// Returns them in the form of an image.
    ///
    /// The shell is the entry point: running the image with one word runs it like the command of a `run`. Without a
    /// word, the shell itself runs.
    ///
    /// # Errors
    /// If one of them is not UTF-8.
    pub fn config(&self) -> Result<RunConfig, BadSetting> {
        let Self {
            env,
            user,
            workdir,
            shell,
        } = self;
        let entry = |(name, value): &(BString, BString)| {
            text(&[name.as_slice(), b"=", value.as_slice()].concat().into())
                .map_err(|_| BadSetting(name.clone()))
        };
        let command = match shell.as_slice() {
            [.., program, flag] if flag == "-c" => vec![text(program)?],
            _ => Vec::new(),
        };
        Ok(RunConfig {
            env: env.iter().map(entry).collect::<Result<_, _>>()?,
            user: match user {
                // The defaults of images.
                root if *root == User::ROOT => String::new(),
                User::Unix { uid, gid } => format!("{uid}:{gid}"),
                User::Named(name) => text(name)?,
            },
            working_dir: match workdir.as_slice() {
                b"/" => String::new(),
                _ => text(workdir)?,
            },
            entrypoint: shell.iter().map(text).collect::<Result<_, _>>()?,
            cmd: command,
        })
    }
}

fn text(bytes: &BString) -> Result<String, BadSetting> {
    let text = bytes.to_str().map_err(|_| BadSetting(bytes.clone()))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(settings: &ImageSettings) -> String {
        serde_json::to_string(&settings.config().unwrap()).unwrap()
    }

    #[test]
    fn images_have_the_settings_of_the_spec() {
        let settings = ImageSettings {
            env: vec![("A".into(), "b=c".into())],
            user: User::Unix {
                uid: 1000,
                gid: 100,
            },
            workdir: "/src".into(),
            shell: ["/usr/bin/env", "bash", "-c"].map(BString::from).into(),
        };
        assert_eq!(
            json(&settings),
            concat!(
                r#"{"Env":["A=b=c"],"User":"1000:100","WorkingDir":"/src","#,
                r#""Entrypoint":["/usr/bin/env","bash","-c"],"Cmd":["bash"]}"#
            )
        );
        assert_eq!(json(&ImageSettings::of_env(Vec::new())), r#"{"Env":[]}"#);
        let bad = ImageSettings {
            workdir: b"/\xff".into(),
            ..settings
        };
        assert_eq!(
            bad.config().unwrap_err().to_string(),
            r#"cannot write the setting "/\xff": an image's settings must be UTF-8"#
        );
        let bad = ImageSettings::of_env(vec![("A".into(), b"\xff".into())]);
        assert_eq!(
            bad.config().unwrap_err().to_string(),
            "cannot write the setting \"A\": an image's settings must be UTF-8"
        );
    }
}
