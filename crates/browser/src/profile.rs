//! A visitor: cookies, and the pages that share them.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::device::Device;
use crate::page::Page;

/// A visitor. Its pages share cookies, which no other visitor has.
#[derive(Debug)]
pub struct Profile {
    connection: Arc<Connection>,
    id: String,
}

/// A cookie that a browser keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The host that set it; of one for all hosts below it, with a dot before.
    pub domain: String,
    /// Whether scripts cannot read it.
    pub http_only: bool,
    /// Whether it is sent over TLS alone.
    pub secure: bool,
    /// Its `SameSite` attribute; empty if it has none.
    pub same_site: String,
}

impl Profile {
    pub(crate) fn new(connection: Arc<Connection>) -> Result<Self> {
        let made = connection.call("", "Target.createBrowserContext", &json!({}))?;
        let id = text(&made, "browserContextId")?;
        Ok(Self { connection, id })
    }

    /// Opens an empty page.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn page(&self, device: &Device) -> Result<Page> {
        let params = json!({ "url": "about:blank", "browserContextId": self.id });
        let target = text(
            &self.connection.call("", "Target.createTarget", &params)?,
            "targetId",
        )?;
        let params = json!({ "targetId": target, "flatten": true });
        let session = text(
            &self.connection.call("", "Target.attachToTarget", &params)?,
            "sessionId",
        )?;
        Page::new(Arc::clone(&self.connection), target, session, device)
    }

    /// Returns all cookies.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn cookies(&self) -> Result<Vec<Cookie>> {
        let params = json!({ "browserContextId": self.id });
        let answer = self.connection.call("", "Storage.getCookies", &params)?;
        let cookies = answer["cookies"].as_array().context("no cookies")?;
        let text =
            |cookie: &Value, name: &str| cookie[name].as_str().unwrap_or_default().to_owned();
        let read = |cookie: &Value| Cookie {
            name: text(cookie, "name"),
            value: text(cookie, "value"),
            domain: text(cookie, "domain"),
            http_only: cookie["httpOnly"] == true,
            secure: cookie["secure"] == true,
            same_site: text(cookie, "sameSite"),
        };
        Ok(cookies.iter().map(read).collect())
    }
}

fn text(answer: &Value, name: &str) -> Result<String> {
    let text = answer[name]
        .as_str()
        .with_context(|| format!("no {name} in the browser's answer"))?;
    Ok(text.to_owned())
}
