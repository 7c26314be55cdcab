//! `bls-load rollback NAME [sha256:HEX]`: makes a name mean a release that was there before.
//!
//! The rules of an install hold: what it goes back to is verified, all of it, and sequences
//! never fall but where root keys signed a reset. Guarantees that the name means the one or the
//! other release whenever the power goes, for only its record changes. A dry run writes nothing.

use crate::clock::clock;
use crate::error::{Failure, printable_path};
use crate::freshness::Stale;
use crate::install;
use crate::program::cli::Options;
use crate::program::explain::{Stage, Stages};
use crate::program::report::Recorder;
use crate::store::{self, Folder, Store, StoreError, System, Wanted};
use crate::trust;
use crate::verify::{Criteria, VerifyError, verify_installed_for};
use bls_artifact::digest::Sha256;

/// Goes back, and says to what.
pub(super) fn rollback(
    options: &Options,
    name: &str,
    to: Option<&Wanted>,
    dry: bool,
) -> Result<(), Failure> {
    let recorder = Recorder::open(None, false)?;
    let mut stages = Stages::new(&recorder, options.explain);
    let trusted = trust::load(options.trust.as_deref())?;
    let place = store::place_to_write(options.store.as_deref())?;
    let missing = |what: &str| StoreError::NotInstalled(what.to_owned(), vec![place.clone()]);
    let looked = if dry { System::look(&place)? } else { None };
    let mut disk = match dry {
        true => None,
        false => System::open(&place, || super::wait_for(&place))?,
    };
    let store = disk.as_ref().map(System::store).or(looked.as_ref());
    let store = store.ok_or_else(|| missing(name))?;

    let record = store.record(name)?.ok_or_else(|| missing(name))?;
    let identity = match to {
        None => install::before(store, &record)?,
        Some(wanted) => whole(store, wanted)?.ok_or_else(|| missing(&wanted.to_string()))?,
    };
    let asked = to.map(ToString::to_string);
    let wanted = Wanted::Name(name.to_owned());
    let path = || store.path_of(Folder::Artifacts, &identity.to_string());
    let installed = store.installed(identity, wanted)?;
    let installed = installed.ok_or_else(|| match &asked {
        Some(asked) => missing(asked),
        None => StoreError::Missing(path()),
    })?;
    let criteria = Criteria {
        clock: clock(options.clock_unset),
        every_part: true,
        ..Criteria::of(&trusted.trust)
    };
    let verified = verify_installed_for(installed, &criteria, options.target.as_ref())
        .map_err(|error: VerifyError| super::failure(error))?;
    stages.done(Stage::Verify, || {
        format!("every byte checked, keys trusted by {}", trusted.path.display())
    });

    let reset = trusted.trust.reset_for(name);
    let changed = match &mut disk {
        Some(disk) => install::activate(disk, &verified, reset),
        None => install::successor(Some(record.clone()), &verified, reset),
    };
    let sequence = verified.facts().manifest.sequence;
    let _ = changed.map_err(|error| refusal(error, name, sequence))?;
    drop(disk);
    if !dry {
        stages.done(Stage::Install, || format!("on the disk in {}", place.display()));
    }
    let (release, shown) = (super::release(sequence), printable_path(&place));
    let is = if dry { "would be" } else { "is" };
    let before = match record.installed {
        Some(before) if before != identity => format!(", and no more sha256:{before}"),
        _ => String::new(),
    };
    super::print(&format!("{name}{release} {is} in {shown} again: sha256:{identity}{before}\n"))
}

/// The identity that is meant, whole.
fn whole(store: &Store, wanted: &Wanted) -> Result<Option<Sha256>, StoreError> {
    Ok(match wanted.complete([store])?.as_ref().unwrap_or(wanted) {
        Wanted::Identity(identity) => Some(*identity),
        Wanted::Short(_) | Wanted::Name(_) => None,
    })
}

/// There is a way back, and it leads by whoever keeps the root keys, or the builder.
fn refusal(error: StoreError, name: &str, sequence: u64) -> Failure {
    let hint = match &error {
        StoreError::Stale(_, Stale::Rollback { highest, .. }) => Some(format!(
            "only root keys permit that: a trust file that they sign, with \"reset\": [{{\"name\": \
             \"{name}\", \"sequence\": {sequence}}}] (bls-compile trust sign, bls-load trust \
             install); or have the earlier source released anew: bls-compile --sequence {}",
            highest.saturating_add(1)
        )),
        _ => None,
    };
    let failure = Failure::from(error);
    Failure { hint: hint.or(failure.hint), ..failure }
}
