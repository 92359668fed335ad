//! Dockerfiles: no frontend and no image by its id gets through, and what is read stays in proportion to what was sent.

use cluster_worker::fuzzing::{DockerfileUse, dockerfile_use};

use crate::input::Input;

/// The largest Dockerfile made here, in bytes. A job's may have 8 MiB.
const LARGEST: usize = 1 << 20;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (from, times) = (input.byte(), input.byte());
    let Ok(text) = std::str::from_utf8(input.rest()) else {
        return;
    };
    let (args, dockerfile) = text.split_once("\n\n").unwrap_or(("", text));
    let build_args: Vec<String> = args.lines().map(str::to_owned).collect();
    let dockerfile = with_more(dockerfile, usize::from(from), usize::from(times));
    let sent = dockerfile.len() + args.len();
    let Ok(used) = dockerfile_use(&dockerfile, &build_args) else {
        return;
    };
    check(&used, &build_args, sent);
    let again =
        dockerfile_use(&used.dockerfile, &used.build_args).expect("what is allowed stays so");
    assert_eq!(again.dockerfile, used.dockerfile);
    assert!(again.ignored.is_empty(), "{:?} was left in", again.ignored);
    assert_eq!(again.bases, used.bases);
}

/// Says the end of a text more often, as nobody can send a long one through a fuzzer.
fn with_more(text: &str, from: usize, times: usize) -> String {
    let from = text.ceil_char_boundary(text.len().saturating_sub(from));
    let (front, back) = text.split_at(from);
    // Many times, or few: both find something.
    let times = if times < 128 { times } else { times << 8 };
    let times = times.min(LARGEST / (back.len() + 1));
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
    // One that is called so itself is counted once more.
    assert!(given.count() >= passed.len());
}
