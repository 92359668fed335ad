//! The protocol of registries (OCI distribution), as far as it takes to fetch an image.
//!
//! Of a response, only its status number is shown: the service may not be a registry, and the author of a job must
//! not see its responses.

use std::cell::RefCell;

use http_auth::parser::ChallengeParser;
use oci_spec::distribution::Reference;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RANGE, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::http::{Http, HttpError, body};
use crate::Digest;
use crate::documents::{self, MAX_DOCUMENT};

/// The largest response with a token, in bytes.
const MAX_TOKEN: u64 = 1 << 20;

const ACCEPTED: [&str; 4] = [
    documents::INDEX,
    documents::MANIFEST,
    documents::DOCKER_INDEX,
    documents::DOCKER_MANIFEST,
];

/// How to log in to a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Auth {
    /// Not at all.
    Anonymous,
    /// With a user and a password.
    Basic(String, String),
    /// With a token that was given for this.
    Bearer(String),
}

/// Shows the method only.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic(..) => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// Why a request to a registry failed.
#[derive(Debug)]
pub(super) enum RegistryError {
    /// The request failed, or was not permitted.
    Http(HttpError),
    /// It requires authentication, or refused the credentials.
    Login,
    /// Not found.
    Missing,
    /// Too many requests.
    TooMany,
    /// It answered with another status.
    Status(StatusCode),
    /// The response is not what was requested.
    Wrong(&'static str),
    /// The response ended early.
    CutOff(String),
}

impl From<HttpError> for RegistryError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<reqwest::Error> for RegistryError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.into())
    }
}

impl RegistryError {
    /// Returns whether a retry may help.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Http(error) => error.is_temporary(),
            Self::Status(status) => status.is_server_error(),
            Self::TooMany | Self::CutOff(_) => true,
            Self::Login | Self::Missing | Self::Wrong(_) => false,
        }
    }
}

/// A registry, asked for one image.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    image: Reference,
    access: Access,
    /// The scheme and the host.
    base: String,
    auth: Auth,
    /// The `Authorization` header of every request. `None` before logging in, and where none is needed.
    authorization: RefCell<Option<HeaderValue>>,
}

/// What is done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It is read.
    Pull,
    /// It is read and written.
    PullAndPush,
}

/// A blob that is being downloaded.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) answer: Response,
    /// Whether it starts at the requested offset, and not at the beginning.
    pub(super) is_rest: bool,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

struct Challenge {
    realm: String,
    service: Option<String>,
}

impl Client {
    /// Prepares requests, with TLS unless the registry `is_insecure`.
    pub(super) fn new(
        http: Http,
        image: &Reference,
        access: Access,
        is_insecure: bool,
        auth: Auth,
    ) -> Self {
        let scheme = if is_insecure { "http" } else { "https" };
        Self {
            http,
            image: image.clone(),
            access,
            base: format!("{scheme}://{}", image.resolve_registry()),
            auth,
            authorization: RefCell::default(),
        }
    }

    /// Logs in, if the registry requires it. A separate request, so that a wrong password is reported as such.
    pub(super) async fn log_in(&self) -> Result<(), RegistryError> {
        let authorization = match &self.auth {
            Auth::Bearer(token) => Some(bearer(token)?),
            auth => {
                let answer = self.http.get(&format!("{}/v2/", self.base))?.send().await?;
                match (challenge(&answer), auth) {
                    (Some(challenge), _) => Some(self.token(&challenge).await?),
                    (None, Auth::Basic(user, password))
                        if answer.headers().contains_key(WWW_AUTHENTICATE) =>
                    {
                        Some(basic(user, password)?)
                    }
                    (None, _) => None,
                }
            }
        };
        *self.authorization.borrow_mut() = authorization;
        Ok(())
    }

    /// Returns the manifest or index under a tag or digest.
    pub(super) async fn document(&self, of: &Reference) -> Result<Vec<u8>, RegistryError> {
        let name = of.digest().or(of.tag()).unwrap_or("latest");
        let path = format!("{}/manifests/{name}", of.repository());
        let asked = self.get(&path)?.header(ACCEPT, ACCEPTED.join(", "));
        let bytes = body(accepted(asked.send().await?)?, MAX_DOCUMENT).await?;
        match of.digest() {
            Some(digest) if digest != Digest::of(&bytes).to_string() => Err(RegistryError::Wrong(
                "its manifest does not have the requested digest",
            )),
            _ => Ok(bytes),
        }
    }

