//! `bls-load install FILE|-`: verifies an artifact and puts it into a store. `--delta FILE|-` makes
//! it of what is installed there.
//!
//! Guarantees that only what was verified here and now is installed, that no older
//! release takes the place of a newer one, and that it is on the disk when it says so.

use super::Named;
use crate::clock::clock;
use crate::delta::{Base, Delta};
use crate::error::{Failure, printable_path};
use crate::install::{self, Installable};
use crate::open::Opened;
use crate::program::cli::{self, Options};
use crate::program::explain::{Stage, Stages, passed_over};
use crate::program::report::Recorder;
use crate::program::say;
use crate::store::{self, Stores, System, Wanted};
use crate::trust;
use crate::verify::{Facts, Policy, verify_delta};

/// Installs, and says what it is called now.
pub(super) fn install(options: &Options) -> Result<(), Failure> {
    let recorder = Recorder::open(None, false)?;
    let mut stages = Stages::new(&recorder, options.explain);
    let trusted = trust::load(options.trust.as_deref())?;
    let policy = Policy {
        digest: options.digest,
        clock: clock(options.clock_unset),
        // On a build host: what is not for this machine may be for the next.
        every_part: options.target.is_some(),
        ..Policy::of(&trusted.trust)
    };
    // Which releases were seen is asked under the lock of the store that remembers.
    let Some(path) = &options.delta else {
        let named = Named::open(&options.artifact, &mut stages)?;
        let nowhere = Stores::default();
        let verified = super::checked(named, &nowhere, &policy, options.target.as_ref(), &mut stages)?;
        return keep(options, &verified, &trusted, &mut stages);
    };
    let delta = match path.as_os_str() == cli::STDIN {
        true => Delta::from_stdin()?,
        false => Delta::open(path)?,
    };
    stages.done(Stage::Open, || format!("{}: framing fits", delta.name()));
    let stores = match &options.base {
        Some(_) => Stores::default(),
        None => Stores::open(options.store.as_deref())?,
    };
    let base = match &options.base {
        Some(path) => Base::file(Opened::open(path)?, &delta)?,
        None => Base::installed(&stores, &delta)?,
    };
    let rebuilt = verify_delta(&delta, &base, &policy, options.target.as_ref())?;
    keep(options, &rebuilt, &trusted, &mut stages)
}

/// Puts what was verified into a store.
fn keep(
    options: &Options,
    verified: &dyn Installable,
    trusted: &trust::Source,
    stages: &mut Stages<'_>,
) -> Result<(), Failure> {
    stages.done(Stage::Verify, || {
        let facts = verified.facts();
        let (machine, passed) = (facts.part().machine(), passed_over(facts));
        format!("code for {machine} checked{passed}, keys trusted by {}", trusted.path.display())
    });

    let place = store::place_to_write(options.store.as_deref())?;
    let mut disk = System::create(&place, || super::wait_for(&place))?;
    let facts = verified.facts();
    let reset = trusted.trust.reset_for(&facts.manifest.name);
    let record = install::install(&mut disk, verified, reset)?;
    drop(disk);
    stages.done(Stage::Install, || format!("on the disk in {}", place.display()));

    let release = match facts.manifest.sequence {
        0 => String::new(),
        sequence => format!(", release {sequence},"),
    };
    super::print(&format!(
        "{}{release} is installed in {}: sha256:{}\n",
        record.name,
        printable_path(&place),
        facts.identity
    ))?;
    if options.store.is_none() { warn_if_hidden(facts) } else { Ok(()) }
}

/// A user's own store comes after the machine's.
fn warn_if_hidden(facts: &Facts) -> Result<(), Failure> {
    let name = &facts.manifest.name;
    let stores = Stores::open(None)?;
    let found = stores.find(&Wanted::Name(name.clone()))?;
    if found.identity != facts.identity {
        say(&format_args!(
            "bls-load: install: {} has {name} too, and comes first; this one runs as sha256:{}",
            printable_path(found.store.path()),
            facts.identity,
        ));
    }
    Ok(())
}
