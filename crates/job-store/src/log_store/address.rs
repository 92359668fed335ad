//! Where a log store is: what `--log-store` says.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::error::one_line;
use super::{LogStoreError, UPLOAD_LIMIT};

/// How long to wait for a connection.
const LIMIT_TO_CONNECT: Duration = Duration::from_secs(5);

/// How often the library repeats a request by itself, as for a busy service. What fails longer is tried again later.
const REPEATS: usize = 2;

/// The latest time for such a repetition, after the first request.
const LIMIT_TO_REPEAT: Duration = Duration::from_secs(8);

/// Where a log store is. It has no secrets: these are [`LogStoreCredentials`].
#[derive(Clone, PartialEq, Eq)]
pub struct LogStoreAddress {
    place: Place,
    /// What stands before all keys.
    prefix: Key,
    parameters: Vec<(Parameter, String)>,
}

/// What keeps the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    S3 { bucket: String },
    Google { bucket: String },
    Azure { container: String },
    Directory(PathBuf),
}

/// What can be added to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameter {
    /// The service, if it is not that of the cloud.
    Endpoint,
    Region,
    /// Of Azure: the storage account.
    Account,
    /// A file with certificates that are trusted beside those of the system.
    Ca,
}

/// Why a text is no address of a log store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseLogStoreError {
    /// It begins with nothing that is known.
    #[error("expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or dir:PATH")]
    Scheme,
    /// It names no bucket or container.
    #[error("no bucket in the address")]
    NoBucket,
    /// A directory that depends on where the program was started.
    #[error("the path after \"dir:\" must be absolute")]
    RelativePath,
    /// It has a user or a password.
    #[error(
        "credentials do not belong into the address, which others can see; use the environment or \
         --log-store-credentials"
    )]
    Credentials,
    /// It has a parameter that is not known there.
    #[error("unknown parameter {0:?} in the address; known are {1}")]
    Parameter(String, &'static str),
    /// The prefix cannot be a part of a key.
    #[error("the prefix in the address cannot be used: {0}")]
    Prefix(String),
}

/// Names and values as in the environment, such as `AWS_SECRET_ACCESS_KEY`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LogStoreCredentials(Vec<(String, String)>);

/// Shows the names alone.
impl fmt::Debug for LogStoreCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl LogStoreCredentials {
    /// The beginnings of the names that log stores know.
    const PREFIXES: [&str; 5] = ["AWS_", "GOOGLE_", "SERVICE_ACCOUNT", "AZURE_", "MSI_"];

    /// Keeps of these names and values what log stores know.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let is_known = |name: &str| Self::PREFIXES.iter().any(|known| name.starts_with(known));
        let known = variables.into_iter().filter(|(name, _)| is_known(name));
        Self(known.collect())
    }

    /// Adds the lines of a file, each `NAME=VALUE`; empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    ///
    /// The number of the first line that is something else. Its text may be secret.
    pub fn add_lines(&mut self, text: &str) -> Result<(), usize> {
        for (number, line) in (1_usize..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(number)?;
            let value = value.trim().trim_matches('"');
            self.0.push((name.trim().to_owned(), value.to_owned()));
        }
        Ok(())
    }

    /// Returns the names and values that a builder knows.
    fn known<K: std::str::FromStr>(&self) -> impl Iterator<Item = (K, &String)> {
        self.0.iter().filter_map(|(name, value)| {
            let key = name.to_ascii_lowercase().parse().ok()?;
            Some((key, value))
        })
    }
}

impl std::str::FromStr for LogStoreAddress {
    type Err = ParseLogStoreError;

