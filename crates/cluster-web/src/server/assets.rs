//! Styles and scripts. Their names have the digests of their contents, so browsers keep them for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::reply::{self, Refusal, Reply};
use crate::pages::{ICON, SCRIPT, STYLE};

/// A file that pages refer to.
#[derive(Debug)]
pub struct Asset {
    /// Its address.
    pub path: String,
    kind: &'static str,
    bytes: &'static [u8],
}

/// The files that pages refer to.
#[derive(Debug)]
pub struct Assets {
    /// The styles of all pages.
    pub style: Asset,
    /// The script of all pages.
    pub script: Asset,
    /// The script of the page where visitors come in.
    pub enter: Asset,
    /// The icon of all pages.
    pub icon: Asset,
}

/// The files, under the addresses that pages have to name.
pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: asset("style", "css", "text/css", STYLE.as_bytes()),
    script: asset("script", "js", "text/javascript", SCRIPT.as_bytes()),
    enter: asset(
        "enter",
        "js",
        "text/javascript",
        include_bytes!("../../assets/enter.js"),
    ),
    icon: asset("icon", "svg", "image/svg+xml", ICON.as_bytes()),
});

fn asset(name: &str, ending: &str, kind: &'static str, bytes: &'static [u8]) -> Asset {
    let digest = Sha256::digest(bytes);
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Asset {
        path: format!("/assets/{name}-{digest}.{ending}"),
        kind,
        bytes,
    }
}

/// Returns a file.
pub(super) async fn asset_page(Path(name): Path<String>, headers: HeaderMap) -> Reply {
    let Assets {
        style,
        script,
        enter,
        icon,
    } = &*ASSETS;
    let path = format!("/assets/{name}");
    let found = [style, script, enter, icon]
        .into_iter()
        .find(|asset| asset.path == path);
    let asset = found.ok_or_else(Refusal::not_found)?;
    let tag = format!("\"{name}\"");
    let known = headers.get(IF_NONE_MATCH);
    let mut response: Response = match known.is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => reply::typed(asset.bytes, asset.kind),
    };
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, forever);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}
