//! `bls-load verify ARTIFACT|--all`: everything but running it.
//!
//! Guarantees that every byte was checked when it says so: of a file, all parts are
//! hashed, not only the one that would run here; of what is installed, the code is
//! hashed, whoever keeps it. With `--target` the machine may be another than this. `--all` goes on behind what is damaged, and fails at the
//! end.

use super::Named;
use crate::clock::clock;
use crate::error::{Failure, printable};
use crate::program::cli::Options;
use crate::program::explain::{Stage, Stages};
use crate::program::report::Recorder;
use crate::program::say;
use crate::store::{Folder, Installed, Store, StoreError, Stores, Wanted};
use crate::trust;
use crate::verify::{Criteria, Facts, Standing, VerifyError, verify_installed_for};
use bls_artifact::cpu::{self, Machine};
use bls_artifact::date::Date;
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::Document;
use bls_artifact::quantity::show_size;
use bls_artifact::trust::Trust;

/// Verifies, and prints what is now known.
pub(super) fn verify(options: &Options) -> Result<(), Failure> {
    let recorder = Recorder::open(None, false)?;
    let mut stages = Stages::new(&recorder, options.explain);
    let named = Named::open(&options.artifact, options, &mut stages)?;
    let trusted = super::trusted_for(&named, options)?;
    let stores = super::stores(options.store.as_deref())?;
    let criteria = criteria(options, &trusted.trust, Some(&stores));
    let verified = super::checked(named, &stores, &criteria, options.target.as_ref(), &mut stages)?;
    stages.done(Stage::Verify, || {
        format!("every byte checked, keys trusted by {}", trusted.path.display())
    });
    super::print(&describe(verified.facts(), options.target.is_some()))
}

fn criteria<'a>(options: &Options, trust: &'a Trust, stores: Option<&'a Stores>) -> Criteria<'a> {
    let clock = clock(options.clock_unset);
    Criteria { trust, digest: options.digest, clock, stores, every_part: true }
}

/// Verifies everything that is installed, one line each.
pub(super) fn verify_all(options: &Options) -> Result<(), Failure> {
    let trusted = trust::load(options.trust.as_deref())?;
    let stores = Stores::open(options.store.as_deref())?;
    let current = criteria(options, &trusted.trust, Some(&stores));
    // What was replaced, and is not collected yet, need not be the newest.
    let replaced = criteria(options, &trusted.trust, None);
    let mut bad = 0_usize;
    for store in stores.iter() {
        let mut named = Vec::new();
        for name in store.known_names()? {
            let identity = match store.record(&name) {
                Ok(record) => record.and_then(|record| record.installed),
                Err(error) => {
                    complain(&mut bad, error.into(), &name)?;
                    continue;
                }
            };
            let Some(identity) = identity else { continue };
            named.push(identity);
            let shown = format!("{name} sha256:{identity}");
            let (wanted, to) = (Wanted::Name(name), options.target.as_ref());
            verify_one(&mut bad, store, identity, wanted, (&current, to), &shown)?;
        }
        for identity in store.identities()?.into_iter().filter(|other| !named.contains(other)) {
            let shown = format!("(replaced) sha256:{identity}");
            let wanted = Wanted::Identity(identity);
            verify_one(
                &mut bad,
                store,
                identity,
                wanted,
                (&replaced, options.target.as_ref()),
                &shown,
            )?;
        }
    }
    super::some_refused(bad, "verify")
}

fn verify_one(
    bad: &mut usize,
    store: &Store,
    identity: Sha256,
    wanted: Wanted,
    (criteria, machine): (&Criteria<'_>, Option<&Machine>),
    shown: &str,
) -> Result<(), Failure> {
    let missing = || StoreError::Missing(store.path_of(Folder::Artifacts, &identity.to_string()));
    let installed: Result<Installed<'_>, StoreError> =
        store.installed(identity, wanted).and_then(|found| found.ok_or_else(missing));
    let verified = installed
        .map_err(VerifyError::from)
        .and_then(|installed| verify_installed_for(installed, criteria, machine));
    match verified {
        Ok(_) => super::print(&format!("good {shown}\n")),
        Err(error) => complain(bad, super::failure(error), shown),
    }
}

fn complain(bad: &mut usize, failure: Failure, shown: &str) -> Result<(), Failure> {
    *bad += 1;
    say(&failure);
    super::print(&format!("bad  {} {}\n", printable(shown), failure.code))
}

fn describe(facts: &Facts, is_elsewhere: bool) -> String {
    let manifest = &facts.manifest;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text += &format!("{name:<9} {}\n", printable(value));
    line("name", &manifest.name);
    line("identity", &format!("sha256:{}", facts.identity));
    if let Some(digest) = facts.file_digest {
        line("file", &format!("sha256:{digest}"));
    }
    for key in &facts.key_ids {
        line("signed by", &key.to_string());
    }
    for key in &facts.author_ids {
        line("author", &key.to_string());
    }
    line("source", &format!("sha256:{}", manifest.source));
    for document in &manifest.documents {
        let Document { kind, name, sha256 } = document;
        line(kind.word(), &format!("sha256:{sha256}, {name}"));
    }
    if manifest.sequence > 0 {
        line("release", &manifest.sequence.to_string());
    }
    if let Some(expires) = manifest.expires {
        line("expires", &Date(expires).to_string());
    }
    for (part, standing) in manifest.parts.iter().zip(&facts.standings) {
        let fares = match (standing, is_elsewhere) {
            (Standing::Chosen, false) => "runs here".to_owned(),
            (Standing::Chosen, true) => "runs there".to_owned(),
            (standing, _) => standing.to_string(),
        };
        let (target, size) = (part.target, show_size(part.image.length));
        let cpu = match cpu::shown(target, &part.cpu_features) {
            cpu if cpu.is_empty() => cpu,
            cpu => format!(" {cpu}"),
        };
        line("part", &format!("{target}{cpu} ({size}, {fares})"));
    }
    match &manifest.fuel {
        Some(fuel) => line("fuel", &format!("metered, model {}", fuel.model)),
        None => line("fuel", "not metered"),
    }
    let may_use: Vec<&str> = manifest.may_use.iter().map(|capability| capability.name()).collect();
    line("may use", &if may_use.is_empty() { "nothing".to_owned() } else { may_use.join(", ") });
    for need in &manifest.needs {
        line("needs", &need.to_string());
    }
    text
}
