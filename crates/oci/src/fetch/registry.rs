//! Images from registries.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use oci_spec::distribution::Reference;
use tokio_util::sync::CancellationToken;
use visible::{Size, counted};

use super::credentials::{Login, server_name};
use super::distribution::{Access, Auth, Client, RegistryError};
use super::download::{Blob, DownloadError, Downloads};
use super::http::Http;
use super::log::Log;
use super::settings::Settings;
use super::unpack::{Source, Unpacking};
use super::{FetchError, docker};
use crate::documents::{self, Config, Descriptor, Document, Index, MAX_DOCUMENT, Manifest, choice};
use crate::{Digest, Image, Platform};

/// How long the transfer of a manifest may take. It is small.
const LIMIT_FOR_MANIFEST: Duration = Duration::from_secs(30);

/// How many layers are downloaded at once, as `docker pull` does.
const LAYERS_AT_ONCE: usize = 3;

/// A registry, for one of its images.
pub(super) struct Registry<'a> {
    settings: &'a Settings,
    image: &'a Reference,
    client: Client,
    login: Login,
}

impl<'a> Registry<'a> {
    /// Prepares a request for an image.
    pub(super) async fn of(
        settings: &'a Settings,
        image: &'a Reference,
    ) -> Result<Self, FetchError> {
        let http = Http::new(&settings.registries, &settings.proxies).map_err(|error| {
            FetchError::Failed(format!("cannot create an HTTP client: {error}"))
        })?;
        let login = Login::find(settings, image.registry()).await;
        let is_insecure = settings.is_insecure(image.resolve_registry());
        Ok(Self {
            settings,
            image,
            client: Client::new(http, image, Access::Pull, is_insecure, login.auth.clone()),
            login,
        })
    }

    /// Downloads and unpacks the image.
    pub(super) async fn fetch(
        &self,
        rootfs: &Path,
        log: Log<'_>,
        cancel: &CancellationToken,
    ) -> Result<Image, FetchError> {
        let (digest, manifest) = until(cancel, self.manifest()).await?;
        let stored = self.check_limits(&manifest)?;
        log.line(format_args!(
            "Image {}: {}, {} to download",
            digest,
            counted(manifest.layers.len(), "layer"),
            Size(stored)
        ))?;
        let config = until(cancel, self.config(&manifest)).await?;
        let image = docker::image(&config.config, log)?;
        let unpacking = Unpacking::start(rootfs, &self.settings.limits, cancel);
        let downloaded = self.download(&manifest, &unpacking, log);
        match until(cancel, downloaded).await {
            Ok(()) => unpacking.finish(log).await.map(|()| image),
            Err(error) => {
                unpacking.abandon().await;
                Err(error)
            }
        }
    }

    async fn manifest(&self) -> Result<(Digest, Manifest), FetchError> {
        let logged_in = within(self.client.log_in()).await?;
        logged_in.map_err(|error| self.failed(&error))?;
        let (digest, document) = self.document(self.image).await?;
        let index = match document {
            Document::Manifest(manifest) => return Ok((digest, manifest)),
            Document::Index(index) => index,
        };
        let chosen = self.choose(&index)?;
        if chosen.size > MAX_DOCUMENT {
            return Err(FetchError::Failed("its manifest is too large".to_owned()));
        }
        let image = self.image.clone_with_digest(chosen.digest.to_string());
        match self.document(&image).await? {
            (digest, Document::Manifest(manifest)) => Ok((digest, manifest)),
            (_, Document::Index(_)) => Err(FetchError::Failed(
                "its index refers to another index".to_owned(),
            )),
        }
    }

    async fn document(&self, image: &Reference) -> Result<(Digest, Document), FetchError> {
        let asked = within(self.client.document(image)).await?;
        let bytes = asked.map_err(|error| self.failed(&error))?;
        let document = Document::read(&bytes).map_err(FetchError::Failed)?;
        Ok((Digest::of(&bytes), document))
    }

