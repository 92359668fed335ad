//! The OCluster command lines.

pub mod error;
pub mod logging;
pub mod program;
pub mod quote;
pub mod signals;
pub mod status_line;
