//! `bls-load install FILE|-...`: verifies artifacts and puts them into a store. `--delta FILE|-`
//! makes one of what is installed there. `bls-load pull REF` does the same with what a registry
//! has.
//!
//! Guarantees that only what was verified here and now is installed, that no older
//! release takes the place of a newer one, and that each is on the disk when it says so.
//! Of several files each is installed whole or not at all, in their order, and one that is
//! refused keeps back none of the others. A dry run judges by the same rules, takes no lock and
//! writes nothing.

use super::Named;
use crate::clock::clock;
use crate::delta::{Base, Delta};
use crate::error::{Cause, Failure, printable_path};
use crate::install::{self, Installable};
use crate::open::Opened;
use crate::program::cli::{self, Artifact, Options};
use crate::program::explain::{Stage, Stages, passed_over};
use crate::program::report::Recorder;
use crate::program::say;
use crate::store::{self, Stores, System, Wanted};
use crate::trust;
use crate::verify::{Criteria, Facts, verify_delta};
use std::path::{Path, PathBuf};

/// Installs, and says what each is called now.
pub(super) fn install(options: &Options, files: &[PathBuf], dry: bool) -> Result<(), Failure> {
    match (&options.delta, files) {
        (Some(delta), _) => install_delta(options, delta, dry),
        (None, [file]) => install_one(options, file, dry),
        (None, files) => install_each(options, files, dry),
    }
}

/// Installs several, and sums up.
fn install_each(options: &Options, files: &[PathBuf], dry: bool) -> Result<(), Failure> {
    let mut bad = 0_usize;
    for file in files {
        if let Err(failure) = install_one(options, file, dry) {
            bad += 1;
            say(&failure);
            let file = printable_path(file);
            super::print(&format!("{file} is not installed: {}\n", failure.code))?;
        }
    }
    let (all, would) = (files.len(), if dry { "would be " } else { "" });
    super::print(&format!("{} of {all} {would}installed\n", all - bad))?;
    if bad == 0 {
        return Ok(());
    }
    Err(Failure {
        stage: "install",
        code: "install.some-refused",
        what: format!("{bad} of {all} files cannot be installed"),
        hint: Some("each has its own hint above; the others are as it says".into()),
        cause: Cause::Refused,
    })
}

fn install_one(options: &Options, file: &Path, dry: bool) -> Result<(), Failure> {
    // Only files are installed: no rule is needed to tell them from names.
    install_artifact(options, &Artifact::File(file.to_owned()), dry)
}

/// Installs what is in a registry.
pub(super) fn install_pulled(
    options: &Options,
    reference: String,
    dry: bool,
) -> Result<(), Failure> {
    install_artifact(options, &Artifact::Registry(reference), dry)
}

fn install_artifact(options: &Options, artifact: &Artifact, dry: bool) -> Result<(), Failure> {
    let recorder = Recorder::open(None, false)?;
    let mut stages = Stages::new(&recorder, options.explain);
    let named = Named::open(artifact, options, &mut stages)?;
    let trusted = trust::load(options.trust.as_deref())?;
    let criteria = criteria(options, &trusted);
    // Which releases were seen is asked under the lock of the store that remembers.
    let nowhere = Stores::default();
    let target = options.target.as_ref();
    let verified = super::checked(named, &nowhere, &criteria, target, &mut stages)?;
    keep(options, &verified, &trusted, dry, &mut stages)
}

/// Installs what a delta makes of another release.
fn install_delta(options: &Options, path: &Path, dry: bool) -> Result<(), Failure> {
    let recorder = Recorder::open(None, false)?;
    let mut stages = Stages::new(&recorder, options.explain);
    let trusted = trust::load(options.trust.as_deref())?;
    let criteria = criteria(options, &trusted);
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
    let rebuilt = verify_delta(&delta, &base, &criteria, options.target.as_ref())?;
    keep(options, &rebuilt, &trusted, dry, &mut stages)
}

/// What decides whether it may be installed.
fn criteria<'a>(options: &Options, trusted: &'a trust::Source) -> Criteria<'a> {
    Criteria {
        digest: options.digest,
        clock: clock(options.clock_unset),
        // On a build host: what is not for this machine may be for the next.
        every_part: options.target.is_some(),
        ..Criteria::of(&trusted.trust)
    }
}

/// Puts what was verified into a store.
fn keep(
    options: &Options,
    verified: &dyn Installable,
    trusted: &trust::Source,
    dry: bool,
    stages: &mut Stages<'_>,
) -> Result<(), Failure> {
    stages.done(Stage::Verify, || {
        let facts = verified.facts();
        let (machine, passed) = (facts.part().machine(), passed_over(facts));
        format!("code for {machine} checked{passed}, keys trusted by {}", trusted.path.display())
    });

    let place = store::place_to_write(options.store.as_deref())?;
    let facts = verified.facts();
    let (name, identity) = (&facts.manifest.name, facts.identity);
    let reset = trusted.trust.reset_for(name);
    let release = super::release(facts.manifest.sequence);
    let shown = printable_path(&place);
    if dry {
        let store = System::look(&place)?;
        let known = store.as_ref().map(|store| store.record(name)).transpose()?.flatten();
        let now = known.as_ref().and_then(|known| known.installed);
        let _ = install::successor(known, verified, reset)?;
        let instead = match now {
            None => String::new(),
            Some(now) if now == identity => ", where it is already".to_owned(),
            Some(now) => format!(", in the place of sha256:{now}"),
        };
        return super::print(&format!(
            "{name}{release} would be installed in {shown}: sha256:{identity}{instead}\n"
        ));
    }
    let mut disk = System::create(&place, || super::wait_for(&place))?;
    let _ = install::install(&mut disk, verified, reset)?;
    drop(disk);
    stages.done(Stage::Install, || format!("on the disk in {}", place.display()));
    super::print(&format!("{name}{release} is installed in {shown}: sha256:{identity}\n"))?;
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
