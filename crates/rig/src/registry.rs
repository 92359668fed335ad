//! A registry with a password, like those that workers push to.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::command::{checked, find_program};
use crate::holder::{Holder, ProcessState};
use crate::name::Name;
use crate::wait::wait_for;

/// The time limit for a registry to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    access: RegistryAccess,
    _holder: Holder,
}

/// The address of a registry, and its user.
#[derive(Clone, Debug)]
pub struct RegistryAccess {
    /// `127.0.0.1:PORT`. Engines use plain HTTP for this network by default.
    pub address: String,
    /// The only user.
    pub user: String,
    /// That user's password. Each registry has another one, so that a log which contains it has leaked it.
    pub password: String,
}

impl RegistryAccess {
    /// Returns the port.
    ///
    /// # Errors
    /// When the address has none.
    pub fn port(&self) -> Result<u16> {
        let (_, port) = self
            .address
            .rsplit_once(':')
            .with_context(|| format!("cannot use address {:?}: no port", self.address))?;
        Ok(port.parse()?)
    }

    /// Returns the full name of an image: `127.0.0.1:PORT/NAME`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Registry {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// When `docker-registry` or `htpasswd` is not installed, or it does not start; then with its log.
    pub fn start() -> Result<Self> {
        let program = find_program("docker-registry")
            .context("cannot find docker-registry: it is not installed")?;
        let name = Name::new()?;
        let holder = Holder::start(&name)?;
        let user = "builder".to_owned();
        let password = format!(
            "password-{:016x}",
            getrandom::u64().context("cannot get random numbers")?
        );
        let folder = holder.folder();
        std::fs::write(folder.join("htpasswd"), password_file(&user, &password)?)?;
        std::fs::write(
            folder.join("config.yml"),
            settings(&folder.display().to_string()),
        )?;
        let mut command = Command::new(program);
        command.arg("serve").arg(folder.join("config.yml"));
        let process = holder.run(&command, "registry.log")?;
        let address = wait_for("registry", START_LIMIT, || {
            let log = std::fs::read_to_string(holder.log("registry.log")).unwrap_or_default();
            if let ProcessState::Ended(code) = holder.state(process)? {
                bail!("the registry ended with code {code}: {log}");
            }
            Ok(address_in(&log))
        })?;
        Ok(Self {
            access: RegistryAccess {
                address,
                user,
                password,
            },
            _holder: holder,
        })
    }

    /// Returns its address and its user.
    pub fn access(&self) -> &RegistryAccess {
        &self.access
    }
}

/// Returns the file with the user. The registry accepts only bcrypt. Few rounds are enough, because nothing is secret.
fn password_file(user: &str, password: &str) -> Result<String> {
    let htpasswd =
        find_program("htpasswd").context("cannot find htpasswd: install apache2-utils")?;
    let line = checked(Command::new(htpasswd).args(["-n", "-b", "-B", "-C", "4", user, password]))?;
    Ok(line + "\n")
}

fn settings(folder: &str) -> String {
    format!(
        "version: 0.1\n\
         log: {{level: info}}\n\
         storage: {{filesystem: {{rootdirectory: \"{folder}/images\"}}}}\n\
         http: {{addr: \"127.0.0.1:0\"}}\n\
         auth: {{htpasswd: {{realm: registry, path: \"{folder}/htpasswd\"}}}}\n"
    )
}

/// Returns the address from the log of a registry, or `None` if it does not listen yet.
fn address_in(log: &str) -> Option<String> {
    let (_, after) = log.split_once("listening on ")?;
    // If the line is incomplete, the port may be, too.
    let (address, _) = after.split_once(['"', '\n'])?;
    Some(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_a_complete_line() {
        assert_eq!(
            address_in("level=info msg=\"listening on 127.0.0.1:40"),
            None
        );
        let log = "level=info msg=\"listening on 127.0.0.1:4061\" go.version=go1.19\n";
        assert_eq!(address_in(log).as_deref(), Some("127.0.0.1:4061"));
    }
}
