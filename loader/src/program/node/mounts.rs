//! Which folders the guest gets, by the flags for files of every generation of the network's
//! runtime.
//!
//! What `--dir` and `--fs-root-path` name is granted, to be changed, as the node expects it. With
//! `--allow-read` or `--allow-write` only what they name of it is, and `--deny-…` takes away.
//! Guarantees that a flag never widens what is mounted, that a denial wins, and that one which
//! cannot be held is refused. What is denied is what stands there when the run begins, under
//! whatever name. Opens nothing.

use super::words::Words;
use crate::error::{Cause, Failure, printable};
use crate::program::config;
use crate::request::Folder;
use bls_artifact::capability::{path_covers, plain_path};
use bls_artifact::config::{Config, MapDir};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What of a folder may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    Nothing,
    Read,
    Change,
}

/// What the flags for files come to.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) folders: Vec<Folder>,
    /// On this machine.
    pub(super) hidden: Vec<PathBuf>,
}

/// Paths of one list; empty for all.
type List = Option<Vec<String>>;

/// The folders, in the order of their descriptors.
///
/// Gives what is hidden in them too.
pub(super) fn of(words: &Words, config: &Config) -> Result<Mounts, Failure> {
    let mut config = config.clone();
    let dirs: Vec<MapDir> = words.all("dir").map(map_dir).collect();
    // Where the command line says which folders there are, it says all of them.
    if !dirs.is_empty() || words.has("fs-root-path") {
        config.map_dirs = dirs;
    }
    // The node names a folder that nobody made, and goes on without.
    config.fs_root_path = config.fs_root_path.filter(|root| Path::new(root).is_dir());
    let all = words.has("allow-all");
    let lists = Lists {
        read: words.list("allow-read").filter(|_| !all).map(plain).transpose()?,
        write: words.list("allow-write").filter(|_| !all).map(plain).transpose()?,
        no_read: words.list("deny-read").map(plain).transpose()?,
        no_write: words.list("deny-write").map(plain).transpose()?,
    };
    let mut mounts = Mounts::default();
    for folder in config::folders(&config) {
        lists.narrow(folder, &mut mounts)?;
    }
    Ok(mounts)
}

/// `HOST` or `HOST::GUEST`.
fn map_dir(word: &OsStr) -> MapDir {
    let text = word.to_string_lossy();
    let (host, guest) = text.split_once("::").unwrap_or((&text, &text));
    MapDir { host: host.to_owned(), guest: guest.to_owned() }
}

/// Paths in the guest's eyes, in plain form.
fn plain(list: Vec<String>) -> Result<Vec<String>, Failure> {
    let one = |path: String| {
        let rooted = format!("/{}", path.trim_start_matches('/'));
        plain_path(&rooted).ok_or_else(|| {
            refused(&path, "is no path of a guest", "name it as the guest does: /data")
        })
    };
    list.into_iter().map(one).collect()
}

fn refused(path: &str, what: &str, hint: &str) -> Failure {
    Failure {
        stage: "grant",
        code: "grant.path-list",
        what: format!("{} {what}", printable(path)),
        hint: Some(hint.to_owned()),
        cause: Cause::Refused,
    }
}

struct Lists {
    read: List,
    write: List,
    no_read: List,
    no_write: List,
}

/// Whether a list holds everything, or this path.
fn covers(list: &List, path: &str) -> bool {
    list.as_ref()
        .is_some_and(|list| list.is_empty() || list.iter().any(|one| path_covers(one, path)))
}

impl Lists {
    /// What the flags leave of what is at this path.
    fn access(&self, path: &str) -> Access {
        let granted = match (&self.read, &self.write) {
            (None, None) => Access::Change,
            _ if covers(&self.write, path) => Access::Change,
            _ if covers(&self.read, path) => Access::Read,
            _ => Access::Nothing,
        };
        match granted {
            _ if covers(&self.no_read, path) => Access::Nothing,
            Access::Change if covers(&self.no_write, path) => Access::Read,
            granted => granted,
        }
    }

    /// What is left of a folder: itself, and folders in it that have other rights.
    fn narrow(&self, folder: Folder, mounts: &mut Mounts) -> Result<(), Failure> {
        let guest = folder.guest.to_string_lossy();
        let rooted = format!("/{}", guest.trim_start_matches('/'));
        let Some(top) = plain_path(&rooted) else {
            mounts.folders.push(folder);
            return Ok(());
        };
        let whole = self.access(&top);
        match whole {
            Access::Nothing => {}
            rights => {
                mounts.folders.push(Folder { read_only: rights == Access::Read, ..folder.clone() })
            }
        }
        let lists = [&self.read, &self.write, &self.no_read, &self.no_write];
        let mut inside: Vec<&String> = lists
            .into_iter()
            .flatten()
            .flatten()
            .filter(|path| **path != top && path_covers(&top, path))
            .collect();
        inside.sort_unstable();
        inside.dedup();
        for path in inside {
            let rights = self.access(path);
            let above =
                path.rfind('/').map_or("/", |slash| if slash == 0 { "/" } else { &path[..slash] });
            if rights == self.access(above) {
                continue;
            }
            let below = path[top.len()..].trim_start_matches('/');
            let host: PathBuf = folder.host.join(below);
            if !host.exists() {
                continue;
            }
            if rights == Access::Nothing {
                mounts.hidden.push(host);
                continue;
            }
            if !host.is_dir() {
                return Err(refused(
                    path,
                    "is a file, and folders are granted",
                    "name the folder that it is in",
                ));
            }
            mounts.folders.push(Folder {
                host: folder.host.clone(),
                below: below.into(),
                guest: OsStr::from_bytes(path.as_bytes()).to_owned(),
                read_only: rights == Access::Read,
            });
        }
        Ok(())
    }
}
