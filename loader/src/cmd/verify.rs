//! `bls-load verify ARTIFACT`: everything but running it.
//!
//! Guarantees that every byte of the file was checked when it says so: all parts
//! are hashed, not only the one that would run here.

use crate::cli::Options;
use crate::error::Failure;
use crate::explain::Stages;
use crate::open::Opened;
use crate::report::Recorder;
use crate::trust;
use crate::verify::{Facts, Policy, verify as verify_artifact};
use bls_artifact::quantity::show_size;

/// Verifies, and prints what is now known.
pub(super) fn verify(options: Options) -> Result<(), Failure> {
    let recorder = Recorder::open(None, false)?;
    let mut stages = Stages::new(&recorder, options.explain);
    let opened = Opened::open(&options.artifact)?;
    stages.done("open", || format!("{}: framing fits", opened.name()));
    let trusted = trust::load(options.trust.as_deref())?;
    let policy = Policy { digest: options.digest, every_part: true, ..Policy::of(&trusted.trust) };
    let verified = verify_artifact(opened, &policy)?;
    stages.done("verify", || {
        format!("every byte checked, keys trusted by {}", trusted.path.display())
    });
    super::print(&describe(verified.facts()))
}

fn describe(facts: &Facts) -> String {
    let manifest = &facts.manifest;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text += &format!("{name:<9} {value}\n");
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
    for (index, part) in manifest.parts.iter().enumerate() {
        let here = if index == facts.chosen { ", runs here" } else { "" };
        line("part", &format!("{} ({}{here})", part.target, show_size(part.image.length)));
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
