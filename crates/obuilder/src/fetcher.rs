//! Where a builder gets base images from.

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
    /// Writes the files of `image`, a name as a spec gives it, into the empty directory `rootfs`, and logs its progress to
    /// `output`. Stops when `cancel` fires.
    fn fetch<'a>(
        &'a self,
        image: &'a str,
        rootfs: &'a Path,
        output: &'a dyn Sink,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Image, FetchError>>;

    /// Returns the newest image that was imported under a name. `None` if there is none, or if that is not known: fetching it
    /// then fails with the reason.
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
