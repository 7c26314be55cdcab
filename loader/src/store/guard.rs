//! Whether an image can be mapped as it lies in the store, without hashing it.
//!
//! It can when nobody but root could have written it since it was installed: root
//! could replace this program as well, so nobody is trusted who was not before. What is
//! checked is what is used: the file by its open descriptor, and each folder on the way
//! up from the store's own, by `..`, so that no path is read twice. Guarantees of a
//! [`StoredImage`], which only [`StoredImage::check`] makes: a regular file of the
//! right length with one name, root's, that nobody may write; in folders that are
//! root's and nobody else may write, up to `/`. Access lists are covered: what they
//! let others do shows in the bits of the group. Does not look at the bytes.

use crate::open::Irregular;
use rustix::fs::{AtFlags, FileType, Mode, Stat, StatVfsMountFlags};
use std::fmt;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Most folders on the way from a store to `/`: what fits into one path of `../`.
const DEPTH_MAX: usize = 1024;

/// A verified artifact's code as root keeps it.
#[derive(Debug)]
pub(crate) struct StoredImage {
    file: File,
}

/// Why an image is hashed although it is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// The store belongs to the user who runs it.
    Own,
    /// The store belongs to this user, who is not root.
    Owner(u32),
    /// A folder above the store is not root's, or others may write it.
    Above,
    /// The image is not root's, or somebody may write it.
    Mode,
    /// The image has a second name.
    Links,
    /// Code cannot be mapped from that filesystem.
    NoExec,
    /// The system did not say.
    Unknown,
}

impl fmt::Display for Oddity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => formatter.write_str(
                "its user can write the store (as root, bls-load install needs no hashing at a run)",
            ),
            Self::Owner(owner) => {
                write!(formatter, "the store belongs to user {owner}, not to root")
            }
            Self::Above => formatter
                .write_str("a folder above the store is not root's alone, so it could be another"),
            Self::Mode => formatter.write_str("the image is not root's alone to write"),
            Self::Links => formatter.write_str("the image has a second name"),
            Self::NoExec => formatter.write_str("its filesystem is mounted noexec"),
            Self::Unknown => formatter.write_str("the system did not say whose the store is"),
        }
    }
}

impl StoredImage {
    /// Takes the open `file` of the open `store`, which belongs to `owner`, alone, and
    /// whose folder of images does too.
    pub(crate) fn check(
        store: BorrowedFd<'_>,
        owner: u32,
        file: OwnedFd,
        status: &Stat,
    ) -> Result<Self, (OwnedFd, Oddity)> {
        match oddity(store, owner, &file, status) {
            None => Ok(Self { file: file.into() }),
            Some(oddity) => Err((file, oddity)),
        }
    }

    /// The file, for mapping.
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// The file, for reading.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

fn oddity(store: BorrowedFd<'_>, owner: u32, file: &OwnedFd, status: &Stat) -> Option<Oddity> {
    if owner != 0 {
        let own = owner == rustix::process::geteuid().as_raw();
        return Some(if own { Oddity::Own } else { Oddity::Owner(owner) });
    }
    let mode = Mode::from_raw_mode(status.st_mode);
    if status.st_uid != 0 || mode.intersects(Mode::WUSR | Mode::WGRP | Mode::WOTH) {
        return Some(Oddity::Mode);
    }
    if status.st_nlink != 1 {
        return Some(Oddity::Links);
    }
    match rustix::fs::fstatvfs(file) {
        Ok(system) if system.f_flag.contains(StatVfsMountFlags::NOEXEC) => {
            return Some(Oddity::NoExec);
        }
        Ok(_) => {}
        Err(_) => return Some(Oddity::Unknown),
    }
    match is_roots_up_to_the_root(store) {
        Ok(true) => None,
        Ok(false) => Some(Oddity::Above),
        Err(_) => Some(Oddity::Unknown),
    }
}

/// Whether each folder above `folder` is root's and nobody else may write it. The names
/// are `..`, `../..` and so on: none of them can be a link.
fn is_roots_up_to_the_root(folder: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let mut above = String::new();
    let mut below = None;
    for _ in 0..DEPTH_MAX {
        above += "../";
        let status = rustix::fs::statat(folder, &above, AtFlags::empty())?;
        if status.st_uid != 0 || others_may_write(&status) {
            return Ok(false);
        }
        // `..` of `/` is `/`.
        let identity = Some((status.st_dev, status.st_ino));
        if identity == below {
            return Ok(true);
        }
        below = identity;
    }
    Ok(false)
}

/// Whether anybody but its owner may write it. A folder with the sticky bit counts too.
pub(super) fn others_may_write(status: &Stat) -> bool {
    Mode::from_raw_mode(status.st_mode).intersects(Mode::WGRP | Mode::WOTH)
}

/// What it is, if it is no regular file.
pub(super) fn irregular(status: &Stat) -> Option<&'static str> {
    Irregular::of(FileType::from_raw_mode(status.st_mode)).map(Irregular::words)
}
