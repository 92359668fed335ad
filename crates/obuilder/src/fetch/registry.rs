//! Images from registries.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use tokio_util::sync::CancellationToken;

use super::credentials::{Login, server_name};
use super::download::{Blob, DownloadError, Downloads};
use super::log::{Log, amount, plain};
use super::settings::{Proxies, Settings};
use super::unpack::{Source, Unpacking};
use super::{FetchError, Image, docker};
use crate::image::model::{self, Config, Descriptor, Document, Index, MAX_DOCUMENT, Manifest};
use crate::image::platform::listed;
use crate::image::{Digest, Platform};

/// How long a registry may take to accept a connection.
const LIMIT_TO_CONNECT: Duration = Duration::from_secs(20);

/// How long a registry may be silent in the middle of an answer.
const LIMIT_TO_READ: Duration = Duration::from_secs(60);

/// How long a manifest may take. It is small, and must not fill the memory of who waits for its end.
const LIMIT_FOR_MANIFEST: Duration = Duration::from_secs(30);

/// How many layers are downloaded at once: what `docker pull` does.
const LAYERS_AT_ONCE: usize = 3;

const ACCEPTED: [&str; 4] = [
    model::INDEX,
    model::MANIFEST,
    model::DOCKER_INDEX,
    model::DOCKER_MANIFEST,
];

/// A registry, for one image of it.
pub(super) struct Registry<'a> {
    settings: &'a Settings,
    image: &'a Reference,
    client: Client,
    login: Login,
}

impl<'a> Registry<'a> {
    /// Prepares to ask for an image.
    pub(super) async fn of(
        settings: &'a Settings,
        image: &'a Reference,
    ) -> Result<Self, FetchError> {
        let registry = image.resolve_registry();
        let protocol = if settings.is_insecure(registry) {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        };
        // Whoever comes first decides for the process, and all of us want the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let (http_proxy, https_proxy, no_proxy) = proxies(&settings.proxies);
        let config = ClientConfig {
            protocol,
            connect_timeout: Some(LIMIT_TO_CONNECT),
            read_timeout: Some(LIMIT_TO_READ),
            user_agent: "obuilder",
            http_proxy,
            https_proxy,
            no_proxy: Some(no_proxy),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| {
            FetchError::Failed(format!("cannot prepare to speak to it: {}", causes(&error)))
        })?;
        let login = Login::find(settings, image.registry()).await;
        Ok(Self {
            settings,
            image,
            client,
            login,
        })
    }