    fn from_str(text: &str) -> Result<Self, ParseLogStoreError> {
        if let Some(path) = text.strip_prefix("dir:") {
            let path = Path::new(path);
            if !path.is_absolute() {
                return Err(ParseLogStoreError::RelativePath);
            }
            return Ok(Self {
                place: Place::Directory(path.to_owned()),
                prefix: Key::default(),
                parameters: Vec::new(),
            });
        }
        let url = Url::parse(text).map_err(|_| ParseLogStoreError::Scheme)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ParseLogStoreError::Credentials);
        }
        let known: (fn(String) -> Place, &[_], _) = match url.scheme() {
            "s3" => (
                |bucket| Place::S3 { bucket },
                &[Parameter::Endpoint, Parameter::Region, Parameter::Ca],
                "endpoint, region and ca",
            ),
            "gs" => (
                |bucket| Place::Google { bucket },
                &[Parameter::Endpoint, Parameter::Ca],
                "endpoint and ca",
            ),
            "az" => (
                |container| Place::Azure { container },
                &[Parameter::Account, Parameter::Endpoint, Parameter::Ca],
                "account, endpoint and ca",
            ),
            _ => return Err(ParseLogStoreError::Scheme),
        };
        let (place, known, names) = known;
        let bucket = url.host_str().filter(|bucket| !bucket.is_empty());
        let bucket = bucket.ok_or(ParseLogStoreError::NoBucket)?;
        let parameters = url.query_pairs().map(|(name, value)| {
            let parameter = Parameter::named(&name).filter(|parameter| known.contains(parameter));
            match parameter {
                Some(parameter) => Ok((parameter, value.into_owned())),
                None if is_secret(&name) => Err(ParseLogStoreError::Credentials),
                None => Err(ParseLogStoreError::Parameter(name.into_owned(), names)),
            }
        });
        let parameters = parameters.collect::<Result<Vec<_>, _>>()?;
        let prefix = Key::from_url_path(url.path())
            .map_err(|error| ParseLogStoreError::Prefix(one_line(&error)))?;
        Ok(Self {
            place: place(bucket.to_owned()),
            prefix,
            parameters,
        })
    }
}

/// Tells whether a parameter that is not known looks like a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "secret", "token", "password", "sig"]
        .iter()
        .any(|word| name.contains(word))
}

impl Parameter {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "endpoint" => Self::Endpoint,
            "region" => Self::Region,
            "account" => Self::Account,
            "ca" => Self::Ca,
            _ => return None,
        })
    }
}

/// Without parameters.
impl fmt::Display for LogStoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, bucket) = match &self.place {
            Place::S3 { bucket } => ("s3", bucket),
            Place::Google { bucket } => ("gs", bucket),
            Place::Azure { container } => ("az", container),
            Place::Directory(path) => return write!(f, "dir:{}", path.display()),
        };
        write!(f, "{scheme}://{bucket}/{}", self.prefix)
    }
}

impl fmt::Debug for LogStoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogStoreAddress({self})")
    }
}

impl LogStoreAddress {
    /// Returns what stands before all keys.
    pub(super) fn prefix(&self) -> &Key {
        &self.prefix
    }

    /// Tells whether objects are listed in the order of their keys.
    pub(super) fn lists_in_order(&self) -> bool {
        !matches!(self.place, Place::Directory(_))
    }

