//! Installs and removes: each step durable before the next, the last one a rename.
//!
//! ```text
//! image     create ─ write ─ sync ─ rename ─ sync the folder
//! envelope  the same
//! source    the same: a note of what was made of it
//! record    the same: now the name means the new release, and no older one may run
//! ```
//!
//! Takes only a [`Checked`], which a verified artifact is too, or what a delta makes, whose image is
//! hashed as it is written, before it gets its name. May assume that the caller holds the store's lock
//! ([`crate::store::System`] does). A way back is the last of these steps alone. Guarantees that
//! wherever it stops, by an error, a kill or
//! a power cut, each name means either what it meant before or what it was to mean,
//! whole; and that what is left behind is garbage, which the next writer or [`collect`]
//! removes. The highest sequence is in the record itself, so neither is ever ahead of
//! the other.

use crate::store::record::{Record, RecordError};
use crate::store::{Disk, Folder, Store, StoreError, Wanted};
use crate::verify::{Checked, Facts, Rebuilt};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::Envelope;
use bls_artifact::limits::{ENVELOPE_BYTES_MAX, RECORD_BYTES_MAX};
use bls_artifact::manifest::Statement;
use bls_artifact::name::is_name;
use rustix::io::Errno;

/// Whether `bls-load NAME` would run what is installed under this name: a command is none.
#[must_use]
pub fn can_be_called(name: &str) -> bool {
    is_name(name) && ![".bls", ".wasm", ".wat", ".json"].iter().any(|end| name.ends_with(end))
}

