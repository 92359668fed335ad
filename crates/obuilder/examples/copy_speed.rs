//! How long copies take: of 20,000 files that were never seen, of the same again, and of the same to a new place.
//!
//! `cargo run --release -p obuilder --example copy_speed -- DIR`, where DIR is on the disk to measure.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use obuilder::copy::{self, Digests, Request};
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = std::env::args_os().nth(1).ok_or("usage: copy_speed DIR")?;
    let dir = tempfile::tempdir_in(place)?;
    let source = dir.path().join("source");
    generate(&source)?;
    // Files that were changed a moment ago are read twice.
    std::thread::sleep(Duration::from_millis(300));
    let state = dir.path().join("state");
    let digests = Digests::new(&state);
    let request = Request {
        root: source,
        src: vec![".".into()],
        dst: "/src/".into(),
        exclude: vec![".git".into()],
    };
    for run in 0..5 {
        let started = Instant::now();
        let manifest = copy::read(&request, &digests, &CancellationToken::new())?;
        let read = started.elapsed();
        let rootfs = dir.path().join(format!("rootfs-{run}"));
        fs::create_dir(&rootfs)?;
        let started = Instant::now();
        copy::write(&manifest, &rootfs, &User::ROOT, &CancellationToken::new())?;
        let written = started.elapsed();
        println!(
            "{:5} files read for their digests, {read:9.3?}; written, {written:9.3?}",
            manifest.files_read()
        );
    }
    Ok(())
}

/// Makes 20,000 files of 1 to 20 kB, 20 in a directory.
fn generate(root: &Path) -> std::io::Result<()> {
    for directory in 0..1000_usize {
        let path = root.join(format!("part-{}/dir-{directory:04}", directory % 10));
        fs::create_dir_all(&path)?;
        for file in 0..20_usize {
            let number = directory * 20 + file;
            let content = format!("{number:08}\n").repeat(100 + number * 7 % 2000);
            fs::write(path.join(format!("file-{file:02}.txt")), content)?;
        }
    }
    Ok(())
}
