//! The op that made a result, as in the spec, kept beside the result for users.

use std::fs;
use std::io;
use std::path::Path;

use crate::StepId;

/// The file in the directory of a result. Its first line is the id, because in the reference's btrfs stores a step
/// starts with a copy of all files of its base.
const FILE: &str = "op";

/// How much of an op is kept, in bytes: a command may be very long.
const MOST: usize = 4096;

/// Writes the op of the result `id` into the directory of its draft, in one line.
pub(super) fn write(dir: &Path, id: StepId, op: &str) -> io::Result<()> {
    let mut words: Vec<&str> = op.split_whitespace().collect();
    let mut length = 0;
    words.retain(|word| {
        length += word.len() + 1;
        length <= MOST
    });
    fs::write(dir.join(FILE), format!("{id}\n{}\n", words.join(" ")))
}

/// Returns the op of the result `id` in `dir`. `None` if another program made the result, which keeps no ops.
pub(super) fn read(dir: &Path, id: StepId) -> Option<String> {
    let text = fs::read_to_string(dir.join(FILE)).ok()?;
    let (first, op) = text.split_once('\n')?;
    (first.parse() == Ok(id) && !op.is_empty()).then(|| op.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_is_kept_in_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let (id, other) = (StepId::of(b"a"), StepId::of(b"b"));
        assert_eq!(read(dir.path(), id), None);
        write(dir.path(), id, "/: (run (cache)\n    (shell make))").unwrap();
        let op = read(dir.path(), id);
        assert_eq!(op.as_deref(), Some("/: (run (cache) (shell make))"));
        assert_eq!(read(dir.path(), other), None);
        write(dir.path(), id, &"x y ".repeat(MOST)).unwrap();
        assert!(read(dir.path(), id).unwrap().len() <= MOST);
    }
}
