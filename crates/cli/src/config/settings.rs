//! The value of each option, and its source.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::file::{self, DIRECTORY, File, Place};
use super::known::{self, JOB_VARIABLES, KnownOption};
use super::options::{self, FILE_OPTION, OptionKind, PREFIX, PRINT_OPTION};
use super::value::{self, Value};
use super::{ONE_SETTING, spelling};
use crate::error::CommandError;

/// The option that names the cap file, which may be the first argument instead.
const CONNECT: &str = "connect";

/// The environment of a program, which tests replace.
pub struct ConfigSources {
    /// The environment.
    pub variables: BTreeMap<OsString, OsString>,
    /// The directory of the files that are read by default.
    pub directory: PathBuf,
}

impl ConfigSources {
    /// Returns the environment of this process.
    pub fn of_this_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            directory: DIRECTORY.into(),
        }
    }

    /// Returns an environment that sets no option.
    pub fn empty() -> Self {
        Self {
            variables: BTreeMap::new(),
            directory: "/nowhere".into(),
        }
    }

    /// Returns the value of a variable. An empty one counts as unset: that is how Compose files leave one out.
    fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables
            .get(OsStr::new(name))
            .filter(|value| !value.is_empty())
    }
}

/// The source of a value. Earlier ones override later ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line, with the option's flag.
    Flag,
    /// The command line, with the argument CAP.
    Argument,
    Variable(String),
    File(Place),
    /// No source: the default.
    Default,
}

impl Source {
    fn rank(&self) -> u8 {
        match self {
            Self::Flag | Self::Argument => 0,
            Self::Variable(_) => 1,
            Self::File(_) => 2,
            Self::Default => 3,
        }
    }
}

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
    command: &'a Command,
    positionals: Vec<OsString>,
}

/// Which file is read.
pub(crate) enum Configuration {
    /// This one, for this reason.
    Read(File, Source),
    /// None: there is no default file at this path.
    None(PathBuf),
}

/// The values of all options.
pub struct Settings<'a> {
    pub(crate) program: &'a Command,
    pub(crate) levels: Vec<Level<'a>>,
    pub(crate) configuration: Configuration,
    /// Whether to print them and exit.
    pub to_print: bool,
    /// Possible mistakes.
    pub warnings: Vec<String>,
}

impl<'a> Settings<'a> {
    /// Finds the value of each option of `program`, whose command line was parsed as `matches`. The program must have
    /// been built.
    ///
    /// # Errors
    /// If the file cannot be read, or a value is invalid.
    pub fn gather(
        program: &'a Command,
        matches: &ArgMatches,
        around: &ConfigSources,
    ) -> Result<Self, CommandError> {
        let configuration = configuration(program, matches, around)?;
        let reader = Reader {
            around,
            file: match &configuration {
                Configuration::Read(file, _) => Some(file),
                Configuration::None(_) => None,
            },
        };
        let to_print = matches.get_flag(PRINT_OPTION);
        let mut levels = Vec::new();
        let (mut command, mut given) = (program, Some(matches));
        let mut path = Vec::new();
        while let Some(matches) = given {
            levels.push(reader.level(command, &path, Some(matches))?);
            given = None;
            if let Some((name, inner)) = matches.subcommand()
                && let Some(sub) = command.find_subcommand(name)
            {
                path.push(name.to_owned());
                (command, given) = (sub, Some(inner));
            }
        }
        if to_print {
            reader.commands_of(command, &path, &mut levels)?;
        }
        choose_cap_file(&mut levels);
        levels.iter_mut().for_each(resolve_conflicts);
        Ok(Self {
            program,
            warnings: unknown_variables(program, around),
            levels,
            configuration,
            to_print,
        })
    }

    /// Returns whether all values are from the command line or defaults.
    pub fn are_all_flags(&self) -> bool {
        self.levels
            .iter()
            .flat_map(|level| &level.settings)
            .all(|setting| !matches!(setting.source, Source::Variable(_) | Source::File(_)))
    }

    /// Returns a command line with all these values.
    pub fn command_line(&self) -> Vec<OsString> {
        let mut words = vec![self.program.get_name().into()];
        for level in &self.levels {
            words.extend(level.path.last().map(OsString::from));
            for Setting {
                name,
                value,
                source,
                ..
            } in &level.settings
            {
                match (source, value) {
                    (Source::Default | Source::Argument, _) | (_, None) => {}
                    (_, Some(value)) => words.extend(value.words(name)),
                }
            }
            if !level.positionals.is_empty() {
                words.push("--".into());
                words.extend(level.positionals.iter().cloned());
            }
        }
        words
    }
}

