//! The command lines that create, change and destroy datasets.

use std::ffi::OsString;

/// The name of a ZFS pool, and the programs for it.
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

    /// Not mounted automatically: there may be thousands when the machine starts.
    pub(super) fn clone_of(&self, snapshot: &str, name: &str) -> Vec<OsString> {
        self.zfs(&["clone", "-o", "canmount=noauto"], &[snapshot, name])
    }

    pub(super) fn mount(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["mount"], &[name])
    }

    pub(super) fn snapshot(&self, snapshot: &str) -> Vec<OsString> {
        self.zfs(&["snapshot", "-r"], &[snapshot])
    }

    /// Destroys a dataset with its children.
    pub(super) fn destroy(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["destroy", "-r", "-f"], &[name])
    }

    /// Destroys a dataset with its children and clones.
    pub(super) fn destroy_all(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["destroy", "-R", "-f"], &[name])
    }

    /// Destroys a snapshot as soon as it has no clone.
    pub(super) fn destroy_later(&self, snapshot: &str) -> Vec<OsString> {
        self.zfs(&["destroy", "-d"], &[snapshot])
    }

    /// Exchanges the roles of a clone and its origin.
    pub(super) fn promote(&self, name: &str) -> Vec<OsString> {
        self.zfs(&["promote"], &[name])
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Vec<OsString> {
        self.zfs(&["rename"], &[from, to])
    }

    /// Prints the disk usage of each dataset in another, in bytes.
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

    /// Prints the size and the free space of the pool, in bytes.
    pub(super) fn space(&self) -> Vec<OsString> {
        self.zpool(&["list", "-H", "-p", "-o", "size,free", "--"])
    }

    /// Waits until the space of destroyed datasets is free.
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
