//! What a result depends on: the text whose digest is a step's id.

use bstr::{BStr, BString};
use obuilder_spec::{Sexp, User};

use crate::StepId;
use crate::sandbox::{Command, SecretFile};

/// Everything that the result of a step depends on, as far as its id says.
///
/// The text is the reference's, byte for byte, so that ids are. It says nothing of caches, nor of permission bits of copied
/// files: those are kept beside the result, as its variant. Nor does it say what a secret is called, when a copied file was
/// changed, and what the sandbox and the machine are like: results that differ only in those are taken for the same.
#[derive(Debug, Clone, Copy)]
pub enum StepInputs<'a> {
    /// A base image: its name as the spec has it. Two names of one image are two images.
    Base(&'a BStr),
    /// A command: exactly what is run, so that nothing can be run that is not in the id.
    Run {
        /// The result that it starts from.
        base: StepId,
        /// The command. Its mounts are not in the id: they are its caches, which the variant has.
        command: &'a Command,
    },
    /// A copy.
    Copy {
        /// What it copies into.
        base: StepId,
        /// Who owns the copies.
        user: &'a User,
        /// What is copied, and where to: the field `op` ([`Manifest::sexp`](crate::copy::Manifest::sexp)).
        manifest: &'a Sexp,
    },
}

impl StepInputs<'_> {
    /// Returns the id of the step.
    pub fn id(self) -> StepId {
        StepId::of(&self.text())
    }

    /// Returns what is digested. The values of secrets are in it: do not show it.
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
    /// Returns what the result of this command depends on when it runs in the result `base`.
    pub fn inputs(&self, base: StepId) -> StepInputs<'_> {
        StepInputs::Run {
            base,
            command: self,
        }
    }
}

/// Returns what is digested of a command. Every field of it is named here, so that a new one does not compile until it is
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
