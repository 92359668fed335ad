//! Bytes read as decisions: numbers, choices and pieces. At the end of the bytes, everything is zero or empty.

/// The bytes that are not used yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from(self.u32()) | u64::from(self.u32()) << 32
    }

    /// Returns a number like an id: mostly small, sometimes any.
    pub(crate) fn id(&mut self) -> u32 {
        match self.byte() {
            255 => self.u32(),
            small => u32::from(small),
        }
    }

    /// Returns one of these, which must not be empty.
    pub(crate) fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        let index = usize::from(self.byte()) % from.len();
        from[index]
    }

    /// Returns up to `most` bytes. The next byte is their number.
    pub(crate) fn piece(&mut self, most: usize) -> &'a [u8] {
        let length = usize::from(self.byte()).min(most).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }
}
