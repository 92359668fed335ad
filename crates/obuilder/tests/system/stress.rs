//! A hundred builds at random, ten at a time, and then all of it removed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use obuilder::StepId;
use obuilder::builder::{Builder, Stats};
use obuilder::store::CacheName;
use obuilder_spec::User;

use crate::site::{BASE, Kind, Site, builtin, names, runc};

crate::for_each_store! {
    a_hundred_random_builds
}

const BUILDS: usize = 100;
const AT_A_TIME: usize = 10;

/// What each of the four steps of a build adds to a file: one of three values.
type Choice = [u8; 4];

/// Returns a hundred choices, the same ones every time.
fn choices() -> Vec<Choice> {
    let mut state = 20_261_125_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 % 3
    };
    (0..BUILDS).map(|_| [(); 4].map(|()| next())).collect()
}

fn spec(choice: Choice) -> String {
    let step = |value| {
        format!(
            r#"(run (cache (shared (target /cache)))
                (shell "echo {value} >> /output; echo {value} >> /cache/used; cat /output"))"#
        )
    };
    let steps = choice.map(step).join("\n");
    format!("((from {BASE}) (shell /bin/sh -c) {steps})")
}

/// Returns what is in the file after the first `steps` of a build.
fn content(choice: Choice, steps: usize) -> String {
    let lines = choice.iter().take(steps);
    lines.map(|value| format!("{value}\n")).collect()
}

/// Returns what the steps of a build print, after what the import has to say.
fn printed(choice: Choice) -> String {
    (1..=4).map(|steps| content(choice, steps)).collect()
}

/// Builds all choices, and returns their results in the same order. `look` is called at every end of a build.
async fn build_all(
    site: &Site,
    builder: &Builder,
    choices: &[Choice],
    look: &dyn Fn(),
) -> Vec<StepId> {
    let builds = choices.iter().map(|&choice| async move {
        let (id, log) = site.built(builder, &spec(choice)).await;
        let output = log.output();
        assert!(output.ends_with(&printed(choice)), "{choice:?}: {output}");
        look();
        id
    });
    futures::stream::iter(builds)
        .buffered(AT_A_TIME)
        .collect()
        .await
}

async fn a_hundred_random_builds(kind: Kind, name: String) {
    // Each store meets one runtime; `runc`'s own time would be most of the test's.
    let runtime = match kind {
        Kind::Overlayfs | Kind::Btrfs => runc(),
        Kind::Xfs | Kind::RsyncCopy | Kind::RsyncHardlink => builtin(),
    };
    let site = Site::new(kind, runtime, &name);
    let builder = site.open_with_busybox();
    let choices = choices();

    // Built, each step once.
    let containers = RefCell::new(BTreeSet::new());
    let look = || containers.borrow_mut().extend(site.containers(&builder));
    let results = build_all(&site, &builder, &choices, &look).await;
    let steps: BTreeSet<&[u8]> = choices
        .iter()
        .flat_map(|choice| (1..=4).map(|steps| &choice[..steps]))
        .collect();
    let Stats { misses, .. } = builder.stats();
    assert_eq!(misses, 1 + steps.len() as u64);
    assert_eq!(builder.count().unwrap(), misses);
    site.assert_tidy(&builder);

    // Replayed, with what was printed and nothing run.
    let again = build_all(&site, &builder, &choices, &|| ()).await;
    assert_eq!(again, results);
    assert_eq!(builder.stats().misses, misses);
    for (choice, id) in choices.iter().zip(&results) {
        let view = builder.store().view(id).await.unwrap();
        let output = fs::read_to_string(view.rootfs().join("output")).unwrap();
        assert_eq!(output, content(*choice, 4));
    }
    shared_cache_is_whole(&builder).await;

    remove_everything(&site, &builder).await;
    site.close(builder);
    assert!(!containers.borrow().is_empty());
    for id in containers.take() {
        assert_eq!(cgroups(&id), Vec::<String>::new());
    }
}

/// Checks that what builds of the same time did to their copies of the cache was not mixed up.
async fn shared_cache_is_whole(builder: &Builder) {
    let cache = CacheName("shared".into());
    let store = builder.store();
    let copy = store.acquire_cache(&cache, &User::ROOT).await.unwrap();
    let used = fs::read_to_string(copy.path.join("used")).unwrap();
    store.release_cache(copy).await.unwrap();
    assert!(used.ends_with('\n'), "{used:?}");
    assert!(used.lines().all(|line| ["0", "1", "2"].contains(&line)));
}

/// Prunes until nothing is left, and looks whether that is so.
async fn remove_everything(site: &Site, builder: &Builder) {
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    let mut left = builder.count().unwrap();
    while left > 0 {
        let removed = builder.prune(later, 40, &mut |_| ()).await.unwrap() as u64;
        assert_eq!(removed, left.min(40));
        left -= removed;
        assert_eq!(builder.count().unwrap(), left);
    }
    assert_eq!(builder.entries().unwrap(), []);
    let store = builder.store();
    assert_eq!(store.results().unwrap(), []);
    for cache in store.caches().unwrap() {
        store.delete_cache(&cache).await.unwrap();
    }
    store.complete_deletes().await.unwrap();
    for dir in ["result", "cache", "trash"] {
        let left = names(&site.root.join(dir));
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
}

/// Returns the cgroups of a container.
fn cgroups(id: &str) -> Vec<String> {
    let found = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", id])
        .output();
    // It fails when others' have gone meanwhile.
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}
