//! The store to open, as on a command line: `overlayfs:/var/cache/obuilder`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Layers of an overlay, on any filesystem that can hold them.
    Overlayfs,
    /// Subvolumes.
    Btrfs,
    /// Copies that share their blocks, on XFS and other filesystems that support it.
    Xfs,
    /// Copies, on any filesystem.
    Rsync,
    /// Datasets.
    Zfs,
    /// Images of a Docker engine. Not supported.
    Docker,
    /// Disks of virtual machines. Not supported.
    Qemu,
    /// Snapshots of Windows' containers. Not supported.
    Hcs,
}

impl StoreKind {
    const ALL: [Self; 8] = [
        Self::Overlayfs,
        Self::Btrfs,
        Self::Xfs,
        Self::Rsync,
        Self::Zfs,
        Self::Docker,
        Self::Qemu,
        Self::Hcs,
    ];

    /// Returns the word before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overlayfs => "overlayfs",
            Self::Btrfs => "btrfs",
            Self::Xfs => "xfs",
            Self::Rsync => "rsync",
            Self::Zfs => "zfs",
            Self::Docker => "docker",
            Self::Qemu => "qemu",
            Self::Hcs => "hcs",
        }
    }

    fn needs_absolute_path(self) -> bool {
        matches!(
            self,
            Self::Overlayfs | Self::Btrfs | Self::Xfs | Self::Rsync
        )
    }
}

/// The value of `--store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlace {
    kind: StoreKind,
    path: PathBuf,
}

impl StorePlace {
    /// Reads `KIND:REST`.
    ///
    /// # Errors
    /// If there is no such kind, or its path must be absolute and is not.
    pub fn parse(text: &OsStr) -> Result<Self, StoreSpecError> {
        let bytes = text.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':');
        let (kind, rest) = colon
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(StoreSpecError::Syntax)?;
        let rest = Path::new(OsStr::from_bytes(rest.get(1..).unwrap_or_default()));
        let kind = StoreKind::ALL
            .into_iter()
            .find(|known| known.as_str().as_bytes() == kind)
            .ok_or(StoreSpecError::Syntax)?;
        let is_wrong = kind.needs_absolute_path() && !rest.is_absolute()
            || kind == StoreKind::Zfs && rest.file_name().is_none();
        if is_wrong {
            return Err(StoreSpecError::Syntax);
        }
        Ok(Self {
            kind,
            path: rest.to_owned(),
        })
    }

    /// Returns its kind.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// Returns the path after the colon: a directory, or a pool.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for StorePlace {
    type Err = StoreSpecError;

    fn from_str(text: &str) -> Result<Self, StoreSpecError> {
        Self::parse(OsStr::new(text))
    }
}

impl TryFrom<OsString> for StorePlace {
    type Error = StoreSpecError;

    fn try_from(text: OsString) -> Result<Self, StoreSpecError> {
        Self::parse(&text)
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.path.display())
    }
}

impl From<&StorePlace> for OsString {
    fn from(place: &StorePlace) -> Self {
        let mut text = place.kind.as_str().as_bytes().to_vec();
        text.push(b':');
        text.extend_from_slice(place.path.as_os_str().as_bytes());
        Self::from_vec(text)
    }
}

/// How an `rsync:` store keeps results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsyncMode {
    /// As whole copies: the fastest, with the largest disk usage.
    Copy,
    /// Files that equal the base's, by their content, are links to the base's.
    Hardlink,
    /// As `hardlink`, but files of the same size and time count as equal: for tests of OBuilder.
    HardlinkUnsafe,
}

impl RsyncMode {
    /// Returns the value of `--rsync-mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Hardlink => "hardlink",
            Self::HardlinkUnsafe => "hardlink_unsafe",
        }
    }
}

impl FromStr for RsyncMode {
    type Err = StoreSpecError;

