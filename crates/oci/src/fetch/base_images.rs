//! The sources of images, in the order in which they are tried.

use std::path::Path;

use bstr::{BStr, ByteSlice as _};
use oci_spec::distribution::Reference;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use visible::{Elapsed, Size};

use super::address::Refused;
use super::docker::{self, Docker};
use super::log::Log;
use super::registry::Registry;
use super::settings::Settings;
use super::unpack::{Source, Unpacking};
use super::{FetchError, ImportedImage, LogFunction};
use crate::rootfs::empty;
use crate::{Image, Library};

/// Fetches images from several sources.
///
/// It tries the imported images; then the images that the local Docker engine has, as `docker run` does; then the
/// registry; at last `docker pull`, as the engine may have mirrors and credentials of its own.
#[derive(Debug)]
pub struct BaseImages {
    settings: Settings,
    library: Library,
}

impl BaseImages {
    /// Returns a fetcher with these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            library: Library::new(&settings.state_dir),
            settings,
        }
    }

    /// Returns the library of imported images.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Writes the files of `image`, a short or a whole name, into the empty directory `rootfs`, and logs its progress
    /// to `log`. Stops when `cancel` fires.
    ///
    /// # Errors
    /// If no source has the image, a file cannot be written, or `cancel` fired.
    pub async fn fetch(
        &self,
        image: &str,
        rootfs: &Path,
        log: LogFunction<'_>,
        cancel: &CancellationToken,
    ) -> Result<Image, FetchError> {
        let search = Search {
            images: self,
            name: image,
            rootfs,
            log: Log(log),
            cancel,
        };
        search.run().await
    }

    /// Returns the newest image that was imported under a name. `None` if there is none, or if the library cannot be
    /// read: fetching the image then fails with the reason.
    pub fn imported(&self, image: &BStr) -> Option<ImportedImage> {
        let name: Reference = image.to_str().ok()?.parse().ok()?;
        let found = self.library.find(&name).ok().flatten()?;
        Some(ImportedImage {
            digest: found.digest.to_string(),
            when: found.when.parse().ok(),
        })
    }
}

/// One search for an image.
struct Search<'a> {
    images: &'a BaseImages,
    name: &'a str,
    rootfs: &'a Path,
    log: Log<'a>,
    cancel: &'a CancellationToken,
}

