//! Checks of OBuilder: the store's filesystem, and the runtime.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use obuilder::Setup;
use obuilder::sandbox::SandboxOptions;
use obuilder::store::{RsyncMode, StoreKind, StorePlace, StoreSpec};
use oci::fetch::AddressRule;

use super::check::Check;
use super::probe::{Answer, ask};
use super::{disk, mounts};

/// The time limit of one container, which takes a tenth of a second.
const TIMEOUT: Duration = Duration::from_secs(60);

const STORE: &str = "obuilder store";
const RUNTIME: &str = "obuilder runtime";

/// Checks what OBuilder jobs need, if there is a store.
pub(super) async fn checks(
    store: Option<&StorePlace>,
    runtime: &OsStr,
    limits: disk::SpaceLimits,
) -> Vec<Check> {
    let Some(store) = store else {
        return vec![Check::skipped(
            STORE,
            "no --obuilder-store: this worker refuses OBuilder jobs",
        )];
    };
    let mut checks = vec![check_store(store).await];
    if store.kind() != StoreKind::Zfs {
        checks.push(disk::check("the obuilder store", store.path().to_owned(), limits).await);
    }
    let rsync = ask("rsync", &["--version"]).await;
    checks.extend(judge_rsync(store.kind(), &rsync));
    checks.push(check_runtime(runtime, &rsync).await);
    checks
}

async fn check_store(store: &StorePlace) -> Check {
    if store.kind() == StoreKind::Zfs {
        let pool = store.path().to_string_lossy().into_owned();
        return judge_zfs(
            &pool,
            &ask("zfs", &["list", "-H", "-o", "name", &pool]).await,
        );
    }
    let found = mounts::existing(store.path()).and_then(|path| mounts::filesystem(&path));
    match found {
        Ok(filesystem) => match check_access(store.path()) {
            Some(check) => check,
            None => judge_store(store, &filesystem),
        },
        Err(error) => Check::problem(
            STORE,
            format!("{}: {error}", store.path().display()),
            "check that the path is right and its disk mounted",
        ),
    }
}

/// Checks whether other users can access an existing store, which has set-user-id programs in it.
fn check_access(path: &Path) -> Option<Check> {
    let found = path.metadata().ok()?;
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if owner != 0 {
        return Some(Check::problem(
            STORE,
            format!("{} belongs to user {owner}", path.display()),
            "a store must belong to root: chown it, or give the store a directory of its own",
        ));
    }
    (mode & 0o077 != 0).then(|| {
        Check::problem(
            STORE,
            format!(
                "{} has mode {mode:04o}: other users could run set-user-id programs in it",
                path.display()
            ),
            "chmod 700 it (the worker does so for a directory that has only the store in it)",
        )
    })
}

fn judge_zfs(pool: &str, answer: &Answer) -> Check {
    match answer {
        Answer::Printed(_) => Check::fit(STORE, format!("zfs dataset {pool}")),
        Answer::Absent => Check::problem(
            STORE,
            "there is no zfs program",
            "install it (on Debian: apt-get install zfsutils-linux), or use another kind of store",
        ),
        Answer::TimedOut => Check::problem(
            STORE,
            "zfs does not respond",
            "check the pool: zpool status",
        ),
        Answer::Failed(message) => Check::problem(
            STORE,
            message.clone(),
            "create the dataset, or name another",
        ),
    }
}

/// Filesystems in memory: results are lost when the machine restarts.
const IN_MEMORY: &[&str] = &["tmpfs", "ramfs"];

/// Filesystems that cannot hold the upper layer of an overlay.
const NO_OVERLAYS: &[&str] = &["overlay", "nfs", "nfs4", "cifs", "vfat", "fuse.sshfs", "9p"];

fn judge_store(store: &StorePlace, filesystem: &str) -> Check {
    let found = format!("{} is on {filesystem}", store.path().display());
    let lacks = match store.kind() {
        StoreKind::Btrfs if filesystem != "btrfs" => Some("has no subvolumes"),
        StoreKind::Xfs if !matches!(filesystem, "xfs" | "btrfs") => {
            Some("may not let files share blocks")
        }
        StoreKind::Overlayfs if NO_OVERLAYS.contains(&filesystem) => Some("cannot hold overlays"),
        StoreKind::Docker | StoreKind::Qemu | StoreKind::Hcs => {
            return Check::problem(
                STORE,
                format!("there are no {}: stores here", store.kind().as_str()),
                "use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool",
            );
        }
        _ => None,
    };
    match lacks {
        Some(lacks) => Check::problem(
            STORE,
            format!("{found}, which {lacks}"),
            match store.kind() {
                StoreKind::Overlayfs => "use a local filesystem such as ext4, xfs or btrfs",
                _ => "use overlayfs:/path, which most filesystems can hold",
            },
        ),
        None if IN_MEMORY.contains(&filesystem) => Check::warning(
            STORE,
            format!("{found}, which is in memory: its results are lost with it"),
            "use a disk, unless this is intended",
        ),
        None => Check::fit(STORE, format!("{}: {found}", store.kind().as_str())),
    }
}

/// Checks for the program that copies results in an rsync store, which does not work without it.
fn judge_rsync(kind: StoreKind, rsync: &Answer) -> Option<Check> {
    (kind == StoreKind::Rsync && *rsync == Answer::Absent).then(|| {
        Check::problem(
            STORE,
            "there is no rsync program, which this kind of store needs: every build would fail",
            "install it (on Debian: apt-get install rsync), or use another kind of store, such as overlayfs:/path",
        )
    })
}

