//! The inputs of a step: the text whose digest is its id.

use bstr::{BStr, BString};
use obuilder_spec::{Sexp, User};

use crate::StepId;
use crate::sandbox::{Command, SecretFile};

/// The inputs of a step that its id includes.
///
/// The text is the reference's, byte for byte, so that ids are the same. It does not include caches and permission bits
/// of copied files, which are kept beside the result, as its variant. It does not include names of secrets, times of
/// copied files, the sandbox and the machine either: results that differ only in those count as the same.
#[derive(Debug, Clone, Copy)]
pub enum StepInputs<'a> {
    /// A base image: its name as in the spec. Two names of one image are two images.
    Base(&'a BStr),
    /// A command: exactly the one that runs, so that nothing can run that is not in the id.
    Run {
        /// The result on which it is based.
        base: StepId,
        /// The command. Its mounts are not in the id: they are its caches, which the variant has.
        command: &'a Command,
    },
    /// A copy.
    Copy {
        /// The result on which it is based.
        base: StepId,
        /// The owner of the copies.
        user: &'a User,
        /// The files with their destinations: the field `op` ([`Manifest::sexp`](crate::copy::Manifest::sexp)).
        manifest: &'a Sexp,
    },
}

impl StepInputs<'_> {
    /// Returns the id of the step.
    pub fn id(self) -> StepId {
        StepId::of(&self.text())
    }

    /// Returns the text whose digest is the id. It includes the values of secrets: do not show it.
    pub fn text(self) -> Vec<u8> {
        let sexp = match self {
            Self::Base(name) => return name.to_vec(),
            Self::Run { base, command } => run_sexp(base, command),
            Self::Copy {
                base,
                user,
                manifest,
            } => Sexp::list([
                Sexp::field("base", id(base)),
                Sexp::field("user", user_sexp(user)),
                manifest.clone(),
            ]),
        };
        sexp.to_machine()
    }
}

impl Command {
    /// Returns the inputs of this command when it runs in the result `base`.
    pub fn inputs(&self, base: StepId) -> StepInputs<'_> {
        StepInputs::Run {
            base,
            command: self,
        }
    }
}

/// Returns the inputs of a command. All of its fields are named here, so that a new one does not compile until it is
/// decided whether results depend on it.
fn run_sexp(base: StepId, command: &Command) -> Sexp {
    let Command {
        argv,
        cwd,
        user,
        env,
        network,
        secrets,
        mounts: _,
    } = command;
    // The last word is the command of the spec, and those before it are the shell.
    let (cmd, shell) = match argv.split_last() {
        Some((cmd, shell)) => (cmd.clone(), shell),
        None => (BString::default(), &[][..]),
    };
    Sexp::list([
        Sexp::field("base", id(base)),
        // As the spec spells it: `/a/./b` is not `/a/b`.
        Sexp::field("workdir", Sexp::atom(cwd.clone())),
        Sexp::field("user", user_sexp(user)),
        Sexp::field("env", pairs(env)),
        Sexp::field("cmd", Sexp::atom(cmd)),
        Sexp::field("shell", words(shell)),
        Sexp::field("network", Sexp::atoms(network.words().iter().copied())),
        // The last one first: the reference collects them in reverse.
        Sexp::field(
            "mount_secrets",
            Sexp::list(secrets.iter().rev().map(secret)),
        ),
    ])
}

fn secret(secret: &SecretFile) -> Sexp {
    Sexp::list([
        Sexp::field("value", Sexp::atom(&*secret.value)),
        Sexp::field("target", Sexp::atom(&**secret.target)),
    ])
}

pub(super) fn user_sexp(user: &User) -> Sexp {
    let number = |name, number: &i64| Sexp::field(name, Sexp::atom(number.to_string()));
    match user {
        User::Unix { uid, gid } => Sexp::list([number("uid", uid), number("gid", gid)]),
        User::Named(name) => Sexp::list([Sexp::field("name", Sexp::atom(name.clone()))]),
    }
}

/// Returns an environment as a list of names with their values.
pub(super) fn pairs(env: &[(BString, BString)]) -> Sexp {
    let pair = |(name, value): &(BString, BString)| Sexp::atoms([name.clone(), value.clone()]);
    Sexp::list(env.iter().map(pair))
}

pub(super) fn words(words: &[BString]) -> Sexp {
    Sexp::atoms(words.iter().cloned())
}

fn id(id: StepId) -> Sexp {
    Sexp::atom(id.to_string())
}
