//! The destination of files in the image.

use bstr::{BStr, BString, ByteSlice as _};
use obuilder_spec::User;

use super::CopyError;

/// A path in the image, from its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// The components. None of them is `.`, `..` or empty.
    pub(super) names: Vec<BString>,
    /// Whether it is the directory for the sources, rather than the path of a single one.
    pub(super) is_directory: bool,
}

impl Destination {
    /// Returns the destination of `dst`, without a drive letter and without components that have no effect.
    pub(super) fn of(dst: &BStr) -> Result<Self, CopyError> {
        let path = match dst.as_bytes() {
            [drive, b':', rest @ ..] if drive.is_ascii_alphabetic() => rest,
            path => path,
        };
        let names: Vec<BString> = path
            .split_str("/")
            .filter(|name| !name.is_empty() && *name != b".")
            .map(BString::from)
            .collect();
        if names.iter().any(|name| name == "..") {
            return Err(CopyError::DestinationGoesUp(dst.to_owned()));
        }
        Ok(Self {
            names,
            is_directory: dst.ends_with(b"/"),
        })
    }
}

/// The owner of copied files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The id of the Windows user `ContainerAdministrator` in Cygwin's tar.
const CONTAINER_ADMINISTRATOR: u32 = 0x5D001;

impl Owner {
    /// Returns the ids of a user. Windows users other than the administrator have none, and get 0.
    pub(super) fn of(user: &User) -> Result<Self, CopyError> {
        let both = |id| Self { uid: id, gid: id };
        match user {
            User::Unix { uid, gid } => match (id(*uid), id(*gid)) {
                (Some(uid), Some(gid)) => Ok(Self { uid, gid }),
                _ => Err(CopyError::Owner {
                    uid: *uid,
                    gid: *gid,
                }),
            },
            User::Named(name) if name == "ContainerAdministrator" => {
                Ok(both(CONTAINER_ADMINISTRATOR))
            }
            User::Named(_) => Ok(both(0)),
        }
    }
}

/// Returns an id that a file can have. The highest number means "no change" to the system.
fn id(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(dst: &str) -> String {
        let names = Destination::of(dst.into()).unwrap().names;
        bstr::join("/", names).to_str().unwrap().to_owned()
    }

    #[test]
    fn what_means_nothing_is_left_out_of_a_destination() {
        for (dst, expected) in [
            ("foo/bar", "foo/bar"),
            ("/foo/bar", "foo/bar"),
            ("/foo/bar/", "foo/bar"),
            ("/src/./base.opam", "src/base.opam"),
            ("/src/./", "src"),
            ("./foo/bar", "foo/bar"),
            (".", ""),
            ("./", ""),
            ("C:/foo/bar", "foo/bar"),
            ("C:/./foo/bar", "foo/bar"),
            ("//foo///bar", "foo/bar"),
            ("/C:/foo", "C:/foo"),
            ("...", "..."),
        ] {
            assert_eq!(normalised(dst), expected, "{dst}");
        }
    }

    #[test]
    fn a_destination_does_not_go_up() {
        for dst in ["..", "/a/../b", "a/..", "C:/../x/", "/../../etc"] {
            assert_eq!(
                Destination::of(dst.into()).unwrap_err().to_string(),
                format!("cannot copy to \"{dst}\": the path must not have ..")
            );
        }
    }

    #[test]
    fn users_are_numbers() {
        let owner = |user: &User| {
            Owner::of(user)
                .map(|owner| (owner.uid, owner.gid))
                .map_err(|e| e.to_string())
        };
        let unix = |uid, gid| User::Unix { uid, gid };
        assert_eq!(owner(&unix(1000, 100)), Ok((1000, 100)));
        assert_eq!(owner(&unix(0, 4_294_967_294)), Ok((0, 4_294_967_294)));
        let named = |name: &str| User::Named(name.into());
        assert_eq!(
            owner(&named("ContainerAdministrator")),
            Ok((0x5D001, 0x5D001))
        );
        assert_eq!(owner(&named("opam")), Ok((0, 0)));
        for (uid, gid) in [(-1, 0), (0, 4_294_967_295), (1 << 40, 0)] {
            assert_eq!(
                owner(&unix(uid, gid)),
                Err(format!(
                    "cannot give files to the user {uid}:{gid}: ids go from 0 to 4294967294"
                ))
            );
        }
    }
}
