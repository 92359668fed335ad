//! What each command prints with `--output=json`, from the types that are printed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ocluster::reference::{Output, Shape, schemas};
use serde_json::{Map, Value};

use super::json_example::examples;
use super::markdown::{code, prose};
use super::schema::{reference, variants};

pub(super) fn page() -> String {
    let mut page = String::from(
        "# JSON\n\n\
         With `--output=json`, a command prints this on standard output, and nothing else. Future versions may add \
         fields. They will not remove or rename a field, or change its meaning. Times are in UTC, in the format of \
         RFC 3339, with or without a fraction of a second. Durations are in seconds, sizes in bytes, and ids are not \
         abbreviated. U+FFFD replaces bytes that are not UTF-8. [Exit codes](exit-codes.md) are the same as without \
         JSON. The last sections, `GET …`, are the pages of a scheduler as [JSON](../pages.md#json).\n",
    );
    for output in schemas() {
        section(&mut page, &output);
    }
    page
}

fn section(page: &mut String, output: &Output) {
    let Output {
        program,
        command,
        shape,
        description,
        schema,
    } = output;
    let title = match program.is_empty() {
        true => "Failures, of every command".to_owned(),
        false => format!("{program} {command}"),
    };
    let is_one_value = *shape == Shape::Object;
    let shape = match shape {
        Shape::Object => "One value.",
        Shape::Lines => "One value per line, as events happen.",
    };
    // Writing to a String cannot fail.
    writeln!(page, "\n## {title}\n\n{} {shape}\n", prose(description)).unwrap_or_default();
    let schema = schema.as_value();
    let definitions = schema.get("$defs").and_then(Value::as_object);
    let mut known = Known {
        definitions: definitions.cloned().unwrap_or_default(),
        open: BTreeSet::new(),
    };
    known.describe(page, schema, 0);
    page.push_str("\n```json\n");
    for example in examples(schema, &known.definitions) {
        let example = match is_one_value {
            true => format!("{example:#}"),
            false => example.to_string(),
        };
        page.push_str(&format!("{example}\n"));
    }
    page.push_str("```\n");
}

/// The definitions that a schema refers to by name.
struct Known {
    definitions: Map<String, Value>,
    /// Those whose description has begun: one might contain itself.
    open: BTreeSet<String>,
}

impl Known {
    /// Writes a value's fields as a list: one field per line, with its own fields below it.
    fn describe(&mut self, page: &mut String, schema: &Value, depth: usize) {
        let indent = "  ".repeat(depth);
        if let Some(name) = reference(schema) {
            let target = self.definitions.get(&name).cloned();
            if let Some(target) = target.filter(|_| self.open.insert(name.clone())) {
                self.describe(page, &target, depth);
                self.open.remove(&name);
            }
            return;
        }
        for variant in variants(schema) {
            if variant.get("type") == Some(&Value::from("null")) {
                continue;
            }
            if let Some(value) = variant.get("const") {
                let about = description(variant);
                writeln!(page, "{indent}- {}{about}", code(&value.to_string())).unwrap_or_default();
            } else if let Some((field, value)) = tag(variant) {
                let tagged = code(&format!("\"{field}\": {value}"));
                writeln!(page, "{indent}- with {tagged}{}", description(variant))
                    .unwrap_or_default();
                self.fields(page, variant, depth + 1);
            } else {
                self.describe(page, variant, depth);
            }
        }
        self.fields(page, schema, depth);
        if let Some(items) = schema.get("items") {
            self.describe(page, items, depth);
        }
        if let Some(values) = schema
            .get("additionalProperties")
            .filter(|values| values.is_object())
        {
            self.describe(page, values, depth);
        }
    }

    fn fields(&mut self, page: &mut String, schema: &Value, depth: usize) {
        let indent = "  ".repeat(depth);
        let fields = schema.get("properties").and_then(Value::as_object);
        for (name, field) in fields.into_iter().flatten() {
            if field.get("const").is_some() {
                continue;
            }
            let kind = self.kind(field);
            let name = code(name);
            writeln!(page, "{indent}- {name} ({kind}){}", description(field)).unwrap_or_default();
            self.describe(page, field, depth + 1);
        }
    }

    /// Returns the type of a value in words.
    fn kind(&self, schema: &Value) -> String {
        if let Some(name) = reference(schema) {
            return self
                .definitions
                .get(&name)
                .map_or(name, |target| self.kind(target));
        }
        let named = |kind: &str| match kind {
            "array" => {
                let items = schema.get("items").map(|items| self.kind(items));
                format!("list of {}", items.unwrap_or_else(|| "anything".to_owned()))
            }
            kind => kind.to_owned(),
        };
        match schema.get("type") {
            Some(Value::String(kind)) => named(kind),
            Some(Value::Array(kinds)) => {
                let kinds: Vec<String> =
                    kinds.iter().filter_map(Value::as_str).map(named).collect();
                kinds.join(" or ")
            }
            _ => {
                let kinds: Vec<String> =
                    variants(schema).map(|variant| self.kind(variant)).collect();
                let kinds: BTreeSet<String> = kinds.into_iter().collect();
                match kinds.is_empty() {
                    true => "anything".to_owned(),
                    false => kinds.into_iter().collect::<Vec<_>>().join(" or "),
                }
            }
        }
    }
}

/// Returns the field that distinguishes a variant from the others, and its value.
fn tag(variant: &Value) -> Option<(&str, &Value)> {
    let fields = variant.get("properties")?.as_object()?;
    fields
        .iter()
        .find_map(|(name, field)| Some((name.as_str(), field.get("const")?)))
}

fn description(schema: &Value) -> String {
    match schema.get("description").and_then(Value::as_str) {
        Some(text) => format!(": {}", prose(&text.replace('\n', " "))),
        None => String::new(),
    }
}
