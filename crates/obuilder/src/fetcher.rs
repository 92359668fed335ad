//! The source of a builder's base images.

use std::path::Path;

use bstr::BStr;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use oci::Image;
use oci::fetch::{BaseImages, FetchError, ImportedImage};
use tokio_util::sync::CancellationToken;

use crate::Sink;

/// Fetches base images.
pub trait Fetcher {
    /// Writes the files of `image`, the name in a spec, into the empty directory `rootfs`, and logs its progress to
    /// `output`. Stops when `cancel` fires.
    fn fetch<'a>(
        &'a self,
        image: &'a str,
        rootfs: &'a Path,
        output: &'a dyn Sink,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Image, FetchError>>;

    /// Returns the newest image that was imported under a name. `None` if there is none, or if the library cannot be
    /// read: fetching the image then fails with the reason.
    fn imported(&self, _image: &BStr) -> Option<ImportedImage> {
        None
    }
}

impl Fetcher for BaseImages {
    fn fetch<'a>(
        &'a self,
        image: &'a str,
        rootfs: &'a Path,
        output: &'a dyn Sink,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Image, FetchError>> {
        async move {
            let log = |bytes: &[u8]| output.write(bytes);
            self.fetch(image, rootfs, &log, cancel).await
        }
        .boxed_local()
    }

    fn imported(&self, image: &BStr) -> Option<ImportedImage> {
        self.imported(image)
    }
}
