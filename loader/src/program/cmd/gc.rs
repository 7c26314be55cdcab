//! `bls-load gc`: removes what no name refers to, and what interrupted installs left.

use crate::error::{Failure, printable_path};
use crate::install;
use crate::store::{self, StoreError, System};
use std::path::Path;

/// Collects, and says how much.
pub(super) fn collect(explicit: Option<&Path>) -> Result<(), Failure> {
    let place = store::place_to_write(explicit)?;
    let collected = match System::open(&place, || super::wait_for(&place))? {
        Some(mut disk) => install::collect(&mut disk)?,
        None if explicit.is_some() => return Err(StoreError::missing(&place).into()),
        None => install::Collected::default(),
    };
    let install::Collected { artifacts, images } = collected;
    super::print(&format!(
        "removed from {}: {artifacts} artifacts, {images} images\n",
        printable_path(&place)
    ))
}
