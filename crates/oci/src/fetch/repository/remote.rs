//! A repository of a registry.

use std::cell::RefCell;
use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use oci_spec::distribution::Reference;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use reqwest::{Method, RequestBuilder, Response, Url};

use super::RepositoryError;
use crate::digest::Digest;
use crate::documents::{self, Descriptor};
use crate::fetch::credentials::Login;
use crate::fetch::distribution::{Access, Client, RegistryError, accepted};
use crate::fetch::download::{Blob, DownloadError, Downloads};
use crate::fetch::http::{Http, HttpError, body};
use crate::fetch::log::Log;
use crate::fetch::settings::Settings;

/// How much of a blob is sent with a request, in bytes. A smaller blob is sent with one.
const PART: u64 = 8 << 20;

/// A repository of a registry.
#[derive(Debug)]
pub(super) struct Remote {
    name: Reference,
    settings: Settings,
    access: Access,
    /// Made when it is needed, because credentials may come from a program; and again when they are refused, because
    /// they may have expired.
    client: RefCell<Option<Rc<Client>>>,
}

impl Remote {
    pub(super) fn new(name: &Reference, mut settings: Settings, writes: bool) -> Self {
        // The operator has named it, so it may have any address.
        if let Ok(listed) = name.resolve_registry().parse() {
            settings.registries = settings.registries.and(listed);
        }
        let access = if writes {
            Access::PullAndPush
        } else {
            Access::Pull
        };
        Self {
            name: name.clone(),
            settings,
            access,
            client: RefCell::default(),
        }
    }

    async fn client(&self) -> Result<Rc<Client>, RepositoryError> {
        if let Some(client) = &*self.client.borrow() {
            return Ok(Rc::clone(client));
        }
        let settings = &self.settings;
        let http = Http::new(&settings.registries, &settings.proxies)
            .map_err(|error| self.unavailable(error.to_string()))?;
        let login = Login::find(settings, self.name.registry()).await;
        let is_insecure = settings.is_insecure(self.name.resolve_registry());
        let client = Client::new(http, &self.name, self.access, is_insecure, login.auth);
        let client = Rc::new(client);
        *self.client.borrow_mut() = Some(Rc::clone(&client));
        Ok(client)
    }

