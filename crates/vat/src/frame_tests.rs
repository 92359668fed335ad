//! Tests of framing: any cut of the stream gives the same messages, and limits are checked before memory is allocated.

use proptest::prelude::*;

use super::*;

/// The stream of a message with segments of these sizes, in words.
fn stream(segments: &[usize]) -> Vec<u8> {
    let mut bytes = (segments.len() as u32 - 1).to_le_bytes().to_vec();
    for size in segments {
        bytes.extend((*size as u32).to_le_bytes());
    }
    if segments.len().is_multiple_of(2) {
        bytes.extend([0; 4]);
    }
    for (index, size) in segments.iter().enumerate() {
        bytes.extend(std::iter::repeat_n((index % 250) as u8 + 1, size * WORD));
    }
    bytes
}

fn check(frame: &Frame, segments: &[usize]) {
    assert_eq!(frame.len(), segments.len());
    for (index, size) in segments.iter().enumerate() {
        let segment = frame.get_segment(index as u32).unwrap();
        assert_eq!(segment, vec![(index % 250) as u8 + 1; size * WORD]);
    }
    assert_eq!(frame.get_segment(segments.len() as u32), None);
}

#[test]
fn refuses_a_large_message_at_its_table() {
    let mut decoder = Decoder::new(64);
    decoder.push(&stream(&[8])).unwrap();
    let error = decoder.push(&stream(&[9])[..8]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "message of 72 bytes is over the limit of 64 bytes"
    );
    let sum = Decoder::new(64).push(&stream(&[4, 5, 1])).unwrap_err();
    assert_eq!(
        sum,
        FrameError::TooLarge {
            size: 80,
            limit: 64
        }
    );
    let most = Decoder::new(64).push(&[0, 0, 0, 0, 255, 255, 255, 255]);
    assert_eq!(
        most.unwrap_err(),
        FrameError::TooLarge {
            size: 34359738360,
            limit: 64
        }
    );
}

#[test]
fn refuses_many_segments_and_none() {
    let segments = [1; 512];
    Decoder::new(1 << 20).push(&stream(&segments)).unwrap();
    let error = Decoder::new(1 << 20).push(&[0, 2, 0, 0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "message of 513 segments is over the limit of 512 segments"
    );
    assert_eq!(Decoder::new(64).push(&[0; 8]), Err(FrameError::Empty));
}

#[test]
fn tls_is_recognized() {
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01];
    assert_eq!(Decoder::new(64).push(&hello), Err(FrameError::Tls));
    let alert = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a];
    assert_eq!(Decoder::new(64).push(&alert), Err(FrameError::Tls));
}

#[test]
fn a_large_claim_takes_little_memory() {
    let mut decoder = Decoder::new(64 << 20);
    let whole = stream(&[(64 << 20) / WORD]);
    decoder.push(&whole[..1000]).unwrap();
    let State::Body { frame, .. } = &decoder.state else {
        panic!("not in the body");
    };
    assert_eq!(frame.words.capacity(), EAGER_WORDS);
    decoder.push(&whole[1000..]).unwrap();
    check(&decoder.next().unwrap(), &[(64 << 20) / WORD]);
}

#[test]
fn an_idle_decoder_keeps_nothing() {
    let mut decoder = Decoder::new(1 << 20);
    for _ in 0..100 {
        decoder.push(&stream(&[3])).unwrap();
    }
    while decoder.next().is_some() {}
    assert_eq!(decoder.ready.capacity(), 0);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_messages(
        messages in proptest::collection::vec(proptest::collection::vec(1usize..4000, 1..4), 1..5),
        cuts in proptest::collection::vec(1usize..30_000, 0..20),
        direct: bool,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|m| stream(m)).collect();
        let mut rest = &bytes[..];
        let mut decoder = Decoder::new(1 << 20);
        let mut cuts = cuts.into_iter();
        while !rest.is_empty() {
            let cut = cuts.next().unwrap_or(rest.len()).min(rest.len());
            match decoder.space() {
                Some(space) if direct => {
                    let n = cut.min(space.len());
                    space[..n].copy_from_slice(&rest[..n]);
                    decoder.filled(n);
                    rest = &rest[n..];
                }
                _ => {
                    decoder.push(&rest[..cut]).unwrap();
                    rest = &rest[cut..];
                }
            }
        }
        for message in &messages {
            check(&decoder.next().unwrap(), message);
        }
        prop_assert!(decoder.next().is_none());
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let mut decoder = Decoder::new(1 << 20);
        let _ = decoder.push(&bytes);
        while decoder.next().is_some() {}
    }
}
