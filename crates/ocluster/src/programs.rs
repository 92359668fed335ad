//! The command lines of all programs, as data: the source of manual pages, completion and the reference.

use crate::program::command;
use crate::{admin, client, obuilder, ocluster, scheduler, worker};
use cli::config::ConfigOption;

/// Returns the command line of each program, in the order in which a new user needs them.
pub fn all() -> [clap::Command; 6] {
    [
        command::<scheduler::Args>("ocluster-scheduler"),
        command::<worker::Args>("ocluster-worker"),
        command::<client::Args>("ocluster-client"),
        command::<admin::Args>("ocluster-admin"),
        command::<ocluster::Args>("ocluster"),
        command::<obuilder::Args>("obuilder"),
    ]
}

/// Returns every option of every program, with its flag, its variable and its key in a file.
pub fn options() -> Vec<ConfigOption> {
    all().iter().flat_map(ConfigOption::all_of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use cli::config::OptionKind;

    #[test]
    fn their_definitions_are_sound() {
        for program in all() {
            program.debug_assert();
        }
    }

    #[test]
    fn no_option_takes_its_value_from_the_custom_job_that_we_are_run_by() {
        for option in options() {
            assert!(
                !cluster_worker::CUSTOM_VARIABLES.contains(&option.env.as_str()),
                "{option:?}"
            );
        }
    }

    #[test]
    fn the_list_of_all_options_is_what_the_programs_have() {
        let lines = options().into_iter().map(|option| {
            let name = option.flag.trim_start_matches("--").to_owned();
            format!("{} {name}\n", option.program)
        });
        let mut seen = BTreeSet::new();
        let lines: String = lines.filter(|line| seen.insert(line.clone())).collect();
        expect_test::expect_file!["../../cli/src/config/known_options.txt"].assert_eq(&lines);
    }

    #[test]
    fn the_variables_of_custom_jobs_are_what_the_worker_sets() {
        assert_eq!(cli::config::JOB_VARIABLES, cluster_worker::CUSTOM_VARIABLES);
    }

    #[test]
    fn every_option_has_three_names_that_no_other_has() {
        let options = options();
        let mut names = BTreeSet::new();
        for option in &options {
            let ConfigOption {
                program,
                command,
                flag,
                env,
                key,
                ..
            } = option;
            assert!(
                names.insert((program, command, flag)),
                "{program} {command:?} has {flag} twice"
            );
            let name = flag.trim_start_matches("--");
            assert_eq!(
                *env,
                format!("OCLUSTER_{}", name.replace('-', "_").to_uppercase())
            );
            assert!(key.as_deref() == Some(name) || name == "config", "{flag}");
            assert!(
                !option.help.is_empty(),
                "{program} {command:?} {flag} says nothing"
            );
        }
        let of_worker = |flag: &str| {
            let option = options
                .iter()
                .find(|o| o.program == "ocluster-worker" && o.flag == flag);
            option.unwrap().clone()
        };
        assert_eq!(of_worker("--capacity").default.as_deref(), Some("10"));
        assert_eq!(of_worker("--fast-sync").kind, OptionKind::Flag);
        assert!(of_worker("--name").required);
        let separator = Some(',');
        assert_eq!(
            of_worker("--allow-push").kind,
            OptionKind::List { separator }
        );
    }
}
