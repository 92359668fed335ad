//! Room: for bytes and for files.

use std::path::PathBuf;

use super::check::Check;
use super::mounts;

/// Below this many percent, the next build may fill the disk.
const TOO_LITTLE: u64 = 5;

/// Below this many percent, a worker should be pruning: the tutorial's `--prune-threshold`.
const LITTLE: u64 = 20;

/// What a filesystem has of something, and what is free of it.
#[derive(Clone, Copy, Debug)]
struct Room {
    all: u64,
    free: u64,
}

impl Room {
    /// Returns what is free, in percent, or `None` where it is not counted.
    fn percent(self) -> Option<u64> {
        (self.free.min(self.all).saturating_mul(100)).checked_div(self.all)
    }
}

/// Checks the disk of `path`, which need not exist yet, as that of `what`.
pub(super) async fn check(what: &'static str, path: PathBuf) -> Check {
    let shown = path.clone();
    // On a network filesystem this may take long.
    let looked = tokio::task::spawn_blocking(move || {
        let existing = mounts::existing(&path)?;
        let stat = rustix::fs::statvfs(&existing)?;
        let bytes = Room {
            all: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        };
        let files = Room {
            all: stat.f_files,
            free: stat.f_favail,
        };
        Ok::<_, std::io::Error>((bytes, files, mounts::filesystem(&existing)?))
    });
    let name = format!("disk of {what}");
    match tokio::time::timeout(std::time::Duration::from_secs(10), looked).await {
        Ok(Ok(Ok((bytes, files, filesystem)))) => judge(
            name,
            &format!("{} ({filesystem})", shown.display()),
            bytes,
            files,
        ),
        Ok(Ok(Err(error))) => Check::problem(
            name,
            format!("{}: {error}", shown.display()),
            "check that the path is right and its disk mounted",
        ),
        Ok(Err(_)) | Err(_) => Check::problem(
            name,
            format!("{}: the filesystem does not answer", shown.display()),
            "check the disk, or the server if it is a network filesystem",
        ),
    }
}

fn judge(name: String, path: &str, bytes: Room, files: Room) -> Check {
    let space = bytes.percent().unwrap_or(0);
    let inodes = files.percent();
    let counted = match inodes {
        Some(inodes) => format!(" and {inodes}% of the inodes"),
        None => String::new(),
    };
    let found = format!(
        "{path}: {space}% of the space{counted} free, {}",
        size(bytes.free)
    );
    match space.min(inodes.unwrap_or(100)) {
        0..TOO_LITTLE => Check::problem(
            name,
            found,
            "make room; for Docker: docker system prune --all",
        ),
        TOO_LITTLE..LITTLE => Check::warning(
            name,
            found,
            "make room, or let the worker do it: --prune-threshold for Docker, --obuilder-prune-threshold for OBuilder",
        ),
        _ => Check::fit(name, found),
    }
}

/// Returns a number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    match bytes {
        GIB.. => format!("{} GiB", bytes / GIB),
        _ => format!("{} MiB", bytes / MIB),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::check::text;
    use super::*;

    #[test]
    fn the_scarcer_of_the_two_counts() {
        let room = |all, free| Room { all, free };
        let of = |bytes, files| judge("disk".to_owned(), "/d (ext4)", bytes, files);
        let gib = 1 << 30;
        let checks = [
            of(room(100 * gib, 60 * gib), room(1000, 900)),
            of(room(100 * gib, 60 * gib), room(0, 0)),
            of(room(100 * gib, 15 * gib), room(1000, 900)),
            of(room(100 * gib, 60 * gib), room(1000, 10)),
            of(room(gib, 0), room(1000, 900)),
        ];
        expect![[r#"
            ok       disk  /d (ext4): 60% of the space and 90% of the inodes free, 60 GiB
            ok       disk  /d (ext4): 60% of the space free, 60 GiB
            warning  disk  /d (ext4): 15% of the space and 90% of the inodes free, 15 GiB
                     -> make room, or let the worker do it: --prune-threshold for Docker, --obuilder-prune-threshold for OBuilder
            problem  disk  /d (ext4): 60% of the space and 1% of the inodes free, 60 GiB
                     -> make room; for Docker: docker system prune --all
            problem  disk  /d (ext4): 0% of the space and 90% of the inodes free, 0 MiB
                     -> make room; for Docker: docker system prune --all

            2 problems, 1 warning.
        "#]].assert_eq(&text(&checks, false));
    }
}
