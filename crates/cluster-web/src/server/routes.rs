//! Which address leads to which page.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::site::Site;
use super::{assets, enter, front};

/// Returns all addresses.
pub(super) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(enter::home))
        .route("/enter", get(enter::form).post(enter::enter))
        .route("/leave", post(enter::leave))
        .route("/assets/{name}", get(assets::asset_page))
        .fallback(front::nothing)
        .with_state(site)
}
