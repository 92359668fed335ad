//! Credentials for registries, from the `config.json` that `docker login` writes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::distribution::Auth;
use super::settings::{Settings, program};
use super::tool::{Tool, reason};

/// How long a credential helper may take. Some ask a cloud's servers.
const LIMIT: Duration = Duration::from_secs(30);

/// The name of Docker's own registry in `config.json`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The text that a credential helper prints if it has no credentials, by convention.
const NOT_FOUND: &str = "credentials not found";

/// The user that stands for "the secret is a token to get others with".
const TOKEN_USER: &str = "<token>";

/// How to log in to a registry.
pub(super) struct Login {
    pub(super) auth: Auth,
    /// Why the credentials cannot be used, if there are any.
    pub(super) problem: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?}, {:?})", self.auth, self.problem)
    }
}

impl Login {
    fn none(problem: Option<String>) -> Self {
        Self {
            auth: Auth::Anonymous,
            problem,
        }
    }

    fn with(auth: Auth) -> Self {
        Self {
            auth,
            problem: None,
        }
    }

    /// Finds the credentials for a registry. A problem is no error yet: none may be needed.
    pub(super) async fn find(settings: &Settings, registry: &str) -> Self {
        let Some(path) = &settings.registry_config else {
            return Self::none(None);
        };
        let config = match read(path) {
            Ok(config) => config,
            Err(problem) => return Self::none(Some(problem)),
        };
        let helper = config.helper(registry);
        match helper {
            Some(helper) => match ask(settings, helper, registry).await {
                Ok(Some(auth)) => Self::with(auth),
                // Like Docker, fall back to the file.
                Ok(None) => config.entry(registry),
                Err(problem) => Self::none(Some(problem)),
            },
            None => config.entry(registry),
        }
    }
}

impl ConfigFile {
    fn helper(&self, registry: &str) -> Option<&str> {
        let own = self
            .cred_helpers
            .iter()
            .find(|(key, _)| is_key_of(key, registry));
        own.map(|(_, helper)| helper)
            .or(self.creds_store.as_ref())
            .map(String::as_str)
    }

    fn entry(&self, registry: &str) -> Login {
        let Some((_, entry)) = self.auths.iter().find(|(key, _)| is_key_of(key, registry)) else {
            return Login::none(None);
        };
        if let Some(token) = entry
            .registrytoken
            .as_ref()
            .filter(|token| !token.is_empty())
        {
            return Login::with(Auth::Bearer(token.clone()));
        }
        if entry
            .identitytoken
            .as_ref()
            .is_some_and(|token| !token.is_empty())
        {
            return Login::none(Some(identity_token(registry)));
        }
        if let Some(auth) = entry.auth.as_ref().filter(|auth| !auth.is_empty()) {
            return match decoded(auth) {
                Some((user, password)) => Login::with(Auth::Basic(user, password)),
                None => Login::none(Some(format!(
                    "the credentials for {registry} are not a user and a password in base64"
                ))),
            };
        }
        match (&entry.username, &entry.password) {
            (Some(user), Some(password)) => {
                Login::with(Auth::Basic(user.clone(), password.clone()))
            }
            _ => Login::none(None),
        }
    }
}

fn identity_token(registry: &str) -> String {
    format!(
        "the credentials for {registry} are an identity token, which is not supported: use a password or an access \
         token"
    )
}

