//! The variable `HOME`, which every runtime adds if it is missing.
//!
//! The library would get it from the C library, inside the image, and that loads any library that the image configures.
//! So the image's `/etc/passwd` is read here instead.

use std::io::{self, Read as _};

use libcontainer::oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The longest list of users that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Adds `HOME` to a config that has none: the user's home in the image, or `/`.
pub(super) fn add(spec: &mut Spec) -> io::Result<()> {
    let root = spec.root().as_ref().map(|root| root.path().clone());
    let Some(process) = spec.process_mut().as_mut() else {
        return Ok(());
    };
    let mut env = process.env().clone().unwrap_or_default();
    let has_one = |variable: &String| {
        variable
            .strip_prefix("HOME=")
            .is_some_and(|v| !v.is_empty())
    };
    if env.iter().any(has_one) {
        return Ok(());
    }
    let users = match root {
        Some(root) => read(&root)?,
        None => String::new(),
    };
    let home = home_of(&users, process.user().uid()).unwrap_or("/");
    env.retain(|variable| !variable.starts_with("HOME="));
    env.push(format!("HOME={home}"));
    process.set_env(Some(env));
    Ok(())
}

fn read(root: &std::path::Path) -> io::Result<String> {
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    // A pipe in its place must not block this process.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(&root, "etc/passwd", flags, Mode::empty(), inside) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(String::new()),
        file => std::fs::File::from(file?),
    };
    if !file.metadata()?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn home_of(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let is_it = fields.next()?.parse() == Ok(uid);
        let home = fields.nth(2)?;
        (is_it && !home.is_empty()).then_some(home)
    })
}

#[cfg(test)]
mod tests {
    use super::home_of;

    #[test]
    fn homes_are_in_the_list_of_users() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# comment\nopam:x:1000:1000::/home/opam:/bin/bash\nbad:x:5\n";
        assert_eq!(home_of(users, 0), Some("/root"));
        assert_eq!(home_of(users, 1000), Some("/home/opam"));
        assert_eq!(home_of(users, 5), None);
        assert_eq!(home_of("", 0), None);
    }
}
