//! Whole trees of files: copied, removed, and the attributes of one file given to another.
//!
//! The trees are what builds made of them, so nothing here follows a symlink, and nothing recurses: a build may nest
//! directories deeper than a stack is.

mod attributes;
mod clone;
mod remove;

pub(super) use attributes::{Times, attribute, copy_attributes, set_attribute};
pub(super) use clone::{copy_file, copy_if_there, reflink, reflink_tree};
pub(super) use remove::remove;
