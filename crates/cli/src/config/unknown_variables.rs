//! Warnings about variables that look like misspelt ones of ours.

use clap::Command;

use super::known::{self, JOB_VARIABLES, KnownOption};
use super::options::{self, PREFIX};
use super::sources::ConfigSources;
use super::spelling;

/// Returns a warning for each such variable.
///
/// Others with our prefix are ignored: Kubernetes sets some for a service called `ocluster`, and a worker sets some for
/// a custom job, which may run us.
pub(super) fn warnings(program: &Command, sources: &ConfigSources) -> Vec<String> {
    let ours = sources.variables.keys().filter_map(|name| name.to_str());
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
