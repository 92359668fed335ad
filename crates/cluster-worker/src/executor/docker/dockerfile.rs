//! The Dockerfile of a build: sent by the client, or a file of the source.
//!
//! The source is what the job's author has committed, including symbolic links, and it is read and written with the
//! worker's permissions. So nothing here follows a link. The source cannot change between the check of a path and its
//! use, as nothing of the job is running yet.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cluster_api::Dockerfile;
use job_rules::{DockerfilePathError, check_dockerfile_path};
use rustix::fs::{CWD, FileType, Mode, OFlags, RawMode};

/// The name in the source of a Dockerfile that the client sent. It is upstream's: `COPY . .` copies the file, so
/// another name would make another image, built without the cache.
const NAME: &str = "Dockerfile";

/// The largest Dockerfile that is read, in bytes: many times larger than real ones.
const MAX_SIZE: u64 = 4 << 20;

/// Why a Dockerfile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DockerfileError {
    #[error(transparent)]
    Path(#[from] DockerfilePathError),
    #[error("{segment:?} does not exist (in {path})")]
    Missing { segment: String, path: String },
    #[error("{segment:?} is not a directory (in {path})")]
    NotADirectory { segment: String, path: String },
    #[error("{segment:?} is not a regular file (in {path})")]
    NotAFile { segment: String, path: String },
    #[error("cannot write the Dockerfile: {0}")]
    Write(String),
    #[error("cannot read {path:?}: {reason}")]
    Read { path: String, reason: String },
    #[error("the Dockerfile has {size} bytes: the worker reads up to {MAX_SIZE}")]
    TooLarge { size: u64 },
    #[error("\".dockerignore\" is a symbolic link, which the worker does not follow")]
    LinkedIgnore,
}

/// Returns the path of a build's Dockerfile. One that the client sent is written there.
pub(super) fn place(source: &Path, dockerfile: &Dockerfile) -> Result<PathBuf, DockerfileError> {
    check_ignore_file(source)?;
    match dockerfile {
        Dockerfile::Contents(text) => write(source, text),
        Dockerfile::Path(path) => {
            check_dockerfile_path(path)?;
            find(source, path)
        }
    }
}

/// Writes the client's Dockerfile into the source. It replaces a file of the same name.
fn write(source: &Path, text: &str) -> Result<PathBuf, DockerfileError> {
    let file = source.join(NAME);
    let written = match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        // A new file is not a link.
        _ => OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&file)
            .and_then(|mut file| file.write_all(text.as_bytes())),
    };
    match written {
        Ok(()) => Ok(file),
        Err(_) if file.is_dir() => Err(DockerfileError::Write(format!(
            "{NAME:?} is a directory in the source"
        ))),
        Err(error) => Err(DockerfileError::Write(error.to_string())),
    }
}

/// Reads a Dockerfile. Bytes that are not UTF-8 are replaced: instructions and names contain none.
pub(super) fn read(file: &Path) -> Result<String, DockerfileError> {
    let unreadable = |error: std::io::Error| DockerfileError::Read {
        path: file.display().to_string(),
        reason: error.to_string(),
    };
    let size = fs::metadata(file).map_err(unreadable)?.len();
    if size > MAX_SIZE {
        return Err(DockerfileError::TooLarge { size });
    }
    let bytes = fs::read(file).map_err(unreadable)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a changed Dockerfile into a directory outside of the source, as the source may be copied into the image.
/// Returns its path. Its ignore file is copied there too.
pub(super) fn write_beside(file: &Path, text: &str, tmp: &Path) -> std::io::Result<PathBuf> {
    let dir = tmp.join("dockerfile");
    fs::create_dir(&dir)?;
    let other = dir.join(file.file_name().unwrap_or(NAME.as_ref()));
    fs::write(&other, text)?;
    let ignore = |file: &Path| {
        let mut path = file.as_os_str().to_owned();
        path.push(".dockerignore");
        PathBuf::from(path)
    };
    let own = ignore(file);
    if fs::symlink_metadata(&own).is_ok_and(|data| data.is_file()) {
        fs::copy(own, ignore(&other))?;
    }
    Ok(other)
}

/// Returns the file at `path` in the source. Fails if the path contains a link.
fn find(source: &Path, path: &str) -> Result<PathBuf, DockerfileError> {
    let segments: Vec<&str> = path.split('/').filter(|segment| *segment != ".").collect();
    let Some((last, directories)) = segments.split_last() else {
        return Err(DockerfilePathError::Empty.into());
    };
    let mut place = open(&CWD, source.as_os_str().as_encoded_bytes(), path)?.0;
    for segment in directories {
        let (next, kind) = open(&place, segment.as_bytes(), path)?;
        if kind != FileType::Directory {
            return Err(DockerfileError::NotADirectory {
                segment: (*segment).into(),
                path: path.into(),
            });
        }
        place = next;
    }
    match open(&place, last.as_bytes(), path)?.1 {
        FileType::RegularFile => Ok(segments
            .iter()
            .fold(source.to_owned(), |place, segment| place.join(segment))),
        _ => Err(DockerfileError::NotAFile {
            segment: (*last).into(),
            path: path.into(),
        }),
    }
}

/// Opens one segment of a path without following links, and returns its type.
fn open(
    dir: &impl std::os::fd::AsFd,
    segment: &[u8],
    path: &str,
) -> Result<(OwnedFd, FileType), DockerfileError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(dir, segment, flags, Mode::empty())
        .and_then(|file| rustix::fs::fstat(&file).map(|data| (file, data)));
    let segment = || String::from_utf8_lossy(segment).into_owned();
    match opened {
        Ok((file, data)) => Ok((file, FileType::from_raw_mode(data.st_mode as RawMode))),
        Err(rustix::io::Errno::NOENT) => Err(DockerfileError::Missing {
            segment: segment(),
            path: path.into(),
        }),
        Err(error) => Err(DockerfileError::Read {
            path: path.into(),
            reason: error.to_string(),
        }),
    }
}

