//! A page with one sentence, such as an error.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::frame::Frame;

/// A page with one sentence.
#[derive(Debug, Serialize, JsonSchema, Template)]
#[template(path = "notice.html")]
pub struct Notice {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
    /// What it is about, in a few words.
    pub title: String,
    /// What is to be said, for people.
    pub message: String,
    /// What to do about it; empty for nothing.
    pub advice: String,
}
