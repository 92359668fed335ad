//! The file `env` of a base image's result: `((env ((NAME VALUE) …)))`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bstr::BString;
use obuilder_spec::{Sexp, SexpError};

use super::inputs::pairs;

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvError {
    #[error("cannot use {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot parse {}: it is not an S-expression: {source}", .path.display())]
    Syntax { path: PathBuf, source: SexpError },
    #[error("cannot parse {}: it is not ((env ((NAME VALUE) …)))", .path.display())]
    Shape { path: PathBuf },
}

impl EnvError {
    /// Returns whether the cause is permanent.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Syntax { .. } | Self::Shape { .. } => true,
        }
    }
}

/// Reads the environment kept in the directory of a result.
pub(super) fn read(dir: &Path) -> Result<Vec<(BString, BString)>, EnvError> {
    let path = dir.join("env");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(EnvError::Io { path, source }),
    };
    match Sexp::parse(&text) {
        Ok(sexp) => env(&sexp).ok_or(EnvError::Shape { path }),
        Err(source) => Err(EnvError::Syntax { path, source }),
    }
}

/// Keeps an environment in the directory of a draft.
pub(super) fn write(dir: &Path, env: &[(BString, BString)]) -> Result<(), EnvError> {
    let path = dir.join("env");
    let mut text = Sexp::list([Sexp::field("env", pairs(env))]).to_human();
    text.push(b'\n');
    fs::write(&path, &*text).map_err(|source| EnvError::Io { path, source })
}

fn env(sexp: &Sexp) -> Option<Vec<(BString, BString)>> {
    let [field] = sexp.as_list()? else {
        return None;
    };
    let [name, value] = field.as_list()? else {
        return None;
    };
    if name.as_atom()? != "env" {
        return None;
    }
    value.as_list()?.iter().map(pair).collect()
}

pub(super) fn pair(sexp: &Sexp) -> Option<(BString, BString)> {
    match sexp.as_list()? {
        [name, value] => Some((name.as_atom()?.to_owned(), value.as_atom()?.to_owned())),
        _ => None,
    }
}
