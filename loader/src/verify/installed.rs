//! Verifies what is installed: as a file is, but for where its bytes come from.
//!
//! May assume nothing about the store's contents, only what `store/guard.rs` says of an
//! image. Guarantees that the envelope is the one that its identity names, that an
//! artifact which is found by a name has that name, and that an image is hashed unless
//! only root could have written it.

use super::{
    Checked, Criteria, Integrity, Place, Reason, Verified, VerifyError, admit, check_signed,
    choose_for,
};
use crate::image::{self, ImageError, VerifiedImage};
use crate::store::{Folder, FoundImage, Installed, StoreError, Stores, Wanted};
use bls_artifact::cpu::Machine;
use bls_artifact::manifest::Manifest;

/// How often something that is installed is looked up before it counts as missing.
const LOOKUPS: u32 = 3;

/// Finds something that is installed, and hands it to `verify`.
pub(crate) fn look_up<T>(
    wanted: &Wanted,
    stores: &Stores,
    verify: &mut dyn FnMut(Installed<'_>) -> Result<T, VerifyError>,
) -> Result<T, VerifyError> {
    // What is found can be replaced and collected before all of it is open; then there
    // is something newer to be found.
    let mut lookups = 1;
    loop {
        let found = stores.find(wanted).map_err(VerifyError::from).and_then(&mut *verify);
        match found {
            Err(error) if error.is_missing() && lookups < LOOKUPS => lookups += 1,
            found => return found,
        }
    }
}

/// Verifies everything that will be used of what is installed.
///
/// # Errors
/// [`VerifyError`]: it must not run here.
pub fn verify_installed(
    installed: Installed<'_>,
    criteria: &Criteria<'_>,
) -> Result<Verified, VerifyError> {
    verify_installed_for(installed, criteria, None).map(Verified)
}

/// The same for another machine, whose store this is.
///
/// # Errors
/// [`VerifyError`]: it must not run there.
pub fn verify_installed_for(
    installed: Installed<'_>,
    criteria: &Criteria<'_>,
    machine: Option<&Machine>,
) -> Result<Checked, VerifyError> {
    let name = installed.wanted.to_string();
    check_installed(installed, criteria, machine).map_err(|reason| VerifyError { name, reason })
}

fn check_installed(
    installed: Installed<'_>,
    criteria: &Criteria<'_>,
    machine: Option<&Machine>,
) -> Result<Checked, Reason> {
    let signed = check_signed(&installed.envelope, criteria)?;
    if signed.identity != installed.identity {
        return Err(Reason::Store(StoreError::Damaged(installed.path())));
    }
    let manifest = &signed.manifest;
    if let Wanted::Name(name) = &installed.wanted
        && *name != manifest.name
    {
        return Err(Reason::OtherName(manifest.name.clone()));
    }
    admit(manifest, criteria, Some(&installed))?;
    let there = stored_parts(&installed, manifest)?;
    let choice = choose_for(machine, &there, Place::Store, manifest)?;
    let image = &manifest.parts[choice.part].image;
    let (image, integrity) = match installed.store.image(image).map_err(Reason::Store)? {
        FoundImage::Guarded(stored) if !criteria.every_part => {
            (VerifiedImage::Stored(stored), Integrity::Store)
        }
        found => {
            let (file, oddity) = found.into_file();
            let copy = image::copy_file(&file, image).map_err(|error| match error {
                // What was signed was there when it was installed.
                ImageError::ImageDigest | ImageError::StoredDigest | ImageError::Shrunk => {
                    let name = image.sha256.to_string();
                    let path = installed.store.path_of(Folder::Images, &name);
                    Reason::Store(StoreError::Damaged(path))
                }
                error => Reason::Image(error),
            })?;
            let integrity = Integrity::of(&copy, oddity);
            (VerifiedImage::Sealed(copy), integrity)
        }
    };
    let facts = signed.into_facts(installed.wanted.to_string(), choice, integrity, None);
    Ok(Checked { facts, envelope: installed.envelope, image })
}

/// The parts whose code is in the store: an install keeps the one that runs there.
fn stored_parts(installed: &Installed<'_>, manifest: &Manifest) -> Result<Vec<usize>, Reason> {
    let mut parts: Vec<usize> = (0..manifest.parts.len()).collect();
    if let [_, _, ..] = parts.as_slice() {
        let mut wrong = None;
        parts.retain(|part| {
            let found = installed.store.has_image(&manifest.parts[*part].image);
            found.unwrap_or_else(|error| {
                wrong.get_or_insert(error);
                false
            })
        });
        if let Some(error) = wrong {
            return Err(Reason::Store(error));
        }
        if parts.is_empty() {
            let first = manifest.parts[0].image.sha256.to_string();
            let path = installed.store.path_of(Folder::Images, &first);
            return Err(Reason::Store(StoreError::Missing(path)));
        }
    }
    Ok(parts)
}
