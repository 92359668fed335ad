//! A root filesystem of this machine's own programs, for tests that run commands in one and have no image.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{find_program, output_within};
use crate::docker::Docker;
use crate::holder::Holder;
use crate::image::import;
use crate::name::Name;

/// The programs in the root filesystem: bash, and some of coreutils, findutils, grep, sed, tar, util-linux and others.
const PROGRAMS: &[&str] = &[
    "[",
    "awk",
    "base64",
    "basename",
    "bash",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "grep",
    "gzip",
    "head",
    "hostname",
    "id",
    "install",
    "kill",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "mount",
    "mv",
    "nl",
    "nproc",
    "od",
    "perl",
    "printenv",
    "printf",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "split",
    "stat",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "truncate",
    "tty",
    "umount",
    "uname",
    "uniq",
    "unshare",
    "wc",
    "who",
    "whoami",
    "xargs",
    "yes",
];

/// The directories, with their modes. `/bin` and similar ones are links into `/usr`, as in Debian.
const FOLDERS: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/lib64", 0o755),
    ("usr/sbin", 0o755),
    ("var/tmp", 0o1777),
];

const LINKS: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("sbin", "usr/sbin"),
];

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";

/// Makes a small root filesystem in `dir`, which must be an empty directory: a shell and the usual programs, copied
/// from this machine with their libraries.
///
/// # Errors
/// When this machine has no shell, or the files cannot be copied.
pub fn host_rootfs(dir: &Path) -> Result<()> {
    for (folder, mode) in FOLDERS {
        let path = dir.join(folder);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {path:?}"))?;
        fs::set_permissions(&path, Permissions::from_mode(*mode))?;
    }
    for (link, target) in LINKS {
        symlink(target, dir.join(link)).with_context(|| format!("cannot create link {link}"))?;
    }
    let mut programs = Vec::new();
    // A program that this machine lacks affects only tests that use it.
    for name in PROGRAMS {
        if let Some(program) = find_program(name) {
            copy(&program, &dir.join("usr/bin").join(name))?;
            programs.push(program);
        }
    }
    ensure!(
        dir.join("usr/bin/bash").exists(),
        "cannot make a root filesystem: this machine has no bash"
    );
    for library in libraries(&programs)? {
        copy(&library, &dir.join(target_path(&library)?))?;
    }
    fs::write(dir.join("etc/passwd"), PASSWD)?;
    fs::write(dir.join("etc/group"), GROUP)?;
    Ok(())
}

/// Makes the image `name` of such a root filesystem.
///
/// # Errors
/// When the root filesystem cannot be made, or the engine refuses.
pub fn import_host(docker: &Docker, name: &str) -> Result<()> {
    let holder = Holder::start(&Name::new()?)?;
    let root = holder.folder().join("host");
    fs::create_dir(&root)?;
    host_rootfs(&root)?;
    import(docker, &root, name)
}

/// Returns the libraries of `programs`, and the loader.
fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    // It fails if one of them is a script or static, but still prints the libraries of the others.
    let output = output_within(Command::new("ldd").args(programs), Duration::from_secs(60))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or the loader: `/lib64/ld-linux-x86-64.so.2 (0x…)`.
    let found = text
        .lines()
        .filter(|line| line.starts_with('\t') && line.contains("(0x"))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect::<BTreeSet<_>>();
    ensure!(
        !found.is_empty(),
        "cannot read the output of ldd: it has no libraries"
    );
    Ok(found)
}

/// Returns the path in the root filesystem of a file of this machine, with links like `/lib` resolved.
fn target_path(file: &Path) -> Result<PathBuf> {
    let relative = file.strip_prefix("/")?;
    Ok(match relative.starts_with("usr") {
        true => relative.to_owned(),
        false => Path::new("usr").join(relative),
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let Some(folder) = to.parent() else {
        bail!("cannot copy to {to:?}: it has no folder");
    };
    fs::create_dir_all(folder)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {from:?} to {to:?}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::checked;

    #[test]
    fn programs_run_in_the_root_filesystem() {
        if !crate::is_root() {
            return crate::report_not_run("programs_run_in_the_root_filesystem", "root");
        }
        let dir = tempfile::tempdir().unwrap();
        host_rootfs(dir.path()).unwrap();
        let script = "id -un; echo a b | sed s/a/c/; ls -d /tmp; stat -c %a /tmp; \
                      find /etc -name passwd; echo x | grep -o x; tar --version | head -c 3";
        let mut command = Command::new("chroot");
        command.arg(dir.path()).args(["/bin/bash", "-c", script]);
        let output = checked(&mut command).unwrap();
        assert_eq!(output, "root\nc b\n/tmp\n1777\n/etc/passwd\nx\ntar");
    }
}
