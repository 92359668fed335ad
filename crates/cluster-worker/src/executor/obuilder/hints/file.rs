//! The file that remembers the cache hints of builds over a restart of the worker: a line for each event.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use obuilder::StepId;

/// The largest file that is read, in bytes: far more than this worker writes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// How many bytes are added to what is needed, at least, before the file is written anew.
const SPARE_BYTES: usize = 1 << 20;

const UNKNOWN: &str = "unknown";
const ALL_LOST: &str = "all-lost";

/// An event, as a line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A job with this hint was built. `None` for the result if it has none, as the build failed.
    Built(String, Option<StepId>),
    /// Nothing is cached for this hint any more.
    Lost(String),
    /// The scheduler knows that nothing is cached for this hint.
    Reported(String),
    /// There may be hints that were built before there was a file.
    Unknown,
    /// Nothing is cached for any hint, or it is not known for which.
    AllLost,
}

impl Event {
    fn line(&self) -> String {
        let (word, hint) = match self {
            Self::Built(hint, Some(id)) => (format!("built {id}"), hint),
            Self::Built(hint, None) => ("built -".to_owned(), hint),
            Self::Lost(hint) => ("lost".to_owned(), hint),
            Self::Reported(hint) => ("reported".to_owned(), hint),
            Self::Unknown => return format!("{UNKNOWN}\n"),
            Self::AllLost => return format!("{ALL_LOST}\n"),
        };
        // As JSON, a hint of several lines takes one.
        format!("{word} {}\n", serde_json::Value::from(hint.as_str()))
    }

    /// Reads a line; `None` if it is none of ours, such as one that was cut off.
    fn read(line: &str) -> Option<Self> {
        match line {
            UNKNOWN => return Some(Self::Unknown),
            ALL_LOST => return Some(Self::AllLost),
            _ => {}
        }
        let (word, rest) = line.split_once(' ')?;
        let hint = |text: &str| serde_json::from_str::<String>(text).ok();
        match word {
            "built" => {
                let (id, text) = rest.split_once(' ')?;
                let result = match id {
                    "-" => None,
                    id => Some(id.parse().ok()?),
                };
                Some(Self::Built(hint(text)?, result))
            }
            "lost" => hint(rest).map(Self::Lost),
            "reported" => hint(rest).map(Self::Reported),
            _ => None,
        }
    }
}

/// What a file has.
pub(super) enum Contents {
    /// There is no file.
    Missing,
    /// These events, in their order.
    Events(Vec<Event>),
    /// These, and something that cannot be read.
    Damaged(Vec<Event>),
}

/// The file, open for further events.
pub(super) struct HintFile {
    path: PathBuf,
    file: File,
    /// How long it was when it was written anew.
    needed: usize,
    length: usize,
}

impl HintFile {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> io::Result<Contents> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::Missing),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut events = Vec::new();
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n').and_then(Event::read) {
                Some(event) => events.push(event),
                None => return Ok(Contents::Damaged(events)),
            }
        }
        match bytes.len() as u64 > MAX_FILE_BYTES {
            true => Ok(Contents::Damaged(events)),
            false => Ok(Contents::Events(events)),
        }
    }

    /// Writes a file with these events only, in place of the one that may be there, wholly or not at all.
    pub(super) fn create(path: &Path, events: &[Event]) -> io::Result<Self> {
        let new = path.with_extension("new");
        let mut options = OpenOptions::new();
        // Hints may have names of repositories and branches.
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        let text: String = events.iter().map(Event::line).collect();
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            needed: text.len(),
            length: text.len(),
        })
    }

    /// Adds an event.
    pub(super) fn append(&mut self, event: &Event) -> io::Result<()> {
        let line = event.line();
        self.length += line.len();
        self.file.write_all(line.as_bytes())
    }

    /// Returns whether it should be written anew, as most of it may not be needed any more.
    pub(super) fn is_long(&self) -> bool {
        self.length > 2 * self.needed + SPARE_BYTES
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hints");
        assert!(matches!(HintFile::read(&path).unwrap(), Contents::Missing));
        let events = [
            Event::Unknown,
            Event::AllLost,
            Event::Built("a \"b\"\n c".to_owned(), Some(StepId::of(b"1"))),
            Event::Built("é".to_owned(), None),
            Event::Lost(" ".to_owned()),
            Event::Reported("x".to_owned()),
        ];
        let mut file = HintFile::create(&path, &events[..2]).unwrap();
        for event in &events[2..] {
            file.append(event).unwrap();
        }
        let read = || HintFile::read(&path).unwrap();
        assert!(matches!(read(), Contents::Events(read) if read == events));
        // The worker was killed while it wrote.
        let length = fs::metadata(&path).unwrap().len();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length - 1).unwrap();
        assert!(matches!(read(), Contents::Damaged(read) if read == events[..5]));
        fs::write(&path, b"built \xff \"a\"\n").unwrap();
        assert!(matches!(read(), Contents::Damaged(read) if read.is_empty()));
    }
}
