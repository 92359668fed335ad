//! Images from registries: a real one that asks for a password, and some that misbehave.

use std::sync::atomic::Ordering;

use oci::fetch::FetchError;
use rig::{Layer, LayerFile, OciImage, OciLayout, Registry, architecture, report_not_run};

use crate::fake_registry::{FakeRegistry, Mischief, Then};
use crate::support::{Machine, block_on, has};

fn image(contents: &[u8]) -> OciImage {
    let lower = Layer::of(&[LayerFile::File("lower", 0o644, b"lower")]).unwrap();
    let upper = Layer::of(&[LayerFile::File("upper", 0o644, contents)]).unwrap();
    OciImage {
        user: "opam".to_owned(),
        ..OciImage::new(vec![lower, upper])
    }
}

/// A registry of the test's own, so that it can be stopped.
fn registry(test: &str) -> Option<Registry> {
    if !has(test, &["skopeo", "docker-registry", "htpasswd"]) {
        return None;
    }
    Registry::start()
        .map_err(|error| report_not_run(test, &format!("{error:#}")))
        .ok()
}

/// Returns what was reported, without what differs from run to run, or with the program that compresses layers.
fn reported(text: &str, machine: &Machine, registry: &Registry) -> String {
    let folder = machine.folder.path().to_str().unwrap();
    let text = text
        .replace(&registry.access().address, "REGISTRY")
        .replace(folder, "FOLDER");
    let text = text.replace(architecture(), "ARCHITECTURE");
    let words = text
        .split_inclusive([' ', '\n'])
        .map(|word| match word.split_once("sha256:") {
            Some((_, digest)) => word.replace(digest.trim_end_matches([':', ' ', '\n']), "DIGEST"),
            None if word.trim().parse::<u64>().is_ok_and(|number| number > 9) => "N ".to_owned(),
            None => word.to_owned(),
        });
    words.collect()
}

/// Returns a log with the lines about layers in order: they arrive in any.
fn layers_in_order(text: &str) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_layer = |line: &&str| line.starts_with("layer ");
    if let Some(first) = lines.iter().position(is_layer) {
        let count = lines.iter().filter(|line| is_layer(line)).count();
        lines[first..first + count].sort_unstable();
    }
    lines.concat()
}

