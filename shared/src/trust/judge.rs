//! Holds an artifact against a trust file: whether enough signatures count.
//!
//! May assume that the signatures are good: whoever calls checked them. Guarantees of
//! an answer without a [`Refusal`]: nothing about the artifact is revoked, no refused
//! version made it, and at least as many *different* compilers' keys as the threshold
//! asks for may sign this name, these capabilities, now. What does not count takes
//! nothing away: anybody can add a signature to an artifact.

use super::version::{Version, VersionRange};
use super::{ClockPolicy, Role, Trust, TrustedKey};
use crate::capability::Permission;
use crate::date::Date;
use crate::digest::Sha256;
use crate::key::KeyId;
use crate::manifest::Manifest;
use std::fmt;

/// 2026-01-01T00:00:00Z, before this program was written: a clock that stands before
/// has never been set.
pub const CLOCK_FLOOR: u64 = 1_767_225_600;

/// What a machine's clock says, and what its owner lets pass without one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds since 1970.
    pub now: u64,
    /// Where the clock cannot be right, times are not judged, whatever the trust file says.
    pub unset_passes: bool,
}

/// Whose signatures count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers {
    /// Keys in the role of a compiler: at least as many as the threshold.
    pub compilers: Vec<KeyId>,
    /// Keys in the role of an author.
    pub authors: Vec<KeyId>,
}

/// Why one good signature by a trusted key does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The key is revoked.
    Revoked,
    /// It is an author's, and a compiler's is needed.
    Author,
    /// It may not sign this name.
    Name(String),
    /// Artifacts that it signs may not ask for these.
    Capabilities(Vec<Permission>),
    /// It is not valid before this second.
    NotYet(u64),
    /// It was valid until this second.
    Expired(u64),
    /// It has a time, and the clock cannot be right: where it stands.
    Clock(u64),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked => write!(f, "is revoked"),
            Self::Author => write!(f, "is an author's, and a compiler's must sign"),
            Self::Name(name) => write!(f, "may not sign the name {name:?}"),
            Self::Capabilities(all) => {
                write!(f, "may not sign what asks for ")?;
                all.iter().enumerate().try_for_each(|(index, one)| {
                    write!(f, "{}{one}", if index == 0 { "" } else { ", " })
                })
            }
            Self::NotYet(from) => write!(f, "is not valid before {}", Date(*from)),
            Self::Expired(to) => write!(f, "was valid until {}", Date(*to)),
            Self::Clock(now) => write!(
                f,
                "is valid for a time only, and this machine's clock cannot be right: {}",
                Date(*now)
            ),
        }
    }
}

/// Why an artifact with good signatures is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No signature counts: why not this one.
    Key(KeyId, Doubt),
    /// Too few signatures count.
    Threshold {
        /// How many do.
        counted: usize,
        /// How many must.
        threshold: u64,
        /// Why another does not.
        doubt: Option<(KeyId, Doubt)>,
    },
    /// Something of it is revoked: what, and its digest.
    Revoked(&'static str, Sha256),
    /// A refused version of bls-compile made it.
    Compiler(String, VersionRange),
    /// A refused version of the engine generated its code.
    Engine(String, VersionRange),
    /// Ranges are refused, and what it says is no version: of what, and what it says.
    Unversioned(&'static str, String),
    /// It expires, and the clock cannot be right: where it stands.
    Clock(u64),
    /// It expired at this second since 1970.
    Expired(u64),
}

impl Doubt {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Revoked => "signature.revoked-key",
            Self::Author => "signature.author",
            Self::Name(_) => "signature.prefix",
            Self::Capabilities(_) => "signature.capability",
            Self::NotYet(_) => "signature.not-yet-valid",
            Self::Expired(_) => "signature.expired-key",
            Self::Clock(_) => "signature.clock",
        }
    }
}

impl Refusal {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Key(_, doubt) => doubt.code(),
            Self::Threshold { .. } => "signature.threshold",
            Self::Revoked(..) => "trust.revoked-digest",
            Self::Compiler(..) => "trust.refused-compiler",
            Self::Engine(..) => "trust.refused-engine",
            Self::Unversioned(..) => "trust.unversioned",
            Self::Clock(_) => "freshness.clock",
            Self::Expired(_) => "freshness.expired",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key, doubt) => write!(f, "key {key} signed it, which {doubt}"),
            Self::Threshold { counted, threshold, doubt } => {
                write!(f, "{threshold} keys must sign it, and the signatures of {counted} count")?;
                match doubt {
                    Some((key, doubt)) => write!(f, "; key {key} {doubt}"),
                    None => Ok(()),
                }
            }
            Self::Revoked(what, digest) => write!(f, "its {what} sha256:{digest} is revoked"),
            Self::Compiler(version, range) => {
                write!(f, "bls-compile {version} made it, and {range} is refused")
            }
            Self::Engine(version, range) => {
                write!(f, "wasmtime {version} generated its code, and {range} is refused")
            }
            Self::Unversioned(what, version) => {
                write!(f, "versions of {what} are refused, and it names {version:?}, which is none")
            }
            Self::Clock(now) => {
                write!(f, "it expires, and this machine's clock cannot be right: {}", Date(*now))
            }
            Self::Expired(at) => write!(f, "it expired at {}", Date(*at)),
        }
    }
}

impl std::error::Error for Refusal {}

