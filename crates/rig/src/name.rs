//! The name of a [`Holder`](crate::Holder).

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};

/// The name of one holder, and of everything on the machine that belongs to it: its directory and cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Returns a new random name.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new() -> Result<Self> {
        let id = getrandom::u32().context("cannot get random numbers")?;
        // Linux allows 15 characters for a network interface; this is 14.
        Ok(Self(format!("ocrig-{id:08x}")))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    /// Accepts names that Linux allows for a network interface and that need no quotes anywhere.
    fn from_str(name: &str) -> Result<Self> {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        ensure!(
            is_plain && (1..=15).contains(&name.len()),
            "cannot use name {name:?}: a name has 1 to 15 letters, digits or \"-\""
        );
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_suits_interfaces_cgroups_and_directories() {
        let name = Name::new().unwrap();
        assert_eq!(name.as_str().parse::<Name>().unwrap(), name);
        for bad in ["", "sixteen-letters-", "a/b", "..", "a b"] {
            bad.parse::<Name>().unwrap_err();
        }
    }
}
