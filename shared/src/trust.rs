//! The trust file: whose signatures count on a machine, and for what.
//!
//! Keys with a role, the names they may sign, the capabilities that may be asked for
//! under their signature, and when they are valid; how many of them must sign; what is
//! revoked. FORMAT.md has the form. This file is what a trust file says and how it is
//! changed; `form.rs` is its JSON, `judge.rs` holds an artifact against it,
//! `signed.rs` is a trust file that root keys have signed. Does not read files, does
//! not judge who may have written one, and asks no clock.

mod form;
mod judge;
pub mod signed;
#[cfg(test)]
mod tests;
mod tree;
pub mod version;

use crate::capability::Permission;
use crate::digest::Sha256;
use crate::key::{KeyId, PublicKey};
use crate::limits::{
    NEEDS_MAX, SIGNATURES_MAX, TRUST_KEYS_MAX, TRUST_PREFIXES_MAX, TRUST_RANGES_MAX,
    TRUST_RESETS_MAX, TRUST_REVOKED_MAX,
};
use crate::name::{self, NameError};
pub use judge::{CLOCK_FLOOR, Clock, Doubt, Refusal, Signers};
use std::fmt;
use version::VersionRange;

/// The system's trust file: where it exists, it is the only default.
pub const SYSTEM_FILE: &str = "/etc/bls/trust.json";
/// What the system remembers of the signed file that it accepted.
pub const SYSTEM_STATE: &str = "/var/lib/bls/trust.state.json";
/// The name of a user's own trust file, in [`crate::passwd::USER_FOLDER`].
pub const USER_FILE: &str = "trust.json";
/// The same for a user's own file, in the same folder.
pub const USER_STATE: &str = "trust.state.json";
/// The version of the form that is written; form 1 is a list of keys, and is read.
const FORM: u64 = 2;

/// Why a text is no trust file, or why it cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// Not the JSON of a trust file; what the parser said.
    Json(String),
    /// A form this program does not know.
    Form(u64),
    /// What form 1 cannot say.
    Form1,
    /// An envelope, where the plain text is wanted.
    Signed,
    /// An entry whose key is none, or not the one of its id; its comment.
    Key(String),
    /// Too many of something; how many there are, and how many are read.
    TooMany(&'static str, usize, usize),
    /// The same thing stands twice.
    Twice(&'static str, String),
    /// A threshold that is none, and the largest.
    Threshold(u64, usize),
    /// What no name begins with.
    Prefix(String),
    /// A key that expires before it becomes valid.
    Validity(KeyId),
    /// What is no range of versions.
    Range(String),
    /// A reset of what is no name of an artifact.
    Reset(String),
    /// Resets in a file that no root key can sign.
    ResetUnsigned,
    /// The key is revoked, so it cannot be added.
    Revoked(KeyId),
    /// The key is there, on other terms.
    OtherTerms(KeyId),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(what) => write!(f, "not a trust file: {what}"),
            Self::Form(form) => {
                write!(f, "trust file of form {form}; this program reads forms 1 and {FORM}")
            }
            Self::Form1 => write!(f, "not a trust file: form 1 is a list of keys, and no more"),
            Self::Signed => write!(f, "a signed trust file, where a plain one is wanted"),
            Self::Key(comment) => write!(f, "the key {comment:?} is not an Ed25519 public key"),
            Self::TooMany(what, count, most) => {
                write!(f, "{count} {what}; at most {most} are read")
            }
            Self::Twice(what, which) => write!(f, "the {what} {which} stands there twice"),
            Self::Threshold(threshold, most) => {
                write!(f, "a threshold of {threshold}, which must be 1 to {most}")
            }
            Self::Prefix(prefix) => write!(f, "no artifact's name begins with {prefix:?}"),
            Self::Validity(key) => write!(f, "the key {key} expires before it becomes valid"),
            Self::Range(text) => write!(f, "{text:?} is not a range that versions are in"),
            Self::Reset(name) => {
                write!(f, "it resets the sequence of {name:?}, which is no artifact's name")
            }
            Self::ResetUnsigned => {
                write!(f, "it resets sequences, and names no root key that could sign that")
            }
            Self::Revoked(key) => write!(f, "the key {key} is revoked there"),
            Self::OtherTerms(key) => write!(f, "the key {key} is there already, on other terms"),
        }
    }
}

impl std::error::Error for TrustError {}

