//! The value of an option from any source, and its form on a command line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use toml::de::DeValue;

use super::options::{self, OptionKind};

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Whether the flag is given.
    Flag(bool),
    /// How many times the flag is given.
    Count(u8),
    /// The values: one, unless it is a list.
    Words(Vec<OsString>),
}

impl Value {
    /// Reads a value from a file. An error has the type of the value, and the expected one.
    pub(crate) fn from_toml(value: &DeValue<'_>, kind: OptionKind) -> Result<Self, String> {
        let given = given(value);
        match (kind, value) {
            (OptionKind::Flag, DeValue::Boolean(given)) => Ok(Self::Flag(*given)),
            (OptionKind::Flag, _) => Err(format!("{given}, but must be true or false")),
            (OptionKind::Count, _) => {
                let count = word(value).and_then(|word| word.parse().ok());
                let wrong = || format!("{given}, but must be a number up to 255");
                count.map(Self::Count).ok_or_else(wrong)
            }
            (OptionKind::Value, _) => {
                let wrong = || format!("{given}, but must be a text or a number");
                Ok(Self::Words(vec![word(value).ok_or_else(wrong)?.into()]))
            }
            (OptionKind::List { .. }, DeValue::Array(items)) => {
                let words = items
                    .iter()
                    .map(|item| word(item.get_ref()).map(OsString::from));
                let wrong = || "a list, but may only have texts and numbers in it".to_owned();
                words
                    .collect::<Option<_>>()
                    .map(Self::Words)
                    .ok_or_else(wrong)
            }
            (OptionKind::List { .. }, _) => {
                let wrong = || format!("{given}, but must be a list of texts");
                Ok(Self::Words(vec![word(value).ok_or_else(wrong)?.into()]))
            }
        }
    }

    /// Reads the value of a variable. An error has the expected form.
    pub(crate) fn from_variable(value: OsString, kind: OptionKind) -> Result<Self, String> {
        let text = value.to_str().unwrap_or_default();
        match kind {
            OptionKind::Flag => match text {
                "true" | "1" | "yes" | "on" => Ok(Self::Flag(true)),
                "false" | "0" | "no" | "off" => Ok(Self::Flag(false)),
                _ => Err(format!("invalid value '{text}': must be true or false")),
            },
            OptionKind::Count => text
                .parse()
                .map(Self::Count)
                .map_err(|_| format!("invalid value '{text}': must be a number up to 255")),
            // Values without a separator of their own may have commas in them.
            OptionKind::List { separator: None } if value.to_str().is_some() => {
                let lines = text.lines().filter(|line| !line.is_empty());
                Ok(Self::Words(lines.map(OsString::from).collect()))
            }
            OptionKind::Value | OptionKind::List { .. } => Ok(Self::Words(vec![value])),
        }
    }

    /// Returns the words by which a command line gives `arg` this value.
    pub(crate) fn words(&self, long: &str) -> Vec<OsString> {
        let flag = format!("--{long}");
        match self {
            Self::Flag(given) => vec![flag.into(); usize::from(*given)],
            Self::Count(count) => vec![flag.into(); usize::from(*count)],
            Self::Words(words) => words
                .iter()
                .map(|word| {
                    let mut option = OsString::from(format!("{flag}="));
                    option.push(word);
                    option
                })
                .collect(),
        }
    }
}

/// Returns a text or a number as the word that a command line would have.
fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn given(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Checks a value with the parser of `arg`. An error has the value, `what` it is, and the reason.
pub(crate) fn check(arg: &Arg, value: &Value, what: &str) -> Result<(), String> {
    let Value::Words(words) = value else {
        return Ok(());
    };
    for word in words {
        // On its own, without the relations of the option to others.
        let mut alone = Arg::new("value")
            .long("value")
            .action(ArgAction::Append)
            .value_parser(arg.get_value_parser().clone());
        if let OptionKind::List {
            separator: Some(separator),
        } = options::kind(arg)
        {
            alone = alone.value_delimiter(separator);
        }
        let command = Command::new("value").no_binary_name(true).arg(alone);
        let given = Value::Words(vec![word.clone()]).words("value");
        if let Err(error) = command.try_get_matches_from(given) {
            let (word, why) = (word.display(), reason(&error));
            return Err(format!("invalid value '{word}'{what}: {why}"));
        }
    }
    Ok(())
}

fn reason(error: &clap::Error) -> String {
    if let Some(cause) = std::error::Error::source(error) {
        return cause.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(values))) => {
            format!("possible values: {}", values.join(", "))
        }
        _ => "it cannot be parsed".to_owned(),
    }
}
