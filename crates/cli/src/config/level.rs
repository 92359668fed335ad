//! The options of a program or of one of its commands, each with its value.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::options::{self, OptionKind};
use super::sources::Source;
use super::value::Value;

/// An option and its value.
pub(crate) struct Setting<'a> {
    pub(crate) arg: &'a Arg,
    pub(crate) name: &'a str,
    /// `None` if it is not set, and there is no default.
    pub(crate) value: Option<Value>,
    pub(crate) source: Source,
}

/// The options of the program itself, or of a command.
pub(crate) struct Level<'a> {
    pub(crate) path: Vec<String>,
    pub(crate) settings: Vec<Setting<'a>>,
    pub(super) command: &'a Command,
    pub(super) positionals: Vec<OsString>,
}

/// Returns the value of an option that no source sets; `None` if it has no default.
pub(super) fn default(arg: &Arg) -> Option<Value> {
    match options::kind(arg) {
        OptionKind::Flag => Some(Value::Flag(false)),
        OptionKind::Count => Some(Value::Count(0)),
        OptionKind::Value | OptionKind::List { .. } => {
            let words = arg
                .get_default_values()
                .iter()
                .map(|value| OsString::from(value.clone()));
            let words: Vec<OsString> = words.collect();
            (!words.is_empty()).then_some(Value::Words(words))
        }
    }
}
