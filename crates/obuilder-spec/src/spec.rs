//! A spec as values.

use bstr::BString;

/// What to build: a stage, and the nested builds that it may copy from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Nested builds, in order, by name. A later one hides an earlier one of the same name.
    pub builds: Vec<(BString, Self)>,
    /// The base image.
    pub from: BString,
    /// What is done to it, in order.
    pub ops: Vec<Op>,
}

/// One line of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A note for the reader of the log.
    Comment(BString),
    /// Changes the working directory of what follows.
    Workdir(BString),
    /// Changes the words before the command of each `run` that follows.
    Shell(Vec<BString>),
    /// Runs a command.
    Run(Run),
    /// Copies files in.
    Copy(Copy),
    /// Changes the user of what follows.
    User(User),
    /// Sets a variable for what follows.
    Env(BString, BString),
}

impl Op {
    /// The names of all ops, in the order in which error messages list them.
    pub(crate) const NAMES: &[&str] =
        &["comment", "workdir", "shell", "run", "copy", "user", "env"];
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The directories that outlive the step.
    pub cache: Vec<CacheMount>,
    /// The networks it may use: none, or `host`.
    pub network: Vec<BString>,
    /// The secrets it is shown.
    pub secrets: Vec<SecretMount>,
    /// The command, one word for the shell.
    pub shell: BString,
}

/// A mutable directory, shared by all steps that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// Its name in the store.
    pub id: BString,
    /// Where the step sees it.
    pub target: BString,
    /// Options for the Dockerfile alone.
    pub buildkit_options: Vec<(BString, BString)>,
}

/// A secret, which the build gets separately and one step can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// Its name. Not its value, which a spec never has.
    pub id: BString,
    /// The file in which the step sees it.
    pub target: BString,
    /// Options for the Dockerfile alone.
    pub buildkit_options: Vec<(BString, BString)>,
}

/// Files to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Where they come from.
    pub from: Source,
    /// Their paths there.
    pub src: Vec<BString>,
    /// Where they go. With a slash at its end it is a directory to put them in.
    pub dst: BString,
    /// Names that are left out, at any depth.
    pub exclude: Vec<BString>,
}

/// Where files to copy come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The source of the build.
    Context,
    /// The result of a nested build.
    Build(BString),
}

/// The user that runs a command, or owns copied files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By numbers.
    Unix {
        /// The user.
        uid: i64,
        /// The group.
        gid: i64,
    },
    /// By name, as on Windows.
    Named(BString),
}

impl User {
    /// The user that a build starts with.
    pub const ROOT: Self = Self::Unix { uid: 0, gid: 0 };
}