impl Trust {
    /// Judges an artifact with this manifest and identity, whose good signatures by
    /// trusted keys are `signed_by`, by a machine's clock.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn judge(
        &self,
        signed_by: &[KeyId],
        manifest: &Manifest,
        identity: Sha256,
        clock: Clock,
    ) -> Result<Signers, Refusal> {
        self.check_digests(manifest, identity)?;
        self.check_versions(manifest)?;
        self.check_expiry(manifest, clock)?;
        let mut signers = Signers::default();
        let mut first_doubt = None;
        for trusted in signed_by.iter().filter_map(|id| self.find(*id)) {
            let id = trusted.key.id();
            match (self.doubt(trusted, manifest, clock), trusted.terms.role) {
                (Some(doubt), _) => drop(first_doubt.get_or_insert((id, doubt))),
                (None, Role::Compiler) => drop(super::insert(&mut signers.compilers, id)),
                (None, Role::Author) => drop(super::insert(&mut signers.authors, id)),
            }
        }
        let counted = signers.compilers.len();
        if counted as u64 >= self.threshold {
            return Ok(signers);
        }
        let doubt =
            first_doubt.or_else(|| signers.authors.first().map(|author| (*author, Doubt::Author)));
        Err(match doubt {
            Some((key, doubt)) if counted == 0 => Refusal::Key(key, doubt),
            doubt => Refusal::Threshold { counted, threshold: self.threshold, doubt },
        })
    }

    fn check_digests(&self, manifest: &Manifest, identity: Sha256) -> Result<(), Refusal> {
        if self.revoked_digests.is_empty() {
            return Ok(());
        }
        let images = manifest.parts.iter().map(|part| ("image", part.image.sha256));
        let all = [
            ("identity", identity),
            ("source", manifest.source),
            ("compiled module", manifest.compiled),
        ];
        match all.into_iter().chain(images).find(|(_, it)| self.revoked_digests.contains(it)) {
            Some((what, digest)) => Err(Refusal::Revoked(what, digest)),
            None => Ok(()),
        }
    }

    fn check_versions(&self, manifest: &Manifest) -> Result<(), Refusal> {
        let made_by = &manifest.compiler;
        if let Some(range) = refused("bls-compile", &self.refused.compiler, &made_by.version)? {
            return Err(Refusal::Compiler(made_by.version.clone(), range.clone()));
        }
        if let Some(range) = refused("the engine", &self.refused.engine, &made_by.engine)? {
            return Err(Refusal::Engine(made_by.engine.clone(), range.clone()));
        }
        Ok(())
    }

    /// Why a good signature by this key does not count.
    fn doubt(&self, trusted: &TrustedKey, manifest: &Manifest, clock: Clock) -> Option<Doubt> {
        let terms = &trusted.terms;
        if self.is_revoked(trusted.key.id()) {
            return Some(Doubt::Revoked);
        }
        let begins = |prefix: &String| manifest.name.starts_with(prefix.as_str());
        if terms.prefixes.as_ref().is_some_and(|prefixes| !prefixes.iter().any(begins)) {
            return Some(Doubt::Name(manifest.name.clone()));
        }
        let beyond = terms.may.as_ref().map_or(vec![], |may| beyond(may, manifest));
        if !beyond.is_empty() {
            return Some(Doubt::Capabilities(beyond));
        }
        if terms.not_before.is_none() && terms.not_after.is_none() {
            return None;
        }
        let now = clock.now;
        if !is_sane(now, self.created) {
            return self.asks_for_a(clock).then_some(Doubt::Clock(now));
        }
        let not_yet = terms.not_before.filter(|from| now < *from).map(Doubt::NotYet);
        not_yet.or(terms.not_after.filter(|to| now > *to).map(Doubt::Expired))
    }

    /// An artifact that says when it was made cannot be run before: that its signer chose
    /// the time is no way around its own end.
    fn check_expiry(&self, manifest: &Manifest, clock: Clock) -> Result<(), Refusal> {
        let Some(expires) = manifest.expires else { return Ok(()) };
        let now = clock.now;
        if !is_sane(now, self.created.max(manifest.created.unwrap_or(0))) {
            return if self.asks_for_a(clock) { Err(Refusal::Clock(now)) } else { Ok(()) };
        }
        if now > expires { Err(Refusal::Expired(expires)) } else { Ok(()) }
    }

    /// Whether times must be judged, with a clock that cannot be right too.
    ///
    /// For a key's times an artifact's own `created` is no measure: whoever signs could
    /// choose it, and with it which times are judged.
    fn asks_for_a(&self, clock: Clock) -> bool {
        self.clock == ClockPolicy::Refuse && !clock.unset_passes
    }
}

/// Whether a clock stands behind all that is known to have been.
fn is_sane(now: u64, created: u64) -> bool {
    now >= CLOCK_FLOOR.max(created)
}

/// The range that a version is in.
fn refused<'r>(
    what: &'static str,
    ranges: &'r [VersionRange],
    version: &str,
) -> Result<Option<&'r VersionRange>, Refusal> {
    if ranges.is_empty() {
        return Ok(None);
    }
    let Some(parsed) = Version::parse(version) else {
        return Err(Refusal::Unversioned(what, version.to_owned()));
    };
    Ok(ranges.iter().find(|range| range.holds(parsed)))
}

/// What a manifest asks for beyond `may`. What it *needs* must be covered with its
/// scope; what its imports *may use* has none, so there the kind must be in it.
fn beyond(may: &[Permission], manifest: &Manifest) -> Vec<Permission> {
    let kinds: Vec<Permission> =
        may.iter().map(|permission| Permission::all(permission.capability())).collect();
    let used = manifest.may_use.iter().map(|capability| Permission::all(*capability));
    let used = used.filter(|wanted| !kinds.iter().any(|kind| kind.covers(wanted)));
    let needed = manifest.needs.iter().filter(|need| !may.iter().any(|own| own.covers(need)));
    used.chain(needed.cloned()).collect()
}
