//! What names jobs, their attempts, and the requests about them.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

/// The id of a job: 60 random bits, as twelve letters and digits.
///
/// Random, so that an id tells nothing about how much others submit, and may be shortened to a few characters while it
/// stays unique. Letters that look like digits (`i`, `l`, `o`) and `u` are not used (Crockford's base 32).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 12;
const BITS: u32 = 60;

impl JobId {
    /// Returns the id that is made of the lowest 60 of these bits, which are to be random.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << BITS) - 1))
    }

    /// Returns the 60 bits of the id.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |place: usize| {
            let index = (self.0 >> (5 * (LENGTH - 1 - place))) & 31;
            DIGITS.get(index as usize).copied().unwrap_or(b'0')
        };
        let text: String = (0..LENGTH).map(|place| char::from(digit(place))).collect();
        f.pad(&text)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not the id of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// It has so many characters, and an id has twelve.
    Length(usize),
    /// It contains this character, which no id has.
    Character(char),
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "id has {length} characters; ids have {LENGTH}"),
            Self::Character(c) => write!(
                f,
                "id contains {c:?}; ids have digits and small letters only"
            ),
        }
    }
}

impl core::error::Error for IdError {}

impl FromStr for JobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let length = text.chars().count();
        if length != LENGTH {
            return Err(IdError::Length(length));
        }
        text.chars().try_fold(Self(0), |id, c| {
            let digit = DIGITS.iter().position(|digit| char::from(*digit) == c);
            let digit = digit.ok_or(IdError::Character(c))?;
            Ok(Self(id.0 << 5 | digit as u64))
        })
    }
}

impl JobId {
    /// Returns the first and the last id that begin like this; `None` if no id does.
    pub fn beginning_with(text: &str) -> Option<(Self, Self)> {
        let length = text.len();
        if !(1..=LENGTH).contains(&length) {
            return None;
        }
        let padded = |digit: &str| {
            format!("{text}{}", digit.repeat(LENGTH - length))
                .parse()
                .ok()
        };
        Some((padded("0")?, padded("z")?))
    }
}

/// One attempt to run a job. The attempts of a job have the numbers 1, 2, and so on; no number is used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The job.
    pub job: JobId,
    /// Which of its attempts.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {} of {}", self.number, self.job)
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.job, self.number)
    }
}

/// A request that is to be answered, as the caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The number of a change that is to be saved. Later changes have larger numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId(pub u64);

/// What a client calls a submission, so that the same one, sent twice, is one job. It counts within its client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(Arc<str>);

/// The longest key, in bytes.
pub const MAX_JOB_KEY_BYTES: usize = 255;

/// The key has so many bytes, which is more than [`MAX_JOB_KEY_BYTES`], or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobKeyError(pub usize);

impl fmt::Display for JobKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key has {} bytes; use 1 to {MAX_JOB_KEY_BYTES}", self.0)
    }
}

impl core::error::Error for JobKeyError {}

impl JobKey {
    /// Returns `text` as a key.
    ///
    /// # Errors
    ///
    /// [`JobKeyError`] when it is empty or too long.
    pub fn new(text: &str) -> Result<Self, JobKeyError> {
        match text.len() {
            1..=MAX_JOB_KEY_BYTES => Ok(Self(text.into())),
            bytes => Err(JobKeyError(bytes)),
        }
    }

    /// Returns the text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
