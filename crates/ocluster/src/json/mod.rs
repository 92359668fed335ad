//! The JSON of `--output=json`, as types: their comments are its documentation.
//!
//! Standard output then has only JSON; standard error is for people, as always. A command prints one object, or one a
//! line while it waits for something ([`Shape`]). When it fails, its last line is a [`Failure`](cli::failure::Failure).
//!
//! The form only grows: fields may be added, and none is removed, renamed or given another meaning. Names are in snake
//! case, times in UTC as RFC 3339 has them, lengths of time in seconds.

pub(crate) mod admin;
pub(crate) mod bench;
pub(crate) mod client;
pub(crate) mod doctor;
pub(crate) mod obuilder;
mod web;

pub(crate) use cluster_json::{audit, jobs, kept_jobs, pools};
use schemars::{JsonSchema, Schema, schema_for};

/// What one command prints with `--output=json`.
#[derive(Clone, Debug)]
pub struct Output {
    /// The program, such as `ocluster-admin`, or `GET` for a page. Empty for what all programs may print.
    pub program: &'static str,
    /// Its command, such as `list-clients`, with the arguments that decide the form: `show POOL`, `pause --wait`; or
    /// the address of the page.
    pub command: &'static str,
    /// Whether it is one object, or many.
    pub shape: Shape,
    /// Its description, in a sentence or more.
    pub description: String,
    /// Its schema.
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

/// Returns the JSON of every command, in the order in which a new user needs them, and then that of every page.
pub fn schemas() -> Vec<Output> {
    let mut outputs = client::schemas();
    outputs.extend(admin::schemas());
    outputs.extend(doctor::schemas());
    outputs.extend(bench::schemas());
    outputs.extend(obuilder::schemas());
    outputs.push(Output::new::<cli::failure::Failure>("", "", Shape::Lines));
    outputs.extend(web::schemas());
    outputs
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::reference;

    /// Collects the places in a schema that have no description.
    fn undescribed(value: &Value, place: &str, found: &mut Vec<String>) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                let described =
                    property.get("description").is_some() || property.get("const").is_some();
                if !described {
                    found.push(format!("{place}.{name}"));
                }
            }
        }
        match value {
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, value)| undescribed(value, &format!("{place}/{name}"), found)),
            Value::Array(values) => values
                .iter()
                .for_each(|value| undescribed(value, place, found)),
            _ => {}
        }
    }

    #[test]
    fn everything_is_described() {
        let mut found = Vec::new();
        for output in schemas() {
            let place = format!("{} {}", output.program, output.command);
            assert!(!output.description.is_empty(), "{place}");
            undescribed(output.schema.as_value(), &place, &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
    }

    /// Collects the commands that have the option, below `command`.
    fn with_option(command: &clap::Command, name: &str, found: &mut Vec<String>) {
        let mut below = command
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
            .peekable();
        let formats = |arg: &clap::Arg| {
            let values = arg.get_possible_values();
            arg.get_id() == "output" && values.iter().any(|value| value.get_name() == "json")
        };
        let has_option = command.get_arguments().any(formats);
        if below.peek().is_none() && has_option {
            found.push(name.to_owned());
        }
        for below in below {
            with_option(below, &format!("{name} {}", below.get_name()), found);
        }
    }

    #[test]
    fn each_command_that_prints_json_has_a_schema() {
        let mut commands = Vec::new();
        for mut program in reference::commands() {
            program.build();
            with_option(&program, program.get_name(), &mut commands);
        }
        assert!(commands.len() > 15, "{commands:?}");
        let documented: Vec<String> = schemas()
            .iter()
            .map(|output| format!("{} {}", output.program, output.command))
            .collect();
        for command in commands {
            assert!(documented.contains(&command), "{command}: {documented:#?}");
        }
    }
}
