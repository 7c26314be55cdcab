//! `bls-compile key`: make, list, export and import signing keys.

use super::{Failure, open_key, print, print_json, say};
use crate::input::STDIN;
use crate::program::cli::{Key, KeyAction};
use crate::program::keystore::{self, KeySource, SigningKey, Wanted};
use crate::program::signer::Signer;
use bls_artifact::text::{printable, printable_path};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn run(arguments: &Key) -> Result<(), Failure> {
    match &arguments.action {
        None => show(&open_key(&wanted(arguments.key.as_deref()), false)?),
        Some(KeyAction::New { name }) => kept(&keystore::make(name)?),
        Some(KeyAction::List { json }) => list(*json),
        Some(KeyAction::Export { named, key }) => {
            let signing = open_key(&wanted(named.as_deref().or(key.as_deref())), false)?;
            print(&signing.public().to_pem())
        }
        Some(KeyAction::Import { from, name }) => {
            let from = (from != Path::new(STDIN)).then_some(from.as_path());
            kept(&keystore::import(from, name)?)
        }
    }
}

/// The key of this name, or this user's own.
fn wanted(name: Option<&str>) -> Wanted {
    let default = Wanted::default();
    Wanted { source: name.map_or(default.source, KeySource::parse), ..default }
}

/// Prints id and place of a key.
fn show(signing: &SigningKey) -> Result<(), Failure> {
    let place = match &signing.path {
        Some(path) => printable_path(path),
        None if matches!(signing.signer, Signer::Agent(_)) => "in the ssh-agent".to_owned(),
        None => "in the environment".to_owned(),
    };
    print(&format!("{}  {place}\n", signing.public().id()))
}

/// The same of one that is new here, with what that means.
fn kept(signing: &SigningKey) -> Result<(), Failure> {
    if let Some(made) = &signing.made {
        say(&made.to_string());
    }
    show(signing)
}

/// Prints the user's keys; of one that cannot be used, why.
fn list(as_json: bool) -> Result<(), Failure> {
    let keys = keystore::list()?;
    if as_json {
        let keys: Vec<Value> = keys
            .iter()
            .map(|key| {
                let error = key.id.as_ref().err().map(ToString::to_string);
                let id = key.id.as_ref().ok();
                json!({ "name": key.name, "id": id, "path": key.path, "error": error })
            })
            .collect();
        return print_json(&json!({ "keys": keys }));
    }
    let width = keys.iter().map(|key| key.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for key in &keys {
        match &key.id {
            Ok(id) => {
                text += &format!("{:width$}  {id}  {}\n", key.name, printable_path(&key.path))
            }
            Err(error) => {
                say(&printable(&format!("bls-compile: key: {}: {error}", key.name)));
            }
        }
    }
    if keys.is_empty() {
        say("bls-compile: key: you have none yet; bls-compile key new makes one");
    }
    print(&text)
}
