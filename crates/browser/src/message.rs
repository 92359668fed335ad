//! Messages of the DevTools protocol: JSON texts, each ended by a zero byte.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// Ends each message.
pub(crate) const END: u8 = 0;

/// What the browser sent.
#[derive(Debug)]
pub(crate) enum Message {
    /// The answer to a call.
    Answer {
        /// The number of the call.
        id: u64,
        /// The result, or the browser's error.
        result: Result<Value, String>,
    },
    /// Something has happened.
    Event(Event),
}

/// Something that has happened in a page, or in the browser if `session` is empty.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) session: String,
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// Returns the bytes of a call.
pub(crate) fn call(id: u64, session: &str, method: &str, params: &Value) -> Vec<u8> {
    let mut call = json!({ "id": id, "method": method, "params": params });
    if !session.is_empty() {
        call["sessionId"] = json!(session);
    }
    let mut bytes = call.to_string().into_bytes();
    bytes.push(END);
    bytes
}

/// Reads a message, without the zero byte.
///
/// # Errors
/// When it is neither an answer nor an event.
pub(crate) fn read(bytes: &[u8]) -> Result<Message> {
    let mut message: Value =
        serde_json::from_slice(bytes).context("cannot read what the browser sent")?;
    let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
    if let Some(id) = message["id"].as_u64() {
        let result = match &message["error"] {
            Value::Null => Ok(message["result"].take()),
            error => Err(error["message"]
                .as_str()
                .unwrap_or("unknown error")
                .to_owned()),
        };
        return Ok(Message::Answer { id, result });
    }
    let Some(method) = message["method"].as_str() else {
        bail!("cannot read what the browser sent: neither answer nor event");
    };
    Ok(Message::Event(Event {
        session,
        method: method.to_owned(),
        params: message["params"].take(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_its_session_if_there_is_one() {
        let bytes = call(7, "", "Browser.close", &json!({}));
        assert_eq!(
            bytes,
            b"{\"id\":7,\"method\":\"Browser.close\",\"params\":{}}\0"
        );
        let bytes = call(8, "S", "Page.enable", &json!({}));
        assert!(String::from_utf8_lossy(&bytes).contains("\"sessionId\":\"S\""));
    }

    #[test]
    fn answers_errors_and_events_are_told_apart() {
        let answer = read(br#"{"id":1,"result":{"a":2}}"#).unwrap();
        assert!(matches!(answer, Message::Answer { id: 1, result: Ok(value) } if value["a"] == 2));
        let error = read(br#"{"id":1,"error":{"code":-32000,"message":"No target"}}"#).unwrap();
        assert!(matches!(error, Message::Answer { result: Err(text), .. } if text == "No target"));
        let event = read(br#"{"method":"Page.loadEventFired","params":{},"sessionId":"S"}"#);
        assert!(matches!(event.unwrap(), Message::Event(event) if event.session == "S"));
        assert!(read(b"{}").is_err());
        assert!(read(b"nonsense").is_err());
    }
}
