//! How images are fetched. The library does not read the environment itself: the program passes it in.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::address::AddressRule;
use crate::{Limits, Platform};

/// How images are fetched.
#[derive(Clone)]
pub struct Settings {
    /// Directory for imported images (in its subdirectory `images`) and for downloads in progress.
    pub state_dir: PathBuf,
    /// The `docker` program. `None` disables the use of a Docker engine.
    pub docker: Option<PathBuf>,
    /// The environment of `docker` and of credential helpers: all of it.
    pub env: Vec<(OsString, OsString)>,
    /// The `config.json` with the credentials for registries. It need not exist.
    pub registry_config: Option<PathBuf>,
    /// Registries that are contacted without TLS, as `HOST` or `HOST:PORT`, besides those on this machine.
    pub insecure_registries: Vec<String>,
    /// Registries with a private address that may be contacted, besides all those on the internet.
    pub registries: AddressRule,
    /// The proxies for registries.
    pub proxies: Proxies,
    /// The platform that images are for.
    pub platform: Platform,
    /// Limits to the size of an image.
    pub limits: Limits,
}

/// The proxies for registries.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For registries without TLS.
    pub http: Option<String>,
    /// For the others.
    pub https: Option<String>,
    /// Hosts that are contacted directly, separated by commas.
    pub except: Option<String>,
}

impl Settings {
    /// Returns the default settings for a program with the environment `vars` (`std::env::vars_os()`):
    /// those of `docker pull`.
    pub fn from_vars(
        state_dir: &Path,
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let env: Vec<(OsString, OsString)> = vars.into_iter().collect();
        let directory = get(&env, "DOCKER_CONFIG").map(PathBuf::from);
        let directory =
            directory.or_else(|| Some(PathBuf::from(get(&env, "HOME")?).join(".docker")));
        Self {
            state_dir: state_dir.to_owned(),
            docker: program(&env, "docker"),
            registry_config: directory.map(|directory| directory.join("config.json")),
            insecure_registries: Vec::new(),
            registries: AddressRule::default(),
            proxies: Proxies::from_env(&env),
            platform: Platform::here(),
            limits: Limits::default(),
            env,
        }
    }

    /// Returns whether a registry is contacted without TLS.
    pub(super) fn is_insecure(&self, registry: &str) -> bool {
        let host = host(registry);
        let named = |named: &String| named == registry || named == host;
        is_loopback(host) || self.insecure_registries.iter().any(named)
    }
}

impl Proxies {
    fn from_env(env: &[(OsString, OsString)]) -> Self {
        let any = |names: [&str; 4]| {
            let value = names.into_iter().find_map(|name| get(env, name))?;
            value.to_str().map(str::to_owned)
        };
        Self {
            http: any(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https: any(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            except: any(["no_proxy", "NO_PROXY", "no_proxy", "NO_PROXY"]),
        }
    }
}

/// Shows names only: values of the environment may be secrets, and a proxy's address may have a password in it.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("state_dir", &self.state_dir)
            .field("docker", &self.docker)
            .field("registry_config", &self.registry_config)
            .field("insecure_registries", &self.insecure_registries)
            .field("registries", &self.registries)
            .field("platform", &self.platform)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Shows only whether there are any: an address may have a password in it.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            http,
            https,
            except,
        } = self;
        f.debug_struct("Proxies")
            .field("http", &http.is_some())
            .field("https", &https.is_some())
            .field("except", except)
            .finish()
    }
}

fn get<'a>(env: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    let (_, value) = env
        .iter()
        .find(|(key, value)| key == name && !value.is_empty())?;
    Some(value)
}

/// Finds a program as a shell with this environment would.
pub(super) fn program(env: &[(OsString, OsString)], name: &str) -> Option<PathBuf> {
    let path = get(env, "PATH").unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    std::env::split_paths(path)
        .map(|directory| directory.join(name))
        .find(|file| {
            file.metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
}

fn host(registry: &str) -> &str {
    registry.rsplit_once(':').map_or(registry, |(host, _)| host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Settings {
        let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
        Settings::from_vars(Path::new("/state"), vars)
    }

    #[test]
    fn credentials_are_where_docker_keeps_them() {
        let config = |vars| settings(vars).registry_config;
        assert_eq!(
            config(&[("HOME", "/root")]),
            Some("/root/.docker/config.json".into())
        );
        let both = [("HOME", "/root"), ("DOCKER_CONFIG", "/etc/x")];
        assert_eq!(config(&both), Some("/etc/x/config.json".into()));
        assert_eq!(config(&[]), None);
    }

    #[test]
    fn only_this_machine_and_listed_registries_go_without_tls() {
        let mut settings = settings(&[]);
        settings.insecure_registries = vec!["lab:5000".to_owned(), "old".to_owned()];
        for registry in [
            "localhost:5000",
            "127.0.0.1:1",
            "127.9.9.9",
            "lab:5000",
            "old:80",
        ] {
            assert!(settings.is_insecure(registry), "{registry}");
        }
        for registry in [
            "docker.io",
            "lab:5001",
            "127.0.0.1.example.org",
            "localhost.evil.org",
        ] {
            assert!(!settings.is_insecure(registry), "{registry}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = settings(&[("TOKEN", "hush"), ("https_proxy", "http://me:hush@proxy")]);
        assert_eq!(
            settings.proxies.https.as_deref(),
            Some("http://me:hush@proxy")
        );
        assert!(!format!("{settings:?}{:?}", settings.proxies).contains("hush"));
    }
}
