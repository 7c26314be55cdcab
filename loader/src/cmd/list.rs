//! `bls-load list`: what is installed.
//!
//! Says what the artifacts say of themselves; verifies nothing, and runs nothing.

use crate::error::Failure;
use crate::store::{Store, StoreError, Stores, Wanted};
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::Manifest;
use bls_artifact::quantity::show_size;
use serde_json::{Value, json};
use std::path::Path;

/// One artifact of a store.
struct Line {
    /// Whether its name means it; if not, another release has taken that name.
    current: bool,
    identity: Sha256,
    manifest: Manifest,
    image_bytes: u64,
}

/// Prints what is installed.
pub(super) fn list(explicit: Option<&Path>, json: bool) -> Result<(), Failure> {
    let stores = Stores::open(explicit)?;
    let (mut values, mut text) = (Vec::new(), String::new());
    for store in stores.iter() {
        for line in lines(store)? {
            if json {
                values.push(to_json(store, &line));
            } else {
                text += &to_text(&line);
            }
        }
    }
    if json {
        text = Value::from(values).to_string() + "\n";
    } else if text.is_empty() {
        text += "nothing is installed\n";
    }
    super::print(&text)
}

/// What has names, by these; then what has been replaced.
fn lines(store: &Store) -> Result<Vec<Line>, StoreError> {
    let mut named = Vec::new();
    for name in store.known_names()? {
        named.extend(store.record(&name)?.and_then(|record| record.installed));
    }
    let all = store.identities()?;
    let replaced = all.into_iter().filter(|identity| !named.contains(identity));
    let current = named.iter().map(|identity| (*identity, true));
    let mut lines = Vec::new();
    for (identity, current) in current.chain(replaced.map(|identity| (identity, false))) {
        // What is collected in the meantime is not there any more.
        let Some(installed) = store.installed(identity, Wanted::Identity(identity))? else {
            continue;
        };
        let manifest = installed.alleged()?;
        let mut image_bytes = 0;
        for part in &manifest.parts {
            if store.has_image(&part.image)? {
                image_bytes += part.image.length;
            }
        }
        lines.push(Line { current, identity, manifest, image_bytes });
    }
    Ok(lines)
}

fn to_text(line: &Line) -> String {
    let release = match line.manifest.sequence {
        0 => "-".to_owned(),
        sequence => format!("release {sequence}"),
    };
    format!(
        "{:<20} {release:<12} {:>10}  sha256:{}{}\n",
        line.manifest.name,
        show_size(line.image_bytes),
        line.identity,
        if line.current { "" } else { "  replaced" },
    )
}

fn to_json(store: &Store, line: &Line) -> Value {
    json!({
        "name": line.manifest.name,
        "current": line.current,
        "sequence": line.manifest.sequence,
        "expires": line.manifest.expires,
        "identity": line.identity.to_string(),
        "source_sha256": line.manifest.source.to_string(),
        "image_bytes": line.image_bytes,
        "store": store.path().display().to_string(),
    })
}
