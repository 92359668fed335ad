//! The command lines by which datasets are made and unmade.

use std::ffi::OsString;

/// A ZFS pool, by the name that its programs know it by, and those programs.
#[derive(Debug, Clone)]
pub(super) struct Commands {
    pub(super) zfs: OsString,
    pub(super) zpool: OsString,
    pub(super) pool: String,
}

impl Commands {
    /// Returns the commands for a pool.
    pub(super) fn new(pool: String) -> Self {
        Self {
            zfs: "zfs".into(),
            zpool: "zpool".into(),
            pool,
        }
    }

    /// Prints each dataset and snapshot with its origin, one a line with a tab between them.
    pub(super) fn list(&self) -> Vec<OsString> {
        let options = [
            "list",
            "-H",
            "-r",
            "-t",
            "filesystem,snapshot",
            "-o",
            "name,origin",
            "--",
        ];
        let mut args = vec![self.zfs.clone()];
        args.extend(options.map(OsString::from));
        args.push(self.pool.clone().into());
        args
    }

    pub(super) fn create(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["create"], &[name])
    }

    /// Not mounted by itself: at the next start of the machine there may be thousands.
    pub(super) fn clone_of(&self, snapshot: &str, name: &str) -> Vec<OsString> {
        self.zfs(&["clone", "-o", "canmount=noauto"], &[snapshot, name])
    }

    pub(super) fn mount(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["mount"], &[name])
    }

    pub(super) fn snapshot(&self, snapshot: &str) -> Vec<OsString> {
        self.zfs(&["snapshot", "-r"], &[snapshot])
    }

    /// Deletes a dataset with what is in it.
    pub(super) fn destroy(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["destroy", "-r", "-f"], &[name])
    }

    /// Deletes a dataset with what is in it and what was cloned from it.
    pub(super) fn destroy_all(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["destroy", "-R", "-f"], &[name])
    }

    /// Deletes a snapshot as soon as nothing is a clone of it.
    pub(super) fn destroy_later(&self, snapshot: &str) -> Vec<OsString> {
        self.zfs(&["destroy", "-d"], &[snapshot])
    }

    /// Makes a clone the one that the other is a clone of.
    pub(super) fn promote(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["promote"], &[name])
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Vec<OsString> {
        self.zfs(&["rename"], &[from, to])
    }

    /// Prints what each dataset in one takes, in bytes.
    pub(super) fn used(&self, name: &str) -> Vec<OsString> {
        let options = [
            "list",
            "-H",
            "-p",
            "-r",
            "-t",
            "filesystem",
            "-o",
            "name,used",
        ];
        self.zfs(&options, &[name])
    }

    /// Prints the size of the pool and what is free, in bytes.
    pub(super) fn space(&self) -> Vec<OsString> {
        self.zpool(&["list", "-H", "-p", "-o", "size,free", "--"])
    }

    /// Waits until what was deleted is free.
    pub(super) fn wait_for_free(&self) -> Vec<OsString> {
        self.zpool(&["wait", "-t", "free", "--"])
    }

    fn zfs(&self, options: &[&str], names: &[&str]) -> Vec<OsString> {
        let mut args = vec![self.zfs.clone()];
        args.extend(options.iter().map(OsString::from));
        args.push("--".into());
        args.extend(
            names
                .iter()
                .map(|name| format!("{}/{name}", self.pool).into()),
        );
        args
    }

    fn zpool(&self, options: &[&str]) -> Vec<OsString> {
        let mut args = vec![self.zpool.clone()];
        args.extend(options.iter().map(OsString::from));
        args.push(self.pool.clone().into());
        args
    }
}
