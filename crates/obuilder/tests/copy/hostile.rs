//! Sources and images that were made to lead us astray.
//!
//! What they lead to is ours, or a name that nobody else has: if one of these tests fails it must not have done harm.

use std::fs;

use bstr::ByteSlice as _;

use crate::tree::{Place, Tree};

/// Returns a place beside whose source and image there is something to steal and to spoil.
fn place() -> Place {
    let place = Place::new();
    Tree(place.outside().join("outside"))
        .file("secret", "secret")
        .directory("dir", 0o755);
    place
}

#[test]
fn no_symlink_of_the_source_is_followed() {
    let place = place();
    let outside = place.outside().join("outside");
    let outside = outside.to_str().unwrap();
    place
        .source()
        .symlink("absolute", outside)
        .symlink("relative", "../outside")
        .symlink("file", &format!("{outside}/secret"));
    for src in [
        "absolute/secret",
        "relative/secret",
        "./relative//secret",
        "relative/",
    ] {
        let error = place.read(&[src], "/dst").unwrap_err().to_string();
        assert!(error.starts_with("Not a regular file: "), "{error}");
    }
    let all = place.read(&["."], "/").unwrap().sexp().to_machine();
    let all = all.to_str().unwrap();
    assert_eq!(all.matches("(Symlink(").count(), 3, "{all}");
    assert!(!all.contains("(File"), "{all}");
}

#[test]
fn a_directory_that_became_a_symlink_is_not_followed() {
    let place = place();
    place.source().file("dir/secret", "secret");
    let whole = place.read(&["."], "/whole/").unwrap();
    let item = place.read(&["dir/secret"], "/item").unwrap();
    fs::remove_dir_all(place.source().path("dir")).unwrap();
    // What is there has the very content that is expected.
    place.source().symlink("dir", "../outside");
    for manifest in [whole, item] {
        let error = place.write(&manifest, &crate::tree::SOMEBODY).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot copy \"dir\": it has changed during the copy; retry once the source has stopped changing"
        );
    }
}

#[test]
fn nothing_is_written_outside_the_image() {
    let place = place();
    let outside = Tree(place.outside().join("outside"));
    let before = outside.show();
    let absolute = outside.0.to_str().unwrap();
    place
        .image()
        .symlink("to-outside", absolute)
        .symlink("up", "../outside")
        .symlink("far-up", &format!("{}{absolute}", "../".repeat(50)))
        .symlink("dir/up", "../../outside")
        .symlink("file", &format!("{absolute}/secret"))
        .symlink("to-image", place.image().0.to_str().unwrap());
    place
        .source()
        .file("file", "written")
        .file("up/dir/file", "written")
        .file("to-outside/secret", "written")
        .file("dir/up/dir/file", "written")
        .file("far-up/secret", "written");
    for dst in [
        "/",
        "/to-outside/",
        "/to-outside/dir/",
        "/up/dir/",
        "/dir/up/",
        "/far-up/",
        "/to-image/",
    ] {
        place.copy(&["."], dst).unwrap();
        place.copy(&["file"], &format!("{dst}secret")).unwrap();
    }
    for dst in ["../outside/", "/../outside/secret", "/up/../../outside/"] {
        place.copy(&["."], dst).unwrap_err();
    }
    assert_eq!(outside.show(), before);
}

#[test]
fn the_root_of_an_image_is_not_that_of_the_machine() {
    let place = place();
    let name = format!("obuilder-escaped-{}", std::process::id());
    place
        .image()
        .symlink("to-root", "/")
        .symlink("far-up", &"../".repeat(50))
        .symlink("to-proc", "/proc/self/root");
    place.source().file(&name, "written");
    for dst in ["/to-root/", "/to-root/to-root/", "/far-up/", "/to-proc/"] {
        place.copy(&[&name], dst).unwrap();
    }
    let escaped = fs::remove_file(format!("/{name}")).is_ok();
    assert!(!escaped);
    assert!(place.image().path(&name).exists());
}
