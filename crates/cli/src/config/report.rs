//! The output of `--print-config`: a file with the same effect, with the source of each value as a comment.

use std::ffi::OsString;

use visible::without_credentials;

use super::configuration::Configuration;
use super::level::{Level, Setting};
use super::settings::Settings;
use super::sources::Source;
use super::value::Value;

/// The column at which comments begin, unless a value is longer.
const COMMENTS: usize = 44;

/// Returns the output.
pub(crate) fn page(settings: &Settings<'_>) -> String {
    let mut page = header(settings);
    for level in &settings.levels {
        if level.settings.is_empty() {
            continue;
        }
        page.push('\n');
        if !level.path.is_empty() {
            page.push_str(&format!("[{}]\n", level.path.join(".")));
        }
        page.push_str(&table(level));
    }
    page
}

fn header(settings: &Settings<'_>) -> String {
    let file = match &settings.configuration {
        Configuration::Read(file, source) => {
            let why = match source {
                Source::Flag | Source::Argument | Source::File(_) => "set by --config".to_owned(),
                Source::Variable(variable) => format!("set by the variable {variable}"),
                Source::Default => "the default file".to_owned(),
            };
            format!("{} ({why})", file.path().display())
        }
        Configuration::None(path) => format!("none (there is no {})", path.display()),
    };
    let warnings = settings.warnings.iter();
    let warnings: String = warnings.map(|warning| format!("# {warning}\n")).collect();
    format!(
        "# The options of {}. Flags override variables, and variables override the file.\n# File: {file}\n{warnings}",
        settings.program.get_name(),
    )
}

fn table(level: &Level<'_>) -> String {
    let lines = level.settings.iter().map(|setting| {
        let (assignment, comment) = line(setting);
        format!("{assignment:COMMENTS$} # {comment}\n")
    });
    lines.collect()
}

fn line(setting: &Setting<'_>) -> (String, String) {
    let Setting {
        arg,
        name,
        value,
        source,
    } = setting;
    let source = match source {
        Source::Flag => "flag".to_owned(),
        Source::Argument => "argument CAP".to_owned(),
        Source::Variable(variable) => format!("environment variable {variable}"),
        Source::File(place) => format!("file {place}"),
        Source::Default => "default".to_owned(),
    };
    match value {
        None if arg.is_required_set() => {
            (format!("# {name} ="), "required, but not set".to_owned())
        }
        None => (format!("# {name} ="), "not set".to_owned()),
        Some(Value::Flag(given)) => (format!("{name} = {given}"), source),
        Some(Value::Count(count)) => (format!("{name} = {count}"), source),
        Some(Value::Words(words)) => {
            let shown: Vec<Shown> = words.iter().map(shown).collect();
            let is_hidden = shown.iter().any(|word| word.has_secret);
            let texts: Vec<&str> = shown.iter().map(|word| word.text.as_str()).collect();
            let text = match (texts.as_slice(), is_list(arg)) {
                ([text], false) => (*text).to_owned(),
                (texts, _) => format!("[{}]", texts.join(", ")),
            };
            let note = if is_hidden {
                ", credentials hidden"
            } else {
                ""
            };
            (format!("{name} = {text}"), format!("{source}{note}"))
        }
    }
}

fn is_list(arg: &clap::Arg) -> bool {
    matches!(
        super::options::kind(arg),
        super::options::OptionKind::List { .. }
    )
}

/// A word as TOML.
struct Shown {
    text: String,
    has_secret: bool,
}

fn shown(word: &OsString) -> Shown {
    let word = word.to_string_lossy();
    let without_secret = without_credentials(&word);
    let is_number = word
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == word);
    Shown {
        text: if is_number {
            word.to_string()
        } else {
            text(&without_secret)
        },
        has_secret: without_secret != word,
    }
}

/// Returns a text as TOML writes it.
fn text(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
