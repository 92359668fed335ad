//! Where the database is, and how to get in.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::SslMode;
use url::{Host, Url};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// After how long without an answer the system gives up a connection: no longer than a failover may take.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// The user and the database when the address names none.
const DEFAULT_NAME: &str = "ocluster";

/// Where the database is, and how to get in. What it prints has no password.
#[derive(Clone)]
pub struct Settings {
    /// Large, and the other place where state can be is a path.
    pub(crate) config: Box<tokio_postgres::Config>,
    /// `None` for a connection that is not encrypted.
    pub(crate) tls: Option<Authorities>,
    shown: String,
}

/// Whose certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authorities {
    /// Those that the machine trusts.
    OfTheMachine,
    /// Those in this PEM file.
    File(PathBuf),
}

/// Why a text is no address of a database. No variant shows a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It is no URL.
    #[error(
        "expected postgres://USER@HOST/DATABASE, or postgres:///DATABASE?host=DIRECTORY for a local socket"
    )]
    NotAnAddress,
    /// It has a password, which every user of the machine could see.
    #[error(
        "the address may not have a password, which other users of this machine could see; give it in a file or in \
         the environment"
    )]
    Password,
    /// A part of it is not known.
    #[error("unknown parameter \"{0}\" in the address; known are host, sslmode and sslrootcert")]
    UnknownParameter(String),
    /// The value of a parameter is not known.
    #[error(
        "unknown sslmode \"{0}\"; known are verify-full (the default unless the host is this machine) and disable"
    )]
    UnknownMode(String),
    /// A name is not UTF-8, or holds a NUL character.
    #[error("the address has a name that is not text")]
    NotText,
    /// No host was given.
    #[error(
        "the address names no host; use postgres://USER@HOST/DATABASE, or the parameter host for a local socket"
    )]
    NoHost,
}

impl Settings {
    /// Reads an address: `postgres://USER@HOST:PORT/DATABASE?sslmode=MODE&sslrootcert=FILE`, or
    /// `postgres://USER@/DATABASE?host=DIRECTORY` for a local socket.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] when it is not such an address, or has a password.
    pub fn parse(address: &str) -> Result<Self, SettingsError> {
        let (scheme, rest) = address
            .split_once("://")
            .ok_or(SettingsError::NotAnAddress)?;
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(SettingsError::NotAnAddress);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (credentials, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if credentials.contains(':') {
            return Err(SettingsError::Password);
        }
        // URLs with a user must have a host; those of PostgreSQL need not.
        let after = &rest[authority.len()..];
        let (name, _) = host
            .rsplit_once(':')
            .filter(|(_, port)| !port.contains(']'))
            .unwrap_or((host, ""));
        let completed = match name {
            "" => format!("{scheme}://localhost{host}{after}"),
            _ => format!("{scheme}://{host}{after}"),
        };
        let url = Url::parse(&completed).map_err(|_| SettingsError::NotAnAddress)?;
        let user = text(credentials)?;
        let user = if user.is_empty() {
            DEFAULT_NAME.to_owned()
        } else {
            user
        };
        let database = text(url.path().trim_start_matches('/'))?;
        let database = if database.is_empty() {
            user.clone()
        } else {
            database
        };
        let mut parameters = Parameters::of(&url)?;
        let mut config = config_with_limits();
        config.user(&user).dbname(&database);
        let port = url.port();
        let (is_local, place) = match (parameters.socket.take(), name) {
            (Some(directory), "") => {
                config.host_path(&directory);
                (true, format!("?host={}", directory.display()))
            }
            (None, "") => return Err(SettingsError::NoHost),
            (Some(_), _) => return Err(SettingsError::UnknownParameter("host".to_owned())),
            (None, _) => {
                let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
                config.host(host);
                (is_loopback(&url), String::new())
            }
        };
        if let Some(port) = port {
            config.port(port);
        }
        let tls = parameters.tls(is_local)?;
        config.ssl_mode(if tls.is_some() {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        Ok(Self {
            config: Box::new(config),
            tls,
            shown: format!("postgres://{user}@{host}/{database}{place}"),
        })
    }

    /// Returns the same with a password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        visible::Shown(&self.shown).fmt(f)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settings").field(&self.shown).finish()
    }
}

impl std::str::FromStr for Settings {
    type Err = SettingsError;

    fn from_str(address: &str) -> Result<Self, SettingsError> {
        Self::parse(address)
    }
}

/// What stands after the question mark.
#[derive(Default)]
struct Parameters {
    socket: Option<PathBuf>,
    mode: Option<String>,
    authorities: Option<PathBuf>,
}

impl Parameters {
    fn of(url: &Url) -> Result<Self, SettingsError> {
        let mut parameters = Self::default();
        for (name, value) in url.query_pairs() {
            match &*name {
                "host" => parameters.socket = Some(value.as_ref().into()),
                "sslmode" => parameters.mode = Some(value.into_owned()),
                "sslrootcert" => parameters.authorities = Some(value.as_ref().into()),
                "password" => return Err(SettingsError::Password),
                other => return Err(SettingsError::UnknownParameter(other.to_owned())),
            }
        }
        Ok(parameters)
    }

    /// Returns whose certificates are accepted; `None` for a connection that is not encrypted.
    fn tls(self, is_local: bool) -> Result<Option<Authorities>, SettingsError> {
        let is_encrypted = match self.mode.as_deref() {
            Some("disable") => false,
            Some("verify-full") => true,
            Some(other) => return Err(SettingsError::UnknownMode(other.to_owned())),
            None => !is_local || self.authorities.is_some(),
        };
        Ok(is_encrypted.then(|| {
            self.authorities
                .map_or(Authorities::OfTheMachine, Authorities::File)
        }))
    }
}

/// Returns what is the same for all databases: after how long a silent one counts as away.
fn config_with_limits() -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .application_name("ocluster")
        .connect_timeout(CONNECT_LIMIT)
        .tcp_user_timeout(SILENCE_LIMIT)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3);
    config
}

