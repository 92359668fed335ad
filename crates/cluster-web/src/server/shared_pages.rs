//! Pages that are made once for all who may see the same, as long as what they show is the same.
//!
//! Many look at few pools. What differs between their pages is who looks: that is filled in for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use askama::Template;
use axum::response::Response;
use serde::Serialize;

use super::reply::{self, Reply};
use super::site::Site;
use super::visit::{Format, Visit};
use crate::access::{Holder, Role, Visitor};
use crate::cluster::PoolState;
use crate::pages::{Frame, PLACE_OF_VISITOR};

/// How much all kept pages may take, in bytes. Then all are forgotten.
const MAX_BYTES: usize = 16 << 20;

/// What a page is made from, besides what of it a visitor may see.
pub(super) struct Source<'a> {
    /// Which page it is, and which part of it.
    pub(super) page: &'a str,
    /// The pools that it shows.
    pub(super) states: &'a [Arc<PoolState>],
}

/// The pages that were made of late.
#[derive(Default)]
pub(super) struct SharedPages {
    pages: HashMap<Key, Made>,
    bytes: usize,
}

/// For whom a page is.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    page: String,
    sight: Sight,
    is_json: bool,
}

/// Who sees the same of pools.
#[derive(PartialEq, Eq, Hash)]
enum Sight {
    Public,
    Client(String),
    Operator,
}

/// A page that was made.
struct Made {
    states: Vec<Arc<PoolState>>,
    text: Arc<str>,
}

impl Sight {
    fn of(visitor: &Visitor) -> Option<Self> {
        match visitor {
            Visitor::Public => Some(Self::Public),
            Visitor::Holder(Holder { role, .. }) => match role {
                Role::Admin => Some(Self::Operator),
                Role::Client { name, .. } => Some(Self::Client(name.clone())),
                Role::Job { .. } => None,
            },
            Visitor::Stranger => None,
        }
    }
}

impl Key {
    fn new(visit: &Visit, source: &Source<'_>) -> Option<Self> {
        Some(Self {
            page: source.page.to_owned(),
            sight: Sight::of(&visit.visitor)?,
            is_json: match visit.format {
                Format::Html => false,
                Format::Json => true,
                Format::Neither => return None,
            },
        })
    }
}

impl SharedPages {
    fn get(&self, key: &Key, states: &[Arc<PoolState>]) -> Option<Arc<str>> {
        let Made {
            states: known,
            text,
        } = self.pages.get(key)?;
        are_same(known, states).then(|| Arc::clone(text))
    }

    fn put(&mut self, key: Key, made: Made) {
        // Of each page one state is kept, and none of a pool whose state is known to be another one.
        self.pages.retain(|_, old| {
            let mut pairs = old.states.iter().flat_map(|old| {
                let states = made.states.iter();
                states.map(move |new| (old, new))
            });
            pairs.all(|(old, new)| old.name != new.name || Arc::ptr_eq(old, new))
        });
        self.bytes = self.pages.values().map(|made| made.text.len()).sum();
        self.bytes += made.text.len();
        if self.bytes > MAX_BYTES {
            self.pages.clear();
            self.bytes = made.text.len();
        }
        self.pages.insert(key, made);
    }
}

fn are_same(a: &[Arc<PoolState>], b: &[Arc<PoolState>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

impl Site {
    /// Returns a page that was made before from the same; `None` if there is none.
    pub(super) fn shared_page(
        &self,
        visit: &Visit,
        frame: &Frame,
        source: &Source<'_>,
    ) -> Option<Response> {
        let key = Key::new(visit, source)?;
        let text = {
            let pages: &Mutex<SharedPages> = &self.shared_pages;
            // An error means that its holder panicked: pages are made again then.
            pages.lock().ok()?.get(&key, source.states)?
        };
        answer(visit, frame, &text)
    }

    /// Makes a page, for this visitor and others. Its frame must be one that is shared; `frame` is that of the visitor.
    pub(super) fn share_page<P: Template + Serialize>(
        &self,
        visit: &Visit,
        frame: &Frame,
        source: &Source<'_>,
        page: &P,
    ) -> Reply {
        if visit.format == Format::Neither {
            return reply::page(visit, page);
        }
        let text: Arc<str> = reply::written(page, visit.format)?.into();
        if let Some(key) = Key::new(visit, source)
            && let Ok(mut pages) = self.shared_pages.lock()
        {
            let made = Made {
                states: source.states.to_vec(),
                text: Arc::clone(&text),
            };
            pages.put(key, made);
        }
        match answer(visit, frame, &text) {
            Some(answer) => Ok(answer),
            None => Err(reply::unwritten()),
        }
    }
}

/// Fills in who looks. `None` if that cannot be written.
fn answer(visit: &Visit, frame: &Frame, text: &str) -> Option<Response> {
    let filled = match text.split_once(PLACE_OF_VISITOR) {
        Some((before, after)) if visit.format == Format::Html => {
            let form = frame.visitor_form().ok()?;
            [before, &form, after].concat()
        }
        _ => text.to_owned(),
    };
    Some(reply::text(filled, visit.format))
}
