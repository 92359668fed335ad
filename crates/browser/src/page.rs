//! A page: opens addresses, runs scripts of the test, and waits.

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rig::wait_for;
use serde_json::{Value, json};

use crate::WAIT_LIMIT;
use crate::connection::Connection;
use crate::device::{Device, Scripts};
use crate::record::{Record, exception};

/// A tab of a browser. It is closed when this is dropped.
#[derive(Debug)]
pub struct Page {
    connection: Arc<Connection>,
    target: String,
    session: String,
    record: RefCell<Record>,
    /// How far which documents have come, in order: the document, and whether it has been loaded to its end.
    progress: RefCell<Vec<(String, bool)>>,
}

impl Page {
    pub(crate) fn new(
        connection: Arc<Connection>,
        target: String,
        session: String,
        device: &Device,
    ) -> Result<Self> {
        let page = Self {
            connection,
            target,
            session,
            record: RefCell::default(),
            progress: RefCell::default(),
        };
        for domain in ["Page", "Runtime", "Network", "Log", "Inspector"] {
            page.call(&format!("{domain}.enable"), &json!({}))?;
        }
        let enabled = json!({ "enabled": true });
        page.call("Page.setLifecycleEventsEnabled", &enabled)?;
        page.show_on(device)?;
        Ok(page)
    }

