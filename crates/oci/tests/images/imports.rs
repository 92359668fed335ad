//! Images that are brought by hand.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use expect_test::expect;
use oci::Import;
use rig::{Layer, LayerFile, OciImage, OciLayout, architecture, tar};

use crate::support::{Archive, Machine, block_on, has, run};

const FILES: [LayerFile<'static>; 3] = [
    LayerFile::Directory("etc", 0o755),
    LayerFile::File("etc/hostname", 0o644, b"test\n"),
    LayerFile::Symlink("bin", "usr/bin"),
];

const NAMES: [&str; 3] = ["bin", "etc", "etc/hostname"];

fn image() -> OciImage {
    OciImage::new(vec![Layer::of(&FILES).unwrap()])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn pack(folder: &Path, file: &Path) {
    run(
        "tar",
        &[
            "-C",
            folder.to_str().unwrap(),
            "-cf",
            file.to_str().unwrap(),
            ".",
        ],
    )
    .unwrap();
}

/// Imports, fetches, and returns the kind that was found.
fn kind_of(machine: &Machine, path: &Path) -> String {
    let imported = machine
        .import("test", path)
        .unwrap_or_else(|error| panic!("{error}"));
    block_on(machine.fetch("test")).unwrap();
    assert_eq!(machine.names(), NAMES, "{path:?}");
    imported.kind
}

#[test]
fn every_kind_is_found_by_looking() {
    let tar = tar(&FILES).unwrap();
    for (name, contents) in [
        ("root.tar", tar.clone()),
        ("root.tar.gz", gzip(&tar)),
        ("root.tar.zst", zstd::encode_all(tar.as_slice(), 1).unwrap()),
    ] {
        let machine = Machine::new();
        let path = machine.write(name, contents);
        assert_eq!(kind_of(&machine, &path), "root filesystem archive");
    }
    let machine = Machine::new();
    std::fs::create_dir_all(machine.path("tree/etc")).unwrap();
    machine.write("tree/etc/hostname", "test\n");
    std::os::unix::fs::symlink("usr/bin", machine.path("tree/bin")).unwrap();
    assert_eq!(kind_of(&machine, &machine.path("tree")), "directory");

    let machine = Machine::new();
    OciLayout::write(&machine.path("layout"), "v1", &[image()]).unwrap();
    assert_eq!(kind_of(&machine, &machine.path("layout")), "OCI layout");

    let machine = Machine::new();
    OciLayout::write(&machine.path("layout"), "v1", &[image()]).unwrap();
    pack(&machine.path("layout"), &machine.path("layout.tar"));
    assert_eq!(kind_of(&machine, &machine.path("layout.tar")), "OCI layout");
}

/// An archive as `docker save` makes it, by another program that does.
fn saved(machine: &Machine, name: &str) -> PathBuf {
    let layout = OciLayout::write(&machine.path("layout"), "v1", &[image()]).unwrap();
    let file = machine.path("saved.tar");
    let to = format!("docker-archive:{}:{name}", file.display());
    run(
        "skopeo",
        &[
            "--insecure-policy",
            "copy",
            "--quiet",
            &layout.source(),
            &to,
        ],
    )
    .unwrap();
    file
}

#[test]
fn archives_of_docker_save_are_images() {
    if !has("what_docker_save_writes_is_an_image", &["skopeo"]) {
        return;
    }
    let machine = Machine::new();
    let file = saved(&machine, "anything:v1");
    assert_eq!(kind_of(&machine, &file), "docker save");
    let machine = Machine::new();
    let file = machine.write(
        "saved.tar.gz",
        gzip(&std::fs::read(saved(&machine, "x:y")).unwrap()),
    );
    assert_eq!(kind_of(&machine, &file), "docker save");
}

#[test]
fn a_saved_layer_that_was_changed_is_noticed() {
    if !has("a_saved_layer_that_was_changed_is_noticed", &["skopeo"]) {
        return;
    }
    let machine = Machine::new();
    let file = saved(&machine, "x:y");
    let mut bytes = std::fs::read(&file).unwrap();
    let place = bytes
        .windows(5)
        .position(|window| window == b"test\n")
        .unwrap();
    bytes[place] = b'T';
    std::fs::write(&file, bytes).unwrap();
    let error = machine.import("test", &file).unwrap_err().to_string();
    assert!(
        error.contains("a layer is damaged: its digest should be sha256:"),
        "{error}"
    );
    assert_eq!(machine.images().library().list().unwrap(), []);
}

#[test]
fn files_that_are_not_images_are_refused_with_a_remedy() {
    let machine = Machine::new();
    std::fs::create_dir(machine.path("empty")).unwrap();
    let mut cut_off = tar(&FILES).unwrap();
    cut_off.truncate(700 + 512);
    for (name, contents) in [
        ("text", b"hello\n".to_vec()),
        ("none", Vec::new()),
        ("root.tar.xz", b"\xfd7zXZ\0rest".to_vec()),
        ("cut-off.tar", cut_off),
        ("cut-off.tar.gz", gzip(&tar(&FILES).unwrap())[..60].to_vec()),
    ] {
        machine.write(name, contents);
    }
    let mut errors = String::new();
    for name in [
        "text",
        "none",
        "root.tar.xz",
        "cut-off.tar",
        "cut-off.tar.gz",
        "empty",
        "absent",
    ] {
        let error = machine
            .import("test", &machine.path(name))
            .unwrap_err()
            .to_string();
        errors += &error.replace(machine.folder.path().to_str().unwrap(), "");
        errors += "\n";
    }
    // In the place of a list that is too long for a line here.
    let kinds = "an OCI layout, an archive of `docker save`, an archive of a root filesystem or a directory";
    expect![[r#"
        cannot import /text: it is not an image: expected KINDS (it ends in the middle of a file)
        cannot import /none: the archive is empty
        cannot import /root.tar.xz: it is xz: decompress it with `xz -d` first
        cannot import /cut-off.tar: it ends in the middle of a file
        cannot import /cut-off.tar.gz: it is not an image: expected KINDS (incomplete deflate stream)
        cannot import /empty: the directory is empty
        cannot read /absent: No such file or directory (os error 2)
    "#]]
    .assert_eq(&errors.replace(kinds, "KINDS"));
    let error = machine
        .import("Not A Name", &machine.path("text"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("\"Not A Name\" is not the name of an image"),
        "{error}"
    );
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let machine = Machine::new();
    let other = image().for_architecture("m68k");
    OciLayout::write(&machine.path("one"), "v1", std::slice::from_ref(&other)).unwrap();
    let error = machine
        .import("test", &machine.path("one"))
        .unwrap_err()
        .to_string();
    let expected = format!(
        "it has no image for linux/{}, but for: linux/m68k",
        architecture()
    );
    assert!(error.ends_with(&expected), "{error}");

    OciLayout::write(
        &machine.path("two"),
        "v1",
        &[other.clone(), other.for_architecture("vax")],
    )
    .unwrap();
    let error = machine
        .import("test", &machine.path("two"))
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("but for: linux/m68k, linux/vax"), "{error}");
}

#[test]
fn of_several_platforms_ours_is_imported() {
    let machine = Machine::new();
    let other = OciImage::new(Vec::new()).for_architecture("m68k");
    OciLayout::write(&machine.path("layout"), "v1", &[other, image()]).unwrap();
    assert_eq!(kind_of(&machine, &machine.path("layout")), "OCI layout");
}

#[test]
fn an_imported_image_is_found_by_all_its_names() {
    let machine = Machine::new();
    let path = machine.write("root.tar", tar(&FILES).unwrap());
    machine.import("busybox", &path).unwrap();
    for name in ["busybox", "busybox:latest", "docker.io/library/busybox"] {
        let other = Machine {
            folder: tempfile::tempdir().unwrap(),
            ..Machine::new()
        };
        std::fs::create_dir(other.rootfs()).unwrap();
        let other = Machine {
            settings: machine.settings.clone(),
            ..other
        };
        block_on(other.fetch(name)).unwrap();
        assert_eq!(other.names(), NAMES);
    }
}

#[test]
fn a_name_with_a_digest_is_for_that_image_alone() {
    let machine = Machine::new();
    let path = machine.write("root.tar", tar(&FILES).unwrap());
    let digest = machine.import("busybox", &path).unwrap().digest;
    machine.import(&format!("busybox@{digest}"), &path).unwrap();
    let other = format!("busybox@sha256:{}", "0".repeat(64));
    let error = machine.import(&other, &path).unwrap_err().to_string();
    assert!(
        error.contains("which is not the one in the name"),
        "{error}"
    );
}

#[test]
fn images_come_are_listed_and_go() {
    let machine = Machine::new();
    let library = machine.images().library().clone();
    assert_eq!(library.list().unwrap(), []);
    assert!(!library.remove("one").unwrap());
    let blobs = machine.path("state/images/blobs/sha256");
    let count = || std::fs::read_dir(&blobs).unwrap().count();

    // Two names of one image share its files.
    let path = machine.write("root.tar", tar(&FILES).unwrap());
    machine.import("two:x", &path).unwrap();
    machine.import("one", &path).unwrap();
    assert_eq!(count(), 3);
    let listed = library.list().unwrap();
    let names: Vec<&str> = listed.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(
        names,
        ["docker.io/library/one:latest", "docker.io/library/two:x"]
    );
    assert_eq!(listed[0].source, path.display().to_string());
    assert_eq!(
        (listed[0].size, listed[0].when.as_str()),
        (3072, "2026-11-25 10:00:00")
    );

    // Another one under an old name.
    let other = machine.write("other.tar", Archive::default().file("etc/x", b"x").finish());
    machine.import("one", &other).unwrap();
    assert_eq!((library.list().unwrap().len(), count()), (2, 6));
    assert!(library.remove("two:x").unwrap());
    assert_eq!(count(), 3);
    assert!(library.remove("one").unwrap());
    assert_eq!((library.list().unwrap().len(), count()), (0, 0));
}

#[test]
fn the_next_import_removes_the_files_of_a_killed_one() {
    let machine = Machine::new();
    let path = machine.write("root.tar", tar(&FILES).unwrap());
    machine.import("one", &path).unwrap();
    let half = machine.write("state/images/incoming/.tmpXYZ", "half");
    let orphan = machine.write(
        &format!("state/images/blobs/sha256/{}", "0".repeat(64)),
        "x",
    );
    machine.import("two", &path).unwrap();
    assert!(!half.exists() && !orphan.exists());
    assert_eq!(machine.images().library().list().unwrap().len(), 2);
}

#[test]
fn an_imported_image_that_was_damaged_is_not_used() {
    let machine = Machine::new();
    let path = machine.write("root.tar", tar(&FILES).unwrap());
    machine.import("one", &path).unwrap();
    for entry in std::fs::read_dir(machine.path("state/images/blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(place) = bytes.windows(5).position(|window| window == b"test\n") {
            bytes[place] = b'T';
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let error = block_on(machine.fetch("one")).unwrap_err().to_string();
    assert!(
        error.contains("it is damaged: its digest should be"),
        "{error}"
    );
}

#[test]
fn other_programs_can_read_imported_images() {
    if !has("other_programs_can_read_what_was_imported", &["skopeo"]) {
        return;
    }
    let machine = Machine::new();
    let path = machine.write("root.tar.gz", gzip(&tar(&FILES).unwrap()));
    let imported = machine.images().library().import(&Import {
        name: "one",
        path: &path,
        platform: &oci::Platform::here(),
        when: String::new(),
    });
    let layout = machine.path("state/images");
    let image = format!("oci:{}:{}", layout.display(), imported.unwrap().name);
    let raw = run("skopeo", &["inspect", &image]);
    assert!(raw.unwrap().contains("\"Architecture\""));
}
