//! `bls-load install FILE|-...`: verifies artifacts and puts them into a store.
//!
//! Guarantees that only what was verified here and now is installed, that no older
//! release takes the place of a newer one, and that each is on the disk when it says so.
//! Of several files each is installed whole or not at all, in their order, and one that is
//! refused keeps back none of the others. A dry run judges by the same rules, takes no lock and
//! writes nothing.

use super::Named;
use crate::clock::clock;
use crate::error::{Cause, Failure, printable_path};
use crate::install;
use crate::program::cli::{Artifact, Options};
use crate::program::explain::{Stage, Stages};
use crate::program::report::Recorder;
use crate::program::say;
use crate::store::{self, Stores, System, Wanted};
use crate::trust;
use crate::verify::{Facts, Policy};
use std::path::{Path, PathBuf};

/// Installs, and says what each is called now.
pub(super) fn install(options: &Options, files: &[PathBuf], dry: bool) -> Result<(), Failure> {
    let [file] = files else { return install_each(options, files, dry) };
    install_one(options, file, dry)
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
    let recorder = Recorder::open(None, false)?;
    let mut stages = Stages::new(&recorder, options.explain);
    // Only files are installed: no rule is needed to tell them from names.
    let artifact = Artifact::File(file.to_owned());
    let named = Named::open(&artifact, &mut stages)?;
    let trusted = trust::load(options.trust.as_deref())?;
    let policy = Policy {
        digest: options.digest,
        clock: clock(options.clock_unset),
        ..Policy::of(&trusted.trust)
    };
    // Which releases were seen is asked under the lock of the store that remembers.
    let nowhere = Stores::default();
    let verified = super::checked(named, &nowhere, &policy, options.target, &mut stages)?;
    stages.done(Stage::Verify, || {
        let target = verified.facts().part().target;
        format!("code for {target} checked, keys trusted by {}", trusted.path.display())
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
        let _ = install::successor(known, &verified, reset)?;
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
    let _ = install::install(&mut disk, &verified, reset)?;
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
