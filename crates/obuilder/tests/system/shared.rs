//! Results that two workers share: what one has built, the other fetches, and nothing that is forged or damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use obuilder::StepId;
use obuilder::builder::Builder;
use obuilder::shared::{MissCause, SharedMode, SharedOptions, SharedStats, SigningKey};
use oci::fetch::RepositoryPlace;
use rig::Registry;

use crate::for_each_store;
use crate::log::Log;
use crate::site::{Kind, Site, block_on, builtin, can_run};

/// Steps that change a tree in all the ways that there are. Each result has a number that no other run would have.
const SPEC: &str = r#"((from base:test) (shell /bin/sh -c)
  (run (shell "cat /proc/sys/kernel/random/uuid | tee /first
    mkdir -p /a/b; echo x > /a/b/c; ln /a/b/c /a/hard; ln -s b /a/soft"))
  (copy (src file) (dst /copied))
  (run (shell "cat /proc/sys/kernel/random/uuid > /second
    rm -r /a/b; echo y >> /a/hard; chmod 4711 /first; mkfifo /pipe"))
  (run (shell "echo third; rm /a/soft; mkdir /a/soft
    touch -d 2001-02-03 /a/soft; chown 7:8 /pipe; rm /pipe; mkdir /pipe")))"#;

/// A worker with a store and a key of its own.
struct Worker {
    site: Site,
    builder: Builder,
    key: PathBuf,
}

impl Worker {
    /// Opens a worker that accepts the results of those whose keys are in `accepted`.
    fn open(site: Site, place: &str, accepted: &[&Self]) -> Self {
        let builder = site.open_with_busybox();
        Self::with(site, builder, place, accepted)
    }

    fn with(site: Site, builder: Builder, place: &str, accepted: &[&Self]) -> Self {
        fs::write(site.source().join("file"), "copied\n").unwrap();
        let state = builder.store().state_dir().to_owned();
        let key = SharedOptions::key_file(&state);
        let list = site.path("accepted");
        let keys = accepted.iter().map(|worker| {
            let key = SigningKey::open(&worker.key).unwrap().public();
            format!("{key} a worker\n")
        });
        fs::write(&list, keys.collect::<String>()).unwrap();
        let options = SharedOptions {
            place: RepositoryPlace::parse(place).unwrap(),
            mode: SharedMode::ReadWrite,
            accepted: Some(list),
            worker: "w1".to_owned(),
            max_age: None,
            with_secrets: false,
        };
        let shared = options.open(&state, site.env(), "".parse().unwrap());
        builder.share(shared.unwrap());
        Self { site, builder, key }
    }

    async fn build(&self, spec: &str) -> (StepId, Rc<Log>) {
        let built = self.site.built(&self.builder, spec).await;
        self.builder.all_shared().await;
        built
    }

    fn stats(&self) -> SharedStats {
        self.builder.shared_stats().unwrap()
    }

    fn missed(&self, cause: MissCause) -> u64 {
        let position = MissCause::ALL.iter().position(|known| *known == cause);
        self.stats().misses[position.unwrap()]
    }

    /// Returns the digest of all files of a result.
    async fn tree(&self, id: &StepId) -> oci::Digest {
        let view = self.builder.store().view(id).await.unwrap();
        oci::export::tree_digest(view.rootfs()).unwrap()
    }

    /// Returns a file of a result.
    async fn file(&self, id: &StepId, name: &str) -> String {
        let view = self.builder.store().view(id).await.unwrap();
        fs::read_to_string(view.rootfs().join(name)).unwrap()
    }

    fn close(self) {
        self.site.close(self.builder);
    }
}

for_each_store! {
    what_one_worker_has_built_another_fetches
}

async fn what_one_worker_has_built_another_fetches(kind: Kind, name: String) {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("dir:{}", folder.path().display());
    let first = Site::new(kind, builtin(), &format!("{name}-1"));
    let first = Worker::open(first, &place, &[]);
    let second = Site::new(kind, builtin(), &format!("{name}-2"));
    let second = Worker::open(second, &place, &[&first]);

    // The first one builds, and shares four results.
    let (id, log) = first.build(SPEC).await;
    assert_eq!((first.stats().shared, first.stats().hits), (4, 0));
    assert_eq!(first.missed(MissCause::Absent), 4);
    assert!(!log.text().contains("fetched"), "{}", log.text());

    // The second one has the same files, to the last attribute, and the same output.
    let (again, fetched) = second.build(SPEC).await;
    assert_eq!(again, id);
    let text = fetched.text();
    assert_eq!(second.stats().hits, 4, "{:?}: {text}", second.stats());
    assert_eq!(second.tree(&id).await, first.tree(&id).await);
    assert_eq!(of_steps(&fetched), of_steps(&log));
    let line = "---> fetched from the shared results: ";
    assert_eq!(text.matches(line).count(), 4, "{text}");
    assert!(text.contains("built on w1 in "), "{text}");
    assert_eq!(second.stats().shared, 0);

    // Later it is found in the store, with its log.
    let (_, kept) = second.build(SPEC).await;
    assert_eq!(kept.output(), of_steps(&log));
    assert_eq!(second.stats().hits, 4);
    first.close();
    second.close();
}

/// Returns the output of a build's steps, after that of the import of its base image.
fn of_steps(log: &Log) -> String {
    let output = log.output();
    let (_, steps) = output.split_once("Unpacked ").unwrap();
    steps.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn results_are_shared_in_a_registry_until_it_is_gone() {
    let name = "results_are_shared_in_a_registry_until_it_is_gone";
    if !can_run(name) {
        return;
    }
    let registry = match Registry::start() {
        Ok(registry) => registry,
        Err(error) => return rig::report_not_run(name, &format!("{error:#}")),
    };
    block_on(with_registry(name, registry));
}

async fn with_registry(name: &str, registry: Registry) {
    let place = format!("oci://{}", registry.access().image("team/results"));
    let workers = ["1", "2", "3"].map(|number| {
        let site = Site::new(Kind::Overlayfs, builtin(), &format!("{name}-{number}"));
        let config = registry.access().docker_config();
        fs::write(site.path("config.json"), config).unwrap();
        site
    });
    let [first, second, third] = workers;
    let first = Worker::open(first, &place, &[]);
    let second = Worker::open(second, &place, &[&first]);
    let third = Worker::open(third, &place, &[&first]);

    // A large layer goes up in parts.
    let spec = SPEC.replace(
        "echo third;",
        "head -c 20000000 /dev/urandom > /large; echo third;",
    );
    let (id, _) = first.build(&spec).await;
    assert_eq!(first.stats().shared, 4, "{:?}", first.stats());
    assert!(first.stats().sent > 20_000_000, "{:?}", first.stats());
    let (again, _) = second.build(&spec).await;
    assert_eq!(second.stats().hits, 4, "{:?}", second.stats());
    assert_eq!(second.tree(&again).await, first.tree(&id).await);

    // A step that only the second one needs is based on what it has fetched, and uploads only what it adds.
    let longer = format!(
        "{} (run (shell \"echo fourth > /fourth\")))",
        spec.trim_end().strip_suffix(')').unwrap()
    );
    second.build(&longer).await;
    assert_eq!(second.stats().shared, 1, "{:?}", second.stats());
    assert!(second.stats().sent < 100_000, "{:?}", second.stats());

    // Without the registry builds go on, and nothing is left over.
    drop(registry);
    let (built, _) = third.build(&spec).await;
    assert_ne!(
        third.file(&built, "second").await,
        first.file(&id, "second").await
    );
    assert_eq!(
        third.missed(MissCause::Unavailable),
        4,
        "{:?}",
        third.stats()
    );
    assert_eq!(third.stats().shared, 0);
    for worker in [first, second, third] {
        worker.close();
    }
}

/// Changes what is in a directory of shared results.
type Damage = fn(&Path);

/// Calls a function with each file of a directory, and writes what it returns.
fn change(directory: &Path, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match change(fs::read(&path).unwrap()) {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
}

/// The beginning of all that zstd has compressed.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

fn is_layer(bytes: &[u8]) -> bool {
    bytes.starts_with(ZSTD)
}

fn is_records(bytes: &[u8]) -> bool {
    bytes.starts_with(b"[{\"record\"")
}

/// Puts other records under all tags, with digests that fit: as a user who may write to a registry can.
fn replace_records(root: &Path, forge: impl Fn(&str) -> String) {
    let blobs = root.join("blobs/sha256");
    for entry in fs::read_dir(root.join("tags")).unwrap() {
        let path = entry.unwrap().path();
        let manifest = fs::read(&path).unwrap();
        let artifact = oci::fetch::Artifact::parse(&manifest).unwrap();
        let old = artifact.document.digest;
        let records = fs::read_to_string(blobs.join(old.hex())).unwrap();
        let records = forge(&records);
        let digest = oci::Digest::of(records.as_bytes());
        fs::write(blobs.join(digest.hex()), &records).unwrap();
        let document = oci::fetch::ArtifactBlob {
            digest,
            size: records.len() as u64,
            ..artifact.document
        };
        let artifact = oci::fetch::Artifact {
            document,
            ..artifact
        };
        fs::write(&path, artifact.manifest()).unwrap();
    }
}

/// Returns all ways to damage or forge what is shared, and the cause under which each is counted.
fn damages() -> [(&'static str, MissCause, Damage); 9] {
    [
        ("layer-changed", MissCause::Invalid, |root| {
            change(&root.join("blobs/sha256"), |mut bytes| {
                if is_layer(&bytes) {
                    *bytes.last_mut().unwrap() ^= 1;
                }
                Some(bytes)
            });
        }),
        ("layer-cut-off", MissCause::Invalid, |root| {
            change(&root.join("blobs/sha256"), |mut bytes| {
                if is_layer(&bytes) {
                    bytes.pop();
                }
                Some(bytes)
            });
        }),
        ("layer-longer", MissCause::Invalid, |root| {
            change(&root.join("blobs/sha256"), |mut bytes| {
                if is_layer(&bytes) {
                    bytes.push(0);
                }
                Some(bytes)
            });
        }),
        ("layer-gone", MissCause::Invalid, |root| {
            change(&root.join("blobs/sha256"), |bytes| {
                Some(bytes).filter(|bytes| !is_layer(bytes))
            });
        }),
        ("log-changed", MissCause::Invalid, |root| {
            change(&root.join("blobs/sha256"), |bytes| {
                let is_log = !is_layer(&bytes) && !is_records(&bytes);
                Some(if is_log { b"forged\n".to_vec() } else { bytes })
            });
        }),
        ("manifest-cut-off", MissCause::Invalid, |root| {
            change(&root.join("tags"), |mut bytes| {
                bytes.pop();
                Some(bytes)
            });
        }),
        ("records-changed", MissCause::Unsigned, |root| {
            replace_records(root, |records| records.replace("w1", "w2"));
        }),
        ("records-unsigned", MissCause::Unsigned, |root| {
            replace_records(root, |records| records.replace("ed25519:", ""));
        }),
        ("signature-changed", MissCause::Unsigned, |root| {
            replace_records(root, |records| {
                records.replace("\"signature\":\"", "\"signature\":\"AA")
            });
        }),
    ]
}

#[test]
fn a_result_that_is_damaged_or_forged_is_built_instead() {
    let name = "a_result_that_is_damaged_or_forged_is_built_instead";
    if can_run(name) {
        block_on(damaged_and_forged(name));
    }
}

async fn damaged_and_forged(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("dir:{}", folder.path().display());
    let site = |number: &str| Site::new(Kind::Overlayfs, builtin(), &format!("{name}-{number}"));
    let first = Worker::open(site("0"), &place, &[]);
    let (id, _) = first.build(SPEC).await;
    let theirs = first.file(&id, "second").await;

    let whole = fs_copy(folder.path());
    for (what, cause, damage) in damages() {
        damage(folder.path());
        let worker = Worker::open(site(what), &place, &[&first]);
        let (again, log) = worker.build(SPEC).await;
        assert_eq!(again, id, "{what}");
        // Steps without output have no log to be forged.
        let found = worker.missed(cause);
        assert!(found > 0, "{what}: {:?}", worker.stats());
        assert!(!log.output().contains("forged"), "{what}: {}", log.text());
        if what != "log-changed" {
            let ours = worker.file(&again, "second").await;
            assert_ne!(ours, theirs, "{what}: {:?}", worker.stats());
            assert_eq!(worker.stats().hits, 0, "{what}");
        }
        worker.close();
        restore(folder.path(), whole.path());
    }

    // Signed by a worker that this one does not know.
    let worker = Worker::open(site("foreign"), &place, &[]);
    let (again, _) = worker.build(SPEC).await;
    assert_ne!(worker.file(&again, "second").await, theirs);
    assert_eq!(
        worker.missed(MissCause::Unsigned),
        4,
        "{:?}",
        worker.stats()
    );
    worker.close();
    restore(folder.path(), whole.path());

    // All as it was: it is fetched.
    let worker = Worker::open(site("whole"), &place, &[&first]);
    let (again, _) = worker.build(SPEC).await;
    assert_eq!(worker.file(&again, "second").await, theirs);
    worker.close();
    first.close();
}

/// Returns a copy of a directory of shared results.
fn fs_copy(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    restore(copy.path(), from);
    copy
}

/// Makes a directory of shared results the same as another.
fn restore(to: &Path, from: &Path) {
    for part in ["tags", "blobs/sha256"] {
        drop(fs::remove_dir_all(to.join(part)));
        fs::create_dir_all(to.join(part)).unwrap();
        for entry in fs::read_dir(from.join(part)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn what_was_built_on_other_files_is_not_mixed_with_them() {
    let name = "what_was_built_on_other_files_is_not_mixed_with_them";
    if can_run(name) {
        block_on(other_bases(name));
    }
}

async fn other_bases(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("dir:{}", folder.path().display());
    let site = |number: &str| Site::new(Kind::Overlayfs, builtin(), &format!("{name}-{number}"));
    let first = Worker::open(site("1"), &place, &[]);
    let (id, _) = first.build(SPEC).await;
    let tree = first.tree(&id).await;

    // The second one has run the first step itself, before it shared. What follows in the shared results was made after
    // another first step, whose changes therefore come with it.
    let second = site("2");
    fs::write(second.source().join("file"), "copied\n").unwrap();
    let builder = second.open_with_busybox();
    let (begin, _) = SPEC.split_once("(copy").unwrap();
    let (own, _) = second.built(&builder, &format!("{begin})")).await;
    let second = Worker::with(second, builder, &place, &[&first]);
    assert_ne!(
        second.file(&own, "first").await,
        first.file(&id, "first").await
    );
    let (again, _) = second.build(SPEC).await;
    assert_eq!(second.stats().hits, 3, "{:?}", second.stats());
    assert_eq!(second.tree(&again).await, tree);

    // The third one has another image under the name.
    let third = site("3");
    let builder = third.open();
    let file = rig::LayerFile::File("other", 0o644, b"other\n");
    let layers = vec![
        rig::Layer::busybox().unwrap(),
        rig::Layer::of(&[file]).unwrap(),
    ];
    third.import(&builder, crate::site::BASE, rig::OciImage::new(layers));
    let third = Worker::with(third, builder, &place, &[&first]);
    let (built, _) = third.build(SPEC).await;
    assert_eq!(third.stats().hits, 0);
    assert_eq!(third.file(&built, "other").await, "other\n");
    assert!(
        third.missed(MissCause::OtherBase) > 0,
        "{:?}",
        third.stats()
    );
    for worker in [first, second, third] {
        worker.close();
    }
}

#[test]
fn the_result_of_a_step_with_secrets_stays_here() {
    let name = "the_result_of_a_step_with_secrets_stays_here";
    if can_run(name) {
        block_on(secrets(name));
    }
}

async fn secrets(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("dir:{}", folder.path().display());
    let worker = Site::new(Kind::Overlayfs, builtin(), name);
    let worker = Worker::open(worker, &place, &[]);
    let spec = crate::site::parse(
        r#"((from base:test) (shell /bin/sh -c)
            (run (shell "echo before > /before"))
            (run (secrets (token (target /run/token))) (shell "cp /run/token /leaked"))
            (run (shell "echo after > /after")))"#,
    );
    let (mut context, _) = worker.site.context();
    context.secrets = vec![("token".into(), b"hush-hush".to_vec())];
    worker.builder.build(&context, &spec).await.unwrap();
    worker.builder.all_shared().await;
    // What comes after it has its files.
    assert_eq!(worker.stats().shared, 1, "{:?}", worker.stats());
    assert_eq!(worker.stats().not_shared, 0);
    // Its id is a digest of the secret, and that of the last step of this id: they are not even looked up.
    assert_eq!(worker.stats().misses.iter().sum::<u64>(), 1);
    assert_eq!(fs::read_dir(folder.path().join("tags")).unwrap().count(), 1);
    worker.close();
}
