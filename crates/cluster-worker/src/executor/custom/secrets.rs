//! Files with a job's secrets, while it runs. They are in memory, so that no secret is written to a disk.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use cluster_api::Secret;
use job_rules::is_secret_id;
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;

use super::CustomUser;
use crate::leftovers::remove_leftover;
use crate::outcome::JobError;
use crate::process::Environment;

/// The file systems that are in memory, by their magic numbers: tmpfs and ramfs.
const IN_MEMORY: [i128; 2] = [0x0102_1994, 0x8584_58f6];

/// The usual mount point of a tmpfs that all users can write to.
const SHARED_MEMORY: &str = "/dev/shm";

/// The directory of a worker's secrets.
#[derive(Debug)]
pub(super) struct SecretsHome {
    /// Unique to this worker. `None` if there is no tmpfs.
    dir: Option<PathBuf>,
    /// The user that reads them. `None`: the worker's own.
    user: Option<CustomUser>,
}

impl SecretsHome {
    /// Chooses the directory, and removes files of a killed worker with the same state directory.
    pub(super) fn open(
        state_dir: &Path,
        environment: &Environment,
        user: Option<CustomUser>,
    ) -> Self {
        let own = environment
            .iter()
            // Another user has no access to it.
            .find(|(name, _)| *name == "XDG_RUNTIME_DIR" && user.is_none());
        let own = own.map(|(_, path)| PathBuf::from(path));
        let places = own.into_iter().chain([PathBuf::from(SHARED_MEMORY)]);
        let mut home = Self::in_one_of(places, state_dir);
        home.user = user;
        home
    }

    fn in_one_of(places: impl IntoIterator<Item = PathBuf>, state_dir: &Path) -> Self {
        let place = places.into_iter().find(|place| is_in_memory(place));
        let digest = Sha1::digest(state_dir.as_os_str().as_encoded_bytes());
        let name = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
        let name = format!("ocluster-{}", name.collect::<String>());
        let dir = place.map(|place| place.join(name));
        if let Some(dir) = &dir {
            remove_leftover(dir);
        }
        Self { dir, user: None }
    }

    /// Writes each secret into a file named by its id. Dropping the result removes the directory.
    /// `None` if there are no secrets.
    pub(super) fn place(&self, secrets: &[Secret]) -> Result<Option<TempDir>, JobError> {
        if secrets.is_empty() {
            return Ok(None);
        }
        let dir = self.dir.as_ref().ok_or_else(|| {
            JobError::failed(format!(
                "no tmpfs is available for secrets on this worker: mount one at {SHARED_MEMORY}"
            ))
        })?;
        let user = self.user.as_ref();
        let placed = own_dir(dir, user).and_then(|()| {
            let ours = Permissions::from_mode(0o700);
            let mut place = tempfile::Builder::new();
            let place = place.prefix("job-").permissions(ours).tempdir_in(dir)?;
            for secret in secrets {
                let path = place.path().join(&secret.id);
                let mut options = OpenOptions::new();
                let mut file = options
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)?;
                file.write_all(secret.value.expose())?;
            }
            if let Some(user) = user {
                user.give(place.path())?;
            }
            Ok(place)
        });
        placed.map(Some).map_err(|error| {
            JobError::failed(format!(
                "cannot write the job's secrets to {}: {error}",
                dir.display()
            ))
        })
    }
}

impl Drop for SecretsHome {
    fn drop(&mut self) {
        // It exists only if a job has had secrets, and is empty, as all jobs have ended.
        if let Some(dir) = &self.dir {
            drop(fs::remove_dir(dir));
        }
    }
}

/// Makes a directory that only this user and root can access, or checks that it is one. Other users can write to its
/// parent, and may have made it. `user` may pass through it.
fn own_dir(dir: &Path, user: Option<&CustomUser>) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let data = fs::symlink_metadata(dir)?;
    let is_ours = data.is_dir()
        && data.uid() == rustix::process::geteuid().as_raw()
        && data.mode() & if user.is_some() { 0o067 } else { 0o077 } == 0;
    match user {
        _ if !is_ours => Err(io::Error::other("it belongs to another user")),
        Some(user) => user.let_pass(dir),
        None => Ok(()),
    }
}

fn is_in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| IN_MEMORY.contains(&i128::from(stat.f_type)))
}

/// Checks the ids of a job's secrets, which become names of files.
pub(super) fn check_secrets(secrets: &[Secret]) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for Secret { id, value: _ } in secrets {
        if !is_secret_id(id) || id.starts_with('.') {
            return Err(format!(
                "secret id {id:?} is not allowed: use 1 to 64 letters, digits and _ . -, and no dot at the start"
            ));
        }
        if !ids.insert(id) {
            return Err(format!("there are two secrets with the id {id:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(id: &str) -> Secret {
        Secret {
            id: id.into(),
            value: "s3cret".into(),
        }
    }

    #[test]
    fn files_of_a_killed_worker_are_removed() {
        let state_dir = tempfile::tempdir().unwrap();
        let open = || SecretsHome::in_one_of([SHARED_MEMORY.into()], state_dir.path());
        let killed = open();
        let left = killed.place(&[secret("id")]).unwrap().unwrap().keep();
        std::mem::forget(killed);
        let next = open();
        assert!(!left.exists());
        let placed = next.place(&[secret("id")]).unwrap().unwrap();
        let file = placed.path().join("id");
        assert_eq!(fs::read(&file).unwrap(), b"s3cret");
        for (path, mode) in [(&*file, 0o600), (placed.path(), 0o700)] {
            let permissions = path.metadata().unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode, "{path:?}");
        }
        let home = placed.path().parent().unwrap().to_owned();
        drop(placed);
        drop(next);
        assert!(!home.exists());
    }

    #[test]
    fn a_directory_that_others_can_list_is_not_used() {
        let state_dir = tempfile::tempdir().unwrap();
        let home = SecretsHome::in_one_of([SHARED_MEMORY.into()], state_dir.path());
        let dir = home.dir.clone().unwrap();
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let error = home.place(&[secret("id")]).unwrap_err().to_string();
        assert!(error.ends_with("it belongs to another user"), "{error}");
        drop(home);
        assert!(!dir.exists());
    }

    #[test]
    fn secrets_are_not_written_to_a_disk() {
        let state_dir = tempfile::tempdir().unwrap();
        let home = SecretsHome::in_one_of(["/proc".into(), "/nosuch".into()], state_dir.path());
        assert_eq!(home.place(&[]).unwrap().map(|dir| dir.keep()), None);
        let error = home.place(&[secret("id")]).unwrap_err().to_string();
        let expected = "no tmpfs is available for secrets on this worker: mount one at /dev/shm";
        assert_eq!(error, expected);
    }

    #[test]
    fn ids_must_be_names_of_files() {
        assert_eq!(check_secrets(&[secret("a"), secret("B.1_-")]), Ok(()));
        for id in ["", ".", "..", ".hidden", "a/b", "a\nb", &"x".repeat(65)] {
            let error = check_secrets(&[secret(id)]).unwrap_err();
            assert!(error.contains("is not allowed"), "{error}");
        }
        let error = check_secrets(&[secret("a"), secret("a")]).unwrap_err();
        assert_eq!(error, "there are two secrets with the id \"a\"");
    }
}
