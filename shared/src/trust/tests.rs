//! What trust files say, how they are judged, and how root keys follow each other.

use super::signed::{Accepted, Signed, SignedError};
use super::*;
use crate::capability::Capability;
use crate::envelope::{Envelope, EnvelopeError};
use crate::key::PrivateKey;
use crate::limits::JSON_INTEGER_MAX;
use crate::manifest::{Manifest, example};

fn clock(now: u64) -> Clock {
    Clock { now, unset_passes: false }
}

/// A second at which the clock is right.
const NOW: u64 = CLOCK_FLOOR + 1_000_000;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

fn id(seed: u8) -> KeyId {
    key(seed).public().id()
}

fn on(terms: Terms) -> Trust {
    let mut trust = Trust::default();
    assert_eq!(trust.add_on(key(1).public(), "", terms), Ok(true));
    trust
}

fn manifest() -> Manifest {
    example()
}

fn identity() -> Sha256 {
    Sha256::of(b"identity")
}

fn judge(trust: &Trust, signed_by: &[u8]) -> Result<Signers, Refusal> {
    let ids: Vec<KeyId> = signed_by.iter().map(|seed| id(*seed)).collect();
    trust.judge(&ids, &manifest(), identity(), clock(NOW))
}

fn refused(trust: &Trust) -> Refusal {
    // What is written must mean the same when it is read.
    assert_eq!(Trust::parse(trust.to_text().as_bytes()).as_ref(), Ok(trust));
    judge(trust, &[1]).unwrap_err()
}

fn permissions(words: &[&str]) -> Option<Vec<Permission>> {
    Some(words.iter().map(|word| Permission::parse(word).unwrap()).collect())
}

