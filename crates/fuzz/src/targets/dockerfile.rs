//! Dockerfiles: no frontend and no image id is accepted, and the result is not much larger than the input.

use cluster_worker::fuzzing::{DockerfileUse, dockerfile_use};

use crate::input::Input;

/// The largest Dockerfile made here, in bytes. That of a job may have 8 MiB.
const MAX_SIZE: usize = 1 << 20;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (from, times) = (input.byte(), input.byte());
    let Ok(text) = std::str::from_utf8(input.rest()) else {
        return;
    };
    let (args, dockerfile) = text.split_once("\n\n").unwrap_or(("", text));
    let build_args: Vec<String> = args.lines().map(str::to_owned).collect();
    let dockerfile = with_repeated_end(dockerfile, usize::from(from), usize::from(times));
    let sent = dockerfile.len() + args.len();
    let Ok(used) = dockerfile_use(&dockerfile, &build_args) else {
        return;
    };
    check(&used, &build_args, sent);
    let again = dockerfile_use(&used.dockerfile, &used.build_args)
        .expect("an accepted Dockerfile is accepted again");
    assert_eq!(again.dockerfile, used.dockerfile);
    assert!(
        again.ignored.is_empty(),
        "{:?} was not removed",
        again.ignored
    );
    assert_eq!(again.bases, used.bases);
}

/// Repeats the end of a text, because inputs of the fuzzer are short.
fn with_repeated_end(text: &str, from: usize, times: usize) -> String {
    let from = text.ceil_char_boundary(text.len().saturating_sub(from));
    let (front, back) = text.split_at(from);
    // Few times, or many.
    let times = if times < 128 { times } else { times << 8 };
    let times = times.min(MAX_SIZE / (back.len() + 1));
    [front, &back.repeat(1 + times)].concat()
}

fn check(used: &DockerfileUse, build_args: &[String], sent: usize) {
    let DockerfileUse {
        dockerfile,
        build_args: passed,
        ignored: _,
        bases,
        command,
    } = used;
    assert!(dockerfile.len() <= sent);
    assert!(passed.iter().all(|arg| build_args.contains(arg)));
    assert!(!passed.iter().any(|arg| arg.starts_with("BUILDKIT_SYNTAX=")));
    let size: usize = bases.iter().map(String::len).sum();
    assert!(
        size <= 100 * (sent + 100),
        "{sent} bytes have {size} of images"
    );
    for image in bases {
        let is_id = !image.is_empty() && image.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(!is_id, "{image} is an id");
    }
    let given = command
        .args
        .windows(2)
        .filter(|pair| pair[0] == "--build-arg");
    // An argument may itself be called so.
    assert!(given.count() >= passed.len());
}
