//! What both the description of a JSON schema and its examples read from it.

use serde_json::Value;

/// Returns the name of the definition that a schema refers to.
pub(super) fn reference(schema: &Value) -> Option<String> {
    let path = schema.get("$ref")?.as_str()?;
    Some(path.trim_start_matches("#/$defs/").to_owned())
}

/// Returns the alternatives of a schema.
pub(super) fn variants(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten()
}
