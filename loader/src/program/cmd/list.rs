//! `bls-load list`: what is installed.
//!
//! Says what the artifacts say of themselves, in which store each is, whether its time is over,
//! and what is damaged as far as that is seen without hashing; verifies nothing, and runs
//! nothing. Goes on behind what it cannot read, and fails at the end.

use crate::clock::now;
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
    /// Whether its time is over, by this machine's clock.
    expired: bool,
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
                        let store = store.path().display().to_string();
                        values.push(Listed::Damaged { damaged: failure.code, name: named, store });
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
        let paths: Vec<String> = stores.paths().map(printable_path).collect();
        text += &format!("nothing is installed in {}\n", paths.join(" or "));
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
    let (mut image_bytes, mut missing) = (None, None);
    for part in &manifest.parts {
        match store.image(&part.image) {
            Ok(_) => image_bytes = Some(image_bytes.unwrap_or(0) + part.image.length),
            // An install keeps one of them.
            Err(error @ StoreError::Missing(_)) => drop(missing.get_or_insert(error)),
            Err(error) => return Err(error),
        }
    }
    let Some(image_bytes) = image_bytes else {
        // Unless all of it is gone by now, envelope first.
        let is_there = store.installed(identity, Wanted::Identity(identity))?.is_some();
        return missing.filter(|_| is_there).map_or(Ok(None), Err);
    };
    let expired = manifest.expires.is_some_and(|expires| now() > expires);
    Ok(Some(Line { current, identity, manifest, image_bytes, expired }))
}

fn to_text(store: &Store, line: &Line) -> String {
    let release = match line.manifest.sequence {
        0 => "-".to_owned(),
        sequence => format!("release {sequence}"),
    };
    let expires = match line.manifest.expires {
        Some(second) if line.expired => format!(", expired {}", Date(second)),
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
    /// One that is damaged: the code of the refusal, what it is called, and where.
    Damaged { damaged: &'static str, name: String, store: String },
    /// One that can.
    Readable {
        /// Whether its name means it.
        current: bool,
        /// Whether its time is over, by this machine's clock.
        expired: bool,
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
            expired: line.expired,
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
