//! Tests of what all pages have.

use schemars::schema_for;
use serde_json::Value;

use super::{
    AuditPage, FollowedLine, FollowedTime, JobPage, JobsPage, Notice, PoolPage, PoolsPage,
    WorkerPage, WorkersPage,
};

/// Collects the places in a schema that have no description.
fn undescribed(value: &Value, place: &str, found: &mut Vec<String>) {
    if let Some(properties) = value.get("properties").and_then(Value::as_object) {
        let without = properties
            .iter()
            .filter(|(_, property)| property.get("description").is_none());
        found.extend(without.map(|(name, _)| format!("{place}.{name}")));
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
fn everything_in_the_json_of_pages_is_described() {
    let mut found = Vec::new();
    for (page, schema) in [
        ("/", schema_for!(PoolsPage)),
        ("/pool/P", schema_for!(PoolPage)),
        ("/pool/P/workers", schema_for!(WorkersPage)),
        ("/worker/P/W", schema_for!(WorkerPage)),
        ("/job/ID", schema_for!(JobPage)),
        ("/jobs", schema_for!(JobsPage)),
        ("/audit", schema_for!(AuditPage)),
        ("errors", schema_for!(Notice)),
        ("events", schema_for!(FollowedLine)),
        ("times", schema_for!(FollowedTime)),
    ] {
        assert!(schema.get("description").is_some(), "{page}");
        undescribed(schema.as_value(), page, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}
