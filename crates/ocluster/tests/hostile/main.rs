//! The real scheduler, attacked over the network as a stranger and as the holder of a cap file.
//!
//! Each test makes one attack and watches the *others*: whether the program keeps running, how long bystanders wait,
//! how much memory it takes at most and afterwards, and how much it logs. What it may cost at most is what
//! `docs/security.md` promises, with a wide factor for waiting, because these are debug builds on a busy machine.

mod bystander;
mod departures;
mod harness;
mod machine;
mod metrics;
mod pipelines;
mod quiet;
mod raw;
mod strangers;
mod terminal;
mod unread;
mod values;