#[test]
fn an_image_for_two_machines_behind_a_password() {
    let Some(registry) = registry("an_image_for_two_machines_behind_a_password") else {
        return;
    };
    let machine = Machine::new();
    let images = [
        image(b"wrong machine").for_architecture("m68k"),
        image(b"ours"),
    ];
    let layout = OciLayout::write(&machine.path("layout"), "v1", &images).unwrap();
    let name = layout.push(registry.access(), "pair:v1").unwrap();
    machine.write("config.json", registry.access().docker_config());
    let fetched = block_on(machine.fetch(&name)).unwrap();
    assert_eq!(
        std::fs::read(machine.rootfs().join("upper")).unwrap(),
        b"ours"
    );
    assert_eq!(fetched.env, [("PATH".into(), "/bin:/usr/bin".into())]);
    expect_test::expect![[r#"
        Fetching REGISTRY/pair:v1 from the registry REGISTRY
        Image sha256:DIGEST: 2 layers, N bytes to download
        Of the image's settings, only the environment is used: its user "opam" must be set in the spec
        layer 1/2 sha256:DIGEST: N bytes, downloaded
        layer 2/2 sha256:DIGEST: N bytes, downloaded
        Unpacked 2 files, 4.1 kB
    "#]].assert_eq(&layers_in_order(&reported(&machine.log.text(), &machine, &registry)));

    // By digest, which is verified.
    let index = std::fs::read_to_string(layout.folder().join("index.json")).unwrap();
    let (_, digest) = index.split_once("sha256:").unwrap();
    let by_digest = format!("{}@sha256:{}", name.trim_end_matches(":v1"), &digest[..64]);
    block_on(machine.fetch(&by_digest)).unwrap();
}

#[test]
fn errors_of_a_registry_name_a_remedy() {
    let Some(registry) = registry("errors_of_a_registry_name_a_remedy") else {
        return;
    };
    let machine = Machine::new();
    let others = [
        image(b"").for_architecture("m68k"),
        image(b"").for_architecture("vax"),
    ];
    let layout = OciLayout::write(&machine.path("layout"), "v1", &others).unwrap();
    let name = layout.push(registry.access(), "others").unwrap();
    let mut all = String::new();
    let mut note = |machine: &Machine, name: &str| {
        let error = block_on(machine.fetch(name)).unwrap_err();
        // A line for each source is easier to read.
        all += &reported(&format!("{error}\n"), machine, &registry).replace("; ", ";\n  ");
        assert!(!error.to_string().contains(&registry.access().password));
        assert!(!machine.log.text().contains(&registry.access().password));
    };
    // No credentials; wrong ones; right ones, but no such image, and none for this machine.
    note(&machine, &name);
    machine.write("config.json", registry.access().docker_config_with("wrong"));
    note(&machine, &name);
    machine.write("config.json", registry.access().docker_config());
    note(&machine, &registry.access().image("nothing:v1"));
    note(&machine, &name);
    expect_test::expect![[r#"
        cannot get the image "REGISTRY/others": it was not imported;
          the registry REGISTRY: it requires authentication, or has no such image;
          to log in, run `docker login REGISTRY`, as FOLDER/config.json has no credentials for it;
          no `docker` program is installed;
          to use a file instead, run `obuilder image import REGISTRY/others FILE`
        cannot get the image "REGISTRY/others": it was not imported;
          the registry REGISTRY: it refused the credentials from FOLDER/config.json;
          log in again with `docker login REGISTRY`;
          no `docker` program is installed;
          to use a file instead, run `obuilder image import REGISTRY/others FILE`
        cannot get the image "REGISTRY/nothing:v1": it was not imported;
          the registry REGISTRY: it has no such image;
          no `docker` program is installed;
          to use a file instead, run `obuilder image import REGISTRY/nothing:v1 FILE`
        cannot get the image "REGISTRY/others": it was not imported;
          the registry REGISTRY: it has no image for linux/ARCHITECTURE, but for: linux/m68k, linux/vax;
          no `docker` program is installed;
          to use a file instead, run `obuilder image import REGISTRY/others FILE`
    "#]].assert_eq(&all);

    // The registry has stopped.
    let address = registry.access().address.clone();
    drop(registry);
    let error = block_on(machine.fetch(&name)).unwrap_err().to_string();
    assert!(
        error.contains(&format!("the registry {address}: ")),
        "{error}"
    );
    assert!(error.contains("refused"), "{error}");
}

fn from_fake(mischief: Mischief) -> (Machine, Result<(), FetchError>, usize) {
    let machine = Machine::new();
    let fake = FakeRegistry::start(machine.folder.path(), &[image(&noise(300_000))], mischief);
    let fetched = block_on(machine.fetch(&fake.image)).map(drop);
    let asked = fake.asked.load(Ordering::SeqCst);
    (machine, fetched, asked)
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn an_interrupted_download_is_resumed() {
    // Of the large layer, every answer breaks after 100 000 bytes.
    let (machine, fetched, asked) = from_fake(|body, _| match body.len() > 100_000 {
        true => Then::Cut(100_000),
        false => Then::Done,
    });
    fetched.unwrap();
    assert!(std::fs::read(machine.rootfs().join("upper")).unwrap() == noise(300_000));
    // The config, the small layer, and four pieces of the large one.
    assert_eq!(asked, 6);
}

#[test]
fn a_registry_in_trouble_is_asked_again() {
    let (machine, fetched, _) = from_fake(|_, asked| match asked {
        0 | 2 => Then::Refuse(503),
        _ => Then::Done,
    });
    fetched.unwrap();
    assert_eq!(machine.names(), ["lower", "upper"]);
}

#[test]
fn content_with_a_wrong_digest_never_reaches_the_root_filesystem() {
    let (machine, fetched, _) = from_fake(|body, _| {
        if body.len() > 100_000 {
            body[50_000] ^= 1;
        }
        Then::Done
    });
    let error = fetched.unwrap_err().to_string();
    assert!(error.contains("has the digest sha256:"), "{error}");
    assert!(!machine.rootfs().join("upper").exists());
}

#[test]
fn more_than_the_manifest_says_is_not_taken() {
    let (_, fetched, _) = from_fake(|body, asked| {
        if asked > 0 {
            body.push(0);
        }
        Then::Done
    });
    let error = fetched.unwrap_err().to_string();
    assert!(error.contains("the registry sent more than the"), "{error}");
}

#[test]
fn a_fetch_is_cancelled_in_the_middle_of_a_download() {
    let machine = Machine::new();
    let mischief: Mischief = |body, _| {
        if body.len() > 100_000 {
            Then::Hang
        } else {
            Then::Done
        }
    };
    let fake = FakeRegistry::start(machine.folder.path(), &[image(&noise(300_000))], mischief);
    let cancelled_when_it_hangs = async {
        while fake.asked.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        machine.cancel.cancel();
        std::future::pending::<()>().await;
    };
    let fetched = block_on(async {
        tokio::select! {
            fetched = machine.fetch(&fake.image) => fetched,
            () = cancelled_when_it_hangs => unreachable!("it waits for ever"),
        }
    });
    assert!(matches!(fetched, Err(FetchError::Cancelled)), "{fetched:?}");
}

#[test]
fn an_image_with_too_much_in_it_is_not_downloaded() {
    let mut machine = Machine::new();
    let fake = FakeRegistry::start(machine.folder.path(), &[image(b"")], |_, _| Then::Done);
    machine.settings.limits.layers = 1;
    let error = block_on(machine.fetch(&fake.image))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the image has too many layers: 2, and the limit is 1"),
        "{error}"
    );
    machine.settings.limits.layers = 2;
    machine.settings.limits.stored = 10;
    let error = block_on(machine.fetch(&fake.image))
        .unwrap_err()
        .to_string();
    assert!(error.contains(", and the limit is 10 bytes"), "{error}");
    assert_eq!(fake.asked.load(Ordering::SeqCst), 0);
}
