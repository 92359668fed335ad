//! Which files a copy takes, and which sources it refuses.

use bstr::ByteSlice as _;
use obuilder::copy::{self, CopyError, Manifest, Request};
use tokio_util::sync::CancellationToken;

use crate::tree::Place;

/// The digest of `file-data`.
const DIGEST: &str = "8e6537b695ff181bc341e32d8b8970485ac3513408e5eb1e8ba9fc5af1cd3f57";

fn place() -> Place {
    let place = Place::new();
    place
        .source()
        .file("file", "file-data")
        .symlink("link", "/root")
        .file("dir1/dir2/file2", "file-data");
    place
}

/// Returns a manifest as text, with the digest of `file-data` left out.
fn show(manifest: Result<Manifest, CopyError>) -> String {
    match manifest {
        Ok(manifest) => {
            let text = manifest.sexp().to_machine();
            text.to_str().unwrap().replace(DIGEST, "DIGEST")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_file_may_be_named_in_several_ways() {
    let place = place();
    for src in ["file", "./file", "/file", "//.//file"] {
        assert_eq!(
            show(place.read(&[src], "/dst")),
            "(op(Copy_item((File(file DIGEST))/dst)))",
            "{src}"
        );
    }
}

#[test]
fn errors_of_sources_have_upstreams_words() {
    let place = place();
    place.source().fifo("dir1/pipe").symlink("dir1/up", "..");
    for (src, error) in [
        ("file2", "Source path \"file2\" not found"),
        ("dir1/no/file", "Source path \"dir1/no/file\" not found"),
        ("file/file2", "Not a directory: file (in \"file/file2\")"),
        ("file/", "Not a directory: file (in \"file/\")"),
        (
            "dir1/dir2/file2/x",
            "Not a directory: dir1/dir2/file2 (in \"dir1/dir2/file2/x\")",
        ),
        ("../file", "Can't use .. in source paths! (in \"../file\")"),
        (
            "dir1/../file",
            "Can't use .. in source paths! (in \"dir1/../file\")",
        ),
        ("link/file", "Not a regular file: link (in \"link/file\")"),
        (
            "/dir1/up/file",
            "Not a regular file: dir1/up (in \"/dir1/up/file\")",
        ),
        (
            "dir1/pipe",
            "Not a regular file: dir1/pipe (in \"dir1/pipe\")",
        ),
        ("dir1", "Unsupported file type for \"dir1/pipe\""),
        ("caf\u{e9}\n", "Source path \"caf\\195\\169\\n\" not found"),
    ] {
        assert_eq!(show(place.read(&[src], "/dst")), error);
    }
}

#[test]
fn errors_of_requests_have_upstreams_words() {
    let place = place();
    assert_eq!(show(place.read(&[], "/dst/")), "No source items for copy!");
    assert_eq!(
        show(place.read(&["file", "link"], "/dst")),
        "When copying multiple items, the destination must end with '/'"
    );
    assert_eq!(
        show(place.read(&["file"], "/dst/../x")),
        "cannot copy to \"/dst/../x\": the path must not have .."
    );
    let mut request = place.request(&["."], "/dst/");
    request.root.push("nowhere");
    let error = copy::read(&request, &place.digests(), &CancellationToken::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("No such file or directory (os error 2)"),
        "{error}"
    );
}

#[test]
fn a_symlink_is_copied_as_one() {
    let place = place();
    assert_eq!(
        show(place.read(&["link"], "/dst")),
        "(op(Copy_item((Symlink(link /root))/dst)))"
    );
}

#[test]
fn the_root_has_no_name_and_all_else_is_called_by_its_whole_path() {
    let place = place();
    let all = "(Dir(\"\"(\
        (Dir(dir1((Dir(dir1/dir2((File(dir1/dir2/file2 DIGEST))))))))\
        (File(file DIGEST))(Symlink(link /root)))))";
    for src in ["", ".", "/", "./."] {
        assert_eq!(
            show(place.read(&[src], "/dst/")),
            format!("(op(Copy_items(({all})/dst/)))"),
            "{src}"
        );
    }
    assert_eq!(
        show(place.read(&["dir1/dir2", "dir1/dir2/file2"], "./x/.")),
        "When copying multiple items, the destination must end with '/'"
    );
    assert_eq!(
        show(place.read(&["dir1/dir2", "dir1/dir2/file2"], "./x/./")),
        "(op(Copy_items(((Dir(dir1/dir2((File(dir1/dir2/file2 DIGEST)))))\
         (File(dir1/dir2/file2 DIGEST)))./x/./)))"
    );
}

#[test]
fn names_are_left_out_at_any_depth_but_sources_never() {
    let place = place();
    place.source().file("dir1/link", "").file("other", "");
    let mut request = place.request(&["."], "/d/");
    request.exclude = vec!["link".into(), "dir2".into(), "other".into()];
    let read = |request: &Request| {
        show(copy::read(
            request,
            &place.digests(),
            &CancellationToken::new(),
        ))
    };
    assert_eq!(
        read(&request),
        "(op(Copy_items(((Dir(\"\"((Dir(dir1()))(File(file DIGEST))))))/d/)))"
    );
    request.src = vec!["link".into(), "dir1/dir2".into()];
    assert_eq!(
        read(&request),
        "(op(Copy_items(((Symlink(link /root))\
         (Dir(dir1/dir2((File(dir1/dir2/file2 DIGEST))))))/d/)))"
    );
}

#[test]
fn names_are_sorted_by_their_bytes() {
    let place = Place::new();
    let source = place.source();
    for name in ["b", "a", "B", "a-", "a.b", "\u{e9}", "10", "9"] {
        std::os::unix::fs::symlink("x", source.path(name)).unwrap();
    }
    assert_eq!(
        show(place.read(&["."], "/d/")),
        "(op(Copy_items(((Dir(\"\"((Symlink(10 x))(Symlink(9 x))(Symlink(B x))(Symlink(a x))\
         (Symlink(a- x))(Symlink(a.b x))(Symlink(b x))(Symlink(\"\\195\\169\"x))))))/d/)))"
    );
}
