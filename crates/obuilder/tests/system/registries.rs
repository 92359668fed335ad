//! Builds on an image from a registry that asks for a password.

use std::fs;

use rig::{Layer, LayerFile, OciImage, OciLayout, Registry};

use crate::site::{Kind, Site, block_on, builtin, can_run};

/// Returns a busybox that says what it is for.
fn image(machine: &[u8]) -> OciImage {
    let file = LayerFile::File("machine", 0o644, machine);
    let upper = Layer::of(&[file]).unwrap();
    OciImage::new(vec![Layer::busybox().unwrap(), upper])
}

#[test]
fn an_image_from_a_registry_is_needed_once() {
    let name = "an_image_from_a_registry_is_needed_once";
    if !can_run(name) {
        return;
    }
    // One of its own, to be stopped.
    let registry = match Registry::start() {
        Ok(registry) => registry,
        Err(error) => return rig::report_not_run(name, &format!("{error:#}")),
    };
    block_on(story(Site::new(Kind::Overlayfs, builtin(), name), registry));
}

async fn story(site: Site, registry: Registry) {
    let images = [image(b"wrong").for_architecture("m68k"), image(b"ours\n")];
    let layout = OciLayout::write(&site.path("layout"), "v1", &images).unwrap();
    let image = layout.push(registry.access(), "pair:v1").unwrap();
    let spec = format!(
        r#"((from {image}) (shell /bin/sh -c) (run (shell "cat /machine; echo made > /made")))"#
    );
    let builder = site.open();
    let config = site.path("config.json");

    // A password that is wrong, and then put right.
    fs::write(&config, registry.access().docker_config_with("wrong")).unwrap();
    let (why, log) = site.refused(&builder, &spec).await;
    let refused = format!(
        "it refused the credentials from {}; log in again with `docker login",
        config.display()
    );
    assert!(why.contains(&refused), "{why}");
    assert_eq!(builder.count().unwrap(), 0);
    fs::write(&config, registry.access().docker_config()).unwrap();
    let (id, built) = site.built(&builder, &spec).await;
    assert!(built.output().ends_with("\nours\n"), "{}", built.text());
    for said in [why, log.text(), built.text()] {
        assert!(!said.contains(&registry.access().password), "{said}");
    }

    // Without the registry, and in another process's hands.
    drop(registry);
    site.close(builder);
    let builder = site.open();
    let (again, log) = site.built(&builder, &spec).await;
    assert_eq!(again, id);
    // Nothing is fetched, so nothing is said of that.
    assert_eq!(log.output(), "ours\n");
    assert!(!log.text().contains("saved as"), "{}", log.text());
    let more = spec.replace(")))", r#")) (run (shell "cat /machine /made")))"#);
    let (_, log) = site.built(&builder, &more).await;
    assert!(
        log.output().ends_with("ours\nours\nmade\n"),
        "{}",
        log.text()
    );
    // What is not in the store is missed.
    let other = spec.replace("pair:v1", "other:v1");
    let (why, _) = site.refused(&builder, &other).await;
    assert!(why.contains("refused"), "{why}");
}