fn text(encoded: &str) -> Result<String, SettingsError> {
    let text = percent_decode_str(encoded).decode_utf8();
    match text {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(SettingsError::NotText),
    }
}

fn is_loopback(url: &Url) -> bool {
    // The URL crate reads addresses only in schemes of the web.
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => {
            host.eq_ignore_ascii_case("localhost")
                || host
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> String {
        match Settings::parse(address) {
            Ok(settings) => format!("{settings} tls={:?}", settings.tls),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn addresses_are_encrypted_unless_they_stay_on_this_machine() {
        assert_eq!(
            shown("postgres://127.0.0.1"),
            "postgres://ocluster@127.0.0.1/ocluster tls=None"
        );
        assert_eq!(
            shown("postgresql://oc%20x@db.example:5433/farm"),
            "postgres://oc x@db.example:5433/farm tls=Some(OfTheMachine)"
        );
        assert_eq!(
            shown("postgres://db/farm?sslrootcert=/ca.pem"),
            "postgres://ocluster@db/farm tls=Some(File(\"/ca.pem\"))"
        );
        assert_eq!(
            shown("postgres://db/?sslmode=disable"),
            "postgres://ocluster@db/ocluster tls=None"
        );
        assert_eq!(
            shown("postgres://me@/farm?host=/run/postgresql"),
            "postgres://me@/farm?host=/run/postgresql tls=None"
        );
        assert_eq!(
            shown("postgres://:5433/farm?host=/run"),
            "postgres://ocluster@:5433/farm?host=/run tls=None"
        );
        assert!(shown("postgres://[::1]:5432/x").ends_with("tls=None"));
        assert!(
            shown("postgres://localhost/x?sslmode=verify-full").ends_with("tls=Some(OfTheMachine)")
        );
    }

    #[test]
    fn nothing_shows_a_password() {
        for address in [
            "postgres://me:hunter2@db/x",
            "postgres://db/x?password=hunter2",
            "postgres://me:hunter2@",
            "postgres://:hunter2@/x",
        ] {
            let shown = shown(address);
            assert!(shown.contains("may not have a password"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let settings = Settings::parse("postgres://localhost")
            .expect("good")
            .with_password("hunter2");
        assert!(!format!("{settings} {settings:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "postgres",
            "mysql://x",
            "postgres://",
            "postgres:///x",
            "postgres://h:99999999/x",
        ] {
            assert!(shown(bad).starts_with("error: "), "{bad}: {}", shown(bad));
        }
        assert!(shown("postgres://db/x?sslmode=prefer").contains("verify-full"));
        assert!(shown("postgres://db/x?colour=red").contains("colour"));
    }
}
