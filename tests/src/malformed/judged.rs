//! Artifacts that are good, and refused for what a machine knows: by a trust file about
//! their key or digest, by a record of newer releases, by the clock.
//!
//! Each key is of a seed of its own, so that no two artifacts are the same. Alone, and
//! with their key trusted, all of them run; the test `malformed` shows it, but for those
//! whose time is in the manifest.

use super::{Base, Bases, Defect, Kind, builder, key};
use bls_artifact::capability::Permission;
use bls_artifact::date;
use bls_artifact::digest::Sha256;
use bls_artifact::key::PrivateKey;
use bls_artifact::limits::JSON_INTEGER_MAX;
use bls_artifact::trust::signed::{Accepted, Signed};
use bls_artifact::trust::version::VersionRange;
use bls_artifact::trust::{Role, Roots, Terms, Trust};
use bls_loader::freshness::Seen;
use bls_loader::store::record::Record;

pub(super) fn defects() -> Vec<Defect> {
    let mut all = keys();
    all.extend(terms());
    all.extend(revoked());
    all.extend(releases());
    all.extend(times());
    all.extend(places());
    all
}

/// Seeds of the keys that are trusted on terms.
const REVOKED: u8 = 21;
const EXPIRED: u8 = 22;
const EARLY: u8 = 23;
const CLOCKED: u8 = 24;
const PREFIXED: u8 = 25;
const BOUNDED: u8 = 26;
const AUTHOR: u8 = 27;
const ALONE: u8 = 28;
const PLACED: u8 = 29;
/// The seed of a root key.
const ROOT: u8 = 11;

fn keys() -> Vec<Defect> {
    vec![
        Defect::new("signature-revoked-key", "signature.revoked-key", "is revoked", |bases| {
            bases.hello.signed_by(REVOKED, |_| ())
        })
        .with(Kind::Trust, |_| {
            let mut trust = on(REVOKED, Terms::default());
            trust.revoke_key(key(REVOKED).public().id());
            text(&trust)
        }),
        Defect::new(
            "signature-expired-key",
            "signature.expired-key",
            "was valid until 2026-01-02T23:59:59Z",
            |bases| bases.hello.signed_by(EXPIRED, |_| ()),
        )
        .with(Kind::Trust, |_| {
            let not_after = Some(second("2026-01-02T23:59:59Z"));
            text(&on(EXPIRED, Terms { not_after, ..Terms::default() }))
        }),
        Defect::new(
            "signature-not-yet-valid-key",
            "signature.not-yet-valid",
            "is not valid before 2999-01-31T00:00:00Z",
            |bases| bases.hello.signed_by(EARLY, |_| ()),
        )
        .with(Kind::Trust, |_| {
            let not_before = Some(second("2999-01-31"));
            text(&on(EARLY, Terms { not_before, ..Terms::default() }))
        }),
        Defect::new(
            "signature-key-without-clock",
            "signature.clock",
            "this machine's clock cannot be right",
            |bases| bases.hello.signed_by(CLOCKED, |_| ()),
        )
        .with(Kind::Trust, |_| {
            // Written in a year that no clock has seen.
            let not_after = Some(second("2999-12-31"));
            let trust = on(CLOCKED, Terms { not_after, ..Terms::default() });
            text(&changed(trust, |trust| trust.created = second("2999-01-31")))
        }),
    ]
}

fn terms() -> Vec<Defect> {
    vec![
        Defect::new(
            "signature-outside-prefix",
            "signature.prefix",
            "may not sign the name \"hello\"",
            |bases| bases.hello.signed_by(PREFIXED, |_| ()),
        )
        .with(Kind::Trust, |_| {
            let prefixes = Some(vec!["example.".to_owned()]);
            text(&on(PREFIXED, Terms { prefixes, ..Terms::default() }))
        }),
        Defect::new(
            "signature-outside-capabilities",
            "signature.capability",
            "may not sign what asks for stderr",
            |bases| bases.hello.signed_by(BOUNDED, |_| ()),
        )
        .with(Kind::Trust, |_| {
            let may = Some(vec![Permission::parse("stdout").expect("a permission")]);
            text(&on(BOUNDED, Terms { may, ..Terms::default() }))
        }),
        Defect::new(
            "signature-author",
            "signature.author",
            "is an author's, and a compiler's must sign",
            |bases| bases.hello.signed_by(AUTHOR, |_| ()),
        )
        .with(Kind::Trust, |_| text(&on(AUTHOR, Terms { role: Role::Author, ..Terms::default() }))),
        Defect::new(
            "signature-below-threshold",
            "signature.threshold",
            "2 keys must sign it, and the signatures of 1 count",
            |bases| bases.hello.signed_by(ALONE, |_| ()),
        )
        .with(Kind::Trust, |_| {
            text(&changed(on(ALONE, Terms::default()), |trust| trust.threshold = 2))
        }),
    ]
}