/// Runs a container, in a store of its own in a temporary directory.
async fn check_runtime(runtime: &OsStr, rsync: &Answer) -> Check {
    if !rustix::process::geteuid().is_root() {
        return Check::skipped(
            RUNTIME,
            "only root can run containers: run this as the worker's user",
        );
    }
    // An rsync store works on any filesystem, if there is the program.
    let (kind, mode) = match rsync {
        Answer::Absent => (StoreKind::Overlayfs, None),
        _ => (StoreKind::Rsync, Some(RsyncMode::Copy)),
    };
    judge_runtime(runtime, run_container(runtime, kind, mode).await)
}

async fn run_container(
    runtime: &OsStr,
    kind: StoreKind,
    mode: Option<RsyncMode>,
) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
    let place = format!(
        "{}:{}",
        kind.as_str(),
        folder.path().join("store").display()
    );
    let place: StorePlace = place.parse().map_err(|error| format!("{error}"))?;
    let store = StoreSpec::new(Some(place), mode).map_err(|error| error.to_string())?;
    let setup = Setup {
        store,
        runtime: runtime.to_owned(),
        sandbox: SandboxOptions::default(),
        registries: AddressRule::default(),
        env: std::env::vars_os().collect(),
        shared: None,
    };
    let builder = setup.open().map_err(|error| error.to_string())?;
    builder
        .healthcheck(TIMEOUT)
        .await
        .map_err(|error| error.to_string())
}

fn judge_runtime(runtime: &OsStr, ran: Result<(), String>) -> Check {
    let name = runtime.display();
    match ran {
        Ok(()) => Check::fit(RUNTIME, format!("{name} runs a container")),
        Err(why) if why.starts_with("cannot find the runtime") => Check::problem(
            RUNTIME,
            format!("there is no {name}"),
            "install it (on Debian: apt-get install runc), or use the built-in one: --obuilder-runtime=builtin",
        ),
        Err(why) => Check::problem(
            RUNTIME,
            format!("{name} cannot run a container: {why}"),
            "try --obuilder-runtime=builtin; inside a container, the container must be privileged",
        ),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::doctor::testing::folded_text;

    #[test]
    fn each_finding_has_a_verdict() {
        let store = |place: &str, filesystem| judge_store(&place.parse().unwrap(), filesystem);
        let rsync = Answer::Printed("rsync  version 3.2.7".to_owned());
        assert_eq!(judge_rsync(StoreKind::Rsync, &rsync), None);
        assert_eq!(judge_rsync(StoreKind::Btrfs, &Answer::Absent), None);
        let checks = [
            store("overlayfs:/var/cache/obuilder", "ext4"),
            store("overlayfs:/var/cache/obuilder", "overlay"),
            store("overlayfs:/var/cache/obuilder", "tmpfs"),
            store("btrfs:/b", "btrfs"),
            store("btrfs:/b", "ext4"),
            store("xfs:/x", "ext4"),
            store("rsync:/r", "nfs4"),
            store("docker:x", "ext4"),
            judge_zfs("tank", &Answer::Printed("tank".to_owned())),
            judge_zfs(
                "tank",
                &Answer::Failed("cannot open 'tank': dataset does not exist".to_owned()),
            ),
            judge_rsync(StoreKind::Rsync, &Answer::Absent).unwrap(),
            judge_runtime("builtin".as_ref(), Ok(())),
            judge_runtime(
                "runc".as_ref(),
                Err("cannot find the runtime \"runc\": install it".to_owned()),
            ),
            judge_runtime(
                "runc".as_ref(),
                Err("exit status 1\nno space left".to_owned()),
            ),
        ];
        expect![[r#"
            ok       obuilder store    overlayfs: /var/cache/obuilder is on ext4
            problem  obuilder store    /var/cache/obuilder is on overlay, which cannot hold overlays
                     -> use a local filesystem such as ext4, xfs or btrfs
            warning  obuilder store    /var/cache/obuilder is on tmpfs, which is in memory: its results are \
                lost with it
                     -> use a disk, unless this is intended
            ok       obuilder store    btrfs: /b is on btrfs
            problem  obuilder store    /b is on ext4, which has no subvolumes
                     -> use overlayfs:/path, which most filesystems can hold
            problem  obuilder store    /x is on ext4, which may not let files share blocks
                     -> use overlayfs:/path, which most filesystems can hold
            ok       obuilder store    rsync: /r is on nfs4
            problem  obuilder store    there are no docker: stores here
                     -> use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
            ok       obuilder store    zfs dataset tank
            problem  obuilder store    cannot open 'tank': dataset does not exist
                     -> create the dataset, or name another
            problem  obuilder store    there is no rsync program, which this kind of store needs: every build \
                would fail
                     -> install it (on Debian: apt-get install rsync), or use another kind of store, such as \
                overlayfs:/path
            ok       obuilder runtime  builtin runs a container
            problem  obuilder runtime  there is no runc
                     -> install it (on Debian: apt-get install runc), or use the built-in one: \
                --obuilder-runtime=builtin
            problem  obuilder runtime  runc cannot run a container: exit status 1
                                       no space left
                     -> try --obuilder-runtime=builtin; inside a container, the container must be privileged

            8 problems, 1 warning.
        "#]]
        .assert_eq(&folded_text(&checks));
    }
}
