//! `bls-load list`: what is installed.
//!
//! Says what the artifacts say of themselves; verifies nothing, and runs nothing. Goes on
//! behind what it cannot read, and fails at the end.

use crate::error::{Failure, printable, printable_path};
use crate::program::say;
use crate::store::{Folder, Store, StoreError, Stores, Wanted};
use bls_artifact::date::Date;
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::Manifest;
use bls_artifact::quantity::show_size;
use serde::Serialize;
use std::path::Path;

/// One artifact of a store.
struct Line {
    /// Whether its name means it; if not, another release has taken that name.
    current: bool,
    identity: Sha256,
    manifest: Manifest,
    image_bytes: u64,
}

/// What something is called, and the line of it unless it is damaged.
type Named = (String, Result<Line, StoreError>);

/// Prints what is installed. What is damaged is named, and does not hide the rest.
pub(super) fn list(explicit: Option<&Path>, json: bool) -> Result<(), Failure> {
    let mut stores = Stores::open_each(explicit)?;
    let (mut values, mut text) = (Vec::new(), String::new());
    // A store that says nothing hides no other.
    let unreadable = stores.bad();
    let mut bad = unreadable.len();
    unreadable.into_iter().for_each(|error| say(&Failure::from(error)));
    for store in stores.iter() {
        let lines = lines(store).unwrap_or_else(|error| {
            bad += 1;
            say(&Failure::from(error));
            Vec::new()
        });
        for (named, line) in lines {
            match line {
                Ok(line) if json => values.push(Listed::of(store, &line)),
                Ok(line) => text += &to_text(store, &line),
                Err(error) => {
                    bad += 1;
                    let failure = Failure::from(error);
                    say(&failure);
                    if json {
                        values.push(Listed::Damaged { damaged: failure.code, name: named });
                    } else {
                        let (named, path) = (printable(&named), printable_path(store.path()));
                        text += &format!("{named:<20} damaged, in {path}\n");
                    }
                }
            }
        }
    }
    if json {
        // Numbers and texts can always be written.
        super::print_json(&(serde_json::to_string(&values).unwrap_or_default() + "\n"))?;
    } else if text.is_empty() && bad == 0 {
        text += "nothing is installed\n";
    }
    super::print(&text)?;
    super::some_refused(bad, "list")
}

/// What has names, by these; then what has been replaced; each with what it is called.
fn lines(store: &Store) -> Result<Vec<Named>, StoreError> {
    let (mut named, mut lines) = (Vec::new(), Vec::new());
    for name in store.known_names()? {
        match store.record(&name) {
            Ok(record) => {
                let identity = record.and_then(|record| record.installed);
                named.extend(identity.map(|identity| (name, identity, true)));
            }
            Err(error) => lines.push((name, Err(error))),
        }
    }
    let mut all = store.identities()?;
    all.retain(|identity| !named.iter().any(|(_, other, _)| other == identity));
    let replaced = all.into_iter().map(|identity| (format!("sha256:{identity}"), identity, false));
    named.extend(replaced);
    for (name, identity, current) in named {
        match line(store, identity, current).transpose() {
            Some(line) => lines.push((name, line)),
            // What is replaced and collected in the meantime is not there any more.
            None if current && is_meant(store, &name, identity) => {
                let path = store.path_of(Folder::Artifacts, &identity.to_string());
                lines.push((name, Err(StoreError::Missing(path))));
            }
            None => {}
        }
    }
    Ok(lines)
}

fn is_meant(store: &Store, name: &str, identity: Sha256) -> bool {
    matches!(store.record(name), Ok(Some(record)) if record.installed == Some(identity))
}

fn line(store: &Store, identity: Sha256, current: bool) -> Result<Option<Line>, StoreError> {
    let Some(installed) = store.installed(identity, Wanted::Identity(identity))? else {
        return Ok(None);
    };
    let manifest = installed.alleged()?;
    let mut image_bytes = 0;
    for part in &manifest.parts {
        if store.has_image(&part.image)? {
            image_bytes += part.image.length;
        }
    }
    Ok(Some(Line { current, identity, manifest, image_bytes }))
}

fn to_text(store: &Store, line: &Line) -> String {
    let release = match line.manifest.sequence {
        0 => "-".to_owned(),
        sequence => format!("release {sequence}"),
    };
    let expires = match line.manifest.expires {
        Some(second) => format!(", expires {}", Date(second)),
        None => String::new(),
    };
    format!(
        "{:<20} {release:<12} {:>10}  sha256:{}  in {}{expires}{}\n",
        line.manifest.name,
        show_size(line.image_bytes),
        line.identity,
        store.path().display(),
        if line.current { "" } else { ", replaced" },
    )
}

/// One artifact as JSON, its fields in the order of their names.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    /// One that cannot be read: the code of the refusal, and what it is called.
    Damaged { damaged: &'static str, name: String },
    /// One that can.
    Readable {
        /// Whether its name means it.
        current: bool,
        /// When it expires, in seconds since 1970.
        expires: Option<u64>,
        identity: String,
        image_bytes: u64,
        name: String,
        sequence: u64,
        source_sha256: String,
        store: String,
    },
}

impl Listed {
    fn of(store: &Store, line: &Line) -> Self {
        Self::Readable {
            current: line.current,
            expires: line.manifest.expires,
            identity: line.identity.to_string(),
            image_bytes: line.image_bytes,
            name: line.manifest.name.clone(),
            sequence: line.manifest.sequence,
            source_sha256: line.manifest.source.to_string(),
            store: store.path().display().to_string(),
        }
    }
}