    fn choose<'i>(&self, index: &'i Index) -> Result<&'i Descriptor, FetchError> {
        let here = &self.settings.platform;
        choice::best(here, &index.manifests).ok_or_else(|| {
            let there = choice::listed(&index.manifests);
            FetchError::Failed(format!("it has no image for {here}, but for: {there}"))
        })
    }

    /// Returns the size of the download, in bytes.
    fn check_limits(&self, manifest: &Manifest) -> Result<u64, FetchError> {
        let limits = &self.settings.limits;
        let too_large = |what: String| Err(FetchError::Failed(what));
        if manifest.layers.len() > limits.layers {
            let (has, most) = (manifest.layers.len(), limits.layers);
            return too_large(format!(
                "the image has too many layers: {has}, and the limit is {most}"
            ));
        }
        if manifest.config.size > MAX_DOCUMENT {
            return too_large("its config is too large".to_owned());
        }
        let stored = manifest
            .layers
            .iter()
            .fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
        if stored > limits.stored {
            let (has, most) = (Size(stored), Size(limits.stored));
            return too_large(format!(
                "the image is too large: {has}, and the limit is {most}"
            ));
        }
        Ok(stored)
    }

    async fn config(&self, manifest: &Manifest) -> Result<Config, FetchError> {
        let bytes = self.downloads().bytes(&manifest.config).await;
        let bytes = bytes.map_err(|error| self.not_downloaded("its config", error))?;
        let config: Config = serde_json::from_slice(&bytes).map_err(|error| {
            FetchError::Failed(format!("its config is wrong: {}", documents::place(&error)))
        })?;
        let here = &self.settings.platform;
        if config.platform != Platform::default() && !here.runs(&config.platform) {
            let there = &config.platform;
            return Err(FetchError::Failed(format!(
                "it has no image for {here}, but for: {there}"
            )));
        }
        Ok(config)
    }

    /// Downloads layers, several at a time, and passes them on in order.
    async fn download(
        &self,
        manifest: &Manifest,
        unpacking: &Unpacking,
        log: Log<'_>,
    ) -> Result<(), FetchError> {
        let directory = self.incoming()?;
        let downloads = self.downloads();
        let count = manifest.layers.len();
        let layers = manifest.layers.iter().enumerate().map(|(position, layer)| {
            let (downloads, directory) = (&downloads, &directory);
            async move {
                let name = format!("layer {}/{count} {}", position + 1, layer.digest.short());
                let blob = Blob {
                    descriptor: layer,
                    name: &name,
                    directory,
                };
                let file = downloads.file(&blob, log).await;
                let file = file.map_err(|error| self.not_downloaded(&name, error))?;
                Ok((name, file))
            }
        });
        let mut layers = futures::stream::iter(layers).buffered(LAYERS_AT_ONCE);
        while let Some((name, file)) = layers.try_next().await? {
            if !unpacking.add(name, Source::File(file, None)) {
                // `finish` returns the reason.
                return Ok(());
            }
        }
        Ok(())
    }

    fn incoming(&self) -> Result<PathBuf, FetchError> {
        let directory = self.settings.state_dir.join("images/incoming");
        std::fs::create_dir_all(&directory).map_err(|source| FetchError::Write {
            path: directory.clone(),
            source,
        })?;
        Ok(directory)
    }

    fn downloads(&self) -> Downloads<'_> {
        Downloads {
            client: &self.client,
        }
    }

    fn not_downloaded(&self, name: &str, error: DownloadError) -> FetchError {
        match error {
            DownloadError::Registry(error) => match self.failed(&error) {
                FetchError::Failed(reason) => FetchError::Failed(format!("{name}: {reason}")),
                error => error,
            },
            DownloadError::Wrong(reason) => FetchError::Failed(format!("{name}: {reason}")),
            DownloadError::Write { path, source } => FetchError::Write { path, source },
            DownloadError::Log(error) => error,
        }
    }

    /// Returns why a request failed, and what to do about it.
    fn failed(&self, error: &RegistryError) -> FetchError {
        FetchError::Failed(match error {
            RegistryError::Http(error) => error.to_string(),
            RegistryError::Login => self.login_needed(),
            RegistryError::Missing => "it has no such image".to_owned(),
            RegistryError::TooMany => "its rate limit for pulls is exceeded".to_owned(),
            RegistryError::Status(status) => {
                format!("it answered with status {}", status.as_u16())
            }
            RegistryError::Wrong(what) => (*what).to_owned(),
            RegistryError::CutOff(what) => what.clone(),
        })
    }

    fn login_needed(&self) -> String {
        let registry = self.image.registry();
        let server = server_name(registry);
        let login = if server == registry {
            format!("docker login {registry}")
        } else {
            "docker login".to_owned()
        };
        if let Some(problem) = &self.login.problem {
            return format!("it requires authentication, and {problem}; log in with `{login}`");
        }
        let Some(file) = &self.settings.registry_config else {
            return "it requires authentication, and no file with credentials is configured"
                .to_owned();
        };
        let file = file.display();
        match self.login.auth {
            Auth::Anonymous => format!(
                "it requires authentication, or has no such image; to log in, run `{login}`, as {file} has no \
                 credentials for it"
            ),
            _ => format!("it refused the credentials from {file}; log in again with `{login}`"),
        }
    }
}

/// Waits for a future until `cancel` fires.
async fn until<T>(
    cancel: &CancellationToken,
    what: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(FetchError::Cancelled),
        result = what => result,
    }
}

async fn within<T>(what: impl Future<Output = T>) -> Result<T, FetchError> {
    let late = |_| {
        FetchError::Failed(format!(
            "it did not answer within {} s",
            LIMIT_FOR_MANIFEST.as_secs()
        ))
    };
    tokio::time::timeout(LIMIT_FOR_MANIFEST, what)
        .await
        .map_err(late)
}
