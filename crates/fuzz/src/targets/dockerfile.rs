//! Dockerfiles: what is read in one is a word of it, and a build argument stays one argument.

use cluster_worker::fuzzing::{base_images, build_command};

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for image in base_images(text) {
        assert!(text.contains(&image));
        assert!(!image.starts_with("--") && !image.contains(char::is_whitespace));
    }
    let args: Vec<String> = text.split('\n').take(8).map(str::to_owned).collect();
    let command = build_command(&args);
    let given = command
        .args
        .windows(2)
        .filter(|pair| pair[0] == "--build-arg");
    // One that is called so itself is counted once more.
    assert!(given.count() >= args.len());
}
