//! The page where visitors come in.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

/// The form for the secret of a link, which is sent to this address as the field `secret`.
#[derive(Debug, Default, Serialize, JsonSchema, Template)]
#[template(path = "enter.html")]
pub struct Enter {}
