//! How the next command would run in each result: the settings of images that are made of results.
//!
//! A result's id and directory do not include the ops after its step that make no result, such as the last `env` or
//! `workdir` of a spec, and a result never changes. So each result has a file with these settings beside it, from the
//! build that used the result last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bstr::BString;
use obuilder_spec::{Sexp, User};

use super::env_file::pair;
use super::inputs::{pairs, user_sexp, words};
use crate::ImageSettings;
use crate::StepId;

/// The settings of all results of a store.
#[derive(Debug)]
pub(super) struct Settings {
    dir: PathBuf,
}

impl Settings {
    /// Returns those of the store in `root`.
    pub(super) fn of(root: &Path) -> Self {
        Self {
            dir: root.join("state").join("settings"),
        }
    }

    /// Keeps the settings of a result. A failure is only logged: images of the result then lack settings.
    pub(super) fn keep(&self, id: &StepId, settings: &ImageSettings) {
        let text = text(settings);
        let path = self.file(id);
        // Mostly the file exists and is the same.
        if fs::read(&path).is_ok_and(|known| *known == *text) {
            return;
        }
        let part = path.with_extension("part");
        let written = fs::create_dir_all(&self.dir)
            .and_then(|()| fs::write(&part, &*text))
            .and_then(|()| fs::rename(&part, &path));
        if let Err(error) = written {
            tracing::debug!("Cannot keep the settings of {id}: {error}");
            drop(fs::remove_file(&part));
        }
    }

    /// Returns those of a result, if they are known.
    pub(super) fn read(&self, id: &StepId) -> Option<ImageSettings> {
        let text = fs::read(self.file(id)).ok()?;
        parse(&Sexp::parse(&text).ok()?)
    }

    /// Removes those of a removed result.
    pub(super) fn forget(&self, id: &StepId) {
        match fs::remove_file(self.file(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!("Cannot remove the settings of {id}: {error}");
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn file(&self, id: &StepId) -> PathBuf {
        self.dir.join(id.to_string())
    }
}

fn text(settings: &ImageSettings) -> BString {
    let ImageSettings {
        env,
        user,
        workdir,
        shell,
    } = settings;
    let mut text = Sexp::list([
        Sexp::field("env", pairs(env)),
        Sexp::field("user", user_sexp(user)),
        Sexp::field("workdir", Sexp::atom(workdir.clone())),
        Sexp::field("shell", words(shell)),
    ])
    .to_human();
    text.push(b'\n');
    text
}

fn parse(sexp: &Sexp) -> Option<ImageSettings> {
    let [env, user, workdir, shell] = sexp.as_list()? else {
        return None;
    };
    let atoms = |sexp: &Sexp| {
        let atoms = sexp.as_list()?.iter();
        let texts = atoms.map(|atom| Some(atom.as_atom()?.to_owned()));
        texts.collect::<Option<Vec<BString>>>()
    };
    Some(ImageSettings {
        env: value(env, "env")?
            .as_list()?
            .iter()
            .map(pair)
            .collect::<Option<_>>()?,
        user: match value(user, "user")?.as_list()? {
            [name] => User::Named(value(name, "name")?.as_atom()?.to_owned()),
            [uid, gid] => User::Unix {
                uid: number(value(uid, "uid")?)?,
                gid: number(value(gid, "gid")?)?,
            },
            _ => return None,
        },
        workdir: value(workdir, "workdir")?.as_atom()?.to_owned(),
        shell: atoms(value(shell, "shell")?)?,
    })
}

/// Returns the value of a field with this name.
fn value<'a>(field: &'a Sexp, name: &str) -> Option<&'a Sexp> {
    match field.as_list()? {
        [found, value] if found.as_atom()? == name => Some(value),
        _ => None,
    }
}

fn number(sexp: &Sexp) -> Option<i64> {
    std::str::from_utf8(sexp.as_atom()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_until_they_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::of(dir.path());
        let id = StepId::of(b"x");
        assert_eq!(settings.read(&id), None);
        for user in [
            User::Unix { uid: 1, gid: -2 },
            User::Named("opam (x)".into()),
        ] {
            let kept = ImageSettings {
                env: vec![("A".into(), "b \"c\"\n".into()), ("B".into(), "".into())],
                user,
                workdir: b"/\xff".into(),
                shell: ["/bin/sh", "-c"].map(BString::from).into(),
            };
            settings.keep(&id, &kept);
            assert_eq!(settings.read(&id), Some(kept));
        }
        fs::write(settings.file(&id), "((env").unwrap();
        assert_eq!(settings.read(&id), None);
        settings.forget(&id);
        settings.forget(&id);
        assert!(!settings.file(&id).exists());
    }
}
