//! Frames: the messages of a stream do not depend on how it is split, and none is larger than is allowed.

use vat::fuzzing::{Segments, frames};

use crate::input::Input;

/// One limit is larger than any body here, and the others can be exceeded.
const LIMITS: [usize; 4] = [1 << 20, 64, 4096, 40_000];

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limit = input.choose(&LIMITS);
    let seed = input.byte();
    let repeated;
    let mut stream = input.rest();
    // Only bodies longer than any input are read directly into their buffer.
    if seed & 1 == 1 {
        repeated = stream.repeat(1 + 40_000 / (stream.len() + 1));
        stream = &repeated;
    }
    let (whole, error) = frames([stream], limit, false);
    check(&whole, stream.len(), limit);
    let split = frames(stream.chunks(1 + usize::from(seed >> 1)), limit, false);
    assert_eq!(split, (whole.clone(), error.clone()), "split into pieces");
    let direct = frames(stream.chunks(100 * (1 + usize::from(seed))), limit, true);
    assert_eq!(direct, (whole, error), "read directly");
}

fn check(messages: &[Segments], length: usize, limit: usize) {
    let mut total = 0;
    for segments in messages {
        let size: usize = segments.iter().map(Vec::len).sum();
        assert!(size <= limit && size > 0 && size.is_multiple_of(8));
        total += size;
    }
    assert!(total <= length, "the messages are longer than the stream");
}
