//! What layers make of each other, with `umoci` as the judge.

use rig::{Layer, OciImage, OciLayout};

use crate::support::{Archive, Machine, block_on, has, run, tree};

/// A lower layer with something of every kind.
fn lower() -> Archive {
    Archive::default()
        .directory("etc")
        .file("etc/passwd", b"root:x:0:0::/:/bin/sh\n")
        .directory("usr/")
        .directory("usr/lib")
        .file("usr/lib/a", b"a")
        .file("usr/lib/b", b"b")
        .symlink("lib", "usr/lib")
        .symlink("dangling", "/not/there")
        .directory("old")
        .directory("old/inner")
        .file("old/inner/file", b"old")
        .file("old/file", b"old")
        .file("gone", b"gone")
        .hard_link("usr/lib/again", "usr/lib/a")
        .entry(tar::EntryType::Fifo, "fifo", "", b"")
        .directory("becomes-file")
        .file("becomes-file/x", b"x")
        .file("becomes-directory", b"x")
}

fn upper() -> Archive {
    Archive::default()
        .file("lib/c", b"through a link")
        .file(".wh.gone", b"")
        .file(".wh.never-there", b"")
        .directory("old")
        .file("old/.wh..wh..opq", b"")
        .file("old/new", b"new")
        .file("usr/lib/b", b"replaced")
        .hard_link("usr/lib/third", "usr/lib/a")
        .file("becomes-file", b"file")
        .directory("becomes-directory")
        .file("becomes-directory/y", b"y")
}

#[test]
fn an_upper_layer_replaces_hides_and_adds() {
    let machine = Machine::new();
    machine
        .unpack(&[&lower().finish(), &upper().finish()])
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(machine.rootfs().join(name)).unwrap();
    assert_eq!(read("usr/lib/c"), "through a link");
    assert_eq!(read("usr/lib/b"), "replaced");
    assert_eq!(read("becomes-file"), "file");
    let names = machine.names();
    let there = |name: &str| names.iter().any(|there| there == name);
    assert!(
        !there("gone") && !there("old/file") && !there("old/inner"),
        "{names:?}"
    );
    assert!(there("old/new") && there("becomes-directory/y") && there("usr/lib/third"));
}

#[test]
fn an_opaque_directory_hides_nothing_of_its_own_layer_in_any_order() {
    let machine = Machine::new();
    let lower = Archive::default()
        .directory("d")
        .directory("d/e")
        .file("d/e/low", b"")
        .file("d/low", b"");
    let upper = Archive::default()
        .file("d/high", b"")
        .file("d/e/high", b"")
        .file("d/.wh..wh..opq", b"")
        .file("d/late", b"");
    machine.unpack(&[&lower.finish(), &upper.finish()]).unwrap();
    assert_eq!(
        machine.names(),
        ["d", "d/e", "d/e/high", "d/high", "d/late"]
    );
}

#[test]
fn a_file_that_replaces_another_leaves_its_other_names_alone() {
    let machine = Machine::new();
    let lower = Archive::default()
        .file("one", b"old")
        .hard_link("two", "one");
    let upper = Archive::default().file("one", b"new");
    machine.unpack(&[&lower.finish(), &upper.finish()]).unwrap();
    assert_eq!(std::fs::read(machine.rootfs().join("two")).unwrap(), b"old");
}

#[test]
fn modes_owners_times_and_attributes_are_kept() {
    let machine = Machine::new();
    // What `setcap cap_net_raw+ep` writes; there is a line feed in the other one.
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let mut layer = Archive::default()
        .directory("bin")
        .record("SCHILY.xattr.security.capability", &capability)
        .file("bin/ping", b"ping")
        .record("SCHILY.xattr.user.lines", b"a\nb\n")
        .record("mtime", b"12.25")
        .file("bin/other", b"")
        .record("uid", b"3000000")
        .file("bin/many", b"")
        .finish();
    set_mode(&mut layer, "bin/other", 0o6755);
    machine.unpack(&[&layer]).unwrap();
    // A byte array that is too long for a line here.
    let capability = "[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]";
    let tree = machine.tree().join("\n").replace(capability, "CAPABILITY");
    expect_test::expect![[r#"
        bin 40755 0:0 1000000000.000000000 directory
        bin/many 100755 3000000:0 1000000000.000000000 sha256:e3b0c44298fc links=1
        bin/other 106755 0:0 12.250000000 sha256:e3b0c44298fc links=1 user.lines=[97, 10, 98, 10]
        bin/ping 100755 0:0 1000000000.000000000 sha256:758d61f26a44 links=1 security.capability=CAPABILITY"#]]
    .assert_eq(&tree);
}

fn set_mode(archive: &mut [u8], name: &str, mode: u32) {
    let is_it = |block: &&mut [u8]| block.starts_with(name.as_bytes()) && block[name.len()] == 0;
    let block = archive.chunks_exact_mut(512).find(is_it).unwrap();
    let mut header = tar::Header::from_byte_slice(block).clone();
    header.set_mode(mode);
    header.set_cksum();
    block.copy_from_slice(header.as_bytes());
}

#[test]
fn umoci_makes_the_same_tree() {
    if !has("umoci_makes_the_same_tree", &["umoci"]) {
        return;
    }
    let machine = Machine::new();
    let layers = [lower(), upper()].map(|layer| Layer::of_tar(&layer.finish()).unwrap());
    let layout = OciLayout::write(
        &machine.path("layout"),
        "latest",
        &[OciImage::new(layers.into())],
    );
    let image = format!("{}:latest", layout.unwrap().folder().display());
    let bundle = machine.path("bundle");
    run(
        "umoci",
        &["unpack", "--image", &image, bundle.to_str().unwrap()],
    )
    .unwrap();
    machine.import("test", &machine.path("layout")).unwrap();
    block_on(machine.fetch("test")).unwrap();
    let (ours, theirs) = (machine.tree(), tree(&bundle.join("rootfs")));
    similar(&ours, &theirs);
}

/// Compares trees line by line, so that a difference is readable.
fn similar(ours: &[String], theirs: &[String]) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these
            .iter()
            .filter(|line| !those.contains(line))
            .cloned()
            .collect()
    };
    assert_eq!(only(ours, theirs), only(theirs, ours));
}
