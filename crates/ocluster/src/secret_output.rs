//! Secrets on standard output: the shell creates the file of `add-client CAP alice > alice.cap`, readable by all users.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use cli::print::print_error;

/// Restricts the file that standard output goes to to its owner, if it is a new file of our own. Warns about any other
/// file that others can read.
pub(crate) fn protect() {
    let output = io::stdout().lock();
    let Ok(file) = rustix::io::fcntl_dupfd_cloexec(&output, 0).map(File::from) else {
        return;
    };
    if let Some(warning) = protect_file(&file) {
        print_error(&format!("{warning}\n"));
    }
}

/// Returns a warning if the file stays readable for others.
fn protect_file(file: &File) -> Option<String> {
    let found = file.metadata().ok()?;
    let mode = found.mode() & 0o777;
    if !found.is_file() || mode & 0o077 == 0 {
        return None;
    }
    let restricted = match found.len() {
        0 => file.set_permissions(std::fs::Permissions::from_mode(0o600)),
        _ => Err(io::Error::other("it has other contents")),
    };
    let error = restricted.err()?;
    Some(format!(
        "WARNING: the secret goes to a file that others can read; cannot change its mode {mode:04o}: {error}; run \
         chmod 600 on it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(contents: &str) -> File {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), contents).unwrap();
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(file.path(), mode).unwrap();
        file.into_file()
    }

    #[test]
    fn a_new_file_is_restricted_and_another_is_a_warning() {
        let new = file("");
        assert_eq!(protect_file(&new), None);
        assert_eq!(new.metadata().unwrap().mode() & 0o777, 0o600);
        let used = file("notes");
        let warning = protect_file(&used).unwrap();
        assert!(warning.contains("mode 0644"), "{warning}");
        assert_eq!(used.metadata().unwrap().mode() & 0o777, 0o644);
    }
}
