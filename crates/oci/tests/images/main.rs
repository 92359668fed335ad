//! Base images from everywhere they come from, and images out; with other programs as judges.

mod addresses;
mod docker;
mod exports;
mod fake_registry;
mod hostile;
mod imports;
mod layers;
mod registries;
mod service;
mod sizes;
mod support;
mod tokens;