    /// Begins to download a blob, from an offset.
    pub(super) async fn blob(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<Download, RegistryError> {
        let answer = match self.ask_for_blob(digest, offset).await {
            // Tokens are valid for minutes, and a download may take longer.
            Err(RegistryError::Login) if self.authorization.borrow().is_some() => {
                self.log_in().await?;
                self.ask_for_blob(digest, offset).await?
            }
            answer => answer?,
        };
        Ok(Download {
            is_rest: answer.status() == StatusCode::PARTIAL_CONTENT,
            answer,
        })
    }

    async fn ask_for_blob(&self, digest: &Digest, offset: u64) -> Result<Response, RegistryError> {
        let path = format!("{}/blobs/{digest}", self.image.repository());
        let mut asked = self.get(&path)?;
        if offset > 0 {
            asked = asked.header(RANGE, format!("bytes={offset}-"));
        }
        accepted(asked.send().await?)
    }

    fn get(&self, path: &str) -> Result<RequestBuilder, RegistryError> {
        self.request(Method::GET, self.url(path)?)
    }

    /// Returns the URL of something of the registry.
    pub(super) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let url = Url::parse(&format!("{}/v2/{path}", self.base));
        url.map_err(|_| HttpError::BadUrl.into())
    }

    /// Starts a request, with the authorization if there is one.
    pub(super) fn request(
        &self,
        method: Method,
        url: Url,
    ) -> Result<RequestBuilder, RegistryError> {
        let asked = self.http.request(method, url)?;
        Ok(match &*self.authorization.borrow() {
            // It is not sent to another host that the registry redirects to.
            Some(authorization) => asked.header(AUTHORIZATION, authorization.clone()),
            None => asked,
        })
    }

    async fn token(&self, challenge: &Challenge) -> Result<HeaderValue, RegistryError> {
        let Challenge { realm, service } = challenge;
        let mut url = Url::parse(realm).map_err(|_| HttpError::BadUrl)?;
        if url.scheme() != "https" && !self.base.starts_with("http:") {
            return Err(RegistryError::Wrong(
                "it asks for credentials to be sent without TLS",
            ));
        }
        let actions = match self.access {
            Access::Pull => "pull",
            Access::PullAndPush => "pull,push",
        };
        let scope = format!("repository:{}:{actions}", self.image.repository());
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let mut asked = self.http.get(url.as_str())?;
        if let Auth::Basic(user, password) = &self.auth {
            asked = asked.basic_auth(user, Some(password));
        }
        let answer = asked.send().await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => return Err(RegistryError::TooMany),
            status if status.is_server_error() => return Err(RegistryError::Status(status)),
            _ => return Err(RegistryError::Login),
        }
        let no_token = RegistryError::Wrong("its response to the login has no token");
        let token = serde_json::from_slice::<Token>(&body(answer, MAX_TOKEN).await?)
            .ok()
            .and_then(|answer| answer.token.or(answer.access_token));
        bearer(&token.ok_or(no_token)?)
    }
}

/// Returns a successful response.
pub(super) fn accepted(answer: Response) -> Result<Response, RegistryError> {
    match answer.status() {
        StatusCode::OK
        | StatusCode::PARTIAL_CONTENT
        | StatusCode::CREATED
        | StatusCode::ACCEPTED
        | StatusCode::NO_CONTENT => Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryError::Login),
        StatusCode::NOT_FOUND => Err(RegistryError::Missing),
        StatusCode::TOO_MANY_REQUESTS => Err(RegistryError::TooMany),
        status => Err(RegistryError::Status(status)),
    }
}

/// Returns where to get a token, if a registry requires one.
fn challenge(answer: &Response) -> Option<Challenge> {
    let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let challenge = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(ChallengeParser::new)
        .filter_map(Result::ok)
        .find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))?;
    let get = |name: &str| {
        let (_, value) = challenge
            .params
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.to_unescaped())
    };
    Some(Challenge {
        realm: get("realm")?,
        service: get("service"),
    })
}

fn bearer(token: &str) -> Result<HeaderValue, RegistryError> {
    secret(format!("Bearer {token}"))
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, RegistryError> {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret(format!("Basic {pair}"))
}

fn secret(text: String) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| RegistryError::Wrong("the credentials for it contain invalid characters"))?;
    value.set_sensitive(true);
    Ok(value)
}
