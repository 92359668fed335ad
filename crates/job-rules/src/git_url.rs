//! The URL of a git repository, kept apart from the credentials in it.
//!
//! Clients may put a token into the URL of a job. Git would write such a URL into the clone's configuration (which the
//! job can see, with `include-git`) and into its messages. So a worker runs git with the URL without credentials, and
//! answers its request for them from an environment that no job sees.

use std::fmt;

use sha1::{Digest as _, Sha1};
use url::Url;

/// The longest part of a repository's name in the name of its clone, in bytes.
const MAX_NAME: usize = 100;

/// The URL of a repository. `Display` and `Debug` show it without credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct GitUrl {
    /// Without credentials.
    url: Url,
    clone_name: String,
    credentials: Option<Credentials>,
}

/// Credentials for a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The scheme, host and port of the server, as a URL. They are sent to no other server, also after a redirection.
    pub origin: String,
    /// The common prefix of the paths of the repositories that they are for, decoded and without the first slash. It
    /// includes the repositories beside the URL's own, as submodules often have relative URLs.
    pub group: String,
    /// Empty, if the URL has a password alone.
    pub user: String,
    /// Secret. If it is empty, the user is secret.
    pub password: String,
}

/// Why workers do not fetch from a URL. Shown without credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitUrlError {
    /// The scheme is not one of those that workers use.
    #[error(
        "Unsupported scheme {scheme:?} in URL {url}: the worker fetches from http, https and git URLs"
    )]
    Scheme {
        /// The scheme.
        scheme: String,
        /// The URL, without credentials.
        url: String,
    },
    /// There is no scheme.
    #[error("Missing scheme in URL {0}: the worker fetches from http, https and git URLs")]
    NoScheme(String),
    /// The text is not a URL, or not one of a repository.
    #[error("invalid repository URL {url}: {reason}")]
    Invalid {
        /// The text, without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl GitUrl {
    /// Reads the URL of a repository.
    ///
    /// # Errors
    /// When workers do not fetch from it.
    pub fn parse(text: &str) -> Result<Self, GitUrlError> {
        let shown = redacted_url(text);
        let Some((scheme, _)) = shown.split_once(':') else {
            return Err(GitUrlError::NoScheme(shown));
        };
        if !["http", "https", "git"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(GitUrlError::Scheme {
                scheme: scheme.to_owned(),
                url: shown,
            });
        }
        let invalid = |reason: &str| GitUrlError::Invalid {
            url: shown.clone(),
            reason: reason.to_owned(),
        };
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid("it contains white space or control characters"));
        }
        let mut url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it names no host"));
        }
        let credentials = read_credentials(&url).map_err(invalid)?;
        // Clones made with credentials are shared neither with jobs that have none, nor with upstream's worker, which
        // wrote the credentials into its clones.
        let suffix = if credentials.is_some() {
            "-private"
        } else {
            ""
        };
        let clone_name = format!("{}-{}{suffix}", name(&url), hex(&Sha1::digest(text)));
        url.set_username("")
            .and_then(|()| url.set_password(None))
            .map_err(|()| invalid("it names no host"))?;
        Ok(Self {
            url,
            clone_name,
            credentials,
        })
    }

    /// Returns the name of this repository's clone: the name that upstream gives it, so that its clones can be used.
    pub fn clone_name(&self) -> &str {
        &self.clone_name
    }

    /// Returns the URL as git gets it, without credentials.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the credentials that were in it.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Returns whether the server offers pull requests as refs, as GitHub does.
    pub fn is_github(&self) -> bool {
        self.url.host_str() == Some("github.com")
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl fmt::Debug for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitUrl({})", self.url)
    }
}

/// Returns the last part of the path, without characters that have a meaning in a path of a file.
fn name(url: &Url) -> String {
    let last = url
        .path()
        .rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(".");
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._+~%-".contains(c) {
            c
        } else {
            '_'
        }
    };
    last.chars().take(MAX_NAME).map(plain).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the credentials in a URL.
fn read_credentials(url: &Url) -> Result<Option<Credentials>, &'static str> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| {
        let text = String::from_utf8(percent_decode(text)).ok();
        // Git reads them line by line.
        let text = text.filter(|text| !text.contains(char::is_control));
        text.ok_or(
            "with credentials, it must be UTF-8 without control characters, also what is encoded",
        )
    };
    let port = url.port().map(|port| format!(":{port}"));
    // As git passes it to a credential helper.
    let path = decoded(url.path())?;
    let group = path
        .trim_matches('/')
        .rsplit_once('/')
        .map(|(group, _)| format!("{group}/"));
    Ok(Some(Credentials {
        origin: format!(
            "{}://{}{}",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            port.unwrap_or_default()
        ),
        group: group.unwrap_or_default(),
        user: decoded(url.username())?,
        password: decoded(url.password().unwrap_or_default())?,
    }))
}

