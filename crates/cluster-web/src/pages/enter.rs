//! The page where visitors come in.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::frame::Frame;

/// The form for the secret of a link, which is sent to this address as the field `secret`.
#[derive(Debug, Default, Serialize, JsonSchema, Template)]
#[template(path = "enter.html")]
pub struct Enter {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
}
