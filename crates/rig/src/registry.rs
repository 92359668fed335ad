//! A registry that asks for a password, as those that workers push to do.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::command::{checked, find_program};
use crate::holder::{Holder, Name, ProcessState};
use crate::wait::wait_for;

const LIMIT_TO_START: Duration = Duration::from_secs(30);

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    access: RegistryAccess,
    _holder: Holder,
}

/// Where a registry is, and who may use it.
#[derive(Clone, Debug)]
pub struct RegistryAccess {
    /// `127.0.0.1:PORT`. Engines speak plain HTTP to that whole network without being told.
    pub address: String,
    /// The only user.
    pub user: String,
    /// That user's password: another one for every registry, so that finding it in a log means something.
    pub password: String,
}

impl RegistryAccess {
    /// Returns the port.
    ///
    /// # Errors
    /// When the address has none.
    pub fn port(&self) -> Result<u16> {
        let (_, port) = self.address.rsplit_once(':').context("no port")?;
        Ok(port.parse()?)
    }

    /// Returns the full name of an image here: `127.0.0.1:PORT/NAME`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Registry {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// When `docker-registry` or `htpasswd` is not installed, or it does not come up; then with its log.
    pub fn start() -> Result<Self> {
        let program =
            find_program("docker-registry").context("docker-registry is not installed")?;
        let name = Name::new()?;
        let holder = Holder::start(&name)?;
        let user = "builder".to_owned();
        let password = format!(
            "password-{:016x}",
            getrandom::u64().context("no random numbers")?
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
        let address = wait_for("registry", LIMIT_TO_START, || {
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

    /// Returns where it is and who may use it.
    pub fn access(&self) -> &RegistryAccess {
        &self.access
    }
}

/// Returns the file of who may use the registry. It accepts bcrypt only, here with few rounds, since nobody attacks.
fn password_file(user: &str, password: &str) -> Result<String> {
    let htpasswd = find_program("htpasswd").context("htpasswd is not installed (apache2-utils)")?;
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

/// Returns the address from the log of a registry that listens, or `None` when it does not yet.
fn address_in(log: &str) -> Option<String> {
    let (_, after) = log.split_once("listening on ")?;
    // The line must be complete, or the port might not be.
    let (address, _) = after.split_once(['"', '\n'])?;
    Some(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_port_only_when_the_line_is_complete() {
        assert_eq!(
            address_in("level=info msg=\"listening on 127.0.0.1:40"),
            None
        );
        let log = "level=info msg=\"listening on 127.0.0.1:4061\" go.version=go1.19\n";
        assert_eq!(address_in(log).as_deref(), Some("127.0.0.1:4061"));
    }
}
