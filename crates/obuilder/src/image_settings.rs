//! What an image of a result gives to those who run in it.

use bstr::{BString, ByteSlice as _};
use obuilder_spec::User;
use oci::RunConfig;

/// How the next command of a spec would have been run in a result: what an image of it says of those who run in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSettings {
    /// The environment.
    pub env: Vec<(BString, BString)>,
    /// Who runs commands.
    pub user: User,
    /// The working directory.
    pub workdir: BString,
    /// The words before the command of a `run`. Empty if they are not known.
    pub shell: Vec<BString>,
}

/// Something in them is not text, which all of an image's settings have to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not UTF-8, which an image's settings have to be")]
pub struct BadSetting(BString);

impl ImageSettings {
    /// Returns the settings of a result of which nothing but its environment is known.
    pub fn of_env(env: Vec<(BString, BString)>) -> Self {
        Self {
            env,
            user: User::ROOT,
            workdir: "/".into(),
            shell: Vec::new(),
        }
    }

    /// Returns them as an image has them.
    ///
    /// The shell is the entry point: who runs the image with one word has it run as the command of a `run` is. Without a word, the shell
    /// itself is run.
    ///
    /// # Errors
    /// When one of them is not UTF-8.
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
                // What images say that say nothing.
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
    fn an_image_says_what_the_spec_said() {
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
            r#"{"Env":["A=b=c"],"User":"1000:100","WorkingDir":"/src","Entrypoint":["/usr/bin/env","bash","-c"],"Cmd":["bash"]}"#
        );
        assert_eq!(json(&ImageSettings::of_env(Vec::new())), r#"{"Env":[]}"#);
        let bad = ImageSettings {
            workdir: b"/\xff".into(),
            ..settings
        };
        assert_eq!(
            bad.config().unwrap_err().to_string(),
            r#""/\xff" is not UTF-8, which an image's settings have to be"#
        );
        let bad = ImageSettings::of_env(vec![("A".into(), b"\xff".into())]);
        assert_eq!(
            bad.config().unwrap_err().to_string(),
            "\"A\" is not UTF-8, which an image's settings have to be"
        );
    }
}
