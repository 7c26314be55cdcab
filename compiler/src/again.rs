//! An artifact that was made before, in the place of making the same again.
//!
//! May assume nothing about the bytes: they come from a cache, or from a file that lies where the
//! result belongs. [`recognise`] takes one only when this run's key has signed it, its file is
//! whole, and its manifest says this source, these settings, and this version of compiler, engine
//! and fuel model. Of such a one [`Again::reassemble`] makes the next release: the same code under
//! another name, sequence, time or list of documents. Guarantees that nothing is signed of what
//! this key did not sign before: images still come from nowhere else.

use crate::assemble::Assembled;
use crate::given::Given;
use crate::needs;
use crate::options::Options;
use crate::rebuild;
use bls_artifact::digest::Sha256;
use bls_artifact::fuel::{MODEL, PLAN, cost_table};
use bls_artifact::key::PublicKey;
use bls_artifact::manifest::Manifest;
use std::fmt;

/// Why an artifact is not what would be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlike {
    /// This key has not signed it.
    Unsigned,
    /// A part of it is missing.
    Stripped,
    /// It was made of another source, or by another version.
    Made,
    /// It was made with other settings.
    Settings,
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned => "this key has not signed it",
            Self::Stripped => "a part of it is missing",
            Self::Made => "it was made of another source, or by another version",
            Self::Settings => "it was made with other settings",
        })
    }
}

/// An artifact that this key has signed, of this source and with these settings.
#[derive(Clone, Copy, Debug)]
pub struct Again<'a> {
    given: &'a Given<'a>,
}

/// Takes an artifact for what would be made of the source with this digest, by these options.
///
/// # Errors
/// [`Unlike`], when it is something else.
pub fn recognise<'a>(
    given: &'a Given<'a>,
    source: Sha256,
    options: &Options,
    key: &PublicKey,
) -> Result<Again<'a>, Unlike> {
    // Before anything that it says is believed.
    let envelope = &given.envelope;
    if !envelope.claims().iter().any(|claim| envelope.verifies(claim, key)) {
        return Err(Unlike::Unsigned);
    }
    if given.parts.iter().any(Option::is_none) {
        return Err(Unlike::Stripped);
    }
    let manifest = &given.manifest;
    let theirs = rebuild::options(manifest, source).map_err(|_| Unlike::Made)?;
    let is_model = |fuel: &bls_artifact::manifest::Fuel| {
        fuel.model == MODEL && fuel.plan == PLAN && fuel.cost_table == cost_table()
    };
    if !manifest.fuel.as_ref().is_none_or(is_model) {
        return Err(Unlike::Made);
    }
    let wanted = wanted(options, manifest).ok_or(Unlike::Settings)?;
    let is_profile =
        |part: &bls_artifact::manifest::Part| part.profile == options.profile(part.target);
    let same = theirs.without_release() == wanted && manifest.parts.iter().all(is_profile);
    if same { Ok(Again { given }) } else { Err(Unlike::Settings) }
}

/// The options as a manifest says them, which has no other needs than those of a loader.
fn wanted(options: &Options, manifest: &Manifest) -> Option<Options> {
    let needs = needs::wanted(&options.needs, &options.permissions, &manifest.may_use).ok()?;
    Some(Options { needs, permissions: Vec::new(), ..options.without_release() })
}

impl<'a> Again<'a> {
    /// The artifact.
    #[must_use]
    pub fn given(&self) -> &'a Given<'a> {
        self.given
    }

    /// Whether it is this release already.
    #[must_use]
    pub fn is_release(&self, name: &str, options: &Options) -> bool {
        let release = release(self.given.manifest.clone(), name, options);
        release == self.given.manifest
    }

    /// The same code as this release, not signed yet.
    #[must_use]
    pub fn reassemble(&self, name: &str, options: &Options) -> Assembled {
        let parts = self.given.stored().into_iter().map(<[u8]>::to_vec).collect();
        Assembled::again(release(self.given.manifest.clone(), name, options), parts)
    }
}