    /// Brings the image.
    pub(super) async fn fetch(
        &self,
        rootfs: &Path,
        log: Log<'_>,
        cancel: &CancellationToken,
    ) -> Result<Image, FetchError> {
        let (digest, manifest) = until(cancel, self.manifest()).await?;
        let stored = self.check_limits(&manifest)?;
        log.say(format_args!(
            "Image {}: {}, {} to download",
            digest,
            layers(manifest.layers.len()),
            amount(stored)
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
        // Asked apart, so that a wrong password is known as such.
        let auth = &self.login.auth;
        let asked = self.client.auth(self.image, auth, RegistryOperation::Pull);
        within(asked).await?.map_err(|error| self.failed(&error))?;
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
                "its index leads to another index".to_owned(),
            )),
        }
    }

    async fn document(&self, image: &Reference) -> Result<(Digest, Document), FetchError> {
        let pulled = self
            .client
            .pull_manifest_raw(image, &self.login.auth, &ACCEPTED);
        let (bytes, _) = within(pulled).await?.map_err(|error| self.failed(&error))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(FetchError::Failed("its manifest is too large".to_owned()));
        }
        let document = Document::read(&bytes).map_err(FetchError::Failed)?;
        Ok((Digest::of(&bytes), document))
    }

    fn choose<'i>(&self, index: &'i Index) -> Result<&'i Descriptor, FetchError> {
        let here = &self.settings.platform;
        here.best(&index.manifests).ok_or_else(|| {
            let there = listed(&index.manifests);
            FetchError::Failed(format!("it has no image for {here}, but for: {there}"))
        })
    }

    /// Returns how much there is to download.
    fn check_limits(&self, manifest: &Manifest) -> Result<u64, FetchError> {
        let limits = &self.settings.limits;
        let too_large = |what: String| Err(FetchError::Failed(what));
        if manifest.layers.len() > limits.layers {
            let (has, most) = (manifest.layers.len(), limits.layers);
            return too_large(format!(
                "the image has {has} layers, more than the limit of {most}"
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
            let (has, most) = (amount(stored), amount(limits.stored));
            return too_large(format!(
                "the image has {has}, more than the limit of {most}"
            ));
        }
        Ok(stored)
    }

    async fn config(&self, manifest: &Manifest) -> Result<Config, FetchError> {
        let bytes = self.downloads().bytes(&manifest.config).await;
        let bytes = bytes.map_err(|error| self.not_downloaded("its config", error))?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|error| FetchError::Failed(format!("its config is wrong: {error}")))?;
        let here = &self.settings.platform;
        if config.platform != Platform::default() && !here.runs(&config.platform) {
            let there = &config.platform;
            return Err(FetchError::Failed(format!(
                "it has no image for {here}, but for: {there}"
            )));
        }
        Ok(config)
    }

    /// Downloads layers, several at a time, and hands them over in order.
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
                // It says why when it is asked how it ended.
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
            image: self.image,
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

    /// Says why a registry gave nothing, and what to do.
    fn failed(&self, error: &OciDistributionError) -> FetchError {
        use OciDistributionError as E;
        FetchError::Failed(match error {
            E::UnauthorizedError { .. } | E::AuthenticationFailure(_) => self.login_needed(),
            E::RegistryError { envelope, .. } => match envelope.errors.first() {
                Some(first) => match first.code {
                    OciErrorCode::Unauthorized | OciErrorCode::Denied => self.login_needed(),
                    OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::NotFound => "it has no such image".to_owned(),
                    OciErrorCode::Toomanyrequests => {
                        format!("it allows no more pulls for now: {}", shown(&first.message))
                    }
                    _ => shown(&format!("{:?}: {}", first.code, first.message)),
                },
                None => "it refused without a reason".to_owned(),
            },
            E::ServerError { code: 404, .. } => "it has no such image".to_owned(),
            E::ServerError { code, message, .. } => {
                format!("it answered with status {code}: {}", shown(message))
            }
            error => causes(error),
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
            return format!("it asks for a log-in, and {problem}; log in with `{login}`");
        }
        let Some(file) = &self.settings.registry_config else {
            return "it asks for a log-in, and no file with log-ins was given".to_owned();
        };
        match self.login.auth {
            RegistryAuth::Anonymous => format!(
                "it asks for a log-in (or has no such image), and {file:?} has none for it: log in \
                 with `{login}`"
            ),
            _ => format!("it refused the log-in from {file:?}: log in again with `{login}`"),
        }
    }
}

/// Returns the proxies in the form that the client takes, which must never be none: it would then read the environment.
fn proxies(proxies: &Proxies) -> (Option<String>, Option<String>, String) {
    let Proxies {
        http,
        https,
        except,
    } = proxies;
    if http.is_none() && https.is_none() {
        let everywhere = "*,0.0.0.0/0,::/0".to_owned();
        return (Some("http://127.0.0.1:9".to_owned()), None, everywhere);
    }
    let except = except.as_deref().unwrap_or_default();
    // No proxy reaches this machine's own registries.
    (
        http.clone(),
        https.clone(),
        format!("localhost,127.0.0.0/8,{except}"),
    )
}

fn layers(count: usize) -> String {
    if count == 1 {
        "1 layer".to_owned()
    } else {
        format!("{count} layers")
    }
}

/// Waits for something until it is no longer wanted.
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
            "it had no answer within {} s",
            LIMIT_FOR_MANIFEST.as_secs()
        ))
    };
    tokio::time::timeout(LIMIT_FOR_MANIFEST, what)
        .await
        .map_err(late)
}

/// Says an error with its causes, which the library's own text leaves out.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    shown(&text)
}

/// Returns what a server says, as far as it belongs into a log.
fn shown(text: &str) -> String {
    plain(text.trim())
        .replace('\n', " ")
        .chars()
        .take(300)
        .collect()
}
