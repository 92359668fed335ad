//! Images that try to reach out of the root filesystem, or to fill the machine.

use oci::fetch::FetchError;

use crate::support::{Archive, Machine};

/// A directory of the machine with a file in it, which no image may touch.
fn outside(machine: &Machine) -> String {
    std::fs::create_dir(machine.path("outside")).unwrap();
    machine.write("outside/victim", "untouched");
    machine.path("outside").display().to_string()
}

fn assert_untouched(machine: &Machine) {
    let there: Vec<_> = std::fs::read_dir(machine.path("outside"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(there, ["victim"]);
    assert_eq!(
        std::fs::read_to_string(machine.path("outside/victim")).unwrap(),
        "untouched"
    );
}

#[test]
fn a_link_to_the_machine_leads_into_the_image() {
    for up in ["", "../../../../../../../../.."] {
        let machine = Machine::new();
        let outside = outside(&machine);
        let first = Archive::default()
            .symlink("way", &format!("{up}{outside}"))
            .finish();
        let second = Archive::default().file("way/evil", b"evil").finish();
        machine.unpack(&[&first, &second]).unwrap();
        assert_untouched(&machine);
        let inside = machine
            .rootfs()
            .join(outside.trim_start_matches('/'))
            .join("evil");
        assert_eq!(std::fs::read(inside).unwrap(), b"evil");
    }
}

#[test]
fn a_link_and_a_file_behind_it_in_one_layer() {
    let machine = Machine::new();
    let outside = outside(&machine);
    let layer = Archive::default()
        .symlink("way", &outside)
        .file("way/evil", b"evil")
        .symlink("file", &format!("{outside}/victim"))
        .file("file", b"evil")
        .symlink("dir", &outside)
        .directory("dir")
        .file("dir/evil", b"evil")
        .finish();
    machine.unpack(&[&layer]).unwrap();
    assert_untouched(&machine);
    assert!(
        machine
            .rootfs()
            .join("file")
            .symlink_metadata()
            .unwrap()
            .is_file()
    );
    assert!(
        machine
            .rootfs()
            .join("dir")
            .symlink_metadata()
            .unwrap()
            .is_dir()
    );
}

#[test]
fn a_link_through_proc_leads_nowhere_else() {
    let machine = Machine::new();
    let outside = outside(&machine);
    let layer = Archive::default()
        .symlink("way", "/proc/self/root")
        .file(&format!("way{outside}/evil"), b"evil")
        .finish();
    machine.unpack(&[&layer]).unwrap();
    assert_untouched(&machine);
    assert!(machine.rootfs().join("proc/self/root").is_dir());
}

#[test]
fn names_that_lead_out_are_refused_and_absolute_ones_are_of_the_image() {
    let machine = Machine::new();
    let layer = Archive::default()
        .file("/etc/absolute", b"x")
        .file("a/../b", b"x")
        .finish();
    machine.unpack(&[&layer]).unwrap();
    assert_eq!(machine.names(), ["b", "etc", "etc/absolute"]);

    for layer in [
        Archive::default().file("../evil", b"x"),
        Archive::default().file("a/../../evil", b"x"),
        Archive::default()
            .record("path", b"../../evil")
            .file("innocent", b"x"),
        Archive::default().file("../.wh.outside", b""),
    ] {
        let machine = Machine::new();
        outside(&machine);
        let error = machine.unpack(&[&layer.finish()]).unwrap_err().to_string();
        assert!(
            error.contains("points outside of the root filesystem"),
            "{error}"
        );
        assert_untouched(&machine);
    }
}

#[test]
fn a_hard_link_reaches_no_file_of_the_machine() {
    for through_link in [false, true] {
        let machine = Machine::new();
        let outside = outside(&machine);
        let target = if through_link {
            "way/victim".to_owned()
        } else {
            format!("{outside}/victim")
        };
        let layer = Archive::default()
            .symlink("way", &outside)
            .hard_link("mine", &target)
            .file("mine", b"evil")
            .finish();
        let error = machine.unpack(&[&layer]).unwrap_err().to_string();
        assert!(
            error.contains("it is a hard link to a file that is not there"),
            "{error}"
        );
        assert_untouched(&machine);
    }
    let machine = Machine::new();
    let layer = Archive::default()
        .hard_link("mine", "../outside/victim")
        .finish();
    let error = machine.unpack(&[&layer]).unwrap_err().to_string();
    assert!(
        error.contains("a link to something outside of the root filesystem"),
        "{error}"
    );
}

#[test]
fn whiteouts_remove_files_of_the_image_alone() {
    let machine = Machine::new();
    let outside = outside(&machine);
    let first = Archive::default().symlink("way", &outside).finish();
    let second = Archive::default()
        .file("way/.wh.victim", b"")
        .file("way/.wh..wh..opq", b"")
        .file("way/.wh..", b"")
        .file("way/.wh...", b"")
        .finish();
    machine.unpack(&[&first, &second]).unwrap();
    assert_untouched(&machine);
}

#[test]
fn the_rights_of_files_outside_stay() {
    let machine = Machine::new();
    let outside = outside(&machine);
    let before = crate::support::tree(&machine.path("outside"));
    let layer = Archive::default()
        .symlink("link", &format!("{outside}/victim"))
        .record("SCHILY.xattr.user.evil", b"evil")
        .symlink("other", &format!("{outside}/victim"))
        .finish();
    machine.unpack(&[&layer]).unwrap();
    assert_eq!(crate::support::tree(&machine.path("outside")), before);
}

#[test]
fn nothing_that_an_overlay_would_obey_is_made() {
    let machine = Machine::new();
    let layer = Archive::default()
        .entry(tar::EntryType::Char, "hidden", "", b"")
        .record("SCHILY.xattr.trusted.overlay.opaque", b"y")
        .directory("directory")
        .finish();
    machine.unpack(&[&layer]).unwrap();
    let tree = machine.tree();
    assert_eq!(tree, ["directory 40755 0:0 1000000000.000000000 directory"]);
    assert!(
        machine.log.text().contains("hides files in an overlay"),
        "{}",
        machine.log.text()
    );
}

#[test]
fn an_image_that_unpacks_without_end_is_stopped() {
    let mut machine = Machine::new();
    machine.settings.limits.unpacked = 1 << 20;
    let layer = Archive::default().file("zeros", &vec![0; 4 << 20]).finish();
    let error = machine.unpack(&[&layer]).unwrap_err().to_string();
    assert!(
        error.contains("too large: more than 1048576 bytes"),
        "{error}"
    );

    let mut machine = Machine::new();
    machine.settings.limits.entries = 2;
    let layer = Archive::default()
        .directory("a")
        .directory("b")
        .directory("c")
        .finish();
    let error = machine.unpack(&[&layer]).unwrap_err().to_string();
    assert!(error.contains("too large: more than 2 files"), "{error}");
}

#[test]
fn links_in_a_circle_and_files_as_directories_are_errors() {
    for (layer, problem) in [
        (
            Archive::default()
                .symlink("a", "b")
                .symlink("b", "a")
                .file("a/x", b""),
            "too many links lead to it",
        ),
        (
            Archive::default().file("a", b"").file("a/x", b""),
            "a directory on the way to it is a file",
        ),
        (
            Archive::default().hard_link("a", "a"),
            "it is a hard link to itself",
        ),
    ] {
        let error = Machine::new().unpack(&[&layer.finish()]).unwrap_err();
        assert!(
            matches!(&error, FetchError::Failed(text) if text.contains(problem)),
            "{error}"
        );
    }
}

#[test]
fn names_and_attributes_of_a_file_have_a_limit() {
    let long = vec![b'x'; 400 << 10];
    let name = vec![b'n'; 5000];
    let attributes = (0..3).fold(Archive::default(), |archive, number| {
        archive.record(&format!("SCHILY.xattr.user.{number}"), &long)
    });
    for (layer, problem) in [
        (
            attributes.file("a", b""),
            "an entry's name or attributes are too long",
        ),
        (
            Archive::default().record("path", &name).file("a", b""),
            "has more than 4096 bytes",
        ),
        (
            Archive::default()
                .record("linkpath", &name)
                .symlink("a", "b"),
            "has more than 4096 bytes",
        ),
    ] {
        let error = Machine::new().unpack(&[&layer.finish()]).unwrap_err();
        assert!(
            matches!(&error, FetchError::Failed(text) if text.contains(problem)),
            "{error}"
        );
    }
}
