//! What the programs print with `--output=json`, as types: their comments are its documentation.
//!
//! Standard output has JSON and nothing else then; standard error is for people, as always. A command prints one object,
//! or one a line while it waits for something ([`Shape`]). When it fails, its last line is a [`failure::Failure`].
//!
//! The form only grows: fields may be added, and none is removed, renamed or given another meaning. Names are in snake case,
//! times in UTC as RFC 3339 has them, lengths of time in seconds.

pub mod admin;
pub mod failure;

use schemars::{JsonSchema, Schema, schema_for};

/// What one command prints with `--output=json`.
#[derive(Clone, Debug)]
pub struct Output {
    /// The program, such as `ocluster-admin`.
    pub program: &'static str,
    /// Its command, such as `list-clients`. Empty for what all commands may print.
    pub command: &'static str,
    /// Whether it is one object, or many.
    pub shape: Shape,
    /// What it is, in a sentence or more.
    pub description: String,
    /// What is in it.
    pub schema: Schema,
}

/// How many objects a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One, over several lines.
    Object,
    /// One a line, as things happen.
    Lines,
}

impl Output {
    fn new<T: JsonSchema>(program: &'static str, command: &'static str, shape: Shape) -> Self {
        let schema = schema_for!(T);
        let description = schema.get("description").and_then(|text| text.as_str());
        Self {
            program,
            command,
            shape,
            description: description.unwrap_or_default().to_owned(),
            schema,
        }
    }
}

/// Returns what every command prints with `--output=json`, in the order in which somebody meets them.
pub fn schemas() -> Vec<Output> {
    let mut outputs = Vec::new();
    outputs.extend(admin::schemas());
    outputs
}
