//! Which of several options applies, if they are one setting, exclude each other, or come from the argument CAP.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use clap::Arg;

use super::level::{self, Level, Setting};
use super::sources::Source;
use super::value::Value;

/// Options that are one setting: the first source that has any of them decides all. `--quiet` overrides the file's
/// `verbosity`, for example. Options that exclude each other are treated this way without being listed.
pub(super) const ONE_SETTING: &[&[&str]] = &[
    &["quiet", "verbose", "verbosity"],
    &["local-dockerfile", "context-dockerfile"],
];

/// The option that names the cap file, which may be the first argument instead.
const CONNECT: &str = "connect";

/// A cap file as the first argument is from the command line, and so overrides a variable or a file. Where other
/// arguments may follow, it is recognised by its name: `show admin.cap POOL`, but `show POOL`.
pub(super) fn choose_cap_file(levels: &mut [Level<'_>]) {
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
pub(super) fn resolve_conflicts(level: &mut Level<'_>) {
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
        setting.value = level::default(setting.arg);
        setting.source = Source::Default;
    }
}
