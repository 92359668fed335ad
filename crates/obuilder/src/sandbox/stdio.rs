//! Standard input and output of a container.

/// What a container reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Nothing: it is at its end.
    Empty,
    /// What this process reads.
    Inherited,
    /// What is typed on the terminal of this process, through one of its own.
    Terminal,
}

/// Where a container's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// Both through one pipe, so that their order is kept.
    Piped,
    /// Where this process's goes.
    Inherited,
}
