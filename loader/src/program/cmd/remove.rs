//! `bls-load remove NAME|sha256:HEX`: takes something out of a store.
//!
//! The highest release that was seen of a name stays remembered.

use crate::error::{Failure, printable_path};
use crate::install;
use crate::store::{self, StoreError, System, Wanted};
use std::path::Path;

/// Removes, and says what went.
pub(super) fn remove(explicit: Option<&Path>, wanted: &Wanted) -> Result<(), Failure> {
    let place = store::place_to_write(explicit)?;
    let missing = || StoreError::NotInstalled(wanted.to_string(), vec![place.clone()]);
    let mut disk = System::open(&place, || super::wait_for(&place))?.ok_or_else(missing)?;
    let identity = match wanted {
        Wanted::Identity(identity) => {
            let known = disk.store().identities()?;
            known.contains(identity).then_some(*identity)
        }
        Wanted::Short(_) => match wanted.complete([disk.store()])? {
            Some(Wanted::Identity(identity)) => Some(identity),
            _ => None,
        },
        // Even if its artifact is lost: then this mends the record.
        Wanted::Name(name) => disk.store().record(name)?.and_then(|record| record.installed),
    };
    let _ = install::remove(&mut disk, identity.ok_or_else(missing)?)?;
    super::print(&format!("{wanted} is removed from {}\n", printable_path(&place)))
}
