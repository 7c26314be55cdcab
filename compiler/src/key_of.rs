//! All that decides the code of an artifact, in one digest: its key.
//!
//! ```text
//! source + settings + this compiler, its engine, its fuel model  ─►  key
//! key + release (name, sequence, times, documents) + signer      ─►  the bytes of the artifact
//! ```
//!
//! Guarantees: what has the same key and the same release is, signed by the same key, the same
//! to the byte. Not in it, for they decide no code: what is said of the release, and who signs.
//! What a module is found out to be is not in it either: nobody has to look into it.

use crate::options::Options;
use bls_artifact::artifact::FORMAT_VERSION;
use bls_artifact::digest::Sha256;
use bls_artifact::fuel;
use bls_artifact::target::ENGINE_RELEASE;

/// The sources that this compiler is built of: another build of the same version may generate
/// other code.
const BUILD: &str = env!("BLS_BUILD");

/// The key of what is made of a source that has this digest.
#[must_use]
pub fn key_of(source: Sha256, options: &Options) -> Sha256 {
    // A new setting is part of it without a word here.
    let settings = options.without_release();
    let text = format!(
        "bls-compile key-of 1\nsource {source}\ncompiler {} {BUILD}\nengine {ENGINE_RELEASE}\n\
         format {FORMAT_VERSION}\nfuel {} {} {}\n{settings:?}\n",
        env!("CARGO_PKG_VERSION"),
        fuel::MODEL,
        fuel::PLAN,
        fuel::COST_TABLE_SHA256,
    );
    Sha256::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::capability::Permission;
    use bls_artifact::cpu::Machine;
    use bls_artifact::manifest::{Document, DocumentKind};
    use bls_artifact::target::{Bounds, Language, Nans, Target};

    fn options() -> Options {
        Options::new(vec![Target::Pulley64])
    }

    #[test]
    fn every_setting_is_in_the_key() {
        let source = Sha256::of(b"source");
        let usual = key_of(source, &options());
        assert_eq!(key_of(source, &options()), usual);
        assert_ne!(key_of(Sha256::of(b"other"), &options()), usual);
        let needs = vec![Permission::parse("stdout").unwrap()];
        for other in [
            Options { metered: false, ..options() },
            Options { fuel_profile: true, ..options() },
            Options { nans: Nans::Fast, ..options() },
            Options { bounds: Bounds::Checked, ..options() },
            Options { language: Language::Core, ..options() },
            Options { compression: Some(3), ..options() },
            Options { window: Some(1 << 20), ..options() },
            Options { memory_max: Some(1 << 20), ..options() },
            Options { fuel_max: Some(7), ..options() },
            Options { time_ms_max: Some(7), ..options() },
            Options { needs: needs.clone(), ..options() },
            Options { permissions: needs, ..options() },
            Options::new(vec![Target::Pulley32]),
            Options::new([Machine::parse("x86_64:v3").unwrap()]),
        ] {
            assert_ne!(key_of(source, &other), usual, "{other:?}");
        }
    }

    #[test]
    fn what_is_said_of_the_release_is_not() {
        let source = Sha256::of(b"source");
        let usual = key_of(source, &options());
        let name = "sbom.json".to_owned();
        let document = Document { kind: DocumentKind::Sbom, name, sha256: source };
        for release in [
            Options { name: Some("app".to_owned()), ..options() },
            Options { sequence: 7, ..options() },
            Options { created: Some(7), ..options() },
            Options { expires: Some(7), ..options() },
            Options { documents: vec![document], ..options() },
        ] {
            assert_eq!(key_of(source, &release), usual, "{release:?}");
        }
    }

    #[test]
    fn the_order_of_needs_says_nothing() {
        let with = |needs: &[&str]| {
            let needs = needs.iter().map(|text| Permission::parse(text).unwrap()).collect();
            key_of(Sha256::of(b""), &Options { needs, ..options() })
        };
        assert_eq!(with(&["stdout", "env:A"]), with(&["env:A", "stdout", "env:A"]));
    }

    #[test]
    fn the_build_is_named() {
        assert!(Sha256::from_hex(BUILD).is_some(), "{BUILD}");
    }
}
