//! Disks that fill up: what fails says so, nothing is lost, and with room again it succeeds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use obuilder::builder::Builder;
use rig::{Layer, LayerFile, LoopDisk, OciImage};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::log::Log;
use crate::site::{BASE, Kind, Site, builtin};

crate::for_each_store! {
    a_disk_that_is_full_during_a_step
}

/// Free space on a filled disk: enough for a copy of the base image, a log and a database, but not for the files of
/// steps.
const ROOM: u64 = 8 << 20;

/// What steps make.
const LARGE: usize = 12 << 20;

/// A disk, and a file that leaves too little room on it.
struct Full {
    disk: LoopDisk,
    filler: PathBuf,
}

impl Full {
    fn new(disk: LoopDisk) -> Self {
        let filler = disk.path().join("filler");
        Self { disk, filler }
    }

    fn fill(&self) {
        let disk = File::open(self.disk.path()).unwrap();
        let file = File::create(&self.filler).unwrap();
        // What was deleted may come back as free space a little later.
        for _ in 0..3 {
            rustix::fs::syncfs(&disk).unwrap();
            let stat = statvfs(self.disk.path()).unwrap();
            let free = stat.f_bavail * stat.f_frsize;
            if let Some(room) = free.checked_sub(ROOM).filter(|room| *room > 0) {
                let end = file.metadata().unwrap().len();
                fallocate(&file, FallocateFlags::empty(), end, room).unwrap();
            }
        }
    }

    async fn empty(&self, builder: &Builder) {
        fs::remove_file(&self.filler).unwrap();
        builder.store().complete_deletes().await.unwrap();
        // Some filesystems free space when they feel like it.
        rustix::fs::syncfs(File::open(self.disk.path()).unwrap()).unwrap();
    }
}