impl TrustError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "trust.json",
            Self::Form(_) => "trust.form",
            Self::Form1 => "trust.form-1",
            Self::Signed => "trust.signed-file",
            Self::Key(_) => "trust.key",
            Self::TooMany(..) => "trust.too-many",
            Self::Twice(..) => "trust.twice",
            Self::Threshold(..) => "trust.threshold-value",
            Self::Prefix(_) => "trust.prefix",
            Self::Validity(_) => "trust.validity",
            Self::Range(_) => "trust.range",
            Self::Reset(_) => "trust.reset",
            Self::ResetUnsigned => "trust.reset-unsigned",
            Self::Revoked(_) => "trust.adding-revoked",
            Self::OtherTerms(_) => "trust.other-terms",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Form1 | Self::Key(_) => {
                "bls-load trust add KEY.pub writes trust files; FORMAT.md has the form"
            }
            Self::Form(_) => "use a newer bls-load",
            Self::Signed => {
                "its root keys' holders change their plain file: bls-compile trust sign, then bls-load trust install; for one run: --trust builder.pub"
            }
            Self::TooMany(..) => "take out what is no longer needed",
            Self::Twice(..) => "take one of the two out",
            Self::Threshold(..) => "an artifact carries at most 16 signatures, each by another key",
            Self::Prefix(_) => "a prefix is letters, digits and . _ -, as in \"example.\"",
            Self::Validity(_) => "not_after must not be before not_before",
            Self::Range(_) => {
                "write \"<0.2.0\" or \">=48.0.0, <48.0.9\": three numbers, at most two bounds"
            }
            Self::Reset(_) => r#"write {"name": "app", "sequence": 3}"#,
            Self::ResetUnsigned => "name the root keys, and have them sign",
            Self::Revoked(_) => "whoever holds it should make a new key; what is revoked stays so",
            Self::OtherTerms(_) => "bls-load trust remove takes it out; then add it on these terms",
        }
    }
}

/// What a key vouches for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// "I compiled this from that source": the signatures that count.
    #[default]
    Compiler,
    /// Whose the program is. It may sign too, and cannot stand in for a compiler.
    Author,
}

impl Role {
    /// Its name, as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compiler => "compiler",
            Self::Author => "author",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Compiler, Self::Author].into_iter().find(|role| role.name() == name)
    }
}

/// What happens where the clock cannot be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockPolicy {
    /// What has a time is refused.
    #[default]
    Refuse,
    /// Times are not judged.
    Ignore,
}

impl ClockPolicy {
    /// The policy of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "refuse" => Some(Self::Refuse),
            "ignore" => Some(Self::Ignore),
            _ => None,
        }
    }
}

/// On which terms a key is trusted. The default is form 1's: a compiler's key, for any
/// name, any capability, at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What it vouches for.
    pub role: Role,
    /// What the names that it may sign begin with; `None` for any name.
    pub prefixes: Option<Vec<String>>,
    /// What artifacts that it signs may ask for; `None` for anything.
    pub may: Option<Vec<Permission>>,
    /// The first second since 1970 at which it is valid.
    pub not_before: Option<u64>,
    /// The last one.
    pub not_after: Option<u64>,
}

impl Terms {
    fn check(&self, key: KeyId) -> Result<(), TrustError> {
        at_most("name prefixes", self.prefixes.as_ref().map_or(0, Vec::len), TRUST_PREFIXES_MAX)?;
        at_most("capabilities", self.may.as_ref().map_or(0, Vec::len), NEEDS_MAX)?;
        if let Some(wrong) = self
            .prefixes
            .iter()
            .flatten()
            .find(|prefix| name::check(prefix) == Err(NameError::Form))
        {
            return Err(TrustError::Prefix(wrong.clone()));
        }
        match (self.not_before, self.not_after) {
            (Some(from), Some(to)) if to < from => Err(TrustError::Validity(key)),
            _ => Ok(()),
        }
    }
}

/// One key that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// What its owner called it.
    pub comment: String,
    /// For what it is trusted.
    pub terms: Terms,
}

/// The keys that sign trust files, and how many of them must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// How many must sign.
    pub threshold: u64,
    /// The keys, and what they are called.
    pub keys: Vec<(PublicKey, String)>,
}

impl Roots {
    fn check(&self) -> Result<(), TrustError> {
        at_most("root keys", self.keys.len(), SIGNATURES_MAX)?;
        unique("root key", self.keys.iter().map(|(key, _)| key.id()))?;
        threshold(self.threshold, self.keys.len())
    }

    /// Whether this key is one of them.
    #[must_use]
    pub fn hold(&self, id: KeyId) -> bool {
        self.keys.iter().any(|(key, _)| key.id() == id)
    }
}

/// The lowest sequence of an artifact that counts from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The artifact's name.
    pub name: String,
    /// Its sequence.
    pub sequence: u64,
}

/// Versions of programs whose artifacts are refused, whoever signed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedVersions {
    /// Of bls-compile.
    pub compiler: Vec<VersionRange>,
    /// Of the engine that generated the code.
    pub engine: Vec<VersionRange>,
}