/// Reads values from their sources.
struct Reader<'r> {
    around: &'r ConfigSources,
    file: Option<&'r File>,
}

impl Reader<'_> {
    fn level<'a>(
        &self,
        command: &'a Command,
        path: &[String],
        matches: Option<&ArgMatches>,
    ) -> Result<Level<'a>, CommandError> {
        let settable = |arg: &&Arg| !matches!(arg.get_long(), Some(FILE_OPTION | PRINT_OPTION));
        let settings = options::own_options(command, path)
            .filter(settable)
            .map(|arg| self.setting(arg, path, matches));
        let mut positionals: Vec<&Arg> = command.get_positionals().collect();
        positionals.sort_by_key(|arg| arg.get_index());
        let positionals = positionals.into_iter().flat_map(|arg| {
            let given = matches.and_then(|matches| raw(matches, arg));
            given.unwrap_or_default()
        });
        Ok(Level {
            path: path.to_vec(),
            settings: settings.collect::<Result<_, _>>()?,
            command,
            positionals: positionals.collect(),
        })
    }

    /// Adds all commands of a command, of which none was chosen.
    fn commands_of<'a>(
        &self,
        command: &'a Command,
        path: &[String],
        levels: &mut Vec<Level<'a>>,
    ) -> Result<(), CommandError> {
        for sub in options::commands(command) {
            let path: Vec<String> = path
                .iter()
                .cloned()
                .chain([sub.get_name().to_owned()])
                .collect();
            levels.push(self.level(sub, &path, None)?);
            self.commands_of(sub, &path, levels)?;
        }
        Ok(())
    }

    fn setting<'a>(
        &self,
        arg: &'a Arg,
        path: &[String],
        matches: Option<&ArgMatches>,
    ) -> Result<Setting<'a>, CommandError> {
        let name = arg.get_long().unwrap_or_default();
        let (value, source) = match self.first_value(arg, name, path, matches)? {
            Some((value, source)) => (Some(value), source),
            None => (default(arg), Source::Default),
        };
        Ok(Setting {
            arg,
            name,
            value,
            source,
        })
    }

    /// Returns the value of an option from the first source that has it.
    fn first_value(
        &self,
        arg: &Arg,
        name: &str,
        path: &[String],
        matches: Option<&ArgMatches>,
    ) -> Result<Option<(Value, Source)>, CommandError> {
        if let Some(value) = matches.and_then(|matches| flag(matches, arg)) {
            return Ok(Some((value, Source::Flag)));
        }
        let variable = options::variable(name);
        if let Some(value) = self.around.variable(&variable) {
            let read = Value::from_variable(value.clone(), options::kind(arg));
            let read = read.and_then(|value| value::check(arg, &value, "").map(|()| value));
            let value = read
                .map_err(|why| CommandError::usage(format_args!("variable {variable}: {why}")))?;
            return Ok(Some((value, Source::Variable(variable))));
        }
        let entry = self.file.and_then(|file| file.find(path, name));
        Ok(entry.map(|entry| (entry.value.clone(), Source::File(entry.place.clone()))))
    }
}

fn raw(matches: &ArgMatches, arg: &Arg) -> Option<Vec<OsString>> {
    let id = arg.get_id().as_str();
    if matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let words = matches.get_raw(id)?;
    Some(words.map(OsStr::to_owned).collect())
}

fn flag(matches: &ArgMatches, arg: &Arg) -> Option<Value> {
    let id = arg.get_id().as_str();
    let words = raw(matches, arg)?;
    Some(match options::kind(arg) {
        OptionKind::Flag => Value::Flag(true),
        OptionKind::Count => Value::Count(matches.get_count(id)),
        OptionKind::Value | OptionKind::List { .. } => Value::Words(words),
    })
}

