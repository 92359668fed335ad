//! Pages that are made once for all who may see the same: who looks is filled in for each.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use serde::Serialize;

use crate::cluster::PoolState;
use crate::pages::{Frame, PLACE_OF_VISITOR};
use crate::server::reply::{self, Reply};
use crate::server::shared_pages::{Key, Made};
use crate::server::site::Site;
use crate::server::visit::{Format, Visit};

/// What a page is made from, besides what of it a visitor may see.
pub(super) struct Source<'a> {
    /// Which page it is, and which part of it.
    pub(super) page: &'a str,
    /// The pools that it shows.
    pub(super) states: &'a [Arc<PoolState>],
}

/// Returns the frame of a page that is made for all who see the same as this visitor.
pub(super) fn shared(frame: &Frame) -> Frame {
    Frame {
        is_shared: true,
        visitor: String::new(),
        token: None,
        ..frame.clone()
    }
}

/// Returns a page that was made before from the same; `None` if there is none.
pub(super) fn made_before(
    site: &Site,
    visit: &Visit,
    frame: &Frame,
    source: &Source<'_>,
) -> Option<Response> {
    let key = key(visit, source)?;
    let text = {
        let pages = &site.shared_pages;
        // An error means that its holder panicked: pages are made again then.
        pages.lock().ok()?.get(&key, source.states)?
    };
    answer(visit, frame, &text)
}

/// Makes a page, for this visitor and others. Its frame must be one that is shared; `frame` is that of the visitor.
pub(super) fn make<P: Template + Serialize>(
    site: &Site,
    visit: &Visit,
    frame: &Frame,
    source: &Source<'_>,
    page: &P,
) -> Reply {
    if visit.format == Format::Neither {
        return reply::page(visit, page);
    }
    let text: Arc<str> = reply::written(page, visit.format)?.into();
    if let Some(key) = key(visit, source)
        && let Ok(mut pages) = site.shared_pages.lock()
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

fn key(visit: &Visit, source: &Source<'_>) -> Option<Key> {
    let is_json = match visit.format {
        Format::Html => false,
        Format::Json => true,
        Format::Neither => return None,
    };
    Key::new(source.page, &visit.visitor, is_json)
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