/// Whose signatures count, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Rises with each change of a file that root keys sign; 0 is unset.
    pub sequence: u64,
    /// Seconds since 1970 at which it was written, or 0: no clock may stand before.
    pub created: u64,
    /// What happens where the clock cannot be right.
    pub clock: ClockPolicy,
    /// How many different compilers' keys must sign an artifact.
    pub threshold: u64,
    keys: Vec<TrustedKey>,
    revoked_keys: Vec<KeyId>,
    revoked_digests: Vec<Sha256>,
    refused: RefusedVersions,
    resets: Vec<Reset>,
    /// Who signs this file.
    pub root: Option<Roots>,
    /// Whether root keys did sign it.
    signed: bool,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            sequence: 0,
            created: 0,
            clock: ClockPolicy::default(),
            threshold: 1,
            keys: Vec::new(),
            revoked_keys: Vec::new(),
            revoked_digests: Vec::new(),
            refused: RefusedVersions::default(),
            resets: Vec::new(),
            root: None,
            signed: false,
        }
    }
}

impl Trust {
    /// Reads a plain trust file, of form 1 or 2.
    ///
    /// # Errors
    /// [`TrustError`]; a key id that is not its key's is one.
    pub fn parse(text: &[u8]) -> Result<Self, TrustError> {
        form::parse(text)
    }

    /// Trusts nobody yet.
    #[must_use]
    pub fn new(threshold: u64, clock: ClockPolicy) -> Self {
        Self { threshold, clock, ..Self::default() }
    }

    /// Trusts exactly one key.
    #[must_use]
    pub fn only(key: PublicKey) -> Self {
        let trusted = TrustedKey { key, comment: String::new(), terms: Terms::default() };
        Self { keys: vec![trusted], ..Self::default() }
    }

    /// The text of this trust file.
    #[must_use]
    pub fn to_text(&self) -> String {
        form::to_text(self)
    }

    /// Adds a key on the default terms; `false` when it was there, on whichever.
    pub fn add(&mut self, key: PublicKey, comment: &str) -> bool {
        if self.find(key.id()).is_some() {
            return false;
        }
        self.keys.push(TrustedKey { key, comment: comment.to_owned(), terms: Terms::default() });
        true
    }

    /// Adds a key on these terms; `false` when it was there on the same.
    ///
    /// # Errors
    /// [`TrustError`] when it is revoked, or was there on others.
    pub fn add_on(
        &mut self,
        key: PublicKey,
        comment: &str,
        terms: Terms,
    ) -> Result<bool, TrustError> {
        let id = key.id();
        if self.is_revoked(id) {
            return Err(TrustError::Revoked(id));
        }
        match self.find(id) {
            Some(trusted) if trusted.terms == terms => Ok(false),
            Some(_) => Err(TrustError::OtherTerms(id)),
            None => {
                self.keys.push(TrustedKey { key, comment: comment.to_owned(), terms });
                Ok(true)
            }
        }
    }

    /// Calls a key something else; `false` when it was called so, or is not there.
    pub fn rename_key(&mut self, id: KeyId, comment: &str) -> bool {
        let known = self.keys.iter_mut().find(|trusted| trusted.key.id() == id);
        let Some(known) = known.filter(|known| known.comment != comment) else { return false };
        comment.clone_into(&mut known.comment);
        true
    }

    /// Revokes a key, trusted or not; `false` when it was.
    pub fn revoke_key(&mut self, id: KeyId) -> bool {
        insert(&mut self.revoked_keys, id)
    }

    /// Takes a key out, revoked or not; `false` when it was not there.
    pub fn remove_key(&mut self, id: KeyId) -> bool {
        let before = self.keys.len();
        self.keys.retain(|trusted| trusted.key.id() != id);
        self.keys.len() < before
    }

    /// Undoes [`Trust::revoke_key`]; `false` when it was not revoked.
    pub fn restore_key(&mut self, id: KeyId) -> bool {
        take(&mut self.revoked_keys, &id)
    }

    /// Undoes [`Trust::revoke_digest`]; `false` when it was not revoked.
    pub fn restore_digest(&mut self, digest: Sha256) -> bool {
        take(&mut self.revoked_digests, &digest)
    }

    /// Undoes [`Trust::refuse_compiler`]; `false` when it was not refused by this range.
    pub fn restore_compiler(&mut self, range: &VersionRange) -> bool {
        take(&mut self.refused.compiler, range)
    }

    /// Undoes [`Trust::refuse_engine`]; `false` when it was not refused by this range.
    pub fn restore_engine(&mut self, range: &VersionRange) -> bool {
        take(&mut self.refused.engine, range)
    }

