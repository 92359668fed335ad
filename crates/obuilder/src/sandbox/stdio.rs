//! Standard input and output of a container.

/// The standard input of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Empty.
    Empty,
    /// That of this process.
    Inherited,
    /// The terminal of this process, through one of its own.
    Terminal,
}

/// The standard output and error of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// Both through one pipe, so that their order is kept.
    Piped,
    /// Those of this process.
    Inherited,
}
