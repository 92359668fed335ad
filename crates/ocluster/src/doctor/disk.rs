//! Checks of free space and inodes, against the worker's limits.

use std::path::PathBuf;

use cluster_worker::FreeThreshold;
use obuilder::store::Space;
use visible::BinarySize;

use super::check::Check;
use super::mounts;

/// Below this many percent, the next build may fill a disk that has no limit.
const MIN_FREE_PERCENT: f64 = 5.0;

/// How much of a disk a worker keeps free, with the options that set it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpaceLimits {
    /// With fewer free bytes than this, it takes no jobs.
    pub(super) minimum: Option<(&'static str, u64)>,
    /// With less free space than this, it prunes.
    pub(super) threshold: Option<(&'static str, FreeThreshold)>,
}

/// Checks the disk of `path`, which need not exist yet, as that of `what`.
pub(super) async fn check(what: &'static str, path: PathBuf, limits: SpaceLimits) -> Check {
    let shown = path.clone();
    // On a network filesystem this may take long.
    let measured = tokio::task::spawn_blocking(move || {
        let existing = mounts::existing(&path)?;
        Ok::<_, std::io::Error>((Space::of(&existing)?, mounts::filesystem(&existing)?))
    });
    let name = format!("disk of {what}");
    match tokio::time::timeout(std::time::Duration::from_secs(10), measured).await {
        Ok(Ok(Ok((space, filesystem)))) => judge(
            name,
            &format!("{} ({filesystem})", shown.display()),
            space,
            limits,
        ),
        Ok(Ok(Err(error))) => Check::problem(
            name,
            format!("{}: {error}", shown.display()),
            "check that the path is right and its disk mounted",
        ),
        Ok(Err(_)) | Err(_) => Check::problem(
            name,
            format!("{}: the filesystem does not respond", shown.display()),
            "check the disk, or the server if it is a network filesystem",
        ),
    }
}

fn judge(name: String, path: &str, space: Space, limits: SpaceLimits) -> Check {
    let counted = match space.total_files {
        0 => String::new(),
        _ => format!(
            " and {:.0}% of the inodes",
            space.free_files_percent().floor()
        ),
    };
    let found = format!(
        "{path}: {:.0}% of the space{counted} free, {}",
        space.free_bytes_percent().floor(),
        BinarySize(space.free)
    );
    let SpaceLimits { minimum, threshold } = limits;
    if let Some((option, minimum)) = minimum
        && space.free < minimum
        && threshold.is_none_or(|(_, threshold)| !threshold.is_met(space))
    {
        return Check::problem(
            name,
            format!(
                "{found}; with less than {} the worker takes no jobs",
                BinarySize(minimum)
            ),
            format!("free space, or lower {option}"),
        );
    }
    match threshold {
        Some((option, threshold)) if !threshold.is_met(space) => Check::warning(
            name,
            format!("{found}; with less than {threshold} the worker prunes"),
            match minimum {
                Some((least, minimum)) => format!(
                    "free space, or lower {option}; with nothing left to prune, the worker takes jobs while {} are \
                     free ({least})",
                    BinarySize(minimum)
                ),
                None => format!("free space, or lower {option}"),
            },
        ),
        None if space.free_percent() < MIN_FREE_PERCENT => Check::warning(
            name,
            found,
            "free space, or let the worker do it: --prune-threshold for Docker, --git-cache-size for clones",
        ),
        _ => Check::fit(name, found),
    }
}

#[cfg(test)]
mod tests {
    use cluster_worker::Percent;
    use expect_test::expect;

    use super::*;
    use crate::doctor::testing::folded_text;

    #[test]
    fn a_disk_is_fit_if_the_worker_takes_jobs_with_it() {
        let gib = 1 << 30;
        let space = |free: u64, free_files| Space {
            total: 100 * gib,
            free: free * gib,
            total_files: if free_files == 0 { 0 } else { 1000 },
            free_files,
        };
        let of = |space, limits| judge("disk".to_owned(), "/d (ext4)", space, limits);
        let percent = Percent::new(30.0).map(FreeThreshold::Percent);
        let store = SpaceLimits {
            minimum: Some(("--obuilder-min-free", 5 * gib)),
            threshold: percent.map(|percent| ("--obuilder-prune-threshold", percent)),
        };
        let state = SpaceLimits {
            minimum: Some(("--state-min-free", gib / 4)),
            threshold: None,
        };
        let docker = SpaceLimits {
            minimum: None,
            threshold: Some(("--prune-threshold", FreeThreshold::Bytes(20 * gib))),
        };
        let checks = [
            of(space(60, 900), store),
            of(space(60, 0), store),
            of(space(28, 900), store),
            of(space(60, 10), store),
            of(space(4, 900), store),
            of(space(15, 900), docker),
            of(space(3, 900), SpaceLimits::default()),
            of(space(4, 900), state),
            of(space(0, 900), state),
        ];
        expect![[r#"
            ok       disk  /d (ext4): 60% of the space and 90% of the inodes free, 60 GiB
            ok       disk  /d (ext4): 60% of the space free, 60 GiB
            warning  disk  /d (ext4): 28% of the space and 90% of the inodes free, 28 GiB; with less than 30% \
                the worker prunes
                     -> free space, or lower --obuilder-prune-threshold; with nothing left to prune, the worker \
                takes jobs while 5 GiB are free (--obuilder-min-free)
            warning  disk  /d (ext4): 60% of the space and 1% of the inodes free, 60 GiB; with less than 30% \
                the worker prunes
                     -> free space, or lower --obuilder-prune-threshold; with nothing left to prune, the worker \
                takes jobs while 5 GiB are free (--obuilder-min-free)
            problem  disk  /d (ext4): 4% of the space and 90% of the inodes free, 4 GiB; with less than 5 GiB \
                the worker takes no jobs
                     -> free space, or lower --obuilder-min-free
            warning  disk  /d (ext4): 15% of the space and 90% of the inodes free, 15 GiB; with less than 20 \
                GiB the worker prunes
                     -> free space, or lower --prune-threshold
            warning  disk  /d (ext4): 3% of the space and 90% of the inodes free, 3 GiB
                     -> free space, or let the worker do it: --prune-threshold for Docker, --git-cache-size for \
                clones
            warning  disk  /d (ext4): 4% of the space and 90% of the inodes free, 4 GiB
                     -> free space, or let the worker do it: --prune-threshold for Docker, --git-cache-size for \
                clones
            problem  disk  /d (ext4): 0% of the space and 90% of the inodes free, 0 bytes; with less than 256 \
                MiB the worker takes no jobs
                     -> free space, or lower --state-min-free

            2 problems, 5 warnings.
        "#]]
        .assert_eq(&folded_text(&checks));
    }
}
