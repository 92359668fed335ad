//! The command lines of all programs and their JSON, as data: the source of the reference, manual pages and completion.

pub use crate::json::{Output, Shape, schemas};
use crate::{admin, client, obuilder, ocluster, scheduler, worker};
use cli::config::ConfigOption;
use cli::program::command;

/// Returns the command line of each program, in the order in which a new user needs them.
pub fn commands() -> [clap::Command; 6] {
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
    commands().iter().flat_map(ConfigOption::all_of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Command;
    use cli::config::OptionKind;
    use cli::positionals::{self, CapFileForm};
    use expect_test::expect;

    use super::*;

    #[test]
    fn their_definitions_are_sound() {
        for program in commands() {
            program.debug_assert();
        }
    }

    #[test]
    fn no_variable_of_custom_jobs_sets_an_option() {
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
    fn every_option_has_three_unique_names() {
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
                "{program} {command:?} {flag} has no help"
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

    /// Returns the usage of each command that has a list, and what was found in it.
    fn listed(command: &Command, lines: &mut Vec<String>) {
        if let Some(usage) = command.get_overridden_usage() {
            let usage = usage.to_string();
            let found = positionals::of(command).into_iter().map(|positional| {
                let many = if positional.many { "..." } else { "" };
                format!("{}{many}", positional.name)
            });
            let found: Vec<String> = found.collect();
            lines.push(format!("{usage}\n    {}", found.join(" ")));
        }
        for below in command.get_subcommands() {
            listed(below, lines);
        }
    }

    const ADMIN: &str = "ocluster-admin";

    fn usage_lines(of: impl Fn(&str) -> bool) -> String {
        let mut lines = Vec::new();
        for program in commands().iter().filter(|program| of(program.get_name())) {
            listed(program, &mut lines);
        }
        lines.join("\n")
    }

    #[test]
    fn usage_lines_have_the_positional_arguments() {
        expect![[r#"
            ocluster-worker [OPTIONS] [CAP] --name <ID> --state-dir <PATH>
                CAP
            ocluster-client submit-docker [OPTIONS] [CAP] --pool <ID> [URL HASH...]
                CAP URL HASH...
            ocluster-client submit-obuilder [OPTIONS] [CAP] --pool <ID> --local-file <PATH> [URL HASH...]
                CAP URL HASH...
            ocluster-client submit-custom [OPTIONS] [CAP] --pool <ID> --kind <KIND> [URL HASH...]
                CAP URL HASH...
            ocluster-client jobs [OPTIONS] [CAP]
                CAP
            ocluster-client status [OPTIONS] [CAP] [JOB]
                CAP JOB
            ocluster-client logs [OPTIONS] [CAP] [JOB]
                CAP JOB
            ocluster-client wait [OPTIONS] [CAP] <JOB>...
                CAP JOB...
            ocluster-client cancel [OPTIONS] [CAP] [JOB...]
                CAP JOB...
            ocluster-client retry [OPTIONS] [CAP] <JOB>
                CAP JOB
            ocluster-client share [OPTIONS] [CAP] <JOB>
                CAP JOB
            ocluster-client web [OPTIONS] [CAP] [JOB]
                CAP JOB
            ocluster top [OPTIONS] [CAP]
                CAP"#]].assert_eq(&usage_lines(|name| name != ADMIN));
    }

    #[test]
    fn usage_lines_of_the_admin_have_the_positional_arguments() {
        expect![[r#"
            ocluster-admin show [OPTIONS] [CAP] [POOL] [WORKER]
                CAP POOL WORKER
            ocluster-admin pause [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin unpause [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin pause-worker [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin unpause-worker [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin drain [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin cancel [OPTIONS] [CAP] <POOL> <NUMBER>...
                CAP POOL NUMBER...
            ocluster-admin jobs [OPTIONS] [CAP]
                CAP
            ocluster-admin job [OPTIONS] [CAP] <JOB>
                CAP JOB
            ocluster-admin job-log [OPTIONS] [CAP] <JOB>
                CAP JOB
            ocluster-admin update [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin add-client [OPTIONS] [CAP] <ID>
                CAP ID
            ocluster-admin remove-client [OPTIONS] [CAP] <ID>
                CAP ID
            ocluster-admin list-clients [OPTIONS] [CAP]
                CAP
            ocluster-admin set-rate [OPTIONS] [CAP] <POOL> <ID> <RATE>
                CAP POOL ID RATE
            ocluster-admin forget [OPTIONS] [CAP] <POOL> [WORKER]
                CAP POOL WORKER
            ocluster-admin exec [OPTIONS] [CAP] <POOL> [--] <CMD>...
                CAP POOL CMD...
            ocluster-admin audit [OPTIONS] [CAP]
                CAP
            ocluster-admin web [OPTIONS] [CAP] [JOB]
                CAP JOB
            ocluster-admin schedulers [OPTIONS] [CAP]
                CAP
            ocluster-admin step-down [OPTIONS] [CAP]
                CAP"#]]
        .assert_eq(&usage_lines(|name| name == ADMIN));
    }

    #[test]
    fn spelled_out_they_are_sound() {
        for cap in [CapFileForm::Argument, CapFileForm::Option] {
            for program in commands() {
                positionals::spelled_out(program, cap).debug_assert();
            }
        }
    }
}
