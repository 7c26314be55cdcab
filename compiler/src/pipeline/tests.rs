//! From bytes to an artifact, in one process: choices, refusals, and the same bytes every time.

use super::*;
use bls_artifact::target::{Nans, Target};

const HELLO: &[u8] = b"(module (memory 1) (func $s) (start $s)
    (func (export \"_start\") (loop br 0)))";

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let options = Options::new(Target::ALL.to_vec());
    let one = build(HELLO.to_vec(), "a/hello.wat", &options, &[&key(1)]).unwrap();
    let two = build(HELLO.to_vec(), "b/hello.wat", &options, &[&key(1)]).unwrap();
    assert_eq!(one.bytes(), two.bytes());
    let other = build(HELLO.to_vec(), "hello.wat", &options, &[&key(2)]).unwrap();
    assert_eq!(one.identity(), other.identity());
    assert_eq!(one.manifest().parts.len(), 6);
    assert!(one.manifest().fuel.is_some() && one.manifest().module.start);
}

#[test]
fn choices_reach_the_manifest() {
    let options = Options {
        metered: false,
        nans: Nans::Fast,
        compression: Some(3),
        window: Some(1 << 16),
        memory_max: Some(65536),
        name: Some("other".to_owned()),
        sequence: 3,
        created: Some(7),
        expires: Some(8),
        needs: vec![Permission::parse("extension:b").unwrap(); 2],
        ..Options::new(vec![Target::Pulley64])
    };
    let artifact = build(HELLO.to_vec(), "hello.wat", &options, &[&key(1)]).unwrap();
    let manifest = artifact.manifest();
    assert!(manifest.fuel.is_none());
    assert_ne!(manifest.source, manifest.compiled);
    assert_eq!(manifest.limits.memory, Some(65536));
    assert_eq!((manifest.name.as_str(), manifest.sequence), ("other", 3));
    assert_eq!((manifest.created, manifest.expires), (Some(7), Some(8)));
    assert_eq!(manifest.compiler.compression, Some(3));
    assert_eq!(manifest.compiler.window, Some(1 << 16));
    assert_eq!(manifest.needs, [Permission::parse("extension:b").unwrap()]);
    assert_eq!(manifest.parts[0].profile.nans, Nans::Fast);
    assert!(manifest.parts[0].stored.length < manifest.parts[0].image.length);
}

#[test]
fn bad_options_are_refused() {
    for options in [
        Options::new(Vec::<Target>::new()),
        Options::new(vec![Target::X86_64, Target::X86_64]),
        Options { compression: Some(23), ..Options::new(vec![Target::X86_64]) },
        Options { window: Some(1 << 20), ..Options::new(vec![Target::X86_64]) },
        Options {
            compression: Some(3),
            window: Some(3 << 20),
            ..Options::new(vec![Target::X86_64])
        },
        Options { memory_max: Some(u64::MAX), ..Options::new(vec![Target::X86_64]) },
        Options { sequence: 1 << 53, ..Options::new(vec![Target::X86_64]) },
        Options { created: Some(8), expires: Some(8), ..Options::new(vec![Target::X86_64]) },
    ] {
        let refused = build(HELLO.to_vec(), "hello.wat", &options, &[&key(1)]);
        assert!(matches!(refused, Err(Error::Options(_))));
    }
}

#[test]
fn a_limit_below_what_the_module_takes_to_start_is_refused() {
    let text = b"(module (memory 1) (table 3 funcref))";
    let built = |memory_max| {
        let memory_max = Some(memory_max);
        let options = Options { memory_max, ..Options::new(vec![Target::Pulley64]) };
        build(text.to_vec(), "a.wat", &options, &[&key(1)])
    };
    let taken = 65536 + 3 * 8;
    assert!(built(taken).is_ok());
    let refused = built(taken - 1).unwrap_err();
    assert!(matches!(refused, Error::MemoryMax(allowed, found) if allowed + 1 == found));
    let words = refused.to_string();
    assert!(words.contains("65560 bytes") && words.contains("65559 bytes"), "{words}");
}

#[test]
fn exports_that_a_manifest_has_no_room_for_are_counted() {
    let options = Options::new(vec![Target::Pulley64]);
    let module = |exports: usize| {
        let exports: String =
            (0..exports).map(|number| format!("(export \"e{number:060}\")")).collect();
        format!("(module (func {exports}) (func (export \"_start\")))").into_bytes()
    };
    let few = build(module(20), "a.wat", &options, &[&key(1)]).unwrap();
    assert_eq!(few.manifest().module.exports.len(), 21);
    assert_eq!(few.manifest().unlisted_exports(), None);
    let many = build(module(40_000), "a.wat", &options, &[&key(1)]).unwrap();
    let (count, digest) = many.manifest().unlisted_exports().unwrap();
    assert_eq!((count, many.manifest().module.exports.len()), (40_001, 0));
    assert_eq!(many.manifest().module.kind, bls_artifact::manifest::Kind::Command);
    assert!(many.manifest().critical.is_empty());
    // The digest is of the list, as it would stand in the manifest.
    let source = Source::new(module(40_000), "a.wat").unwrap();
    let front = front(source, &options, &mut |_| {}).unwrap();
    let list = serde_json::to_vec(&front.description.module.exports).unwrap();
    assert_eq!(digest, Sha256::of(&list));
}

#[test]
fn a_name_that_is_a_command_is_refused() {
    let build = |label: &str, name: Option<&str>| {
        let name = name.map(str::to_owned);
        let options = Options { name, ..Options::new(vec![Target::Pulley64]) };
        build(HELLO.to_vec(), label, &options, &[&key(1)])
    };
    assert!(matches!(build("verify.wat", None), Err(Error::Name(_, _, false))));
    assert!(matches!(build("hello.wat", Some("run")), Err(Error::Name(_, _, true))));
    assert_eq!(build("run.wat", Some("runner")).unwrap().manifest().name, "runner");
}