fn revoked() -> Vec<Defect> {
    vec![
        Defect::new(
            "freshness-revoked-digest",
            "trust.revoked-digest",
            "its identity sha256:",
            |bases| release(bases, 1),
        )
        .with(Kind::Trust, |bases| {
            let mut trust = trusted();
            trust.revoke_digest(Base::of(release(bases, 1)).envelope.identity());
            text(&trust)
        }),
        Defect::new(
            "freshness-revoked-source",
            "trust.revoked-digest",
            "its source sha256:",
            |bases| release(bases, 2),
        )
        .with(Kind::Trust, |bases| {
            let mut trust = trusted();
            trust.revoke_digest(bases.hello.manifest.source);
            text(&trust)
        }),
        Defect::new(
            "freshness-refused-compiler",
            "trust.refused-compiler",
            "bls-compile 0.0.1 made it, and <=0.0.9 is refused",
            |bases| bases.hello.with_manifest(|it| it.compiler.version = "0.0.1".into()),
        )
        .with(Kind::Trust, |_| {
            let mut trust = trusted();
            trust.refuse_compiler(VersionRange::parse("<=0.0.9").expect("a range"));
            text(&trust)
        }),
        Defect::new(
            "freshness-refused-engine",
            "trust.refused-engine",
            "wasmtime 48.0.1 generated its code, and >=48.0.0, <48.0.4 is refused",
            |bases| bases.hello.with_manifest(|it| it.compiler.engine = "48.0.1".into()),
        )
        .with(Kind::Trust, |_| {
            let mut trust = trusted();
            trust.refuse_engine(VersionRange::parse(">=48.0.0, <48.0.4").expect("a range"));
            text(&trust)
        }),
        Defect::new(
            "freshness-refused-unversioned",
            "trust.unversioned",
            "it names \"next\", which is none",
            |bases| bases.hello.with_manifest(|it| it.compiler.version = "next".into()),
        )
        .with(Kind::Trust, |_| {
            let mut trust = trusted();
            trust.refuse_compiler(VersionRange::parse("<=0.0.9").expect("a range"));
            text(&trust)
        }),
    ]
}

fn releases() -> Vec<Defect> {
    vec![
        Defect::new(
            "freshness-rollback",
            "freshness.rollback",
            "release 3 is older than release 5",
            |bases| release(bases, 3),
        )
        .with(Kind::Record, |_| record(5)),
        Defect::beside(
            "freshness-without-sequence",
            "freshness.rollback",
            "release 0 is older than release 6",
        )
        .with(Kind::Record, |_| record(6)),
        Defect::new("freshness-jump", "freshness.jump", "leave too little room", |bases| {
            release(bases, JSON_INTEGER_MAX)
        })
        .with(Kind::Record, |_| record(7))
        .installing(),
        Defect::new("freshness-record-lowered", "store.record", "is damaged", |bases| {
            release(bases, 4)
        })
        .with(Kind::Record, |_| {
            let lowered = String::from_utf8(record(8)).expect("text");
            lowered.replace("highest 8", "highest 1").into_bytes()
        }),
        Defect::new("freshness-record-cut", "store.record", "is damaged", |bases| {
            release(bases, 9)
        })
        .with(Kind::Record, |_| record(9)[..40].to_vec()),
        Defect::new("freshness-record-of-another", "store.record", "is damaged", |bases| {
            release(bases, 10)
        })
        .with(Kind::Record, |_| Record::new("other").to_text().into_bytes()),
        Defect::new("freshness-record-future", "store.future", "newer bls-load", |bases| {
            release(bases, 11)
        })
        .with(Kind::Record, |_| b"bls-record 2\nname hello\n".to_vec()),
    ]
}

