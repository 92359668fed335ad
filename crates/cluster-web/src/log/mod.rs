//! A build's log as lines of HTML.
//!
//! A [`Terminal`] reads the bytes of a log in pieces, and writes what a terminal would show in the end: colours, and
//! the last state of a progress bar. Nothing in a log can do more than that: other sequences are dropped, texts are
//! escaped, links lead only to `http` and `https`, and each line and each number has a limit. [`fold`] groups the lines
//! by build steps; [`failure`] finds the line to begin with when a job has failed.

mod cell;
mod colour;
mod csi;
mod escapes;
mod failure;
mod html;
mod line;
mod links;
mod position;
mod row;
mod screen;
mod search;
mod steps;
mod style;
mod terminal;
#[cfg(test)]
mod tests;
mod written;

pub use colour::stylesheet;
pub use failure::{Severity, failure, failure_among};
pub use html::{escape, escaped};
pub use line::{Line, Run};
pub(crate) use position::position;
pub use search::{Match, Search};
pub use steps::{Fold, StepMark, fold, step_title};
pub use style::Style;
pub use terminal::{Start, Terminal};
