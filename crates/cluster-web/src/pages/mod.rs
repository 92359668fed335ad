//! A struct for each page: with its template it is HTML, and serialized it is JSON.
//!
//! The fields are those of `--output=json` where there are such. What all pages have is in their [`Frame`], which is
//! not part of the JSON. Texts are raw here: templates escape them, and make visible what is not ([`VisibleHtml`]).

mod address;
mod ask;
mod audit;
mod badge;
mod bar;
mod enter;
mod escaper;
mod frame;
mod graph;
mod job;
mod jobs;
mod log_line;
mod log_mark;
mod log_view;
mod notice;
mod pool;
mod pools;
mod reason;
mod reproduce;
mod rows;
mod seconds;
#[cfg(test)]
mod tests;
mod timeline;
mod worker;
mod workers;

pub use ask::{Asked, AskedText};
pub use audit::{AuditPage, AuditRow};
pub use badge::badge;
pub use enter::Enter;
pub use escaper::VisibleHtml;
pub(crate) use frame::PLACE_OF_VISITOR;
pub use frame::{Frame, Section};
pub use graph::{Graph, Point};
pub use job::{JobPage, RunRow};
pub use jobs::{Filters, HintTimes, JobsPage};
pub use log_line::{FollowedLine, FollowedTime, LogLine};
pub use log_mark::LogMark;
pub use log_view::{LogFold, LogOptions, LogSearch, LogView};
pub use notice::Notice;
pub use pool::{ClientRow, PoolPage};
pub(crate) use pools::folded;
pub use pools::{Finding, PoolRow, PoolsPage, WorkerCounts};
pub use reason::{Range, Waiting};
pub(crate) use reproduce::shell_word;
pub use reproduce::{Command, Reproduced};
pub use rows::{JobRow, Links, QueuedRow, RunningRow};
pub use timeline::{AttemptTimes, Part, Timeline};
pub use worker::{Cached, Registration, WorkerPage};
pub use workers::{DiskRow, PauseRow, WorkerRow, WorkersPage};

/// The style sheet of all pages.
pub const STYLE: &str = concat!(
    include_str!("../../assets/style.css"),
    include_str!("../../assets/log.css"),
    include_str!("../../assets/colours.css")
);
/// The script of all pages. They can be read without it.
pub const SCRIPT: &str = concat!(
    include_str!("../../assets/script.js"),
    include_str!("../../assets/log.js")
);
/// The icon of the pages, as SVG.
pub const ICON: &str = include_str!("../../assets/icon.svg");
