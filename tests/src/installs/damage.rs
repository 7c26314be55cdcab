//! What somebody who can write a store does to it.

use super::releases::{NAMES, release};
use super::{Choices, Scene};
use bls_loader::store::Folder;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Where it is done.
#[derive(Debug)]
enum Place {
    /// A file, by its path in the store.
    File(String),
    /// A file of a folder, by its number among what lies there.
    Nth(&'static str, usize),
    /// A folder, or the store itself (`.`).
    Folder(&'static str),
}

/// What is done.
#[derive(Debug)]
enum Change {
    Write(Vec<u8>),
    Flip(usize, u8),
    Truncate(usize),
    Delete,
    LinkOutside,
    Folder,
    Writable,
    CopyOf(usize),
    Mend,
}

/// A change to a store by somebody else.
#[derive(Debug)]
pub(super) struct Damage {
    place: Place,
    change: Change,
}

impl Damage {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        let folder = Folder::INSIDE[choices.below(4)].name();
        let place = match choices.below(8) {
            0 => {
                Place::Folder(["names", "artifacts", "images", "temporary", "."][choices.below(5)])
            }
            1 => Place::File(format!("names/{}", NAMES[choices.below(NAMES.len())])),
            2 => Place::File(release(choices).files()[choices.below(3)].clone()),
            // A name that nobody gave.
            3 => {
                let odd = ["..a", ".x", "-y", "\u{e9}", "a b", "app~", "lock", "temporary"];
                Place::File(format!("{folder}/{}", odd[choices.below(odd.len())]))
            }
            _ => Place::Nth(folder, choices.below(256)),
        };
        let change = match choices.below(12) {
            0 | 1 => {
                let length = choices.below(256);
                Change::Write(choices.bytes(length))
            }
            2 | 3 => Change::Flip(choices.number(), choices.byte()),
            4 => Change::Truncate(choices.number()),
            5 => Change::Delete,
            6 => Change::LinkOutside,
            7 => Change::Folder,
            8 => Change::Writable,
            9 => Change::CopyOf(choices.below(256)),
            _ => Change::Mend,
        };
        Self { place, change }
    }
}

impl Scene {
    pub(super) fn damage(&mut self, damage: &Damage) {
        match &damage.place {
            Place::Folder(folder) => self.damage_folder(folder, &damage.change),
            Place::File(path) => self.damage_file(path.clone(), &damage.change),
            Place::Nth(folder, number) => {
                let files = files_of(&self.store().join(folder));
                if let Some(name) = files.get(number % files.len().max(1)) {
                    self.damage_file(format!("{folder}/{name}"), &damage.change);
                }
            }
        }
    }

    /// A folder that others can write, or a link in its place; or that is mended.
    fn damage_folder(&mut self, folder: &str, change: &Change) {
        let path = self.store().join(folder);
        let aside = self.store().join(format!("aside-{folder}"));
        if !path.exists() {
            return;
        }
        match change {
            Change::Mend => {
                if !self.damaged.remove(folder) {
                    return;
                }
                if aside.exists() {
                    std::fs::remove_file(&path).expect("a link");
                    std::fs::rename(&aside, &path).expect("a folder");
                }
                let mode = if folder == "temporary" { 0o700 } else { 0o755 };
                std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
            }
            Change::LinkOutside if folder != "." && !aside.exists() => {
                std::fs::rename(&path, &aside).expect("a folder");
                symlink(self.outside(""), &path).expect("a link");
                self.damaged.insert(folder.to_owned());
            }
            _ if !aside.exists() => {
                std::fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("ours");
                self.damaged.insert(folder.to_owned());
            }
            _ => {}
        }
    }

    fn damage_file(&mut self, path: String, change: &Change) {
        let (folder, name) = path.split_once('/').expect("a folder and a name");
        let file = self.store().join(&path);
        let inside = self.store().join(folder);
        // Not through a link that stands for the folder.
        if !std::fs::symlink_metadata(&inside).is_ok_and(|status| status.is_dir()) {
            return;
        }
        let old = std::fs::symlink_metadata(&file).ok();
        let bytes =
            old.as_ref().filter(|old| old.is_file()).and_then(|_| std::fs::read(&file).ok());
        let new = match (change, bytes) {
            (Change::Write(bytes), _) => Some(bytes.clone()),
            (Change::Flip(at, with), Some(mut bytes)) if !bytes.is_empty() && *with != 0 => {
                let at = at % bytes.len();
                bytes[at] ^= with;
                Some(bytes)
            }
            (Change::Truncate(length), Some(bytes)) if !bytes.is_empty() => {
                Some(bytes[..length % bytes.len()].to_vec())
            }
            (Change::CopyOf(number), Some(_)) => {
                let files = files_of(&inside);
                let other = inside.join(&files[number % files.len()]);
                let is_file =
                    std::fs::symlink_metadata(&other).is_ok_and(|status| status.is_file());
                if !is_file {
                    return;
                }
                Some(std::fs::read(other).expect("a file"))
            }
            (Change::Writable, Some(_)) => {
                std::fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("ours");
                self.damaged.insert(path);
                return;
            }
            (Change::Delete | Change::LinkOutside | Change::Folder, _) => None,
            _ => return,
        };
        if let Some(old) = old {
            let removed = match old.is_dir() {
                true => std::fs::remove_dir(&file),
                false => std::fs::remove_file(&file),
            };
            removed.expect("ours");
        }
        match (new, change) {
            (Some(bytes), _) => {
                std::fs::write(&file, bytes).expect("a file");
                std::fs::set_permissions(&file, Permissions::from_mode(0o444)).expect("ours");
            }
            (None, Change::LinkOutside) => symlink(self.outside("kept"), &file).expect("a link"),
            (None, Change::Folder) => std::fs::create_dir(&file).expect("a folder"),
            // Whoever owns a store can make it forget.
            (None, _) if folder == "names" => {
                self.names.remove(name);
                self.damaged.remove(&path);
                return;
            }
            (None, _) => {}
        }
        self.damaged.insert(path);
    }
}

/// What lies in a folder, sorted.
fn files_of(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |path: PathBuf| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let mut names: Vec<String> =
        entries.filter_map(|entry| name(entry.expect("an entry").path())).collect();
    names.sort();
    names
}