impl Search<'_> {
    async fn run(&self) -> Result<Image, FetchError> {
        let name = self.name;
        let reference: Reference = name.parse().map_err(|error| {
            FetchError::Failed(format!("{name:?} is not the name of an image: {error}"))
        })?;
        if let Some(image) = self.imported(&reference).await? {
            return Ok(image);
        }
        let docker = self.images.settings.docker.as_ref().map(|program| Docker {
            program: program.clone(),
            env: self.images.settings.env.clone(),
        });
        let mut tried = vec!["it was not imported".to_owned()];
        if let Some(docker) = &docker {
            let there = self.engines_copy(docker, &reference).await;
            if let Some(image) = self.judge("the Docker engine", there, &mut tried)? {
                return Ok(image);
            }
        }
        let place = format!("the registry {}", reference.registry());
        let there = self.pulled(&reference).await;
        if let Some(image) = self.judge(&place, there, &mut tried)? {
            return Ok(image);
        }
        if let Some(docker) = &docker {
            let there = self.pulled_by_engine(docker, &reference).await;
            if let Some(image) = self.judge("`docker pull`", there, &mut tried)? {
                return Ok(image);
            }
        } else {
            tried.push("no `docker` program is installed".to_owned());
        }
        Err(FetchError::Failed(format!(
            "cannot get the image {name:?}: {}; to use a file instead, run `obuilder image import {name} FILE`",
            tried.join("; ")
        )))
    }

    /// Logs a failed attempt, and removes its files, for the next source.
    fn judge(
        &self,
        place: &str,
        there: Result<Image, FetchError>,
        tried: &mut Vec<String>,
    ) -> Result<Option<Image>, FetchError> {
        match there {
            Ok(image) => Ok(Some(image)),
            Err(FetchError::Failed(reason)) => {
                self.log
                    .line(format_args!("Cannot get the image from {place}: {reason}"))?;
                tried.push(format!("{place}: {reason}"));
                empty(self.rootfs)
                    .map(|()| None)
                    .map_err(|source| FetchError::Write {
                        path: self.rootfs.to_owned(),
                        source,
                    })
            }
            Err(error) => Err(error),
        }
    }

    /// Uses the imported image. It was chosen on purpose: if it is damaged, no other source is tried.
    async fn imported(&self, name: &Reference) -> Result<Option<Image>, FetchError> {
        let opened = self.images.library.open(name);
        let Some(opened) = opened.map_err(|error| FetchError::Failed(error.to_string()))? else {
            return Ok(None);
        };
        let size = Size(opened.imported.size);
        let (name, source) = (&opened.imported.name, &opened.imported.source);
        self.log.line(format_args!(
            "Using the image {name} ({size}) that was imported from {source}"
        ))?;
        let image = docker::image(&opened.config.config, self.log)?;
        let limits = &self.images.settings.limits;
        let unpacking = Unpacking::start(self.rootfs, limits, self.cancel);
        let count = opened.layers.len();
        for (position, (layer, file)) in opened.layers.into_iter().enumerate() {
            let name = format!("layer {}/{count} {}", position + 1, layer.digest.short());
            if !unpacking.add(name, Source::File(file, Some(layer.digest))) {
                break;
            }
        }
        unpacking.finish(self.log).await.map(|()| Some(image))
    }

    /// Uses the engine's image as it is: like `docker run`, this does not check for a newer one.
    async fn engines_copy(
        &self,
        docker: &Docker,
        reference: &Reference,
    ) -> Result<Image, FetchError> {
        // By its whole name: the engine also takes a short one as the beginning of an id, which may be any other image.
        let name = reference.whole();
        let found = docker.find(&name, self.cancel).await?;
        let (here, there) = (&self.images.settings.platform, found.platform());
        if !here.runs(&there) {
            let reason = format!("it has the image for {there}, and this is {here}");
            return Err(FetchError::Failed(reason));
        }
        self.log.line(format_args!(
            "Using the image {} that the Docker engine has",
            self.name
        ))?;
        let image = docker::image(&found.config(), self.log)?;
        let limits = &self.images.settings.limits;
        docker
            .extract(&name, self.rootfs, limits, self.log, self.cancel)
            .await?;
        Ok(image)
    }

    async fn pulled(&self, reference: &Reference) -> Result<Image, FetchError> {
        let registry = reference.registry();
        self.log.line(format_args!(
            "Fetching {} from the registry {registry}",
            self.name
        ))?;
        let registry = Registry::of(&self.images.settings, reference).await?;
        registry.fetch(self.rootfs, self.log, self.cancel).await
    }

    async fn pulled_by_engine(
        &self,
        docker: &Docker,
        reference: &Reference,
    ) -> Result<Image, FetchError> {
        self.check_registry(reference).await?;
        self.log.line(format_args!(
            "Asking the Docker engine to pull {}",
            self.name
        ))?;
        let started = Instant::now();
        docker.get(&reference.whole(), self.cancel).await?;
        let took = Elapsed(started.elapsed());
        self.log
            .line(format_args!("The Docker engine pulled the image in {took}"))?;
        self.engines_copy(docker, reference).await
    }

    /// Checks whether the engine may contact a registry. A name that does not resolve on this machine is permitted: a
    /// proxy of the engine may resolve it.
    async fn check_registry(&self, reference: &Reference) -> Result<(), FetchError> {
        let settings = &self.images.settings;
        let registry = reference.resolve_registry();
        let default = if settings.is_insecure(registry) {
            80
        } else {
            443
        };
        let (host, port) = match registry.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(default)),
            None => (registry, default),
        };
        let refused = |refused: &Refused| FetchError::Failed(refused.to_string());
        let rule = &settings.registries;
        rule.check(host, port).map_err(|error| refused(&error))?;
        match rule.resolve(host, port).await {
            Ok(_) => Ok(()),
            Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(inner) => Err(refused(inner)),
                None => Ok(()),
            },
        }
    }
}
