//! Which address leads to which page.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::site::Site;
use super::{actions, assets, badge, download, enter, events, feed, fill, front, log_events};

/// Returns all addresses.
pub(super) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(fill::pools))
        .route("/events", get(events::of_all))
        .route("/enter", get(enter::form).post(enter::enter))
        .route("/leave", post(enter::leave))
        .route("/assets/{name}", get(assets::asset_page))
        .route("/pool/{pool}", get(fill::pool))
        .route("/pool/{pool}/workers", get(fill::workers))
        .route("/pool/{pool}/events", get(events::of_pool))
        .route("/worker/{pool}/{worker}", get(fill::worker))
        .route("/worker/{pool}/{worker}/pause", post(actions::pause))
        .route("/worker/{pool}/{worker}/unpause", post(actions::unpause))
        .route("/job/{id}", get(fill::job))
        .route("/job/{id}/events", get(events::of_job))
        .route("/job/{id}/log", get(download::log))
        .route("/job/{id}/log.txt", get(download::log))
        .route("/job/{id}/log/events", get(log_events::follow))
        .route("/job/{id}/cancel", post(actions::cancel))
        .route("/job/{id}/retry", post(actions::retry))
        .route("/jobs", get(fill::jobs))
        .route("/audit", get(fill::audit))
        .route("/badge/{label}", get(badge::of_label))
        .route("/badge/{token}/{label}", get(badge::of_label))
        .route("/feed/{label}", get(feed::of_label))
        .route("/feed/{token}/{label}", get(feed::of_label))
        .fallback(front::nothing)
        .with_state(site)
}