    /// The ids that begin with `prefix`, of keys that are trusted or revoked here.
    #[must_use]
    pub fn ids_with(&self, prefix: &str) -> Vec<KeyId> {
        let mut ids: Vec<KeyId> = self.keys.iter().map(|trusted| trusted.key.id()).collect();
        ids.extend(&self.revoked_keys);
        ids.retain(|id| id.to_string().starts_with(prefix));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Revokes whatever has this digest; `false` when it was.
    pub fn revoke_digest(&mut self, digest: Sha256) -> bool {
        insert(&mut self.revoked_digests, digest)
    }

    /// Refuses what these versions of bls-compile made; `false` when it was.
    pub fn refuse_compiler(&mut self, range: VersionRange) -> bool {
        insert(&mut self.refused.compiler, range)
    }

    /// Refuses what these versions of the engine generated; `false` when it was.
    pub fn refuse_engine(&mut self, range: VersionRange) -> bool {
        insert(&mut self.refused.engine, range)
    }

    /// Whether a key is revoked.
    #[must_use]
    pub fn is_revoked(&self, id: KeyId) -> bool {
        self.revoked_keys.contains(&id)
    }

    /// The trusted key with this id, revoked or not.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&TrustedKey> {
        self.keys.iter().find(|trusted| trusted.key.id() == id)
    }

    /// All of them, in file order.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// Every revoked key.
    #[must_use]
    pub fn revoked_keys(&self) -> &[KeyId] {
        &self.revoked_keys
    }

    /// Every revoked digest.
    #[must_use]
    pub fn revoked_digests(&self) -> &[Sha256] {
        &self.revoked_digests
    }

    /// Versions whose artifacts are refused.
    #[must_use]
    pub fn refused(&self) -> &RefusedVersions {
        &self.refused
    }

    /// Every reset, in file order.
    #[must_use]
    pub fn resets(&self) -> &[Reset] {
        &self.resets
    }

    /// From which sequence on this artifact counts again, whatever was seen before: a
    /// word of the root keys. `None` in a file that they did not sign.
    #[must_use]
    pub fn reset_for(&self, name: &str) -> Option<u64> {
        let reset = self.resets.iter().find(|reset| reset.name == name)?;
        self.signed.then_some(reset.sequence)
    }

    /// Whether root keys signed it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// Notes a change that was made at `now`, where the file counts its changes.
    pub fn touch(&mut self, now: u64) {
        if self.root.is_some() || self.sequence > 0 {
            self.sequence += 1;
            self.created = self.created.max(now);
        }
    }

    /// What the JSON's types cannot say.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn check(&self) -> Result<(), TrustError> {
        at_most("keys", self.keys.len(), TRUST_KEYS_MAX)?;
        at_most("revoked keys", self.revoked_keys.len(), TRUST_REVOKED_MAX)?;
        at_most("revoked digests", self.revoked_digests.len(), TRUST_REVOKED_MAX)?;
        at_most("ranges of compilers", self.refused.compiler.len(), TRUST_RANGES_MAX)?;
        at_most("ranges of engines", self.refused.engine.len(), TRUST_RANGES_MAX)?;
        at_most("resets", self.resets.len(), TRUST_RESETS_MAX)?;
        unique("key", self.keys.iter().map(|trusted| trusted.key.id()))?;
        unique("reset of", self.resets.iter().map(|reset| reset.name.as_str()))?;
        threshold(self.threshold, SIGNATURES_MAX)?;
        self.keys.iter().try_for_each(|trusted| trusted.terms.check(trusted.key.id()))?;
        if let Some(wrong) = self.resets.iter().find(|reset| !name::is_name(&reset.name)) {
            return Err(TrustError::Reset(wrong.name.clone()));
        }
        match &self.root {
            Some(root) => root.check(),
            None if !self.resets.is_empty() => Err(TrustError::ResetUnsigned),
            None => Ok(()),
        }
    }
}

/// Appends what is not there yet.
fn insert<T: PartialEq>(list: &mut Vec<T>, item: T) -> bool {
    let new = !list.contains(&item);
    if new {
        list.push(item);
    }
    new
}

/// Takes out what is there.
fn take<T: PartialEq>(list: &mut Vec<T>, item: &T) -> bool {
    let before = list.len();
    list.retain(|other| other != item);
    list.len() < before
}

fn at_most(what: &'static str, count: usize, most: usize) -> Result<(), TrustError> {
    if count > most { Err(TrustError::TooMany(what, count, most)) } else { Ok(()) }
}

fn threshold(threshold: u64, most: usize) -> Result<(), TrustError> {
    let fits = threshold >= 1 && threshold <= most as u64;
    if fits { Ok(()) } else { Err(TrustError::Threshold(threshold, most)) }
}

/// One key counts once, so it must not stand there twice on different terms.
fn unique<T: Ord + fmt::Display>(
    what: &'static str,
    items: impl Iterator<Item = T>,
) -> Result<(), TrustError> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    match items.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(TrustError::Twice(what, pair[0].to_string())),
        None => Ok(()),
    }
}
