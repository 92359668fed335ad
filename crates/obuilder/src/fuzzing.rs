//! What a fuzzer needs of the inside: no part of the interface, and free to change.

pub use crate::sandbox::fuzzing::{call_numbers, compiled_filter, filter_rules, mount_points};
pub use crate::shared::fuzzing::check_records;
