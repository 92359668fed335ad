//! What a result depends on: the text whose digest is a step's id.

use bstr::{BStr, BString};
use obuilder_spec::{Sexp, User};

use crate::StepId;
use crate::sandbox::SecretFile;

/// Everything that the result of a step depends on, as far as its id says.
///
/// The text is the reference's, byte for byte, so that ids are. It says nothing of caches, nor of permission bits of copied
/// files: those are kept beside the result, as its variant. Nor does it say what a secret is called, when a copied file was
/// changed, and what the sandbox and the machine are like: results that differ only in those are taken for the same.
#[derive(Debug, Clone, Copy)]
pub enum StepInputs<'a> {
    /// A base image: its name as the spec has it. Two names of one image are two images.
    Base(&'a BStr),
    /// A command.
    Run {
        /// What it starts from.
        base: StepId,
        /// The working directory, as it came to be: `/a/./b` is not `/a/b`.
        workdir: &'a BStr,
        /// Who runs it.
        user: &'a User,
        /// The environment, in order.
        env: &'a [(BString, BString)],
        /// The command.
        command: &'a BStr,
        /// The words before it.
        shell: &'a [BString],
        /// The networks, as the spec has them.
        network: &'a [BString],
        /// The secrets, in the order of the spec.
        secrets: &'a [SecretFile],
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
            Self::Run {
                base,
                workdir,
                user,
                env,
                command,
                shell,
                network,
                secrets,
            } => Sexp::list([
                Sexp::field("base", id(base)),
                Sexp::field("workdir", Sexp::atom(workdir)),
                Sexp::field("user", user_sexp(user)),
                Sexp::field("env", pairs(env)),
                Sexp::field("cmd", Sexp::atom(command)),
                Sexp::field("shell", words(shell)),
                Sexp::field("network", words(network)),
                // The last one first, as it always was.
                Sexp::field(
                    "mount_secrets",
                    Sexp::list(secrets.iter().rev().map(secret)),
                ),
            ]),
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
