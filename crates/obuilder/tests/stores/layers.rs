//! Long chains of steps, of which an overlay makes fewer layers.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::ground::{Ground, Kind, begin, id, step};
use crate::listing::listing;
use crate::results::{shown, zoo};

pub(crate) async fn a_long_chain_of_steps(ground: Ground) {
    let store = ground.open();
    let steps = if ground.kind.copies() { 30 } else { 620 };
    step(&store, "0", None, |root| {
        zoo(root);
        fs::create_dir(root.join("numbers")).unwrap();
    })
    .await;
    // Each step writes one file, and removes one of ten steps ago.
    for n in 1..=steps {
        step(&store, &n.to_string(), Some(&(n - 1).to_string()), |root| {
            let number = |n: u64| root.join(format!("numbers/{n}"));
            fs::write(number(n), n.to_string()).unwrap();
            if let Some(old) = n.checked_sub(10).filter(|old| *old > 0) {
                fs::remove_file(number(old)).unwrap();
            }
        })
        .await;
    }
    for last in [steps, steps - 1, steps / 2] {
        let view = store.view(&id(&last.to_string())).await.unwrap();
        let mut names: Vec<u64> = fs::read_dir(view.rootfs().join("numbers"))
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        names.sort_unstable();
        assert_eq!(names, (last - 9..=last).collect::<Vec<_>>());
    }
    let rest = |text: String| {
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.contains("numbers"))
            .map(str::to_owned)
            .collect();
        lines
    };
    // The top directory's time too, which no step has changed.
    assert_eq!(
        rest(shown(&store, &steps.to_string()).await),
        rest(shown(&store, "1").await)
    );
    // The newest can be deleted without harm to those before it.
    store.delete(&id(&steps.to_string())).await.unwrap();
    store.complete_deletes().await.unwrap();
    let before = (steps - 1).to_string();
    let draft = begin(&store, "other", Some(&before)).await;
    assert!(draft.rootfs.join(format!("numbers/{before}")).exists());
    store.discard(draft).await.unwrap();
}

pub(crate) async fn random_steps(ground: Ground) {
    let store = ground.open();
    let steps = if ground.kind.copies() { 20 } else { 200 };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    // What each step's root looked like when it ended, to the nanosecond.
    let mut ends = BTreeMap::new();
    for n in 0..steps {
        let name = n.to_string();
        let base = (n > 0).then(|| (n - 1).to_string());
        let mut end = String::new();
        step(&store, &name, base.as_deref(), |root| {
            // The image has some of everything.
            for _ in 0..if n == 0 { 1000 } else { 8 } {
                random.change(root);
            }
            end = listing(root);
        })
        .await;
        ends.insert(n, end);
        if n == 150 && ground.kind == Kind::Overlayfs {
            let squashed = |name| ground.root.join(format!("result/{}/squashed", id(name)));
            assert!(squashed("63").exists(), "layers were never made one");
        }
        if n % 16 == 0 || n + 1 == steps {
            for (n, end) in ends.iter().rev().take(3) {
                assert_eq!(&shown(&store, &n.to_string()).await, end, "step {n}");
            }
        }
    }
    // A step on any of them starts from what that ended with.
    for (n, end) in ends.iter().step_by(7) {
        let draft = begin(&store, "again", Some(&n.to_string())).await;
        assert_eq!(&listing(&draft.rootfs), end, "on step {n}");
        store.discard(draft).await.unwrap();
    }
}

/// A few changes to a small tree, in which the same names come up again and again as different things.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn path(&mut self, root: &Path) -> PathBuf {
        let depth = 1 + self.below(4);
        let mut path = root.to_owned();
        for _ in 0..depth {
            path.push(["a", "b", "c"][self.below(3) as usize]);
        }
        path
    }

    fn change(&mut self, root: &Path) {
        let path = self.path(root);
        let parent = path.parent().unwrap();
        if !parent.is_dir() {
            // Something else is in the way; next time it may not be.
            return;
        }
        let kind = fs::symlink_metadata(&path)
            .ok()
            .map(|metadata| metadata.file_type());
        match (self.below(8), kind) {
            (0 | 1, Some(kind)) if kind.is_dir() => fs::remove_dir_all(&path).unwrap(),
            (0 | 1, Some(_)) => fs::remove_file(&path).unwrap(),
            (2, Some(kind)) if kind.is_dir() => {
                fs::remove_dir_all(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
            (3, Some(kind)) if !kind.is_symlink() => {
                let mode = 0o700 | self.below(0o100) as u32;
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            }
            (4, Some(kind)) if kind.is_file() => {
                let seconds = Duration::from_secs(self.below(1_000_000_000));
                let file = File::options().append(true).open(&path).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH + seconds).unwrap();
            }
            (5, Some(kind)) if kind.is_file() => {
                fs::write(&path, self.below(1000).to_string()).unwrap();
            }
            (6, None) => symlink("somewhere", &path).unwrap(),
            (7, None) => fs::write(&path, self.below(1000).to_string()).unwrap(),
            (_, None) => fs::create_dir(&path).unwrap(),
            _ => {}
        }
    }
}
