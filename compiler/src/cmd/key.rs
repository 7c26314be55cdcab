//! `bls-compile key`: show and export the signing key.

use super::{Failure, print, say};
use crate::cli::{Key, KeyAction};
use crate::keystore::{self, KeySource};

pub(super) fn run(arguments: &Key) -> Result<(), Failure> {
    let source = arguments.key.as_deref().map_or(KeySource::Default, KeySource::parse);
    let signing = keystore::open(&source)?;
    if let Some(made) = &signing.made {
        say(&made.to_string());
    }
    let public = signing.key.public();
    match arguments.action {
        Some(KeyAction::Export) => print(&public.to_pem()),
        None => {
            let place = match &signing.path {
                Some(path) => path.display().to_string(),
                None => "in the environment".to_owned(),
            };
            print(&format!("{}  {place}\n", public.id()))
        }
    }
}