/// Refuses an ignore file that is a link.
///
/// `docker` would read its target, and the files that are then missing from the build reveal its content.
fn check_ignore_file(source: &Path) -> Result<(), DockerfileError> {
    let data = fs::symlink_metadata(source.join(".dockerignore"));
    if data.is_ok_and(|data| data.is_symlink()) {
        Err(DockerfileError::LinkedIgnore)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use cluster_api::Dockerfile;
    use expect_test::expect;

    use super::place;

    #[test]
    fn paths_stay_in_the_source() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::create_dir_all(source.join("sub")).unwrap();
        fs::write(source.join("sub/Dockerfile"), "FROM x").unwrap();
        fs::write(dir.path().join("outside"), "FROM y").unwrap();
        symlink("/etc", source.join("etc")).unwrap();
        symlink("sub/Dockerfile", source.join("link")).unwrap();
        symlink("../outside", source.join("out")).unwrap();
        let mut shown = String::new();
        for path in [
            "sub/Dockerfile",
            "./sub/./Dockerfile",
            "-",
            "",
            "/etc/passwd",
            "../outside",
            "sub/../../outside",
            "sub//Dockerfile",
            "Dockerfile",
            "nosuch/x",
            "sub",
            "sub/Dockerfile/x",
            "etc/passwd",
            "link",
            "out",
            ".",
            "sub/",
            "a\0b",
        ] {
            shown += &match place(&source, &Dockerfile::Path(path.into())) {
                Ok(file) => format!(
                    "{path}: {}\n",
                    file.strip_prefix(dir.path()).unwrap().display()
                ),
                Err(error) => format!("{path:?}: {error}\n"),
            };
        }
        expect![[r#"
            sub/Dockerfile: source/sub/Dockerfile
            ./sub/./Dockerfile: source/sub/Dockerfile
            "-": Path cannot be '-'!
            "": Empty path!
            "/etc/passwd": /etc/passwd is an absolute path!
            "../outside": Relative segment in ../outside
            "sub/../../outside": Relative segment in sub/../../outside
            "sub//Dockerfile": Empty segment in sub//Dockerfile!
            "Dockerfile": "Dockerfile" does not exist (in Dockerfile)
            "nosuch/x": "nosuch" does not exist (in nosuch/x)
            "sub": "sub" is not a regular file (in sub)
            "sub/Dockerfile/x": "Dockerfile" is not a directory (in sub/Dockerfile/x)
            "etc/passwd": "etc" is not a directory (in etc/passwd)
            "link": "link" is not a regular file (in link)
            "out": "out" is not a regular file (in out)
            ".": Empty path!
            "sub/": Empty segment in sub/!
            "a\0b": cannot read "a\0b": Invalid argument (os error 22)
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn the_clients_dockerfile_is_not_written_through_links() {
        let dir = tempfile::tempdir().unwrap();
        let (source, outside) = (dir.path().join("source"), dir.path().join("outside"));
        fs::create_dir(&source).unwrap();
        fs::write(&outside, "precious").unwrap();
        let text = Dockerfile::Contents("FROM x\n".into());
        for target in [&outside, &dir.path().join("nosuch")] {
            symlink(target, source.join("Dockerfile")).unwrap();
            let file = place(&source, &text).unwrap();
            assert!(fs::symlink_metadata(&file).unwrap().is_file());
            assert_eq!(fs::read_to_string(&file).unwrap(), "FROM x\n");
            fs::remove_file(file).unwrap();
        }
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
        // It replaces a file of the commit, as upstream, but not a directory.
        fs::write(source.join("Dockerfile"), "FROM a much longer name\n").unwrap();
        assert_eq!(
            fs::read_to_string(place(&source, &text).unwrap()).unwrap(),
            "FROM x\n"
        );
        fs::remove_file(source.join("Dockerfile")).unwrap();
        fs::create_dir(source.join("Dockerfile")).unwrap();
        let error = place(&source, &text).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot write the Dockerfile: \"Dockerfile\" is a directory in the source"
        );
    }

    #[test]
    fn a_link_as_ignore_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/root/.netrc", dir.path().join(".dockerignore")).unwrap();
        let error = place(dir.path(), &Dockerfile::Contents(String::new())).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("\".dockerignore\" is a symbolic link")
        );
    }
}