fn times() -> Vec<Defect> {
    vec![
        Defect::new("freshness-expired", "freshness.expired", "expired at 1970-01-01", |bases| {
            bases.hello.with_manifest(|manifest| manifest.expires = Some(1))
        }),
        Defect::new(
            "freshness-clock-before-creation",
            "freshness.clock",
            "this machine's clock cannot be right",
            |bases| {
                bases.hello.with_manifest(|manifest| {
                    manifest.created = Some(second("2999-01-31"));
                    manifest.expires = Some(second("2999-12-31"));
                })
            },
        ),
    ]
}

/// Trust files of a place where a signed one of sequence 5 was accepted: what lies there
/// now, if anything, and what was remembered.
fn places() -> Vec<Defect> {
    let of = |name, code, says| {
        let placed: super::Make = |bases| bases.hello.signed_by(PLACED, |_| ());
        let defect = Defect::beside(name, code, says);
        // One file is enough for all of them.
        if name == "trust-rolled-back" { defect.with(Kind::Artifact, placed) } else { defect }
    };
    vec![
        of("trust-rolled-back", "trust.rollback", "is of sequence 3, and 5 was accepted there")
            .with(Kind::Trust, |_| signed(3))
            .with(Kind::State, |_| state(5)),
        of("trust-not-accepted", "trust.not-accepted", "is not the file that was accepted there")
            .with(Kind::Trust, |_| signed(7))
            .with(Kind::State, |_| state(5)),
        of("trust-unsigned", "trust.unsigned", "a signed one of sequence 5 was accepted there")
            .with(Kind::Trust, |_| text(&draft(9)))
            .with(Kind::State, |_| state(5)),
        of("trust-gone", "trust.gone", "is gone, and a signed one of sequence 5 was accepted")
            .with(Kind::State, |_| state(5)),
        of("trust-state-damaged", "trust.state", "cannot be read")
            .with(Kind::Trust, |_| signed(5))
            .with(Kind::State, |_| state(5)[..60].to_vec()),
    ]
}

/// Only this key is trusted, on these terms.
fn on(seed: u8, terms: Terms) -> Trust {
    let mut trust = Trust::default();
    trust.add_on(key(seed).public(), "builder", terms).expect("a new key");
    trust
}

/// The builder's key is trusted, for anything.
pub(super) fn trusted() -> Trust {
    let mut trust = Trust::default();
    trust.add(builder().public(), "builder");
    trust
}

/// The same, changed.
pub(super) fn changed(mut trust: Trust, change: impl FnOnce(&mut Trust)) -> Trust {
    change(&mut trust);
    trust
}

pub(super) fn text(trust: &Trust) -> Vec<u8> {
    trust.to_text().into_bytes()
}

/// A trust file that a root key is to sign.
pub(super) fn draft(sequence: u64) -> Trust {
    let keys = vec![(root().public(), "root".to_owned())];
    changed(trusted(), |trust| {
        trust.sequence = sequence;
        trust.root = Some(Roots { threshold: 1, keys });
        trust.add(key(PLACED).public(), "placed");
    })
}

pub(super) fn root() -> PrivateKey {
    key(ROOT)
}

/// The same, signed.
fn signed(sequence: u64) -> Vec<u8> {
    Signed::sign(text(&draft(sequence)), &root()).expect("a draft").to_bytes()
}

/// What is remembered where it was accepted.
fn state(sequence: u64) -> Vec<u8> {
    let text = signed(sequence);
    let signed = Signed::parse(&text).expect("a signed file");
    let accepted = Accepted::next(&text, &signed, None, None).expect("a first file");
    accepted.to_text().into_bytes()
}

/// The base as a release.
fn release(bases: &Bases, sequence: u64) -> Vec<u8> {
    bases.hello.with_manifest(|manifest| manifest.sequence = sequence)
}

/// What a store remembers of `hello`.
fn record(highest: u64) -> Vec<u8> {
    let installed = Some(Sha256::of(b"a newer release"));
    let seen = Seen { highest, reset: None };
    Record { name: "hello".to_owned(), installed, seen }.to_text().into_bytes()
}

fn second(text: &str) -> u64 {
    date::parse(text).expect("a date")
}
