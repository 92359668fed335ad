//! Checks a state directory before anything is created in it, so that a mistake gets a clear message.

use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use crate::error::CommandError;

/// Checks that there is a directory at `path` in which this process may write, or that it can be created.
///
/// # Errors
/// If there is no such directory and none can be created, or this process may not write in it.
pub fn check(path: &Path) -> Result<(), CommandError> {
    check_by(path, |place| {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        accessat(CWD, place, access, AtFlags::EACCESS)
    })
}

/// Checks a directory. `may_write` returns whether this process may write in it.
fn check_by(
    path: &Path,
    may_write: impl Fn(&Path) -> Result<(), Errno>,
) -> Result<(), CommandError> {
    let unusable = |why: String| {
        Err(CommandError::failed(format_args!(
            "cannot use the state directory \"{}\": {why}",
            path.display()
        )))
    };
    for place in path.ancestors() {
        // The parent of a relative path's first component is the current directory.
        let place = match place.as_os_str().is_empty() {
            true => Path::new("."),
            false => place,
        };
        let shown = place.display();
        match place.metadata() {
            Ok(found) if found.is_dir() => {
                return match may_write(place) {
                    Ok(()) => Ok(()),
                    Err(error) => unusable(format!(
                        "user {} may not write to \"{shown}\": {}; chown it to that user, or name another directory \
                         with --state-dir",
                        rustix::process::geteuid().as_raw(),
                        io::Error::from(error)
                    )),
                };
            }
            Ok(_) => {
                return unusable(format!(
                    "\"{shown}\" is not a directory; name another with --state-dir"
                ));
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => {
                return unusable(format!(
                    "\"{shown}\" cannot be read: {error}; name another with --state-dir"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(path: &Path) -> String {
        check(path).map_or_else(|error| error.message, |()| "ok".to_owned())
    }

    #[test]
    fn a_directory_exists_or_can_be_created() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(checked(dir.path()), "ok");
        assert_eq!(checked(&dir.path().join("a/b")), "ok");
        assert_eq!(checked(Path::new("a")), "ok");
        let shown = file.display();
        assert_eq!(
            checked(&file),
            format!(
                "cannot use the state directory \"{shown}\": \"{shown}\" is not a directory; name another with \
                 --state-dir"
            )
        );
        assert_eq!(
            checked(&file.join("state")),
            format!(
                "cannot use the state directory \"{shown}/state\": \"{shown}\" is not a directory; name another with \
                 --state-dir"
            )
        );
    }

    #[test]
    fn a_directory_without_write_access_is_refused() {
        let refused = |_: &Path| Err(Errno::ACCESS);
        let why = check_by(Path::new("/tmp/no/such"), refused).unwrap_err();
        let why = why.message;
        let user = rustix::process::geteuid().as_raw();
        assert!(
            why.starts_with(&format!(
                "cannot use the state directory \"/tmp/no/such\": user {user} may not write to \"/tmp\": Permission \
                 denied"
            )) && why.ends_with("or name another directory with --state-dir"),
            "{why}"
        );
    }
}
