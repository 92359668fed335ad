//! What a page did that its reader does not see.

use serde_json::Value;

use crate::message::Event;

/// What a page has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Errors and warnings of the console, errors of scripts, requests that failed, dialogs.
    pub complaints: Vec<String>,
    /// The other messages of the console.
    pub messages: Vec<String>,
    /// The addresses of all requests.
    pub requests: Vec<String>,
}

impl Record {
    /// Returns the requests to other hosts or ports than `origin`, such as `http://127.0.0.1:8080`. What a page carries
    /// in itself (`data:`, `blob:`, `about:`) is no request.
    pub fn foreign_requests(&self, origin: &str) -> Vec<&str> {
        let is_inside = |url: &str| {
            ["data:", "blob:", "about:"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
                || url
                    .strip_prefix(origin)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        };
        self.requests
            .iter()
            .map(String::as_str)
            .filter(|url| !is_inside(url))
            .collect()
    }

    /// Adds what an event reports.
    pub(crate) fn add(&mut self, event: &Event) {
        let params = &event.params;
        match event.method.as_str() {
            "Network.requestWillBeSent" => self.requests.push(word(&params["request"]["url"])),
            "Network.webSocketCreated" => self.requests.push(word(&params["url"])),
            "Runtime.exceptionThrown" => {
                let thrown = exception(&params["exceptionDetails"]);
                self.complaints.push(format!("exception: {thrown}"));
            }
            "Runtime.consoleAPICalled" => {
                let kind = word(&params["type"]);
                let message = format!("{kind}: {}", arguments(&params["args"]));
                self.add_message(&kind, message);
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                let (level, url) = (word(&entry["level"]), word(&entry["url"]));
                let message = format!("{level}: {} ({url})", word(&entry["text"]));
                self.add_message(&level, message);
            }
            "Page.javascriptDialogOpening" => {
                let dialog = format!("{}: {}", word(&params["type"]), word(&params["message"]));
                self.complaints.push(dialog);
            }
            "Inspector.targetCrashed" => self.complaints.push("the page has crashed".to_owned()),
            _ => {}
        }
    }

    fn add_message(&mut self, level: &str, message: String) {
        match level {
            "error" | "warning" | "assert" => self.complaints.push(message),
            _ => self.messages.push(message),
        }
    }
}

/// Returns what a script threw, in words.
pub(crate) fn exception(details: &Value) -> String {
    let thrown = &details["exception"];
    match thrown["description"].as_str() {
        Some(description) => description.to_owned(),
        None if thrown["value"].is_null() => word(&details["text"]),
        None => thrown["value"].to_string(),
    }
}

fn arguments(args: &Value) -> String {
    let shown = |arg: &Value| match (&arg["value"], arg["description"].as_str()) {
        (Value::String(text), _) => text.clone(),
        (Value::Null, Some(description)) => description.to_owned(),
        (value, _) => value.to_string(),
    };
    let args = args.as_array().into_iter().flatten().map(shown);
    args.collect::<Vec<_>>().join(" ")
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_port_or_a_longer_host_is_foreign() {
        let record = Record {
            requests: [
                "http://127.0.0.1:80/a",
                "http://127.0.0.1:80",
                "http://127.0.0.1:8080/",
                "http://127.0.0.1:80.evil.test/",
                "data:image/png;base64,AA==",
                "https://127.0.0.1:80/",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..Record::default()
        };
        assert_eq!(
            record.foreign_requests("http://127.0.0.1:80"),
            [
                "http://127.0.0.1:8080/",
                "http://127.0.0.1:80.evil.test/",
                "https://127.0.0.1:80/"
            ]
        );
    }
}