/// Returns what is secret in a URL, encoded as it is there and decoded: the password, or if there is none, the user,
/// which is a token then.
pub fn url_secrets(text: &str) -> Vec<Vec<u8>> {
    let Ok(url) = Url::parse(text) else {
        return Vec::new();
    };
    let secret = match (url.username(), url.password()) {
        // The user of every ssh server for git is no secret.
        ("git", None | Some("")) => "",
        // GitHub's placeholder for no password.
        (user, None | Some("" | "x-oauth-basic")) => user,
        (_, Some(password)) => password,
    };
    vec![secret.as_bytes().to_vec(), percent_decode(secret)]
}

fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    decoded
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Returns a URL, or what was meant as one, without anything in it that may be a credential.
fn redacted_url(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    let (scheme, rest) = match text.find("://") {
        Some(end) => text.split_at(end + 3),
        None => ("", text.as_str()),
    };
    // Everything up to the last `@` is removed, even if that is in the path: it is better to show too little.
    match rest.rsplit_once('@') {
        // The user of every ssh server for git is no secret.
        Some(("git", _)) | None => text,
        Some((_, rest)) => format!("{scheme}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::GitUrl;

    /// How some errors end.
    const SCHEMES: &str = "the worker fetches from http, https and git URLs";

    /// Checks the parsed URLs with the names of their clones, or the errors.
    fn check(urls: &[&str], expected: Expect) {
        let mut shown = String::new();
        for text in urls {
            shown += &match GitUrl::parse(text) {
                Ok(url) => format!("{url}\n  {}\n", url.clone_name()),
                Err(error) => format!("{error}\n").replace(SCHEMES, "SCHEMES"),
            };
        }
        expected.assert_eq(&shown);
    }

    #[test]
    fn clones_have_the_names_that_upstream_gives_them() {
        check(
            &[
                "git://127.0.0.1:9418/gitrepo",
                "https://github.com/ocurrent/ocluster.git",
                "https://example.com/a/b/",
                "https://example.com",
                "https://example.com/a/..%2fb",
            ],
            expect![[r#"
                git://127.0.0.1:9418/gitrepo
                  gitrepo-db1da53b86eeb15579536b11c941864e8ff5deac
                https://github.com/ocurrent/ocluster.git
                  ocluster.git-0b84a7b7caf31c8e28de8cc058c998ed1d913013
                https://example.com/a/b/
                  b-167aa4c4d6cc883fe5b6a9009a32587c54f9ea1a
                https://example.com/
                  .-327c3fda87ce286848a574982ddd0b7c7487f816
                https://example.com/a/..%2fb
                  ..%2fb-40ea2321ac6be420408a57ec2ca294162424dc2c
            "#]],
        );
    }

    #[test]
    fn other_schemes_are_refused() {
        check(
            &[
                "file:///x",
                "git@github.com:x/y",
                "ext::sh -c touch% /tmp/x",
                "--upload-pack=x",
                "ssh://git@github.com/x",
                "/srv/git/x",
                "",
                "https:///x",
                "http://a b/",
                "https://example.com/\u{1b}[2J",
            ],
            expect![[r#"
                Unsupported scheme "file" in URL file:///x: SCHEMES
                Unsupported scheme "git@github.com" in URL git@github.com:x/y: SCHEMES
                Unsupported scheme "ext" in URL ext::sh -c touch% /tmp/x: SCHEMES
                Missing scheme in URL --upload-pack=x: SCHEMES
                Unsupported scheme "ssh" in URL ssh://git@github.com/x: SCHEMES
                Missing scheme in URL /srv/git/x: SCHEMES
                Missing scheme in URL : SCHEMES
                https://x/
                  .-183cb1b0d300df5ecb12636e285610a334dc90fb
                invalid repository URL http://a b/: it contains white space or control characters
                invalid repository URL https://example.com/�[2J: it contains white space or control characters
            "#]],
        );
    }

    #[test]
    fn credentials_are_kept_apart() {
        let url = GitUrl::parse("https://bob:p%40ss@example.com:8443/group/project.git").unwrap();
        assert_eq!(
            url.to_string(),
            "https://example.com:8443/group/project.git"
        );
        assert!(!format!("{url:?}").contains("ss@") && !url.as_str().contains("bob"));
        let credentials = url.credentials().unwrap();
        assert_eq!(credentials.origin, "https://example.com:8443");
        assert_eq!(credentials.group, "group/");
        assert_eq!(
            (&*credentials.user, &*credentials.password),
            ("bob", "p@ss")
        );
        let azure = GitUrl::parse("https://t@example.com/org/My%20Project/_git/x").unwrap();
        assert_eq!(azure.credentials().unwrap().group, "org/My Project/_git/");
        let error = GitUrl::parse("https://bob:x%0Ahost=evil@example.com/").unwrap_err();
        assert!(error.to_string().contains("control characters"), "{error}");
        let plain = GitUrl::parse("https://example.com:8443/group/project.git").unwrap();
        assert_ne!(url.clone_name(), plain.clone_name());
    }

    #[test]
    fn credentials_show_in_no_error() {
        for text in [
            "file://bob:s3cret@host/x",
            "bob:s3cret@host:x",
            "s3cret@host:x",
            "https://bob:s3cret@/x",
            "https://bob:s3cret@a b/x",
            "https://bob:s3/cret@host:99999/x",
        ] {
            let error = GitUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("s3") && !error.contains("bob"), "{error}");
        }
    }
}