/// Reads `USER:PASSWORD` in base64.
fn decoded(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

fn read(path: &Path) -> Result<ConfigFile, String> {
    match std::fs::read(path) {
        // Its text is not shown: it is full of passwords.
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            let (path, line) = (path.display(), error.line());
            format!("cannot read {path}: line {line} is not valid JSON")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ConfigFile::default()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Returns whether the entry `key` is for a registry. Old programs wrote whole URLs.
fn is_key_of(key: &str, registry: &str) -> bool {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let hub = ["docker.io", "index.docker.io", "registry-1.docker.io"];
    host == registry || hub.contains(&host) && hub.contains(&registry)
}

/// Returns the registry's name as `docker login` expects it.
pub(super) fn server_name(registry: &str) -> &str {
    if registry == "docker.io" {
        DOCKER_HUB
    } else {
        registry
    }
}

async fn ask(settings: &Settings, helper: &str, registry: &str) -> Result<Option<Auth>, String> {
    let name = format!("docker-credential-{helper}");
    // It is the name of a program to look for, not a path.
    let found = program(&settings.env, &name).filter(|_| !helper.contains('/'));
    let program = found.ok_or_else(|| format!("cannot find the program {name:?} in PATH"))?;
    let tool = Tool {
        program,
        args: vec!["get".into()],
        env: settings.env.clone(),
    };
    let answer = tool.ask(server_name(registry).as_bytes(), LIMIT).await?;
    if !answer.succeeded {
        let stdout = String::from_utf8_lossy(&answer.stdout);
        if stdout.contains(NOT_FOUND) {
            return Ok(None);
        }
        let output = [answer.stdout.as_slice(), &answer.stderr].concat();
        return Err(format!("{name} failed: {}", reason(&output)));
    }
    let helped: Helped = serde_json::from_slice(&answer.stdout)
        .map_err(|_| format!("cannot read the output of {name}: it is not credentials"))?;
    if helped.username == TOKEN_USER {
        return Err(identity_token(registry));
    }
    Ok(Some(Auth::Basic(helped.username, helped.secret)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Finds the credentials for a registry in a `config.json`, with a helper called `test` in PATH.
    fn login(config: &str, helper: &str, registry: &str) -> Login {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker-credential-test");
        std::fs::write(&program, format!("#!/bin/sh\n{helper}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let vars = [
            ("DOCKER_CONFIG", folder.path().as_os_str()),
            ("PATH", path.as_ref()),
        ];
        let vars = vars.map(|(name, value)| (name.into(), value.to_owned()));
        let settings = Settings::from_vars(folder.path(), vars);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(Login::find(&settings, registry))
    }

    fn basic(user: &str, password: &str) -> Auth {
        Auth::Basic(user.to_owned(), password.to_owned())
    }

    #[test]
    fn credentials_are_found_by_any_name_of_their_registry() {
        // "me:pass:word"
        let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6cGFzczp3b3Jk"},
                         "lab:5000":{"username":"u","password":"p"}}}"#;
        assert_eq!(
            login(config, "", "docker.io").auth,
            basic("me", "pass:word")
        );
        assert_eq!(login(config, "", "lab:5000").auth, basic("u", "p"));
        assert_eq!(login(config, "", "lab:5001").auth, Auth::Anonymous);
        assert_eq!(login("{}", "", "docker.io").auth, Auth::Anonymous);
    }

    #[test]
    fn a_helper_gets_the_registry_and_returns_credentials() {
        let helper = r#"[ "$1" = get ] && printf '{"Username":"me","Secret":"%s"}' "$(cat)""#;
        let config = r#"{"credHelpers":{"lab":"test"}}"#;
        assert_eq!(login(config, helper, "lab").auth, basic("me", "lab"));
        assert_eq!(login(config, helper, "other").auth, Auth::Anonymous);
        let config = r#"{"credsStore":"test"}"#;
        assert_eq!(
            login(config, helper, "docker.io").auth,
            basic("me", DOCKER_HUB)
        );
    }

    #[test]
    fn a_helper_may_have_no_credentials_but_must_not_fail() {
        let config = r#"{"credsStore":"test"}"#;
        let found = login(
            config,
            "echo credentials not found in native keychain; exit 1",
            "lab",
        );
        assert_eq!((found.auth, found.problem), (Auth::Anonymous, None));
        let found = login(config, "echo no keychain >&2; exit 1", "lab");
        assert_eq!(
            found.problem.as_deref(),
            Some("docker-credential-test failed: no keychain")
        );
        let found = login(r#"{"credsStore":"other"}"#, "", "lab");
        assert_eq!(
            found.problem.as_deref(),
            Some("cannot find the program \"docker-credential-other\" in PATH")
        );
    }

    #[test]
    fn the_text_of_an_invalid_file_is_not_shown() {
        let problem = login(r#"{"auths":{"lab":{"auth":"hush}}}"#, "", "lab")
            .problem
            .unwrap();
        assert!(
            problem.contains("line 1 is not valid JSON") && !problem.contains("hush"),
            "{problem}"
        );
    }
}
