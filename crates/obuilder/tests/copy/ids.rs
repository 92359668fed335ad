//! Ids of copies, as published and as recorded.

use bstr::ByteSlice as _;
use obuilder::StepId;
use obuilder::copy;
use obuilder::copy::Request;
use tokio_util::sync::CancellationToken;

use crate::tree::Place;

const BUSYBOX: &str = "9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91";

/// Returns the id of a copy: the builder's affair, but for the part that is ours.
fn id(place: &Place, base: &str, (uid, gid): (u32, u32), request: &Request) -> String {
    let manifest = copy::read(request, &place.digests(), &CancellationToken::new()).unwrap();
    let op = manifest.sexp().to_machine();
    let op = op.to_str().unwrap();
    let inputs = format!("((base {base})(user((uid {uid})(gid {gid}))){op})");
    StepId::of(inputs.as_bytes()).to_string()
}

#[test]
fn copies_have_the_published_ids() {
    let place = Place::new();
    place
        .source()
        .file("file", "file-data")
        .symlink("link", "/root");
    assert_eq!(
        id(&place, BUSYBOX, (0, 0), &place.request(&["file"], "/dst")),
        "d261ed0f73ccdfeb85635f27e254bc5cd985b57eadf786d64060fa3cda72906c"
    );
    assert_eq!(
        id(
            &place,
            BUSYBOX,
            (1000, 1000),
            &place.request(&["."], "/src/")
        ),
        "a1f8fdd4c1c2d69f8a3bbb0020c69cce333e0c0d7853e1b03265944b6e572abc"
    );
}

/// The run recorded as `03-copy`: each copy, the user, and the id that it gave.
#[test]
fn copies_have_the_recorded_ids() {
    let place = Place::new();
    place
        .source()
        .file(".hidden/HEAD", "ref")
        .file("caf\u{e9}.txt", "caf\u{e9}")
        .file("dir1/dir2/two", "two")
        .symlink("dir1/link", "../hello.txt")
        .file("dir1/one", "one")
        .file("empty", "")
        .file("hello.txt", "hello\n")
        .file_with("run.sh", "#!/bin/sh\necho run\n", 0o755);
    let mut all = place.request(&["."], "/work/./all/");
    all.exclude = vec![".hidden".into(), "one".into()];
    let steps = [
        (
            place.request(&["hello.txt"], "/opt/renamed.txt"),
            (0, 0),
            "006e42114bf38ef8bba5eeda7001d681cdf36612a2a4f664f0538a133d3a35ee",
        ),
        (
            place.request(&["hello.txt", "run.sh"], "/opt/bin/"),
            (0, 0),
            "8c916da4a847e899d88e4ff465650ab20101fd9b002527e38ac641e4cd964dcd",
        ),
        (
            all,
            (1, 2),
            "090697e95fd89d2d5a9512564083c0861f25dcd1e80364ef62381468b8376891",
        ),
        (
            place.request(&["dir1"], "/d/"),
            (1, 2),
            "a555c1cb501304cd6a45bffea68d11381119002ca3c5b42434b583b431b6bd58",
        ),
        (
            place.request(&["dir1/dir2/two"], "/work/two"),
            (1, 2),
            "4dc9755f8d07f915a1c947236a95ad84920714aac8c2d3fd75b44931fdd569df",
        ),
    ];
    let mut base = "776bac56dd190a05b9f77370b9ad065ad18ebd141fd5fd4595a50b3654a496fe".to_owned();
    for (request, user, expected) in steps {
        base = id(&place, &base, user, &request);
        assert_eq!(base, expected, "{:?}", request.src);
    }
}