    /// Shows the page on another device. Scripts stop or run from the next document on.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn show_on(&self, device: &Device) -> Result<()> {
        let screen = json!({
            "width": device.width,
            "height": device.height,
            "deviceScaleFactor": 1,
            "mobile": device.width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", &screen)?;
        let colours = json!({
            "features": [
                { "name": "prefers-color-scheme", "value": device.colours.name() },
                { "name": "prefers-reduced-motion", "value": "reduce" },
            ],
        });
        self.call("Emulation.setEmulatedMedia", &colours)?;
        let scripts = json!({ "value": device.scripts == Scripts::Off });
        self.call("Emulation.setScriptExecutionDisabled", &scripts)?;
        Ok(())
    }

    /// Opens an address, and waits until all of the page has been loaded, or of another one to which that leads.
    /// Addresses that differ from the present one in their fragment alone do not load anything.
    ///
    /// # Errors
    /// When there is no page, or it is not loaded in time. A page that reports an error is a page.
    pub fn open(&self, url: &str) -> Result<()> {
        self.progress.borrow_mut().clear();
        let went = self.call("Page.navigate", &json!({ "url": url }))?;
        if let Some(why) = went["errorText"].as_str() {
            bail!("cannot open {url}: {why}");
        }
        self.wait_until_loaded(&went)
            .with_context(|| format!("cannot open {url}"))
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn reload(&self) -> Result<()> {
        self.take_events();
        self.progress.borrow_mut().clear();
        self.call("Page.reload", &json!({}))?;
        wait_for("page after a reload", WAIT_LIMIT, || {
            self.take_events();
            let is_loaded = self.progress.borrow().iter().any(|(_, is_end)| *is_end);
            Ok(is_loaded.then_some(()))
        })
    }

    fn wait_until_loaded(&self, went: &Value) -> Result<()> {
        let Some(document) = went["loaderId"].as_str() else {
            return Ok(());
        };
        wait_for("whole page", WAIT_LIMIT, || {
            self.take_events();
            let progress = self.progress.borrow();
            let mut since = progress.iter().skip_while(|(id, _)| id != document);
            Ok(since.any(|(_, is_end)| *is_end).then_some(()))
        })
    }

    /// Returns the value of a JavaScript expression in the page; of a promise, what it resolves to. It works in pages
    /// whose own scripts do not run.
    ///
    /// # Errors
    /// When the expression throws something.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        let params = json!({
            "expression": expression,
            "returnByValue": true,
            "awaitPromise": true,
        });
        let mut answer = self.call("Runtime.evaluate", &params)?;
        let details = &answer["exceptionDetails"];
        ensure!(
            details.is_null(),
            "cannot evaluate {}: {}",
            beginning(expression),
            exception(details)
        );
        Ok(answer["result"]["value"].take())
    }

    /// Returns the value of an expression, which is a text.
    ///
    /// # Errors
    /// When it throws something, or is no text.
    pub fn text(&self, expression: &str) -> Result<String> {
        let value = self.evaluate(expression)?;
        let text = value
            .as_str()
            .with_context(|| format!("{} is no text but {value}", beginning(expression)))?;
        Ok(text.to_owned())
    }

    /// Returns what a reader sees of the page: its text.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn body(&self) -> Result<String> {
        self.text("document.body.innerText")
    }

    /// Waits until an expression is true. One that throws something is not, such as one about a page that is being
    /// replaced.
    ///
    /// # Errors
    /// When that does not happen; then with the text of the page.
    pub fn wait_for(&self, condition: &str) -> Result<()> {
        let happened = wait_for(condition, WAIT_LIMIT, || {
            let value = self.evaluate(&format!("Boolean({condition})"));
            Ok(value.is_ok_and(|value| value == true).then_some(()))
        });
        happened.with_context(|| {
            let body = self.body().unwrap_or_else(|error| error.to_string());
            format!("the page is:\n{body}")
        })
    }

    /// Loads the page again until an expression is true, for what the page does not follow by itself.
    ///
    /// # Errors
    /// When that does not happen; then with the text of the page.
    pub fn reload_until(&self, condition: &str) -> Result<()> {
        let happened = wait_for(condition, WAIT_LIMIT, || {
            self.reload()?;
            let value = self.evaluate(&format!("Boolean({condition})"));
            Ok(value.is_ok_and(|value| value == true).then_some(()))
        });
        happened.with_context(|| {
            let body = self.body().unwrap_or_else(|error| error.to_string());
            format!("the page is:\n{body}")
        })
    }

    /// Waits until a text is on the page.
    ///
    /// # Errors
    /// When it does not appear; then with the text of the page.
    pub fn wait_for_text(&self, text: &str) -> Result<()> {
        self.wait_for(&format!(
            "document.body.innerText.includes({})",
            json!(text)
        ))
    }

    /// Returns by how many pixels the page is wider than the screen, which a reader would have to scroll.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn overhang(&self) -> Result<u64> {
        let root = "document.documentElement";
        let wider = self.evaluate(&format!(
            "Math.max(0, {root}.scrollWidth - {root}.clientWidth)"
        ))?;
        wider.as_u64().context("no width")
    }

    /// Returns a picture of the page as PNG: all of it, however long it is.
    ///
    /// # Errors
    /// When the browser makes none.
    pub fn whole_picture(&self) -> Result<Vec<u8>> {
        self.picture(&json!({ "format": "png", "captureBeyondViewport": true }))
    }

    /// Returns a small picture, as WebP, of what is on the screen.
    ///
    /// # Errors
    /// When the browser makes none.
    pub fn small_picture(&self) -> Result<Vec<u8>> {
        self.picture(&json!({ "format": "webp", "quality": 80 }))
    }

    fn picture(&self, params: &Value) -> Result<Vec<u8>> {
        let answer = self.call("Page.captureScreenshot", params)?;
        let data = answer["data"].as_str().context("no picture")?;
        Ok(BASE64_STANDARD.decode(data)?)
    }

    /// Returns what the page has done so far.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn record(&self) -> Result<Record> {
        // Events come in order: those before this answer have come.
        self.call("Page.getNavigationHistory", &json!({}))?;
        self.take_events();
        Ok(self.record.borrow().clone())
    }

    /// Forgets what the page has done so far.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn forget_record(&self) -> Result<()> {
        self.record()?;
        self.record.take();
        Ok(())
    }

    pub(crate) fn call(&self, method: &str, params: &Value) -> Result<Value> {
        self.connection.call(&self.session, method, params)
    }

    fn take_events(&self) {
        for event in self.connection.take_events(&self.session) {
            if event.method == "Page.lifecycleEvent" && event.params["frameId"] == self.target {
                let document = event.params["loaderId"].as_str().unwrap_or_default();
                let is_end = event.params["name"] == "load";
                let mut progress = self.progress.borrow_mut();
                progress.push((document.to_owned(), is_end));
            }
            self.record.borrow_mut().add(&event);
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let params = json!({ "targetId": self.target });
        // It is gone already if this fails.
        drop(self.connection.call("", "Target.closeTarget", &params));
        drop(self.connection.take_events(&self.session));
    }
}

/// Returns the beginning of a long script.
fn beginning(script: &str) -> String {
    script.chars().take(200).collect()
}