#[test]
fn round_trip_and_refusals() {
    let mut trust = Trust::default();
    let key = key(3).public();
    assert!(trust.add(key.clone(), "me"));
    assert!(!trust.add(key.clone(), "again"));
    let text = trust.to_text();
    assert_eq!(Trust::parse(text.as_bytes()), Ok(trust));
    assert!(Trust::parse(b"").is_err());
    let lying = text.replace(&key.id().to_string(), &"0".repeat(64));
    assert_eq!(Trust::parse(lying.as_bytes()), Err(TrustError::Key("me".into())));
    let future = text.replace("\"version\": 2", "\"version\": 3");
    assert_eq!(Trust::parse(future.as_bytes()), Err(TrustError::Form(3)));
    assert_eq!(Trust::parse(br#"{"version":9,"roles":{}}"#), Err(TrustError::Form(9)));
    assert_eq!(Trust::parse(br#"{"version":0,"keys":[]}"#), Err(TrustError::Form(0)));
}

/// A file with everything in it.
fn full() -> Trust {
    let terms = Terms {
        role: Role::Author,
        prefixes: Some(vec!["example.".into()]),
        may: permissions(&["stdout", "fs.read:/data"]),
        not_before: Some(NOW),
        not_after: Some(NOW + 1),
    };
    let mut trust = Trust { sequence: 7, created: NOW, threshold: 2, ..Trust::default() };
    trust.clock = ClockPolicy::Ignore;
    trust.add_on(key(1).public(), "one", terms).unwrap();
    trust.add(key(2).public(), "two");
    assert!(trust.revoke_key(id(9)) && !trust.revoke_key(id(9)));
    assert!(trust.revoke_digest(identity()) && !trust.revoke_digest(identity()));
    assert!(trust.refuse_compiler(VersionRange::parse("<0.0.9").unwrap()));
    assert!(trust.refuse_engine(VersionRange::parse(">=48.0.0, <48.0.7").unwrap()));
    trust.resets.push(Reset { name: "app".into(), sequence: 3 });
    trust.root = Some(roots(&[11, 12], 2));
    trust
}

fn roots(seeds: &[u8], threshold: u64) -> Roots {
    let root = |seed: &u8| (key(*seed).public(), format!("root {seed}"));
    Roots { threshold, keys: seeds.iter().map(root).collect() }
}

#[test]
fn everything_is_read_as_it_is_written() {
    assert_eq!(Trust::parse(full().to_text().as_bytes()), Ok(full()));
}

#[test]
fn form_1_is_a_list_of_keys() {
    let mut list = Trust::default();
    list.add(key(1).public(), "me");
    let text = list.to_text().replace("\"version\": 2", "\"version\": 1");
    assert_eq!(Trust::parse(text.as_bytes()), Ok(list));
    for more in ["\"sequence\": 1,", "\"threshold\": 2,", "\"revoked\": {\"keys\": []},"] {
        let changed = text.replacen("\"keys\"", &format!("{more} \"keys\""), 1);
        let read = Trust::parse(changed.as_bytes());
        // An empty list revokes nothing: it says what its absence says.
        assert_eq!(read.is_err(), !more.contains("[]"), "{more}");
    }
    let terms = text.replace("\"comment\"", "\"role\": \"author\", \"comment\"");
    assert_eq!(Trust::parse(terms.as_bytes()), Err(TrustError::Form1));
}

#[test]
fn defects_are_refused() {
    let text = full().to_text();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        Trust::parse(changed.as_bytes()).expect_err(&format!("{from} -> {to}"))
    };
    let not_json = |error: TrustError| assert!(matches!(error, TrustError::Json(_)), "{error:?}");
    not_json(refused("\"sequence\": 7", "\"sequence\": 7, \"sequence\": 8"));
    not_json(refused("\"sequence\": 7", "\"sequence\": -1"));
    not_json(refused("\"sequence\": 7", "\"sequence\": 7.5"));
    not_json(refused("\"sequence\": 7", "\"sequence\": 7e0"));
    not_json(refused("\"sequence\": 7", "\"sequence\": null"));
    not_json(refused("\"sequence\": 7", "\"sequence\": 7, \"colour\": 1"));
    not_json(refused("\"revoked\": {", "\"revoked\": {\"colour\": 1,"));
    not_json(refused("\"role\": \"author\"", "\"role\": \"king\""));
    not_json(refused("fs.read:/data", "fs.read:/data/.."));
    not_json(refused("\"ignore\"", "\"maybe\""));
    not_json(refused("\"one\"", &format!("{}1{}", "[".repeat(200), "]".repeat(200))));
    not_json(refused("}\n", "} {}"));
    let mut bytes = text.clone().into_bytes();
    let letter = text.find("one\"").unwrap();
    bytes[letter] = 0xff;
    not_json(Trust::parse(&bytes).unwrap_err());

    let above = (JSON_INTEGER_MAX + 1).to_string();
    not_json(refused("\"sequence\": 7", &format!("\"sequence\": {above}")));
    not_json(refused(&format!("\"created\": {NOW}"), &format!("\"created\": {above}")));
    let after = format!("\"not_after\": {}", NOW + 1);
    not_json(refused(&after, &format!("\"not_after\": {above}")));
    not_json(refused(&after, "\"not_after\": null"));
    not_json(refused("\"keys\": [", "\"keys\": true, \"reset\": ["));
    not_json(refused("\"version\": 2,", ""));
    not_json(refused("\"comment\": \"two\",", ""));
    let many: String = (0..40).map(|index| format!("\"x{index}\": 1,")).collect();
    not_json(refused("\"version\": 2,", &format!("\"version\": 2, {many}")));
    assert_eq!(refused(&after, "\"not_after\": 5"), TrustError::Validity(id(1)));
    assert_eq!(refused("\"threshold\": 2", "\"threshold\": 0"), TrustError::Threshold(0, 16));
    assert_eq!(refused("\"threshold\": 2", "\"threshold\": 17"), TrustError::Threshold(17, 16));
    assert_eq!(refused("\"example.\"", "\"../\""), TrustError::Prefix("../".into()));
    assert_eq!(refused("\"example.\"", "\"\""), TrustError::Prefix(String::new()));
    assert_eq!(refused("\"<0.0.9\"", "\"<0.0\""), TrustError::Range("<0.0".into()));
    assert_eq!(refused("\"name\": \"app\"", "\"name\": \"\""), TrustError::Reset(String::new()));
    not_json(refused("\"sequence\": 3\n    }", &format!("\"sequence\": {above} }}")));
}

#[test]
fn the_same_thing_does_not_stand_there_twice() {
    let mut trust = full();
    trust.keys.push(trust.keys[0].clone());
    let twice = TrustError::Twice("key", id(1).to_string());
    assert_eq!(Trust::parse(trust.to_text().as_bytes()), Err(twice));
    let mut trust = full();
    trust.resets.push(Reset { name: "app".into(), sequence: 4 });
    assert_eq!(trust.check(), Err(TrustError::Twice("reset of", "app".into())));
    let trust = Trust { root: Some(roots(&[11, 11], 1)), ..full() };
    assert!(matches!(trust.check(), Err(TrustError::Twice("root key", _))));
    let trust = Trust { root: Some(roots(&[11], 2)), ..full() };
    assert_eq!(trust.check(), Err(TrustError::Threshold(2, 1)));
    let trust = Trust { root: None, ..full() };
    assert_eq!(trust.check(), Err(TrustError::ResetUnsigned));
}

#[test]
fn every_list_has_its_cap() {
    let many = |list: &mut Vec<Sha256>| {
        list.extend((0..=TRUST_REVOKED_MAX).map(|index| Sha256::of(&index.to_le_bytes())));
    };
    let mut trust = Trust::default();
    many(&mut trust.revoked_digests);
    let count = TRUST_REVOKED_MAX + 1;
    let what = "revoked digests";
    assert_eq!(trust.check(), Err(TrustError::TooMany(what, count, TRUST_REVOKED_MAX)));
    let prefixes = Some(vec!["a".into(); TRUST_PREFIXES_MAX + 1]);
    let trust = on(Terms { prefixes, ..Terms::default() });
    assert!(matches!(trust.check(), Err(TrustError::TooMany("name prefixes", ..))));
    let range = VersionRange::parse("<1.0.0").unwrap();
    let mut trust = Trust::default();
    trust.refused.engine = vec![range; TRUST_RANGES_MAX + 1];
    assert!(matches!(trust.check(), Err(TrustError::TooMany("ranges of engines", ..))));
}

#[test]
fn keys_are_added_on_terms_that_stay() {
    let author = Terms { role: Role::Author, ..Terms::default() };
    let mut trust = on(author.clone());
    assert_eq!(trust.add_on(key(1).public(), "", author), Ok(false));
    let other = trust.add_on(key(1).public(), "", Terms::default());
    assert_eq!(other, Err(TrustError::OtherTerms(id(1))));
    assert!(!trust.add(key(1).public(), ""));
    trust.revoke_key(id(2));
    let revoked = trust.add_on(key(2).public(), "", Terms::default());
    assert_eq!(revoked, Err(TrustError::Revoked(id(2))));
}

#[test]
fn what_a_key_may_sign() {
    assert_eq!(judge(&on(Terms::default()), &[1]).unwrap().compilers, [id(1)]);

    let named = |prefix: &str| {
        on(Terms { prefixes: Some(vec!["other.".into(), prefix.into()]), ..Terms::default() })
    };
    assert!(judge(&named("ap"), &[1]).is_ok());
    assert_eq!(refused(&named("example.")), Refusal::Key(id(1), Doubt::Name("app".into())));
    let none = on(Terms { prefixes: Some(vec![]), ..Terms::default() });
    assert_eq!(refused(&none), Refusal::Key(id(1), Doubt::Name("app".into())));

    // The manifest may use `arguments` and `fs.write`, and needs `fs.write:/data`.
    let asks = |words: &[&str]| on(Terms { may: permissions(words), ..Terms::default() });
    for enough in [&["arguments", "fs.write"][..], &["arguments", "fs.write:/data"]] {
        assert!(judge(&asks(enough), &[1]).is_ok(), "{enough:?}");
    }
    let beyond = |words: &[&str]| match refused(&asks(words)) {
        Refusal::Key(key, Doubt::Capabilities(all)) if key == id(1) => {
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(beyond(&[]), "arguments fs.write fs.write:/data");
    assert_eq!(beyond(&["fs.write"]), "arguments");
    assert_eq!(beyond(&["arguments", "fs.read:/data"]), "fs.write fs.write:/data");
    assert_eq!(beyond(&["arguments", "fs.write:/other"]), "fs.write:/data");
}

#[test]
fn an_author_is_no_compiler() {
    let mut trust = on(Terms { role: Role::Author, ..Terms::default() });
    assert_eq!(refused(&trust), Refusal::Key(id(1), Doubt::Author));
    trust.add(key(2).public(), "");
    let signers = judge(&trust, &[1, 2]).unwrap();
    assert_eq!((signers.compilers, signers.authors), (vec![id(2)], vec![id(1)]));
}

#[test]
fn a_revoked_key_counts_for_nothing() {
    let mut trust = on(Terms::default());
    trust.revoke_key(id(1));
    assert_eq!(refused(&trust), Refusal::Key(id(1), Doubt::Revoked));
    // And takes nothing away: anybody can add a signature.
    trust.add(key(2).public(), "");
    assert_eq!(judge(&trust, &[1, 2]).unwrap().compilers, [id(2)]);
}

#[test]
fn a_threshold_counts_different_keys() {
    let mut trust = Trust { threshold: 2, ..on(Terms::default()) };
    let short = |doubt| Refusal::Threshold { counted: 1, threshold: 2, doubt };
    assert_eq!(refused(&trust), short(None));
    assert_eq!(judge(&trust, &[1, 1]), Err(short(None)));
    assert_eq!(judge(&trust, &[1, 9]), Err(short(None)), "an unknown key is nobody");
    trust.add_on(key(2).public(), "", Terms { role: Role::Author, ..Terms::default() }).unwrap();
    assert_eq!(judge(&trust, &[1, 2]), Err(short(Some((id(2), Doubt::Author)))));
    trust.add(key(3).public(), "");
    assert_eq!(judge(&trust, &[1, 3]).unwrap().compilers, [id(1), id(3)]);
    trust.revoke_key(id(3));
    assert_eq!(judge(&trust, &[1, 3]), Err(short(Some((id(3), Doubt::Revoked)))));
}

#[test]
fn what_is_revoked_is_named() {
    let manifest = manifest();
    for (what, digest) in [
        ("identity", identity()),
        ("source", manifest.source),
        ("compiled module", manifest.compiled),
        ("image", manifest.parts[0].image.sha256),
    ] {
        let mut trust = on(Terms::default());
        trust.revoke_digest(Sha256::of(b"something else"));
        assert!(judge(&trust, &[1]).is_ok());
        trust.revoke_digest(digest);
        assert_eq!(refused(&trust), Refusal::Revoked(what, digest));
    }
}

#[test]
fn refused_versions() {
    // The manifest names bls-compile 0.1.0 and engine 48.0.8.
    let range = |text: &str| VersionRange::parse(text).unwrap();
    let mut trust = on(Terms::default());
    trust.refuse_compiler(range("<0.1.0"));
    trust.refuse_engine(range(">=47.0.0, <48.0.8"));
    assert!(judge(&trust, &[1]).is_ok());
    trust.refuse_engine(range(">=48.0.0, <48.0.9"));
    let engine = Refusal::Engine("48.0.8".into(), range(">=48.0.0, <48.0.9"));
    assert_eq!(refused(&trust), engine);
    trust.refuse_compiler(range("=0.1.0"));
    assert_eq!(refused(&trust), Refusal::Compiler("0.1.0".into(), range("=0.1.0")));

    // What has no version cannot be shown to be good.
    let mut odd = manifest();
    odd.compiler.engine = "48.0.8-patched".into();
    let refusal = Refusal::Unversioned("the engine", "48.0.8-patched".into());
    let mut trust = on(Terms::default());
    let judged = |trust: &Trust| trust.judge(&[id(1)], &odd, identity(), clock(NOW));
    assert!(judged(&trust).is_ok());
    trust.refuse_engine(range("<1.0.0"));
    assert_eq!(judged(&trust), Err(refusal));
}

#[test]
fn keys_have_their_time() {
    let at =
        |terms: Terms, now: u64| on(terms).judge(&[id(1)], &manifest(), identity(), clock(now));
    let within = |from, to| Terms { not_before: from, not_after: to, ..Terms::default() };
    assert!(at(within(Some(NOW), Some(NOW)), NOW).is_ok());
    let early = at(within(Some(NOW + 1), None), NOW);
    assert_eq!(early, Err(Refusal::Key(id(1), Doubt::NotYet(NOW + 1))));
    let late = at(within(None, Some(NOW - 1)), NOW);
    assert_eq!(late, Err(Refusal::Key(id(1), Doubt::Expired(NOW - 1))));
}

#[test]
fn a_clock_that_cannot_be_right_decides_nothing() {
    let judged = |trust: &Trust, expires: Option<u64>, now: u64| {
        trust.judge(&[id(1)], &Manifest { expires, ..manifest() }, identity(), clock(now))
    };
    let timed = Terms { not_before: Some(5), not_after: Some(NOW + 9), ..Terms::default() };
    let mut trust = on(timed);
    for (created, insane) in [(0, 0), (0, CLOCK_FLOOR - 1), (NOW, NOW - 1)] {
        trust.created = created;
        trust.clock = ClockPolicy::Refuse;
        let refused = Err(Refusal::Key(id(1), Doubt::Clock(insane)));
        assert_eq!(judged(&trust, None, insane), refused);
        assert!(judged(&trust, None, NOW).is_ok());
        // What has no time needs no clock; what expires does.
        let plain = Trust { created, ..on(Terms::default()) };
        assert!(judged(&plain, None, insane).is_ok());
        assert_eq!(judged(&plain, Some(NOW), insane), Err(Refusal::Clock(insane)));
        trust.clock = ClockPolicy::Ignore;
        assert!(judged(&trust, Some(NOW), insane).is_ok());
    }
    // With a clock that is right, the policy ignores nothing.
    let late = judged(&trust, None, NOW + 10);
    assert_eq!(late, Err(Refusal::Key(id(1), Doubt::Expired(NOW + 9))));
    // An artifact that says it was made tomorrow does not make the clock wrong: its
    // signer would choose whether an expired key is judged.
    let tomorrow = Manifest { created: Some(NOW + 99), ..manifest() };
    let judged = trust.judge(&[id(1)], &tomorrow, identity(), clock(NOW + 10));
    assert_eq!(judged, Err(Refusal::Key(id(1), Doubt::Expired(NOW + 9))));
}

fn signed(trust: &Trust, by: &[u8]) -> Vec<u8> {
    let mut signed = Signed::sign(trust.to_text().into_bytes(), &key(by[0])).unwrap();
    by[1..].iter().for_each(|seed| signed.sign_also(&key(*seed)).unwrap());
    signed.to_bytes()
}

fn of_roots(sequence: u64, seeds: &[u8], threshold: u64) -> Trust {
    Trust { sequence, root: Some(roots(seeds, threshold)), ..Trust::default() }
}

fn accept(text: &[u8], before: Option<&Accepted>) -> Result<Accepted, SignedError> {
    Accepted::next(text, &Signed::parse(text)?, before, None)
}

#[test]
fn roots_sign_and_follow_each_other() {
    let one = of_roots(1, &[11, 12, 13], 2);
    assert_eq!(accept(&signed(&one, &[11]), None), Err(SignedError::Own(1, 2)));
    assert_eq!(accept(&signed(&one, &[11, 11]), None), Err(SignedError::Own(1, 2)));
    assert_eq!(accept(&signed(&one, &[11, 21]), None), Err(SignedError::Own(1, 2)));
    let text = signed(&one, &[11, 13]);
    let first = accept(&text, None).unwrap();
    assert!(first.is(&text) && first.sequence() == 1);
    assert_eq!(Accepted::parse(first.to_text().as_bytes()), Ok(first.clone()));
    assert_eq!(accept(&text, Some(&first)), Ok(first.clone()), "the same again");

    // The same roots, the next file; then an older one, and another of the same number.
    let next = signed(&of_roots(5, &[11, 12, 13], 2), &[12, 13]);
    let second = accept(&next, Some(&first)).unwrap();
    assert!(second.is(&next) && second.is(&text), "while it is replaced, either is good");
    let second = second.settled();
    assert!(second.is(&next) && !second.is(&text));
    assert_eq!(accept(&text, Some(&second)), Err(SignedError::Rollback(1, 5)));
    let other = signed(&of_roots(5, &[11, 12, 13], 3), &[11, 12, 13]);
    assert_eq!(accept(&other, Some(&second)), Err(SignedError::Fork(5)));

    // New roots: both sides must sign.
    let rotated = of_roots(6, &[21, 22], 2);
    let old_only = accept(&signed(&rotated, &[11, 12]), Some(&second));
    assert_eq!(old_only, Err(SignedError::Own(0, 2)));
    let new_only = accept(&signed(&rotated, &[21, 22]), Some(&second));
    assert_eq!(new_only, Err(SignedError::Known(0, 2)));
    let one_old = accept(&signed(&rotated, &[11, 21, 22]), Some(&second));
    assert_eq!(one_old, Err(SignedError::Known(1, 2)));
    let third = accept(&signed(&rotated, &[11, 12, 21, 22]), Some(&second)).unwrap();
    // From then on the old ones say nothing.
    let back = signed(&of_roots(7, &[11, 12, 13], 2), &[11, 12, 13]);
    assert_eq!(accept(&back, Some(&third)), Err(SignedError::Known(0, 2)));
    let fourth = signed(&of_roots(7, &[21, 22], 2), &[21, 22]);
    assert!(accept(&fourth, Some(&third)).is_ok());
}

#[test]
fn an_interrupted_replacement_can_be_repeated() {
    let text = signed(&of_roots(1, &[11], 1), &[11]);
    let first = accept(&text, None).unwrap().settled();
    let next = signed(&of_roots(2, &[11], 1), &[11]);
    let interrupted = accept(&next, Some(&first)).unwrap();
    let again = accept(&next, Some(&interrupted)).unwrap();
    assert!(again.is(&text) && again.is(&next));
}

#[test]
fn a_plain_file_can_pin_the_first_roots() {
    let text = signed(&of_roots(1, &[11], 1), &[11]);
    let read = Signed::parse(&text).unwrap();
    let pinned = |seeds: &[u8]| Accepted::next(&text, &read, None, Some(&roots(seeds, 1)));
    assert!(pinned(&[11]).is_ok());
    assert_eq!(pinned(&[12]), Err(SignedError::Known(0, 1)));
}

#[test]
fn what_cannot_be_signed() {
    let sign = |trust: &Trust| Signed::sign(trust.to_text().into_bytes(), &key(11)).unwrap_err();
    assert_eq!(sign(&Trust { sequence: 1, ..Trust::default() }), SignedError::NoRoot);
    assert_eq!(sign(&of_roots(0, &[11], 1)), SignedError::NoSequence);
    let nonsense = Signed::sign(b"{}".to_vec(), &key(11));
    assert!(matches!(nonsense, Err(SignedError::Contents(TrustError::Json(_)))));
    // A signed file is no plain one, and no envelope of another type is a trust file.
    let text = signed(&of_roots(1, &[11], 1), &[11]);
    assert_eq!(Trust::parse(&text), Err(TrustError::Signed));
    let statement = Envelope::sign(of_roots(1, &[11], 1).to_text().into_bytes(), &[&key(11)]);
    let read = Signed::parse(&statement.to_bytes());
    assert!(matches!(read, Err(SignedError::Envelope(EnvelopeError::PayloadType(_)))));
}

#[test]
fn no_byte_of_a_signed_file_changes_unnoticed() {
    let text = signed(&of_roots(3, &[11], 1), &[11]);
    for index in 0..text.len() {
        let mut changed = text.clone();
        changed[index] ^= 1;
        assert!(accept(&changed, None).is_err(), "byte {index}");
    }
    let mut cut = text;
    cut.push(b'\n');
    assert!(accept(&cut, None).is_err());
}

#[test]
fn resets_are_a_word_of_the_roots() {
    let plain = full();
    assert_eq!(plain.reset_for("app"), None);
    let text = signed(&plain, &[11, 12]);
    let read = Signed::parse(&text).unwrap();
    assert!(read.check_own().is_ok() && read.trust().is_signed());
    assert_eq!(read.trust().reset_for("app"), Some(3));
    assert_eq!(read.trust().reset_for("other"), None);
}

#[test]
fn changes_are_counted_where_the_file_counts() {
    let mut plain = Trust::default();
    plain.touch(NOW);
    assert_eq!((plain.sequence, plain.created), (0, 0));
    let mut counted = of_roots(1, &[11], 1);
    counted.touch(NOW);
    counted.touch(NOW - 5);
    assert_eq!((counted.sequence, counted.created), (3, NOW));
}

/// Every sentence about what a key may ask for names it.
#[test]
fn refusals_have_words() {
    let all = [Capability::Stdin, Capability::Randomness].map(Permission::all).to_vec();
    let words = Refusal::Key(id(1), Doubt::Capabilities(all)).to_string();
    assert!(words.ends_with("may not sign what asks for stdin, random"), "{words}");
    let words = Doubt::Expired(CLOCK_FLOOR).to_string();
    assert_eq!(words, "was valid until 2026-01-01T00:00:00Z");
}