/// A manifest as that of another release.
fn release(manifest: Manifest, name: &str, options: &Options) -> Manifest {
    Manifest {
        name: name.to_owned(),
        sequence: options.sequence,
        created: options.created,
        expires: options.expires,
        documents: options.documents.clone(),
        ..manifest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::build;
    use crate::sign::sign;
    use bls_artifact::capability::Permission;
    use bls_artifact::key::PrivateKey;
    use bls_artifact::target::{Nans, Target};
    use std::path::Path;

    const HELLO: &[u8] = b"(module
        (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32)))
        (memory (export \"memory\") 1) (func (export \"_start\")))";

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32])
    }

    fn options() -> Options {
        let needs = vec![Permission::parse("stdout").unwrap()];
        Options { needs, ..Options::new(vec![Target::Pulley64, Target::Pulley32]) }
    }

    fn made(options: &Options, seed: u8) -> Vec<u8> {
        build(HELLO.to_vec(), "hello.wat", options, &[&key(seed)]).unwrap().bytes().to_vec()
    }

    #[track_caller]
    fn unlike(bytes: &[u8], source: &[u8], options: &Options, seed: u8) -> Option<Unlike> {
        let given = Given::parse(bytes, Path::new("a.bls")).unwrap();
        recognise(&given, Sha256::of(source), options, &key(seed).public()).err()
    }

    #[test]
    fn only_what_would_be_made_is_recognised() {
        let bytes = made(&options(), 1);
        assert_eq!(unlike(&bytes, HELLO, &options(), 1), None);
        assert_eq!(unlike(&bytes, HELLO, &options(), 2), Some(Unlike::Unsigned));
        assert_eq!(unlike(&bytes, b"other", &options(), 1), Some(Unlike::Made));
        for other in [
            Options { metered: false, ..options() },
            Options { fuel_profile: true, ..options() },
            Options { nans: Nans::Fast, ..options() },
            Options { compression: Some(3), ..options() },
            Options { memory_max: Some(1 << 20), ..options() },
            Options { fuel_max: Some(9), ..options() },
            Options { needs: Vec::new(), ..options() },
            Options { needs: options().needs, ..Options::new(vec![Target::Pulley64]) },
        ] {
            assert_eq!(unlike(&bytes, HELLO, &other, 1), Some(Unlike::Settings), "{other:?}");
            // And each is recognised as itself.
            assert_eq!(unlike(&made(&other, 1), HELLO, &other, 1), None, "{other:?}");
        }
        // What a configuration permits is a need where the module could use it.
        let stdout = options().needs;
        let permitted = Options { needs: Vec::new(), permissions: stdout, ..options() };
        assert_eq!(unlike(&made(&permitted, 1), HELLO, &permitted, 1), None);
    }

    #[test]
    fn the_same_code_becomes_another_release_as_if_it_were_compiled() {
        let bytes = made(&options(), 1);
        let given = Given::parse(&bytes, Path::new("a.bls")).unwrap();
        let again = recognise(&given, Sha256::of(HELLO), &options(), &key(1).public()).unwrap();
        assert!(again.is_release("hello", &options()) && !again.is_release("other", &options()));
        let next = Options {
            name: Some("other".to_owned()),
            sequence: 8,
            created: Some(1),
            expires: Some(9),
            ..options()
        };
        assert!(!again.is_release("other", &next));
        let signed = sign(&again.reassemble("other", &next), &[&key(1)]).unwrap();
        assert_eq!(signed.bytes(), made(&next, 1));
        let same = sign(&again.reassemble("hello", &options()), &[&key(1)]).unwrap();
        assert_eq!(same.bytes(), bytes);
    }

    #[test]
    fn what_was_stripped_is_not_whole() {
        use bls_artifact::artifact;
        let bytes = made(&options(), 1);
        let given = Given::parse(&bytes, Path::new("a.bls")).unwrap();
        let one = artifact::write(&given.envelope.to_bytes(), &given.stored()[..1]);
        assert_eq!(unlike(&one, HELLO, &options(), 1), Some(Unlike::Stripped));
    }
}