    pub(super) async fn document(
        &self,
        tag: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let client = &*self.client().await?;
        let url = self.url(client, &format!("manifests/{tag}"))?;
        let asked = |request: RequestBuilder| request.header(ACCEPT, documents::MANIFEST);
        match self.send(client, Method::GET, &url, asked).await {
            Ok(answer) => match body(answer, limit).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(HttpError::TooLarge(limit)) => Err(RepositoryError::Wrong(format!(
                    "its manifest is too large: more than {limit} bytes"
                ))),
                Err(error) => Err(self.failed(error.into())),
            },
            Err(RegistryError::Missing) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(super) async fn put_document(
        &self,
        tag: &str,
        manifest: &[u8],
    ) -> Result<(), RepositoryError> {
        let client = &*self.client().await?;
        let url = self.url(client, &format!("manifests/{tag}"))?;
        let with = |request: RequestBuilder| {
            request
                .header(CONTENT_TYPE, documents::MANIFEST)
                .body(manifest.to_vec())
        };
        let answer = self.send(client, Method::PUT, &url, with).await;
        answer.map(drop).map_err(|error| self.failed(error))
    }

    pub(super) async fn blob(
        &self,
        digest: &Digest,
        size: u64,
        into: &Path,
    ) -> Result<File, RepositoryError> {
        let client = &*self.client().await?;
        let descriptor = Descriptor {
            digest: *digest,
            size,
            ..Descriptor::of(documents::LAYER, b"")
        };
        let blob = Blob {
            descriptor: &descriptor,
            name: "blob",
            directory: into,
        };
        let silent = |_: &[u8]| Ok(());
        let downloads = Downloads { client };
        let file = downloads.file(&blob, Log(&silent)).await;
        let rewound = file.and_then(|mut file| {
            let rewound = file.rewind();
            rewound
                .map(|()| file)
                .map_err(|source| DownloadError::Write {
                    path: into.to_owned(),
                    source,
                })
        });
        rewound.map_err(|error| match error {
            DownloadError::Registry(RegistryError::Missing) => RepositoryError::Missing(*digest),
            DownloadError::Registry(error) => self.failed(error),
            DownloadError::Wrong(reason) => RepositoryError::Wrong(reason),
            DownloadError::Write { path, source } => RepositoryError::Io { path, source },
            DownloadError::Log(error) => RepositoryError::Wrong(error.to_string()),
        })
    }

    pub(super) async fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        content: File,
    ) -> Result<bool, RepositoryError> {
        let client = &*self.client().await?;
        let url = self.url(client, &format!("blobs/{digest}"))?;
        match self
            .send(client, Method::HEAD, &url, |request| request)
            .await
        {
            Ok(_) => return Ok(false),
            Err(RegistryError::Missing) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let url = self.url(client, "blobs/uploads/")?;
        let empty = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0).body(Vec::new());
        let begun = self.send(client, Method::POST, &url, empty).await;
        let begun = begun.map_err(|error| self.failed(error))?;
        let mut url = self.location(&url, &begun)?;
        let mut sent = 0;
        while size - sent > PART {
            let part = read(&content, sent, PART)?;
            let end = sent + PART;
            let with = |request: RequestBuilder| {
                request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_RANGE, format!("{sent}-{}", end - 1))
                    .body(part.clone())
            };
            let answer = self.send(client, Method::PATCH, &url, with).await;
            let answer = answer.map_err(|error| self.failed(error))?;
            url = self.location(&url, &answer)?;
            sent = end;
        }
        let rest = read(&content, sent, size - sent)?;
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let with = |request: RequestBuilder| {
            let request = request.header(CONTENT_TYPE, "application/octet-stream");
            let request = match sent {
                0 => request,
                _ => request.header(CONTENT_RANGE, format!("{sent}-{}", size.saturating_sub(1))),
            };
            request.body(rest.clone())
        };
        let ended = self.send(client, Method::PUT, &url, with).await;
        ended.map(|_| true).map_err(|error| self.failed(error))
    }

    /// Sends a request, and once more after logging in if the registry requires that.
    async fn send(
        &self,
        client: &Client,
        method: Method,
        url: &Url,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let once = async || {
            let request = with(client.request(method.clone(), url.clone())?);
            accepted(request.send().await?)
        };
        match once().await {
            Err(RegistryError::Login) => {
                client.log_in().await?;
                once().await
            }
            answer => answer,
        }
    }

    fn url(&self, client: &Client, path: &str) -> Result<Url, RepositoryError> {
        let url = client.url(&format!("{}/{path}", self.name.repository()));
        url.map_err(|error| self.failed(error))
    }

    /// Returns where a begun upload goes on.
    fn location(&self, asked: &Url, answer: &Response) -> Result<Url, RepositoryError> {
        let place = answer.headers().get(LOCATION);
        let place = place.and_then(|place| place.to_str().ok());
        place
            .and_then(|place| asked.join(place).ok())
            .ok_or_else(|| self.unavailable("it does not say where to upload to".to_owned()))
    }

    fn failed(&self, error: RegistryError) -> RepositoryError {
        if matches!(error, RegistryError::Login) {
            self.client.take();
        }
        self.unavailable(match error {
            RegistryError::Http(error) => error.to_string(),
            RegistryError::Login => {
                "it requires authentication, or refused the credentials; log in with `docker login`"
                    .to_owned()
            }
            RegistryError::Missing => "it has no such repository or blob".to_owned(),
            RegistryError::TooMany => "its rate limit is exceeded".to_owned(),
            RegistryError::Status(status) => format!("it answered with status {}", status.as_u16()),
            RegistryError::Wrong(what) => what.to_owned(),
            RegistryError::CutOff(what) => what,
        })
    }

    fn unavailable(&self, reason: String) -> RepositoryError {
        RepositoryError::Unavailable {
            place: format!("oci://{}/{}", self.name.registry(), self.name.repository()),
            reason,
        }
    }
}

fn read(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, RepositoryError> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let read = file.read_exact_at(&mut bytes, offset);
    read.map_err(|source| RepositoryError::Io {
        path: PathBuf::from("the blob to upload"),
        source,
    })?;
    Ok(bytes)
}
