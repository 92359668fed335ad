//! The fitness of the state directory, which has the clones, sources, logs and temporary files of all jobs.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use obuilder::store::Space;

use crate::executor::{Examined, Fitness, Unfit};

/// The time limit of an examination. A busy disk takes a second.
const LIMIT: Duration = Duration::from_secs(30);

/// How many inodes must be free, if the file system has a limit: a checkout has thousands of files.
const MIN_FILES: u64 = 1000;

/// The size of the file that is written as a test, in bytes.
const TRIAL: usize = 4096;

/// The disk of the state directory.
pub(crate) struct StateDisk {
    directory: PathBuf,
    /// How many bytes must be free.
    min_free: u64,
    examined: Examined,
}

impl StateDisk {
    pub(crate) fn new(directory: PathBuf, min_free: u64) -> Self {
        Self {
            directory,
            min_free,
            examined: Examined::default(),
        }
    }

    pub(crate) fn fitness(&self) -> Fitness {
        self.examined.fitness()
    }

    /// Checks whether there is room, and whether the disk can be written to.
    pub(crate) async fn examine(&self) {
        let (directory, min_free) = (self.directory.clone(), self.min_free);
        let examination = async move {
            let path = directory.clone();
            let checked = tokio::task::spawn_blocking(move || check(&path, min_free));
            let problem = match tokio::time::timeout(LIMIT, checked).await {
                Ok(Ok(Ok(found))) => return found,
                Ok(Ok(Err(error))) => error.to_string(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("its disk did not respond within {} s", LIMIT.as_secs()),
            };
            Some(Unfit::StateDirectory { directory, problem })
        };
        self.examined.examine(examination).await;
    }
}

fn check(directory: &Path, minimum: u64) -> io::Result<Option<Unfit>> {
    let Space {
        free,
        total_files,
        free_files,
        ..
    } = Space::of(directory)?;
    let directory = || directory.to_owned();
    if free < minimum {
        return Ok(Some(Unfit::StateDiskFull {
            directory: directory(),
            free,
            minimum,
        }));
    }
    if total_files > 0 && free_files < MIN_FILES {
        let problem = format!("{free_files} inodes are free, at least {MIN_FILES} needed");
        return Ok(Some(Unfit::StateDirectory {
            directory: directory(),
            problem,
        }));
    }
    // In spite of free space, the disk may be read-only or a quota exceeded.
    let mut trial = tempfile::tempfile_in(directory())?;
    trial.write_all(&[0; TRIAL])?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::local;

    fn found(directory: &Path, min_free: u64) -> Option<String> {
        local(async {
            let disk = StateDisk::new(directory.to_owned(), min_free);
            disk.examine().await;
            disk.fitness().borrow().as_ref().map(ToString::to_string)
        })
    }

    #[test]
    fn a_disk_is_fit_if_it_has_space_and_is_writable() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(found(dir.path(), 1), None);
        let full = found(dir.path(), 1 << 60).unwrap();
        assert!(
            full.ends_with(" free, at least 1048576 TiB needed"),
            "{full}"
        );
        let gone = found(&dir.path().join("gone"), 1).unwrap();
        assert!(gone.contains("gone: No such file or directory"), "{gone}");
        let read_only = found("/proc".as_ref(), 0).unwrap();
        assert!(
            read_only.starts_with("cannot use the state directory /proc: "),
            "{read_only}"
        );
    }
}