/// Returns specs with a step that needs more room than there is.
fn hungry() -> [String; 4] {
    let on_early = |op: &str| format!("((from {BASE}) (shell /bin/sh -c) {EARLY} {op})");
    let run = |command: &str| on_early(&format!(r#"(run (shell "{command}"))"#));
    [
        // It says what the system says, where others say that there was an error.
        run(&format!(
            "busybox dd if=/dev/zero of=/large bs=65536 count={}",
            LARGE / 65536
        )),
        // All of it goes into the log.
        run(&format!("busybox yes | busybox head -c {LARGE}")),
        on_early("(copy (src large) (dst /))"),
        "((from large:test))".to_owned(),
    ]
}

/// A step that was done before.
const EARLY: &str = r#"(run (shell "echo early > /early; echo done early"))"#;

async fn a_disk_that_is_full_during_a_step(kind: Kind, _: String) {
    let full = Full::new(kind.small_disk());
    let site = Site::at(kind, builtin(), full.disk.path().join("store"));
    let builder = site.open_with_busybox();
    // Of which little is stored in an image.
    let large = vec![b'x'; LARGE];
    fs::write(site.source().join("large"), &large).unwrap();
    let layer = Layer::of(&[LayerFile::File("large", 0o644, &large)]).unwrap();
    site.import(&builder, "large:test", OciImage::new(vec![layer]));
    let early = format!("((from {BASE}) (shell /bin/sh -c) {EARLY})");
    let (early_id, said) = site.built(&builder, &early).await;
    assert!(said.output().ends_with("\ndone early\n"), "{}", said.text());

    for spec in hungry() {
        full.fill();
        // It is said as the reason, or by the command; but then there may be no room for that either.
        let (why, log) = site.refused(&builder, &spec).await;
        let told = format!("{why}: {}", end(&log));
        assert!(told.contains("No space left on device"), "{spec}: {told}");
        // What was there is there, and can be shown while there is no room.
        let (id, log) = site.built(&builder, &early).await;
        assert_eq!((id, log.output().as_str()), (early_id, "done early\n"));
        assert!(!log.text().contains("saved as"), "{}", log.text());
        site.assert_tidy(&builder);

        full.empty(&builder).await;
        let (id, _) = site.built(&builder, &spec).await;
        let view = builder.store().view(&id).await.unwrap();
        if let Ok(data) = view.rootfs().join("large").metadata() {
            assert_eq!(data.len(), LARGE as u64);
        }
        drop(view);
        // For the next of them.
        builder.delete(&id, &mut |_| ()).await.unwrap();
        builder.store().complete_deletes().await.unwrap();
    }
    site.close(builder);
    let builder = site.open();
    assert_eq!(builder.count().unwrap(), 2);
    assert_eq!(early_file(&builder, &early_id).await, "early\n");
    site.close(builder);
}

/// A cache that is filled with empty files takes all inodes of a disk, and hardly any bytes.
#[test]
fn a_cache_that_takes_all_files_of_a_disk() {
    if !crate::site::can_run("a_cache_that_takes_all_files_of_a_disk") {
        return;
    }
    let disk = LoopDisk::with_files(64 << 20, 4096).unwrap();
    let site = Site::at(Kind::Overlayfs, builtin(), disk.path().join("store"));
    crate::site::block_on(async {
        let builder = site.open_with_busybox();
        let with_cache = |command: &str| {
            format!(
                r#"((from {BASE}) (shell /bin/sh -c) (run (cache (c (target /c))) (shell "{command}")))"#
            )
        };
        let fill = with_cache("i=0; while echo > /c/$i; do i=$((i+1)); done; exit 1");
        let (why, _) = site.refused(&builder, &fill).await;
        let dropped = "the disk of the store is full; the changes of this step to its cache mounts were discarded";
        assert!(why.contains(dropped), "{why}");
        // The next step has room, and sees no files of this one.
        builder.store().complete_deletes().await.unwrap();
        let space = builder.space().unwrap();
        assert!(space.free_percent() > 50.0, "{space:?}");
        let (_, log) = site.built(&builder, &with_cache("echo /c/*")).await;
        assert!(log.text().contains("/c/*\n"), "{}", log.text());
        site.close(builder);

        // Even on a disk without a single file to spare, a store can be opened, and a step be done.
        let filler = disk.path().join("filler");
        fs::create_dir(&filler).unwrap();
        let mut number = 0;
        while File::create(filler.join(number.to_string())).is_ok() {
            number += 1;
        }
        let builder = site.open();
        let space = builder.space().unwrap();
        assert!(
            space.free_percent() < 5.0 && space.free > space.total / 4,
            "{space:?}"
        );
        builder
            .healthcheck(std::time::Duration::from_secs(60))
            .await
            .unwrap();
        site.close(builder);
    });
}

/// As when others write to the disk as fast as room is made on it: not even the database can be written to.
#[test]
fn all_results_can_be_removed_from_a_disk_without_any_room() {
    let name = "all_results_can_be_removed_from_a_disk_without_any_room";
    if !crate::site::can_run(name) {
        return;
    }
    let full = Full::new(Kind::Overlayfs.small_disk());
    let site = Site::at(Kind::Overlayfs, builtin(), full.disk.path().join("store"));
    crate::site::block_on(async {
        let builder = site.open_with_busybox();
        let spec = format!("((from {BASE}) (shell /bin/sh -c) {EARLY})");
        site.built(&builder, &spec).await;
        site.close(builder);
        // All that there is, and what was kept for opening the store.
        let builder = site.open();
        drop(fs::remove_dir_all(full.disk.path().join("store/reserve")));
        let mut filler = File::create(&full.filler).unwrap();
        let block = [b'x'; 1024];
        while std::io::Write::write_all(&mut filler, &block).is_ok() {}
        let future = jiff::Timestamp::MAX;
        let pruned = builder.prune(future, usize::MAX, &mut |_| ()).await;
        // Two, and the trivial steps of the checks.
        assert!(pruned.unwrap() >= 2);
        assert_eq!(builder.count().unwrap(), 0);
        let space = builder.space().unwrap();
        assert!(space.free > 1 << 20, "{space:?}");
        site.close(builder);
        let builder = site.open();
        assert_eq!(builder.count().unwrap(), 0);
        site.close(builder);
    });
}

async fn early_file(builder: &Builder, id: &obuilder::StepId) -> String {
    let view = builder.store().view(id).await.unwrap();
    fs::read_to_string(Path::new(view.rootfs()).join("early")).unwrap()
}

/// Returns the end of a log, which may be long.
fn end(log: &Log) -> String {
    let text = log.text();
    let start = text.len().saturating_sub(500);
    text.get(start..).unwrap_or_default().to_owned()
}
