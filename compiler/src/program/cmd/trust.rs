//! `bls-compile trust sign`: a root key signs a trust file.
//!
//! It is here and not in the loader because a machine that runs artifacts has no
//! business with private keys. Takes a plain trust file, or one that others have signed
//! already, and writes it with one signature more. Guarantees that what is signed is the
//! text as it stands, and a trust file that its signatures can make count. Whether they
//! are enough is the loader's to say: `bls-load trust verify`.

use super::{Failure, print, say};
use crate::program::cli::{Trust, TrustAction};
use crate::program::keystore::{self, KeySource, Wanted};
use crate::program::output::Destination;
use bls_artifact::limits::TRUST_BYTES_MAX;
use bls_artifact::trust::signed::{Signed, SignedError, is_signed};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

pub(super) fn run(arguments: &Trust) -> Result<(), Failure> {
    let TrustAction::Sign(sign) = &arguments.action;
    let text = read(&sign.file).map_err(|error| {
        let what = format!("cannot read {}: {error}", sign.file.display());
        let hint = "name a trust file of at most 1 MiB; bls-load trust init makes one";
        Failure {
            stage: "trust",
            code: "trust.unreadable-to-sign",
            what,
            excerpt: Vec::new(),
            hint: Some(hint.to_owned()),
        }
    })?;
    let wrong = |error: SignedError| {
        let what = format!("{}: {error}", sign.file.display());
        Failure::new("trust", error.code(), what, Some(error.hint().to_owned()))
    };
    // The user's own key is a compiler's: a root key is another, and is named.
    let default = Wanted::default();
    let signing = keystore::open(&Wanted {
        source: sign.key.as_deref().map_or(default.source, KeySource::parse),
        public: sign.public_key.clone(),
        time: sign.max_sign_time.unwrap_or(default.time),
    })?;
    let mut signed = match is_signed(&text) {
        true => Signed::parse(&text).map_err(wrong)?,
        false => Signed::unsigned(text).map_err(wrong)?,
    };
    let signature = signing.signer.sign(&signed.message())?;
    signed.add_signature(&signing.public(), signature).map_err(wrong)?;
    match &sign.output {
        Some(path) => Destination::File(path.clone()).write(&signed.to_bytes())?,
        None => print(&String::from_utf8_lossy(&signed.to_bytes()))?,
    }
    let id = signing.public().id();
    if !signed.roots().hold(id) {
        say(&format!(
            "bls-compile: trust: the key {id} is none of the roots that the file names: right for a root that it replaces"
        ));
    }
    if let Err(error) = signed.check_own() {
        say(&format!("bls-compile: trust: not yet enough: {error}"));
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(TRUST_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > TRUST_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}