    fn parameter(&self, wanted: Parameter) -> Option<&String> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(parameter, _)| *parameter == wanted);
        found.map(|(_, value)| value)
    }

    /// Returns what reads and writes the objects. It connects only when it is used.
    pub(super) fn open(
        &self,
        credentials: &LogStoreCredentials,
    ) -> Result<Arc<dyn ObjectStore>, LogStoreError> {
        match &self.place {
            Place::Directory(path) => {
                make_private(path).map_err(|error| {
                    LogStoreError::Unusable(format!("{}: {error}", path.display()))
                })?;
                let store = LocalFileSystem::new_with_prefix(path).map_err(cannot_use)?;
                Ok(Arc::new(
                    store.with_fsync(true).with_automatic_cleanup(true),
                ))
            }
            Place::S3 { bucket } => self.open_s3(bucket, credentials),
            Place::Google { bucket } => self.open_google(bucket, credentials),
            Place::Azure { container } => self.open_azure(container, credentials),
        }
    }

    fn open_s3(
        &self,
        bucket: &str,
        credentials: &LogStoreCredentials,
    ) -> Result<Arc<dyn ObjectStore>, LogStoreError> {
        let mut builder = AmazonS3Builder::new()
            .with_client_options(self.client_options()?)
            .with_retry(retry());
        for (key, value) in credentials.known() {
            builder = builder.with_config(key, value);
        }
        if let Some(endpoint) = self.parameter(Parameter::Endpoint) {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = self.parameter(Parameter::Region) {
            builder = builder.with_region(region);
        }
        let store = builder.with_bucket_name(bucket).build();
        Ok(Arc::new(store.map_err(cannot_use)?))
    }

    fn open_google(
        &self,
        bucket: &str,
        credentials: &LogStoreCredentials,
    ) -> Result<Arc<dyn ObjectStore>, LogStoreError> {
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_client_options(self.client_options()?)
            .with_retry(retry());
        for (key, value) in credentials.known() {
            builder = builder.with_config(key, value);
        }
        if let Some(endpoint) = self.parameter(Parameter::Endpoint) {
            builder = builder.with_base_url(endpoint);
        }
        let store = builder.with_bucket_name(bucket).build();
        Ok(Arc::new(store.map_err(cannot_use)?))
    }

    fn open_azure(
        &self,
        container: &str,
        credentials: &LogStoreCredentials,
    ) -> Result<Arc<dyn ObjectStore>, LogStoreError> {
        let mut builder = MicrosoftAzureBuilder::new()
            .with_client_options(self.client_options()?)
            .with_retry(retry());
        for (key, value) in credentials.known() {
            builder = builder.with_config(key, value);
        }
        if let Some(account) = self.parameter(Parameter::Account) {
            builder = builder.with_account(account);
        }
        if let Some(endpoint) = self.parameter(Parameter::Endpoint) {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let store = builder.with_container_name(container).build();
        Ok(Arc::new(store.map_err(cannot_use)?))
    }

    fn client_options(&self) -> Result<ClientOptions, LogStoreError> {
        let endpoint = self.parameter(Parameter::Endpoint);
        let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let mut options = ClientOptions::new()
            .with_connect_timeout(LIMIT_TO_CONNECT)
            .with_timeout(UPLOAD_LIMIT)
            .with_allow_http(is_plain);
        if let Some(path) = self.parameter(Parameter::Ca) {
            let unusable = |error: String| LogStoreError::Unusable(format!("{path}: {error}"));
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| unusable(one_line(&error)))?;
            for certificate in certificates {
                options = options.with_root_certificate(certificate);
            }
        }
        Ok(options)
    }
}

fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: REPEATS,
        retry_timeout: LIMIT_TO_REPEAT,
        ..RetryConfig::default()
    }
}

fn cannot_use(error: object_store::Error) -> LogStoreError {
    LogStoreError::Unusable(one_line(&error))
}

/// Makes a folder that only its owner may read. One that is there stays as it is: others may share it.
fn make_private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        let address = text.parse::<LogStoreAddress>();
        address
            .map(|address| address.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_name_a_bucket_or_a_directory() {
        for (text, shown) in [
            ("dir:/srv/logs", "dir:/srv/logs"),
            (
                "s3://logs/farm/a?endpoint=http://127.0.0.1:9000",
                "s3://logs/farm/a",
            ),
            ("s3://logs", "s3://logs/"),
            ("gs://logs/farm", "gs://logs/farm"),
            ("az://logs/farm?account=farm", "az://logs/farm"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(shown));
        }
        for (text, mistake) in [
            ("dir:logs", "must be absolute"),
            ("logs", "expected s3://BUCKET"),
            ("ftp://logs/x", "expected s3://BUCKET"),
            ("s3:///x", "no bucket"),
            ("s3://key:secret@logs/x", "credentials do not belong"),
            (
                "s3://logs/x?secret_access_key=hunter2",
                "credentials do not belong",
            ),
            ("s3://logs/x?colour=red", "unknown parameter \"colour\""),
            ("gs://logs/x?region=eu", "known are endpoint and ca"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(mistake), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn credentials_are_read_from_lines_and_not_shown() {
        let mut credentials = LogStoreCredentials::new([
            ("AWS_REGION".to_owned(), "eu".to_owned()),
            ("HOME".to_owned(), "/root".to_owned()),
        ]);
        let file = "# the farm's\n\nAWS_ACCESS_KEY_ID = farm\nAWS_SECRET_ACCESS_KEY=\"hunter2\"\n";
        assert_eq!(credentials.add_lines(file), Ok(()));
        assert_eq!(
            format!("{credentials:?}"),
            "[\"AWS_REGION\", \"AWS_ACCESS_KEY_ID\", \"AWS_SECRET_ACCESS_KEY\"]"
        );
        assert_eq!(credentials.0.last().unwrap().1, "hunter2");
        assert_eq!(credentials.add_lines("AWS_REGION=eu\nhunter2"), Err(2));
    }
}