/// What may be installed: what was verified.
pub trait Installable {
    /// What is known about it.
    fn facts(&self) -> &Facts;
    /// Its envelope.
    fn envelope(&self) -> &[u8];
    /// Hands all bytes of its image to `take`, in order; fails where they are not what was signed.
    ///
    /// # Errors
    /// [`StoreError`]; what was taken is then not to be used.
    fn read_image(
        &self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
}

/// The three are inherent of both types.
macro_rules! installable {
    ($($kind:ty),*) => {$(
        impl Installable for $kind {
            fn facts(&self) -> &Facts {
                self.facts()
            }

            fn envelope(&self) -> &[u8] {
                self.envelope()
            }

            fn read_image(
                &self,
                take: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
            ) -> Result<(), StoreError> {
                self.read_image(take)
            }
        }
    )*};
}

installable!(Checked, Rebuilt<'_>);

/// Installs an artifact under its name, in the place of the release that is there.
///
/// # Errors
/// [`StoreError`]; the name then means what it meant before, unless the very last step
/// failed, which leaves open what a power cut would leave.
pub fn install(
    disk: &mut impl Disk,
    verified: &dyn Installable,
    reset: Option<u64>,
) -> Result<Record, StoreError> {
    let facts = verified.facts();
    let name = facts.manifest.name.as_str();
    check_name(name)?;
    for folder in Folder::INSIDE {
        disk.make(folder)?;
    }
    disk.sync_folder(Folder::Store)?;
    sweep_temporary(disk)?;

    let new = successor(record(disk, name)?, verified, reset)?;
    let image = facts.part().image.sha256.to_string();
    put(disk, Folder::Images, &image, |disk, file| {
        verified.read_image(&mut |piece| write_all(disk, file, piece))
    })?;
    put(disk, Folder::Artifacts, &facts.identity.to_string(), |disk, file| {
        write_all(disk, file, verified.envelope())
    })?;
    put(disk, Folder::Sources, &facts.manifest.source.to_string(), |disk, file| {
        write_all(disk, file, format!("{}\n", facts.identity).as_bytes())
    })?;
    put_record(disk, &new)?;
    Ok(new)
}

/// What the record of its name says once an artifact is installed; `known` is what it says
/// now. Changes nothing.
///
/// # Errors
/// [`StoreError`]: it cannot be called by its name, or another release has come first.
pub fn successor(
    known: Option<Record>,
    verified: &dyn Installable,
    reset: Option<u64>,
) -> Result<Record, StoreError> {
    let facts = verified.facts();
    let name = facts.manifest.name.as_str();
    check_name(name)?;
    let known = known.unwrap_or_else(|| Record::new(name));
    let seen = known.seen.under(reset).advance(facts.manifest.sequence);
    let seen = seen.map_err(|stale| StoreError::Stale(name.to_owned(), stale))?;
    Ok(Record { name: name.to_owned(), installed: Some(facts.identity), seen })
}

fn check_name(name: &str) -> Result<(), StoreError> {
    if can_be_called(name) { Ok(()) } else { Err(StoreError::Name(name.to_owned())) }
}

/// Makes its name mean an artifact that lies in this store already, image and all, as though
/// it were installed now: by the same rules.
///
/// # Errors
/// [`StoreError`], as of an install.
pub fn activate(
    disk: &mut impl Disk,
    stored: &Checked,
    reset: Option<u64>,
) -> Result<Record, StoreError> {
    sweep_temporary(disk)?;
    let known = record(disk, &stored.facts().manifest.name)?;
    let new = successor(known, stored, reset)?;
    put_record(disk, &new)?;
    Ok(new)
}

/// The release of a name that was there before the one that is installed: of all that lie in
/// the store, and have no higher sequence than was seen, one with the highest. What is damaged
/// is none.
///
/// # Errors
/// [`StoreError`]: there is none, or there are several.
pub fn before(store: &Store, record: &Record) -> Result<Sha256, StoreError> {
    let mut found: Vec<(u64, Sha256)> = Vec::new();
    for identity in store.identities()? {
        let wanted = Wanted::Identity(identity);
        let alleged = store.installed(identity, wanted).ok().flatten();
        let Some(manifest) = alleged.and_then(|installed| installed.alleged().ok()) else {
            continue;
        };
        let is_other = record.installed != Some(identity);
        if is_other && manifest.name == record.name && manifest.sequence <= record.seen.highest {
            found.push((manifest.sequence, identity));
        }
    }
    let highest = found.iter().map(|(sequence, _)| *sequence).max();
    found.retain(|(sequence, _)| Some(*sequence) == highest);
    match found.as_slice() {
        [(_, identity)] => Ok(*identity),
        [] => Err(StoreError::NothingBefore(record.name.clone(), store.path().to_owned())),
        several => {
            let all = several.iter().map(|(_, identity)| *identity).collect();
            Err(StoreError::SeveralBefore(record.name.clone(), all))
        }
    }
}

/// Removes what a name means, or everything of one identity. What was seen of the name
/// is kept. Gives what went.
///
/// # Errors
/// [`StoreError`].
pub fn remove(disk: &mut impl Disk, identity: Sha256) -> Result<Collected, StoreError> {
    sweep_temporary(disk)?;
    // All that is read is read before anything changes.
    let mut records = Vec::new();
    for name in disk.names(Folder::Names)?.into_iter().filter(|name| is_name(name)) {
        match record(disk, &name) {
            Ok(Some(record)) if record.installed == Some(identity) => records.push(record),
            Ok(_) => {}
            // What another name means is not asked.
            Err(error) if error.is_of_contents() => {}
            Err(error) => return Err(error),
        }
    }
    let own = identity.to_string();
    let mut used = Vec::new();
    let mut is_known = true;
    for other in disk.names(Folder::Artifacts)?.into_iter().filter(|other| is_digest(other)) {
        if other == own {
            continue;
        }
        match images_of(disk, &other, &mut used) {
            Ok(()) => {}
            // Nobody knows which images another, damaged one has: all of them stay for now.
            Err(error) if error.is_of_contents() => is_known = false,
            Err(error) => return Err(error),
        }
    }
    for record in records {
        put_record(disk, &Record { installed: None, ..record })?;
    }
    let artifacts = remove_all(disk, Folder::Artifacts, |name| name == own)?;
    forget_sources(disk, |identity| identity == own)?;
    used.sort_unstable();
    let is_unused =
        |name: &str| is_known && used.binary_search_by(|image| image.as_str().cmp(name)).is_err();
    Ok(Collected { artifacts, images: remove_all(disk, Folder::Images, is_unused)? })
}

/// Removes what no name refers to, and what interrupted installs left behind.
///
/// # Errors
/// [`StoreError`]; nothing is removed while a record cannot be read.
pub fn collect(disk: &mut impl Disk) -> Result<Collected, StoreError> {
    let mut referred = Vec::new();
    for name in disk.names(Folder::Names)? {
        if is_name(&name) {
            let installed = record(disk, &name)?.and_then(|record| record.installed);
            referred.extend(installed.map(|identity| identity.to_string()));
        }
    }
    sweep_temporary(disk)?;
    keep_only(disk, referred)
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Envelopes.
    pub artifacts: usize,
    /// Images.
    pub images: usize,
}

/// Removes all other artifacts, then every image that none of these uses.
fn keep_only(disk: &mut impl Disk, mut keep: Vec<String>) -> Result<Collected, StoreError> {
    let mut images = Vec::new();
    for identity in &keep {
        images_of(disk, identity, &mut images)?;
    }
    // An artifact without its image would be damaged; an image alone is garbage.
    keep.sort_unstable();
    images.sort_unstable();
    let is_kept = |name: &str| keep.binary_search_by(|kept| kept.as_str().cmp(name)).is_ok();
    forget_sources(disk, |identity| !is_kept(identity))?;
    Ok(Collected {
        artifacts: remove_all(disk, Folder::Artifacts, |name| !is_kept(name))?,
        images: remove_all(disk, Folder::Images, |name| {
            images.binary_search_by(|kept| kept.as_str().cmp(name)).is_err()
        })?,
    })
}

/// Whether a name is one that an install gives to an envelope or an image. Whatever else
/// lies there is somebody else's, and stays.
fn is_digest(name: &str) -> bool {
    Sha256::from_hex(name).is_some()
}

/// Removes files that are named by a digest, as far as they are superfluous.
fn remove_all(
    disk: &mut impl Disk,
    folder: Folder,
    is_superfluous: impl Fn(&str) -> bool,
) -> Result<usize, StoreError> {
    let mut removed = 0;
    for name in disk.names(folder)? {
        if is_digest(&name) && is_superfluous(&name) {
            removed += usize::from(remove_file(disk, folder, &name)?);
        }
    }
    if removed > 0 {
        disk.sync_folder(folder)?;
    }
    Ok(removed)
}

/// Removes the notes about sources that name what is gone.
fn forget_sources(disk: &mut impl Disk, is_gone: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    for source in disk.names(Folder::Sources)?.into_iter().filter(|name| is_digest(name)) {
        let note = match disk.read(Folder::Sources, &source, ENVELOPE_BYTES_MAX) {
            Ok(Some(note)) => note,
            Ok(None) => continue,
            // One that is no note says nothing, and an install replaces it.
            Err(error) if error.is_of_contents() => continue,
            Err(error) => return Err(error),
        };
        if std::str::from_utf8(&note).is_ok_and(|note| is_gone(note.trim_end())) {
            remove_file(disk, Folder::Sources, &source)?;
        }
    }
    Ok(())
}

/// Adds the images that an artifact may use, whichever of them is there.
fn images_of(
    disk: &mut impl Disk,
    identity: &str,
    images: &mut Vec<String>,
) -> Result<(), StoreError> {
    let Some(envelope) = disk.read(Folder::Artifacts, identity, ENVELOPE_BYTES_MAX)? else {
        return Ok(());
    };
    let manifest = Envelope::parse(&envelope)
        .ok()
        .and_then(|envelope| Statement::parse(envelope.payload()).ok())
        .ok_or_else(|| StoreError::Damaged(disk.path(Folder::Artifacts, identity)))?;
    images.extend(manifest.parts.iter().map(|part| part.image.sha256.to_string()));
    Ok(())
}

fn record(disk: &mut impl Disk, name: &str) -> Result<Option<Record>, StoreError> {
    let Some(text) = disk.read(Folder::Names, name, RECORD_BYTES_MAX)? else { return Ok(None) };
    let wrong = |error: RecordError| StoreError::Record(disk.path(Folder::Names, name), error);
    Record::parse(&text, name).map(Some).map_err(wrong)
}

fn put_record(disk: &mut impl Disk, record: &Record) -> Result<(), StoreError> {
    put(disk, Folder::Names, &record.name, |disk, file| {
        write_all(disk, file, record.to_text().as_bytes())
    })
}

/// Writes a file whole, and gives it its name once it is on the disk.
fn put<D: Disk>(
    disk: &mut D,
    folder: Folder,
    name: &str,
    contents: impl FnOnce(&mut D, &mut D::File) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut file = disk.create(name)?;
    let written = contents(disk, &mut file)
        .and_then(|()| disk.sync(&file))
        .and_then(|()| disk.rename(name, folder, name));
    if written.is_err() {
        // Room for somebody else; if it fails too, the next writer does it.
        let _ = disk.remove(Folder::Temporary, name);
    }
    written?;
    disk.sync_folder(folder)
}

fn write_all<D: Disk>(
    disk: &mut D,
    file: &mut D::File,
    mut bytes: &[u8],
) -> Result<(), StoreError> {
    while !bytes.is_empty() {
        match disk.write(file, bytes)? {
            0 => {
                let path = disk.path(Folder::Store, Folder::Temporary.name());
                return Err(StoreError::System("write", path, Errno::NOSPC));
            }
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

/// Whoever holds the lock is the only one who writes: what lies there is garbage.
fn sweep_temporary(disk: &mut impl Disk) -> Result<(), StoreError> {
    for name in disk.names(Folder::Temporary)? {
        remove_file(disk, Folder::Temporary, &name)?;
    }
    Ok(())
}

/// Removes a file; `false` when it is a folder, which no install makes there.
fn remove_file(disk: &mut impl Disk, folder: Folder, name: &str) -> Result<bool, StoreError> {
    match disk.remove(folder, name) {
        Err(StoreError::System(_, _, Errno::ISDIR)) => Ok(false),
        other => other.map(|()| true),
    }
}
