//! How a folder on disk says what is gone, and what hides all below it.
//!
//! Where overlays are mounted, their own form is used, so that a difference can be a lower folder as it is: a character device 0:0
//! for what is gone, an attribute for an opaque folder (Linux, Documentation/filesystems/overlayfs.rst). Where none can be mounted,
//! the kernel may also refuse to make such devices (on top of another overlay, as in a container), and nobody but this room reads the
//! folders: there the marks are files, as in a layer's tar.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, Stat, XattrFlags};

/// The form of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// Overlay's, in `trusted.overlay.*`.
    Trusted,
    /// Overlay's, in `user.overlay.*`.
    User,
    /// Files, as in a tar.
    Files,
}

/// What a tar's marks begin with.
pub(crate) const PREFIX: &[u8] = b".wh.";

/// The file that makes its folder opaque.
pub(crate) const OPAQUE: &str = ".wh..wh..opq";

impl Marks {
    fn prefix(self) -> Option<&'static str> {
        match self {
            Marks::Trusted => Some("trusted.overlay."),
            Marks::User => Some("user.overlay."),
            Marks::Files => None,
        }
    }

    /// The name of an overlay's attribute; `None` where marks are files.
    pub(crate) fn attribute(self, name: &str) -> Option<OsString> {
        Some(OsString::from(format!("{}{name}", self.prefix()?)))
    }

    /// Whether a node is a whiteout by itself.
    pub(crate) fn is_whiteout(self, stat: &Stat) -> bool {
        self != Marks::Files
            && FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == 0
    }

    /// The name of the file that says that `name` is gone; `None` where a whiteout stands at the name itself.
    pub(crate) fn whiteout_file(self, name: &OsStr) -> Option<OsString> {
        (self == Marks::Files).then(|| prefixed(name))
    }

    /// Marks `name` in `folder` as gone. Nothing stands there.
    pub(crate) fn whiteout(self, folder: impl AsFd, name: &OsStr) -> io::Result<()> {
        match self.whiteout_file(name) {
            Some(file) => drop(crate::beneath::create(folder, &file, 0o600)?),
            None => {
                let mode = Mode::from_raw_mode(0);
                rustix::fs::mknodat(folder, name, FileType::CharacterDevice, mode, 0)?;
            }
        }
        Ok(())
    }

    /// Makes an open folder opaque.
    pub(crate) fn set_opaque(self, folder: impl AsFd) -> io::Result<()> {
        match self.attribute("opaque") {
            Some(name) => Ok(rustix::fs::fsetxattr(folder, name.as_os_str(), b"y", XattrFlags::empty())?),
            None => match crate::beneath::create(folder, OsStr::new(OPAQUE), 0o600) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other.map(drop),
            },
        }
    }

    /// Whether an open folder is opaque.
    pub(crate) fn is_opaque(self, folder: impl AsFd) -> io::Result<bool> {
        match self.attribute("opaque") {
            Some(name) => {
                let mut value = [0_u8; 4];
                match rustix::fs::fgetxattr(folder, name.as_os_str(), &mut value[..]) {
                    Ok(count) => Ok(&value[..count] == b"y"),
                    Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
            None => match rustix::fs::statat(folder, OPAQUE, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Ok(true),
                Err(rustix::io::Errno::NOENT) => Ok(false),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// The name of a tar's mark that `name` is gone.
pub(crate) fn prefixed(name: &OsStr) -> OsString {
    OsStr::from_bytes(&[PREFIX, name.as_bytes()].concat()).to_owned()
}

/// Whether a name is one that only marks have.
pub(crate) fn is_reserved(name: &OsStr) -> bool {
    name.as_bytes().starts_with(PREFIX)
}
