//! Tests that need the generated types, which are private to this crate.

mod hostile;
mod ids;
mod newer;
mod nulls;
mod payload;
mod wire;

/// Messages written word by word, for what no builder would write.
mod assemble {
    use capnp::Word;

    /// A pointer to a struct that begins `offset` words after the pointer's end.
    pub(super) fn to_struct(offset: u64, data_words: u64, pointers: u64) -> u64 {
        offset << 2 | data_words << 32 | pointers << 48
    }

    /// A pointer to a list of `size` (the tag of the wire format: 2 is bytes, 6 is pointers, 7 is
    /// structs).
    pub(super) fn to_list(offset: u64, size: u64, length: u64) -> u64 {
        1 | offset << 2 | size << 32 | length << 35
    }

    /// A pointer to the capability with this index.
    pub(super) fn to_capability(index: u64) -> u64 {
        3 | index << 32
    }

    pub(super) const BYTES: u64 = 2;
    pub(super) const POINTERS: u64 = 6;
    pub(super) const STRUCTS: u64 = 7;

    /// Up to eight bytes of text as a word.
    pub(super) fn text(bytes: &[u8]) -> u64 {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    }

    pub(super) fn words(words: &[u64]) -> Box<[Word]> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        crate::words::from_bytes(&bytes)
    }
}
