//! Pages that are made once for all who may see the same, as long as what they show is the same.
//!
//! Many look at few pools. What differs between their pages is who looks: that is filled in for each.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access::{Holder, Role, Visitor};
use crate::cluster::PoolState;

/// How much all kept pages may take, in bytes. Then all are forgotten.
const MAX_BYTES: usize = 16 << 20;

/// The pages that were made of late.
#[derive(Default)]
pub(super) struct SharedPages {
    pages: HashMap<Key, Made>,
    bytes: usize,
}

/// For whom a page is.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Key {
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
pub(super) struct Made {
    /// The pools that it shows.
    pub(super) states: Vec<Arc<PoolState>>,
    pub(super) text: Arc<str>,
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
    /// Returns the key of a page for a visitor; `None` if it is for no one else.
    pub(super) fn new(page: &str, visitor: &Visitor, is_json: bool) -> Option<Self> {
        Some(Self {
            page: page.to_owned(),
            sight: Sight::of(visitor)?,
            is_json,
        })
    }
}

impl SharedPages {
    /// Returns a page that was made from these states; `None` if there is none.
    pub(super) fn get(&self, key: &Key, states: &[Arc<PoolState>]) -> Option<Arc<str>> {
        let Made {
            states: known,
            text,
        } = self.pages.get(key)?;
        are_same(known, states).then(|| Arc::clone(text))
    }

    /// Keeps a page.
    pub(super) fn put(&mut self, key: Key, made: Made) {
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