    fn from_str(text: &str) -> Result<Self, StoreSpecError> {
        [Self::Copy, Self::Hardlink, Self::HardlinkUnsafe]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| StoreSpecError::Mode(text.to_owned()))
    }
}

/// A store to open: its location, and the mode of an rsync store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSpec {
    place: StorePlace,
    mode: Option<RsyncMode>,
}

impl StoreSpec {
    /// Combines the values of `--store` and `--rsync-mode`, either of which may be missing.
    ///
    /// # Errors
    /// If there is no location, an rsync store has no mode, or another store has one.
    pub fn new(place: Option<StorePlace>, mode: Option<RsyncMode>) -> Result<Self, StoreSpecError> {
        let place = place.ok_or(StoreSpecError::Missing)?;
        match (place.kind, mode) {
            (StoreKind::Rsync, None) => Err(StoreSpecError::NoMode),
            (StoreKind::Rsync, Some(_)) | (_, None) => Ok(Self { place, mode }),
            (kind, Some(_)) => Err(StoreSpecError::UnwantedMode(kind)),
        }
    }

    /// Returns its location.
    pub fn place(&self) -> &StorePlace {
        &self.place
    }

    /// Returns the mode of an rsync store. `None` for any other.
    pub fn mode(&self) -> Option<RsyncMode> {
        self.mode
    }
}

/// Why a command line does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreSpecError {
    /// `--store` is not `KIND:REST`.
    #[error("Store must start with overlayfs:/, btrfs:/, xfs:/, rsync:/ or zfs:")]
    Syntax,
    /// There is no `--store`.
    #[error(
        "required option '--store' is missing: name the store with --store=overlayfs:/path, btrfs:/path, xfs:/path, \
         rsync:/path or zfs:pool"
    )]
    Missing,
    /// A store without modes has one.
    #[error(
        "the option '--rsync-mode' is for rsync:/path only, and this is a store of kind {}; leave it out",
        .0.as_str()
    )]
    UnwantedMode(StoreKind),
    /// An rsync store has no mode.
    #[error("Store rsync:/ must supply an rsync-mode: --rsync-mode=copy or hardlink")]
    NoMode,
    /// There is no such mode.
    #[error("unknown rsync mode {0:?}: use copy, hardlink or hardlink_unsafe")]
    Mode(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<StorePlace, StoreSpecError> {
        text.parse()
    }

    #[test]
    fn a_location_is_a_kind_and_a_path() {
        for text in [
            "overlayfs:/var/cache/obuilder",
            "btrfs:/a:b, c",
            "xfs:/",
            "rsync:/r",
            "zfs:tank",
            "zfs:/Volumes/tank",
            "docker:relative",
        ] {
            assert_eq!(place(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "btrfs",
            "btrfs:rel",
            "overlayfs:",
            "ext4:/x",
            "zfs:",
            ":/x",
        ] {
            assert_eq!(place(text), Err(StoreSpecError::Syntax), "{text}");
        }
    }

    #[test]
    fn rsync_stores_and_no_others_need_a_mode() {
        let of = |text: &str, mode| StoreSpec::new(place(text).ok(), mode).map(|_| ());
        assert_eq!(of("rsync:/r", None), Err(StoreSpecError::NoMode));
        assert_eq!(of("rsync:/r", Some(RsyncMode::Copy)), Ok(()));
        assert_eq!(of("btrfs:/r", None), Ok(()));
        assert_eq!(
            of("btrfs:/r", Some(RsyncMode::Copy)),
            Err(StoreSpecError::UnwantedMode(StoreKind::Btrfs))
        );
        assert_eq!(StoreSpec::new(None, None), Err(StoreSpecError::Missing));
    }

    #[test]
    fn modes_have_upstreams_names() {
        for text in ["copy", "hardlink", "hardlink_unsafe"] {
            assert_eq!(text.parse::<RsyncMode>().unwrap().as_str(), text);
        }
        assert!("symlink".parse::<RsyncMode>().is_err());
    }
}
