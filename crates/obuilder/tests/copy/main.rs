//! Copies, on real files.

mod changes;
mod digests;
mod hostile;
mod ids;
mod image;
mod sources;
mod tree;
