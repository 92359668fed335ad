//! Disks that are full or read-only, under a scheduler and under a worker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{join, try_join_all};

use crate::follow::live;
use crate::job::SeenJob;
use crate::plan::{JobPlan, Victim, Work};
use crate::scene::{attended, on_site, until};
use crate::site::Site;

/// A disk of its own, which is unmounted when this is dropped.
struct Disk(PathBuf);

impl Disk {
    /// Makes one in memory, in a folder that does not exist yet.
    fn in_memory(folder: PathBuf, size: &str) -> Self {
        let disk = Self(folder);
        let options = format!("size={size},mode=700");
        disk.mount(&["-t", "tmpfs", "-o", &options, "tmpfs"]);
        disk
    }

    /// Mounts a file with a filesystem that becomes read-only when it has an error.
    fn in_file(folder: PathBuf, file: &Path) -> Self {
        let disk = Self(folder);
        disk.mount(&["-o", "loop,errors=remount-ro", &file.to_string_lossy()]);
        disk
    }

    fn mount(&self, args: &[&str]) {
        fs::create_dir_all(&self.0).expect("made a folder");
        run(Command::new("mount").args(args).arg(&self.0));
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves no room on it.
    fn fill(&self) {
        let mut file = fs::File::create(self.filler()).expect("made a file");
        let zeros = vec![0; 64 << 10];
        // Until there is no room for so much, and then for little.
        for piece in [&zeros[..], &zeros[..512]] {
            while std::io::Write::write_all(&mut file, piece).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("removed the file");
    }

    /// Makes an ext4 read-only, as an error of the disk does.
    fn break_down(&self) {
        let mut source = Command::new("findmnt");
        source.args(["-no", "SOURCE"]).arg(&self.0);
        let source = source.output().expect("started findmnt").stdout;
        let source = String::from_utf8(source).expect("a path");
        let name = source.trim().trim_start_matches("/dev/");
        let trigger = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        fs::write(trigger, "1").expect("the kernel takes it");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("started it");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}

/// Returns whether disks can be mounted.
fn can_mount(test: &str) -> bool {
    if !rig::is_root() {
        rig::report_not_run(test, "root, for disks of its own");
    }
    rig::is_root()
}

fn jobs(names: &[(&str, Work)]) -> Vec<Rc<SeenJob>> {
    let job = |&(name, work): &(&str, Work)| {
        let plan = JobPlan {
            loses_log: true,
            ..JobPlan::new(name, work)
        };
        Rc::new(SeenJob::new(plan))
    };
    names.iter().map(job).collect()
}

fn check(site: &Site, jobs: &[Rc<SeenJob>]) -> Result<(), String> {
    let (kills, of_workers) = site.take_kills();
    jobs.iter()
        .try_for_each(|job| job.check(site.folder(), kills, of_workers))
}

#[test]
fn a_scheduler_whose_disk_is_full_loses_no_job() {
    if !can_mount("a_scheduler_whose_disk_is_full_loses_no_job") {
        return;
    }
    let done = on_site(async |site| {
        let disk = Disk::in_memory(site.folder().join("state"), "16m");
        let before = jobs(&[("quick", Work::Quick), ("failing", Work::Failing)]);
        let during = jobs(&[("long", Work::Long), ("slow", Work::Slow)]);
        let after = jobs(&[("late", Work::Quick)]);
        let all = |jobs: &[Rc<SeenJob>]| {
            let jobs = jobs.to_vec();
            async move { try_join_all(jobs.iter().map(|job| live(&site.user, job, 0))).await }
        };
        let trouble = async {
            until(|| during.iter().all(|job| job.logs_length() > 0)).await;
            disk.fill();
            let late = all(&after);
            let relief = async {
                until(|| site.has_logged(Victim::Scheduler, "Cannot save jobs: ")).await;
                // One that is killed meanwhile starts again when there is room.
                tokio::time::sleep(Duration::from_secs(1)).await;
                disk.make_room();
            };
            join(late, relief).await.0
        };
        let work = async {
            all(&before).await?;
            let (done, late) = join(all(&during), trouble).await;
            done.and(late)
        };
        attended(site, work).await?;
        check(site, &[before, during, after].concat())
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_scheduler_whose_disk_becomes_read_only_loses_no_job() {
    if !can_mount("a_scheduler_whose_disk_becomes_read_only_loses_no_job") {
        return;
    }
    let done = on_site(async |site| {
        let file = site.folder().join("disk");
        fs::File::create(&file)
            .and_then(|file| file.set_len(64 << 20))
            .expect("made a file");
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&file));
        let state = site.folder().join("state");
        let disk = Disk::in_file(state.clone(), &file);
        let during = jobs(&[("long", Work::Long), ("slow", Work::Slow)]);
        let trouble = async {
            until(|| during.iter().all(|job| job.logs_length() > 0)).await;
            disk.break_down();
            until(|| site.has_logged(Victim::Scheduler, "Cannot save jobs: ")).await;
            // An operator repairs the disk, which cannot be done while it is used.
            site.kill(Victim::Scheduler, Duration::from_secs(3600));
            drop(disk);
            let disk = Disk::in_file(state, &file);
            site.kill(Victim::Scheduler, Duration::ZERO);
            disk
        };
        let lives = try_join_all(during.iter().map(|job| live(&site.user, job, 0)));
        let work = async {
            let (done, disk) = join(lives, trouble).await;
            done.map(|_| disk)
        };
        let _disk = attended(site, work).await?;
        check(site, &during)
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_jobs_of_a_worker_whose_disk_is_full_are_done() {
    if !can_mount("the_jobs_of_a_worker_whose_disk_is_full_are_done") {
        return;
    }
    let done = on_site(async |site| {
        let disk = Disk::in_memory(site.folder().join("w1"), "16m");
        // The jobs must be the first worker's.
        site.kill(Victim::Worker(1), Duration::from_secs(3600));
        let jobs = jobs(&[("long", Work::Long), ("slow", Work::Slow)]);
        let trouble = async {
            until(|| jobs.iter().all(|job| job.logs_length() > 0)).await;
            disk.fill();
            site.kill(Victim::Worker(1), Duration::ZERO);
        };
        let lives = try_join_all(jobs.iter().map(|job| live(&site.user, job, 0)));
        let work = async { join(lives, trouble).await.0 };
        attended(site, work).await?;
        check(site, &jobs)
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}
