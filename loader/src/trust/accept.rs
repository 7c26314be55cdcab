//! Accepts a trust file that root keys signed, into the place where it acts.
//!
//! Guarantees that what lies there afterwards was signed by enough of its own root
//! keys and by enough of those that held before, that its sequence did not go back,
//! and that both the file and the highest sequence are on the disk before this returns.
//! A machine that stops in between has one of the two files, and accepts either.

use super::edit::{hold, replace};
use super::{Place, TrustError, parse};
use crate::guarded::read;
use bls_artifact::limits::TRUST_BYTES_MAX;
use bls_artifact::trust::signed::{Accepted, Signed, is_signed};
use bls_artifact::trust::{Trust, TrustedKey};
use std::path::{Path, PathBuf};

/// What was accepted, or would be.
#[derive(Debug)]
pub(crate) struct Acceptance {
    /// Where it acts.
    pub(crate) place: PathBuf,
    pub(crate) trust: Trust,
    /// The sequence of the one before.
    pub(crate) before: Option<u64>,
    /// Keys that the file in its place trusts and this one does not, with their comments.
    pub(crate) forgotten: Vec<TrustedKey>,
    /// The plain file that is replaced, where keys are forgotten and it names no root keys.
    plain: Option<Vec<u8>>,
    accepted: Accepted,
    text: Vec<u8>,
}

/// What the plain file is called that a signed one has replaced.
const REPLACED: &str = "trust.json.replaced";

/// Accepts the file `from`: for the whole system, or for this user. Keys that only a plain
/// file in its place trusts are forgotten only with `replace`; that file is kept beside it.
pub(crate) fn install(
    from: &Path,
    system: bool,
    replace_keys: bool,
) -> Result<Acceptance, TrustError> {
    let place = &place(system)?;
    // What is refused leaves nothing behind, not even a folder.
    check(place, from)?.asks(replace_keys)?;
    let (mode, folder_mode) = place.modes;
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |error| TrustError::Write(path, error)
    };
    let _file = hold(&place.file, Some(folder_mode)).map_err(cannot(&place.file))?;
    let same_folder = place.file.parent() == place.state.parent();
    let _state = match same_folder {
        true => None,
        false => Some(hold(&place.state, Some(folder_mode)).map_err(cannot(&place.state))?),
    };
    let acceptance = check(place, from)?;
    acceptance.asks(replace_keys)?;
    if let Some(plain) = &acceptance.plain {
        let kept = place.file.with_file_name(REPLACED);
        replace(&kept, plain, mode).map_err(cannot(&kept))?;
    }
    let remember = |accepted: &Accepted| {
        replace(&place.state, accepted.to_text().as_bytes(), mode).map_err(cannot(&place.state))
    };
    remember(&acceptance.accepted)?;
    replace(&place.file, &acceptance.text, mode).map_err(cannot(&place.file))?;
    remember(&acceptance.accepted.clone().settled())?;
    Ok(acceptance)
}

/// Says what [`install`] would do, and changes nothing.
pub(crate) fn examine(file: &Path, system: bool) -> Result<Acceptance, TrustError> {
    check(&place(system)?, file)
}

impl Acceptance {
    /// Refuses to forget keys that the user trusts by a plain file, unless that is wanted.
    fn asks(&self, replace_keys: bool) -> Result<(), TrustError> {
        if self.plain.is_none() || replace_keys {
            return Ok(());
        }
        let ids = self.forgotten.iter().map(|known| known.key.id()).collect();
        Err(TrustError::Forgets(self.place.clone(), ids))
    }
}

fn place(system: bool) -> Result<Place, TrustError> {
    if system { Ok(Place::system()) } else { Place::own() }
}

fn check(place: &Place, from: &Path) -> Result<Acceptance, TrustError> {
    let text = read(from, TRUST_BYTES_MAX)?;
    if !is_signed(&text) {
        // A file that is neither says so first.
        parse(from, &text)?;
        return Err(TrustError::Plain(from.to_owned()));
    }
    let wrong = |error| TrustError::Signed(from.to_owned(), error);
    let signed = Signed::parse(&text).map_err(wrong)?;
    let before = place.accepted()?;
    let mut present = None;
    let mut plain = None;
    match place.text()? {
        Some(text) if is_signed(&text) => {
            present = Signed::parse(&text).ok().map(Signed::into_trust);
        }
        Some(text) => {
            present = Some(parse(&place.file, &text)?);
            plain = Some(text);
        }
        None => {}
    }
    // A plain file that names root keys says whose word is waited for.
    let pinned = match (&before, &plain) {
        (None, Some(_)) => present.as_ref().and_then(|present| present.root.clone()),
        _ => None,
    };
    let new = signed.trust();
    let forgotten: Vec<TrustedKey> = present
        .iter()
        .flat_map(|present| present.keys().iter().filter(|key| !present.is_revoked(key.key.id())))
        .filter(|known| new.find(known.key.id()).is_none())
        .cloned()
        .collect();
    let asks = pinned.is_none() && !forgotten.is_empty();
    let accepted =
        Accepted::next(&text, &signed, before.as_ref(), pinned.as_ref()).map_err(wrong)?;
    Ok(Acceptance {
        place: place.file.clone(),
        trust: signed.into_trust(),
        before: before.map(|before| before.sequence()),
        forgotten,
        plain: plain.filter(|_| asks),
        accepted,
        text,
    })
}
