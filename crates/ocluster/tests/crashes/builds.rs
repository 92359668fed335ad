//! Rounds with builds of OBuilder, whose containers and results a killed worker leaves behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::incident::show;
use crate::lane::rounds;
use crate::network::Network;
use crate::plan::{Plan, Victim};
use crate::points::CYCLE;
use crate::scene::on_site_with;
use crate::site::WORKERS;

/// How the workers are started.
pub(crate) const OPTIONS: [&str; 3] = [
    "--obuilder-store=overlayfs:FOLDER/store-NAME",
    "--obuilder-prune-threshold=1MiB",
    "--obuilder-min-free=1MiB",
];

#[test]
fn builds_of_obuilder_are_done_whatever_is_killed() {
    let test = "builds_of_obuilder_are_done_whatever_is_killed";
    let image = tempfile::tempdir().expect("a folder");
    if !rig::is_root() || rig::busybox_rootfs(image.path()).is_err() {
        return rig::report_not_run(test, "root, and a busybox that is linked statically");
    }
    let network = Network {
        options: OPTIONS.map(str::to_owned).to_vec(),
        ..Network::default()
    };
    let done = on_site_with(network, async |site| {
        for worker in WORKERS {
            import(site.folder(), worker, image.path());
        }
        // Each point once.
        let done = rounds(
            site,
            (0..CYCLE).map(|number| Plan::of(number).with_builds()),
        )
        .await;
        for (index, worker) in WORKERS.iter().enumerate() {
            site.kill(Victim::Worker(index), Duration::from_secs(3600));
            unmount(site.folder(), worker);
        }
        done
    });
    let incidents = done.unwrap_or_else(|error| panic!("{error}"));
    println!("{}", show(&incidents));
}

/// Gives the store of a worker its base image.
pub(crate) fn import(folder: &Path, worker: &str, image: &Path) {
    let shown = folder.display();
    let mut import = Command::new(env!("CARGO_BIN_EXE_obuilder"));
    import
        .current_dir(folder)
        .args(["image", "import", "busybox"])
        .arg(image)
        .arg(format!("--store=overlayfs:{shown}/store-{worker}"));
    let output = import.output().expect("started obuilder");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

/// Removes the mount that a killed worker leaves in its store. The next start of the worker would do it.
pub(crate) fn unmount(folder: &Path, worker: &str) {
    let merged = folder.join(format!("store-{worker}/merged"));
    let mut unmount = Command::new("umount");
    unmount.arg("--lazy").arg("--recursive").arg(merged);
    // There may be none.
    drop(unmount.output());
}
