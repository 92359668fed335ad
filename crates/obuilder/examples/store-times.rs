//! Measures how long a store takes for its part of each step, to find changes that make it slow.
//!
//! `cargo run --release -p obuilder --example store-times -- overlayfs:/path [MODE]`, in a directory on a disk of the
//! right kind. It makes a base of 1000 files, and 200 empty steps on it.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use obuilder::StepId;
use obuilder::store::{CacheName, StoreSpec, open};
use obuilder_spec::User;

const STEPS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let place = args.first().ok_or("usage: store-times KIND:PATH [MODE]")?;
    let mode = args.get(1).map(|mode| mode.parse()).transpose()?;
    let spec = StoreSpec::new(Some(place.parse()?), mode)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, measure(&spec))
}

async fn measure(spec: &StoreSpec) -> Result<(), Box<dyn Error>> {
    let store = open(spec)?;
    let draft = store.begin(&StepId::of(b"base"), None).await?;
    for number in 0..1000 {
        let dir = draft.rootfs.join((number % 30).to_string());
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(number.to_string()), [b'x'; 4096])?;
    }
    store.publish(draft).await?;
    let mut base = StepId::of(b"base");
    let [mut begin, mut publish, mut cache] = [const { Vec::new() }; 3];
    for number in 0..STEPS {
        let id = StepId::of(&number.to_le_bytes());
        let (draft, took) = timed(store.begin(&id, Some(&base))).await;
        begin.push(took);
        let draft = draft?;
        fs::write(draft.dir.join("log"), "nothing\n")?;
        let (done, took) = timed(store.publish(draft)).await;
        publish.push(took);
        done?;
        base = id;
    }
    let name = CacheName("c".into());
    for number in 0..STEPS {
        let (done, took) = timed(async {
            let copy = store.acquire_cache(&name, &User::ROOT).await?;
            fs::write(copy.path.join("file"), number.to_string()).ok();
            store.release_cache(copy).await
        })
        .await;
        cache.push(took);
        done?;
    }
    drop(store);
    let mut opens = Vec::new();
    for _ in 0..STEPS {
        let start = Instant::now();
        let store = open(spec)?;
        for number in 0..30_usize {
            store.result(&StepId::of(&number.to_le_bytes()))?;
        }
        opens.push(start.elapsed());
    }
    for (what, mut times) in [
        ("begin", begin),
        ("publish", publish),
        ("cache, taken and given back", cache),
        ("open, and 30 results looked up", opens),
    ] {
        times.sort();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied();
        println!(
            "{what:32} median {:?}, 90% {:?}",
            at(50).unwrap_or_default(),
            at(90).unwrap_or_default()
        );
    }
    Ok(())
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let done = work.await;
    (done, start.elapsed())
}
