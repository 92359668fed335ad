//! The mouse and the keyboard.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::page::Page;

/// Keys that write nothing, with the numbers that scripts know them by.
const KEYS: &[(&str, u32)] = &[
    ("Tab", 9),
    ("Enter", 13),
    ("Escape", 27),
    ("Home", 36),
    ("End", 35),
    ("ArrowUp", 38),
    ("ArrowDown", 40),
];
/// The number of the shift key among those that are held down.
const SHIFT: u32 = 8;

impl Page {
    /// Clicks the middle of the first element that a selector of style sheets finds.
    ///
    /// # Errors
    /// When there is none.
    pub fn click(&self, selector: &str) -> Result<()> {
        self.click_with(selector, 0)
    }

    /// Like [`click`](Self::click), with the shift key held down.
    ///
    /// # Errors
    /// When there is none.
    pub fn shift_click(&self, selector: &str) -> Result<()> {
        self.click_with(selector, SHIFT)
    }

    fn click_with(&self, selector: &str, modifiers: u32) -> Result<()> {
        let middle = self
            .evaluate(&format!(
                "(() => {{
                    const found = document.querySelector({});
                    found.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                    const area = found.getClientRects()[0];
                    return [area.x + area.width / 2, area.y + area.height / 2];
                }})()",
                json!(selector)
            ))
            .with_context(|| format!("cannot click {selector}: it is not on the page"))?;
        for (kind, buttons) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)] {
            let params = json!({
                "type": kind,
                "x": middle[0],
                "y": middle[1],
                "button": if kind == "mouseMoved" { "none" } else { "left" },
                "buttons": buttons,
                "clickCount": 1,
                "modifiers": modifiers,
            });
            self.call("Input.dispatchMouseEvent", &params)?;
        }
        Ok(())
    }

    /// Presses a key: a character such as `j` or `?`, or one with a name, such as `Enter`.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn press(&self, key: &str) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", &key_event(kind, key))?;
        }
        Ok(())
    }

    /// Types a text, key by key.
    ///
    /// # Errors
    /// When the browser has ended.
    pub fn type_text(&self, text: &str) -> Result<()> {
        let mut keys = text.chars().map(String::from);
        keys.try_for_each(|key| self.press(&key))
    }
}

fn key_event(kind: &str, key: &str) -> Value {
    let mut event = json!({ "type": kind, "key": key });
    if let Some((_, number)) = KEYS.iter().find(|(name, _)| *name == key) {
        event["windowsVirtualKeyCode"] = json!(number);
        event["code"] = json!(key);
        if key == "Enter" && kind == "keyDown" {
            event["text"] = json!("\r");
        }
    } else if kind == "keyDown" {
        event["text"] = json!(key);
    }
    event
}
