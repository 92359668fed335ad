//! Calls to the browser and events from it, over its two pipes.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::WAIT_LIMIT;
use crate::message::{self, END, Event, Message};

/// The most bytes of a message: a picture of a long page has some megabytes.
const MAX_MESSAGE: u64 = 256 << 20;
/// The most events that are kept until a page reads them.
const MAX_EVENTS: usize = 100_000;

/// The connection to a browser. A thread reads what it sends.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    next_id: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    calls: Mutex<ChildStdin>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<u64, Result<Value, String>>,
    events: VecDeque<Event>,
    /// Why no more comes.
    ended: Option<String>,
}

impl Connection {
    pub(crate) fn new(calls: ChildStdin, messages: ChildStdout) -> Self {
        let shared = Arc::new(Shared {
            calls: Mutex::new(calls),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            let ended = read_all(&of_thread, messages);
            let mut state = of_thread.state();
            let why = ended.map_or_else(|error| format!("{error:#}"), |()| "it has ended".into());
            state.ended = Some(why);
            of_thread.changed.notify_all();
        });
        Self {
            shared,
            next_id: AtomicU64::new(1),
        }
    }

    /// Calls a method, and waits for its result.
    ///
    /// # Errors
    /// When the browser refuses, has ended, or does not answer in time.
    pub(crate) fn call(&self, session: &str, method: &str, params: &Value) -> Result<Value> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.shared
            .send(id, session, method, params)
            .with_context(|| format!("cannot call {method}"))?;
        let answer = self.wait(method, |state| state.answers.remove(&id))?;
        answer.map_err(|why| anyhow!("{method}: {why}"))
    }

    /// Takes the events of a session that have come so far, in order.
    pub(crate) fn take_events(&self, session: &str) -> Vec<Event> {
        let mut state = self.shared.state();
        let all = std::mem::take(&mut state.events);
        let (taken, kept) = all.into_iter().partition(|event| event.session == session);
        state.events = kept;
        let taken: VecDeque<Event> = taken;
        taken.into()
    }

    /// Waits until `find` returns something, and returns that.
    ///
    /// # Errors
    /// When the browser has ended, or in time nothing was found.
    fn wait<T>(&self, what: &str, mut find: impl FnMut(&mut State) -> Option<T>) -> Result<T> {
        let start = Instant::now();
        let mut state = self.shared.state();
        loop {
            if let Some(found) = find(&mut state) {
                return Ok(found);
            }
            if let Some(why) = &state.ended {
                bail!("cannot wait for {what}: no connection to the browser: {why}");
            }
            let Some(left) = WAIT_LIMIT.checked_sub(start.elapsed()) else {
                bail!(
                    "cannot wait for {what}: no answer in {} s",
                    WAIT_LIMIT.as_secs()
                );
            };
            (state, _) = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, id: u64, session: &str, method: &str, params: &Value) -> Result<()> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.write_all(&message::call(id, session, method, params))?;
        Ok(calls.flush()?)
    }

    fn add(&self, message: Message) {
        let mut state = self.state();
        match message {
            // What we sent ourselves has the number 0, and is not waited for.
            Message::Answer { id: 0, .. } => {}
            Message::Answer { id, result } => drop(state.answers.insert(id, result)),
            Message::Event(event) => {
                if state.events.len() >= MAX_EVENTS {
                    state.events.pop_front();
                }
                state.events.push_back(event);
            }
        }
        self.changed.notify_all();
    }
}

fn read_all(shared: &Shared, messages: ChildStdout) -> Result<()> {
    let mut messages = BufReader::new(messages);
    loop {
        let mut bytes = Vec::new();
        (&mut messages)
            .take(MAX_MESSAGE)
            .read_until(END, &mut bytes)?;
        if bytes.pop() != Some(END) {
            return Ok(());
        }
        let message = message::read(&bytes)?;
        if let Message::Event(event) = &message
            && event.method == "Page.javascriptDialogOpening"
        {
            // An open dialog would stop the page. The page's record has it.
            let close = json!({ "accept": false });
            shared.send(0, &event.session, "Page.handleJavaScriptDialog", &close)?;
        }
        shared.add(message);
    }
}
