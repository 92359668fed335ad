//! The project's own commands: demo, test, tidy.

fn main() {}