fn default(arg: &Arg) -> Option<Value> {
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

/// A cap file as the first argument is from the command line, and so overrides a variable or a file. Where other
/// arguments may follow, it is recognised by its name: `show admin.cap POOL`, but `show POOL`.
fn choose_cap_file(levels: &mut [Level<'_>]) {
    let alone = levels.len() == 1;
    let first = levels
        .iter()
        .find_map(|level| level.positionals.first().cloned());
    let connect = levels.first_mut().and_then(|level| {
        level
            .settings
            .iter_mut()
            .find(|setting| setting.name == CONNECT)
    });
    let (Some(first), Some(connect)) = (first, connect) else {
        return;
    };
    let is_named_so = Path::new(&first).extension() == Some(OsStr::new("cap"));
    if connect.source == Source::Default
        || (connect.source != Source::Flag && (alone || is_named_so))
    {
        connect.value = Some(Value::Words(vec![first]));
        connect.source = Source::Argument;
    }
}

/// Of options that are one setting or exclude each other, keeps only those of the first source that has any.
fn resolve_conflicts(level: &mut Level<'_>) {
    let excluded: BTreeMap<&str, Vec<&str>> = level
        .settings
        .iter()
        .map(|setting| {
            let others = level.command.get_arg_conflicts_with(setting.arg);
            (
                setting.name,
                others.into_iter().filter_map(Arg::get_long).collect(),
            )
        })
        .collect();
    let excludes = |a: &str, b: &str| excluded.get(a).is_some_and(|names| names.contains(&b));
    let are_in_conflict = |a: &str, b: &str| {
        let are_one = ONE_SETTING
            .iter()
            .any(|names| names.contains(&a) && names.contains(&b));
        // Either of the two may declare it.
        are_one || excludes(a, b) || excludes(b, a)
    };
    let is_kept = |setting: &Setting<'_>| {
        let others = level
            .settings
            .iter()
            .filter(|other| are_in_conflict(setting.name, other.name));
        let best = others.map(|other| other.source.rank()).min();
        best.is_none_or(|best| setting.source.rank() <= best)
    };
    let kept: Vec<bool> = level.settings.iter().map(is_kept).collect();
    for (setting, _) in level
        .settings
        .iter_mut()
        .zip(kept)
        .filter(|(_, kept)| !kept)
    {
        setting.value = default(setting.arg);
        setting.source = Source::Default;
    }
}

fn configuration(
    program: &Command,
    matches: &ArgMatches,
    around: &ConfigSources,
) -> Result<Configuration, CommandError> {
    let variable = options::variable(FILE_OPTION);
    let flag = matches
        .get_one::<PathBuf>(FILE_OPTION)
        .map(|path| (path.clone(), Source::Flag));
    let named = flag.or_else(|| {
        let path = around.variable(&variable)?;
        Some((path.into(), Source::Variable(variable.clone())))
    });
    let (path, source) = match named {
        Some(named) => named,
        None => {
            let path = file::default_file(&around.directory, program.get_name());
            (path, Source::Default)
        }
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if source == Source::Default && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Configuration::None(path));
        }
        Err(error) => {
            let named_by = match source {
                Source::Variable(variable) => format!("variable {variable}"),
                Source::Flag => "option '--config'".to_owned(),
                _ => "the configuration".to_owned(),
            };
            return Err(CommandError::usage(format_args!(
                "{named_by}: cannot read '{}': {error}",
                path.display()
            ))
            .hint("to use no file, give --config=/dev/null"));
        }
    };
    Ok(Configuration::Read(
        File::parse(&path, &text, program)?,
        source,
    ))
}

/// Returns warnings about variables that look like misspelt ones of ours.
///
/// Others with our prefix are ignored: Kubernetes sets some for a service called `ocluster`, and a worker sets some for
/// a custom job, which may run us.
fn unknown_variables(program: &Command, around: &ConfigSources) -> Vec<String> {
    let ours = around.variables.keys().filter_map(|name| name.to_str());
    let ours: Vec<&str> = ours
        .filter(|name| name.starts_with(PREFIX) && !JOB_VARIABLES.contains(name))
        .collect();
    let known = options::ConfigOption::all_of(program);
    let is_known = |name: &str, options: &[options::ConfigOption]| {
        options.iter().any(|option| option.env == name)
    };
    if ours.iter().all(|name| is_known(name, &known)) {
        return Vec::new();
    }
    // One environment may be for several programs.
    let of_all: Vec<String> = known::options().iter().map(KnownOption::variable).collect();
    let unknown = ours
        .into_iter()
        .filter(|name| !of_all.iter().any(|known| known == name));
    unknown
        .filter_map(|name| {
            let tails = of_all.iter().filter_map(|known| known.strip_prefix(PREFIX));
            let meant = spelling::closest(name.strip_prefix(PREFIX)?, tails)?;
            Some(format!(
                "Ignoring variable {name}, as no program has such an option; did you mean {PREFIX}{meant}?"
            ))
        })
        .collect()
}
