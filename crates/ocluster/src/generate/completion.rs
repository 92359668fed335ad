//! `ocluster generate completion`: what a shell reads to have the programs complete their command lines.

use std::io::{self, Write as _};

use clap::ValueEnum;
use clap_complete::env::{EnvCompleter as _, Fish, Zsh};

use crate::reference;
use cli::completion::VARIABLE;
use cli::error::CommandError;
use cli::print::print_bytes;

/// Print a shell's completion script for these programs
///
/// For one user, add to ~/.bashrc: eval "$(ocluster generate completion bash)"; to ~/.zshrc, after compinit: the same
/// with zsh; to ~/.config/fish/config.fish: ocluster generate completion fish | source.
///
/// For all users, write the script of each PROGRAM to /usr/share/bash-completion/completions/PROGRAM,
/// /usr/share/zsh/vendor-completions/_PROGRAM or /usr/share/fish/vendor_completions.d/PROGRAM.fish.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Shell to print the script for
    shell: Shell,
    /// Program to complete [default: all]
    program: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let all = reference::commands();
    let names: Vec<&str> = all.iter().map(clap::Command::get_name).collect();
    let chosen: Vec<&str> = match &args.program {
        None => names,
        Some(program) if names.contains(&program.as_str()) => vec![program],
        Some(program) => {
            return Err(CommandError::usage(format_args!(
                "there is no program '{program}'; the programs are {}",
                names.join(", ")
            )));
        }
    };
    let mut text = Vec::new();
    register(args.shell, &chosen, &mut text).map_err(CommandError::caused)?;
    print_bytes(&text)
}

/// How bash asks one of our programs. `clap_complete` has a script for it, which does not know where bash ends words.
const BASH: &str = include_str!("complete.bash");

/// Writes what makes a shell ask each of the programs.
fn register(shell: Shell, names: &[&str], text: &mut Vec<u8>) -> io::Result<()> {
    match shell {
        Shell::Bash => {
            text.extend_from_slice(BASH.as_bytes());
            let names = names.join(" ");
            writeln!(text, "complete -o bashdefault -o nosort -F _ocluster_complete {names}")
        }
        Shell::Fish => names
            .iter()
            .try_for_each(|name| Fish.write_registration(VARIABLE, name, name, name, text)),
        Shell::Zsh => names.iter().try_for_each(|name| {
            Zsh.write_registration(VARIABLE, name, name, name, text)?;
            // As a file, this is first read when the first completion is wanted, and has to give it.
            let function = name.replace('-', "_");
            writeln!(
                text,
                "if [[ \"${{funcstack[1]}}\" == \"_{name}\" ]]; then _clap_dynamic_completer_{function} \"$@\"; fi"
            )
        }),
    }
}
