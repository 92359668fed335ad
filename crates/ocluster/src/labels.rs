//! Labels of jobs, as command lines have them.

use cluster_api::{Label, MAX_NAME_BYTES};

use cli::quote::printable;

/// Parses a label: a name and a value.
pub(crate) fn label(text: &str) -> Result<Label, String> {
    let (label, value) = text
        .split_once('=')
        .ok_or_else(|| "expected NAME=VALUE".to_owned())?;
    Ok(Label {
        name: name(label)?,
        value: name(value)?,
    })
}

/// Parses the name of something of a client's, such as a key.
pub(crate) fn name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a name and a value have at least one character".to_owned()),
        1..=MAX_NAME_BYTES => Ok(text.to_owned()),
        length => Err(format!(
            "it has {length} bytes, and the limit is {MAX_NAME_BYTES}"
        )),
    }
}

/// Returns labels as they are given on command lines.
pub(crate) fn labels(labels: &[Label]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|Label { name, value }| format!("{}={}", printable(name), printable(value)))
        .collect();
    labels.join(" ")
}
