//! Examples of the values that a JSON schema allows. The values themselves have no meaning.

use serde_json::{Map, Value, json};

use super::schema::{reference, variants};

/// Returns a value of a schema, or one for each of its alternatives.
pub(super) fn examples(schema: &Value, definitions: &Map<String, Value>) -> Vec<Value> {
    let alternatives: Vec<&Value> = variants(schema).collect();
    if alternatives
        .iter()
        .any(|one| one.get("properties").is_some())
    {
        let each = alternatives.iter().map(|one| example(one, definitions, 0));
        return each.collect();
    }
    vec![example(schema, definitions, 0)]
}

/// The limit of nesting, which only a type that contains itself would reach.
const DEEPEST: usize = 12;

fn example(schema: &Value, definitions: &Map<String, Value>, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let inside = |schema: &Value| example(schema, definitions, depth + 1);
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(target) = reference(schema).and_then(|name| definitions.get(&name)) {
        return inside(target);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.first().cloned().unwrap_or_default();
    }
    let is_null = |one: &Value| one.get("type") == Some(&Value::from("null"));
    if let Some(one) = variants(schema).find(|one| !is_null(one)) {
        return inside(one);
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("string") if schema.get("format") == Some(&Value::from("date-time")) => {
            json!("2026-11-25T12:00:00Z")
        }
        Some("string") => json!("…"),
        Some("integer") => json!(3),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        Some("array") => schema
            .get("items")
            .map_or(json!([]), |items| json!([inside(items)])),
        Some("object") => {
            let fields = schema.get("properties").and_then(Value::as_object);
            let fields = fields.into_iter().flatten();
            fields
                .map(|(name, field)| (name.clone(), inside(field)))
                .collect()
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alternative_has_an_example() {
        let schema = json!({
            "oneOf": [
                {"properties": {"event": {"const": "done"}, "worker": {"type": "string"}}, "type": "object"},
                {"properties": {"jobs": {"type": "array", "items": {"$ref": "#/$defs/Job"}}}, "type": "object"},
            ],
        });
        let job = json!({
            "type": "object",
            "properties": {
                "for": {"type": ["number", "null"]},
                "why": {"anyOf": [{"type": "null"}, {"enum": ["full"]}]},
            },
        });
        let definitions = Map::from_iter([("Job".to_owned(), job)]);
        assert_eq!(
            examples(&schema, &definitions),
            [
                json!({"event": "done", "worker": "…"}),
                json!({"jobs": [{"for": 1.5, "why": "full"}]}),
            ]
        );
    }
}
