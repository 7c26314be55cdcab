//! The manifest: what is written is read, and nothing else.

use super::*;
use crate::recipe::Ingredient;

#[test]
fn what_is_written_is_read() {
    let bytes = Statement::new(example()).to_bytes();
    assert_eq!(Statement::parse(&bytes), Ok(example()));
}

#[test]
fn defects_are_refused() {
    let text = String::from_utf8(Statement::new(example()).to_bytes()).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        assert!(Statement::parse(changed.as_bytes()).is_err(), "{from} -> {to}");
    };
    refused("\"name\":\"app\"", "\"name\":\"app2\"");
    refused("\"created\":null,\"expires\":null", "\"created\":9,\"expires\":9");
    refused("\"compression\":null", "\"compression\":null,\"window\":1024");
    refused("\"compression\":null", "\"compression\":null,\"window\":null");
    refused("\"compression\":null", "\"compression\":19");
    refused("\"sbom\"", "\"advice\"");
    refused("app.spdx.json", "../app.spdx.json");
    refused("app.spdx.json", "app\\u001b.json");
    refused("\"sequence\":0", "\"sequence\":0,\"sequence\":1");
    refused("\"sequence\":0", "\"sequence\":9007199254740992");
    refused("\"sequence\":0", "\"sequence\":-1");
    refused("\"sequence\":0", "\"sequence\":0,\"extra\":0");
    refused("\"critical\":[]", "\"critical\":[\"new\"]");
    refused("in-toto.io/Statement/v1", "in-toto.io/Statement/v2");
    refused("bls/manifest/v1", "bls/manifest/v2");
    refused("app@x86_64-unknown-linux-gnu", "app@pulley64");
    refused(":0,", ": 0,");
    refused("\"page_size\":4096", "\"page_size\":4097");
    refused("\"encoding\":\"raw\",\"length\":8", "\"encoding\":\"raw\",\"length\":9");
    assert!(Statement::parse(format!("{text}{{}}").as_bytes()).is_err());
}

#[test]
fn no_artifact_has_a_name_that_is_none() {
    for name in ["../app", "verify", "sha256:00", ".x", "-x", "a..b", "a\nb"] {
        let bytes = Statement::new(Manifest { name: name.into(), ..example() }).to_bytes();
        assert!(matches!(Statement::parse(&bytes), Err(ManifestError::Name(_))), "{name:?}");
    }
}

#[test]
fn documents_are_sorted_and_each_is_there_once() {
    let document = |kind, name: &str| Document {
        kind,
        name: name.into(),
        sha256: Sha256::of(name.as_bytes()),
    };
    let (a, b) = (document(DocumentKind::Provenance, "b"), document(DocumentKind::Sbom, "a"));
    let parse = |documents: &[&Document]| {
        let documents = documents.iter().copied().cloned().collect();
        Statement::parse(&Statement::new(Manifest { documents, ..example() }).to_bytes())
    };
    assert!(parse(&[&a, &b]).is_ok());
    assert!(parse(&[&b, &a]).is_err());
    assert!(parse(&[&a, &a]).is_err());
    assert!(parse(&[&a; DOCUMENTS_MAX + 1]).is_err());
}

#[test]
fn what_keeps_control_flow_is_said_for_arm_and_known_of_others() {
    let said = |target, value: Option<&str>| {
        let mut manifest = example();
        manifest.parts[0].target = target;
        if let Some(value) = value {
            let _ = manifest.extensions.insert(control_flow::EXTENSION.into(), value.into());
        }
        manifest.keeps_control_flow(&manifest.parts[0])
    };
    for target in [Target::X86_64, Target::Riscv64, Target::S390x] {
        assert!(said(target, None) && said(target, Some("1")), "{target}");
    }
    assert!(said(Target::Aarch64, Some("1")));
    assert!(!said(Target::Aarch64, None) && !said(Target::Aarch64, Some("0")));
    assert!(!said(Target::Pulley64, Some("1")), "it is no native code");
}

#[test]
fn exports_are_listed_or_counted() {
    let export = Export { name: "f".into(), ty: "func".into() };
    let parse = |text: &str, exports: &[&Export]| {
        let mut manifest = example();
        manifest.module.exports = exports.iter().copied().cloned().collect();
        let _ = manifest.extensions.insert(EXPORTS_EXTENSION.into(), text.into());
        Statement::parse(&Statement::new(manifest).to_bytes())
    };
    let digest = Sha256::of(b"list");
    let counted = parse(&unlisted(144_000, digest), &[]).unwrap();
    assert_eq!(counted.unlisted_exports(), Some((144_000, digest)));
    let twice = parse(&unlisted(1, digest), &[&export]);
    assert!(matches!(twice, Err(ManifestError::Field(_))), "{twice:?}");
    for wrong in ["", "1", "1 x", &format!("01 {digest}"), &format!("1 {digest} ")] {
        assert!(matches!(parse(wrong, &[]), Err(ManifestError::Field(_))), "{wrong:?}");
    }
    assert_eq!(example().unlisted_exports(), None);
}

#[test]
fn the_source_of_a_linked_artifact_is_its_recipe() {
    let one = |name: &str| Ingredient { name: name.into(), sha256: Sha256::of(b"x") };
    let recipe = Recipe::new(vec![one("lib")], one("app")).unwrap();
    let parse = |text: &str, source: Sha256| {
        let mut manifest = example();
        let _ = manifest.extensions.insert(recipe::EXTENSION.into(), text.into());
        manifest.source = source;
        Statement::parse(&Statement::new(manifest).to_bytes())
    };
    let text = recipe.to_text();
    assert_eq!(parse(&text, recipe.digest()).unwrap().recipe(), Some(recipe.clone()));
    assert!(matches!(parse(&text, Sha256::of(b"y")), Err(ManifestError::Field(_))));
    let other = text.replace("app", "a\tp");
    assert!(matches!(parse(&other, Sha256::of(other.as_bytes())), Err(ManifestError::Field(_))));
    assert_eq!(example().recipe(), None);
}

#[test]
fn limits_that_nobody_asked_for_are_not_there() {
    let text = String::from_utf8(Statement::new(example()).to_bytes()).unwrap();
    assert!(text.contains("\"limits\":{\"memory\":null}"), "{text}");
    let mut manifest = example();
    manifest.limits = Limits { memory: None, fuel: None, time_ms: Some(1500) };
    let bytes = Statement::new(manifest.clone()).to_bytes();
    assert_eq!(Statement::parse(&bytes), Ok(manifest.clone()));
    // Null is another spelling of nothing.
    let text = String::from_utf8(bytes).unwrap().replace("\"time_ms\":1500", "\"time_ms\":null");
    assert_eq!(Statement::parse(text.as_bytes()), Err(ManifestError::NotCanonical));
    manifest.limits.fuel = Some(7);
    let bytes = Statement::new(manifest).to_bytes();
    assert!(matches!(Statement::parse(&bytes), Err(ManifestError::Field(_))));
}

/// A manifest with a part for each of these machines, in this order.
fn with_parts(machines: &[(Target, &[&str])]) -> Manifest {
    let mut manifest = example();
    let like = manifest.parts.remove(0);
    for (index, (target, features)) in machines.iter().enumerate() {
        let mut part = like.clone();
        part.target = *target;
        part.cpu_features = features.iter().map(|name| (*name).to_owned()).collect();
        part.image.sha256 = Sha256::of(&[index as u8]);
        part.stored.sha256 = part.image.sha256;
        manifest.parts.push(part);
    }
    manifest
}

fn parsed(machines: &[(Target, &[&str])]) -> Result<Manifest, ManifestError> {
    Statement::parse(&Statement::new(with_parts(machines)).to_bytes())
}

#[test]
fn parts_stand_in_one_order_and_none_is_there_twice() {
    use Target::{Aarch64, Pulley64, X86_64};
    let (avx, fma, both) = (["has_avx"], ["has_fma"], ["has_avx", "has_fma"]);
    let all: [(Target, &[&str]); 6] = [
        (X86_64, &[]),
        (X86_64, &avx),
        (X86_64, &fma),
        (X86_64, &both),
        (Aarch64, &[]),
        (Pulley64, &[]),
    ];
    assert!(parsed(&all).is_ok());
    for index in 1..all.len() {
        let mut swapped = all;
        swapped.swap(index - 1, index);
        let refused = parsed(&swapped).unwrap_err().to_string();
        assert!(refused.contains("parts must be sorted"), "{index}: {refused}");
        let mut twice = all.to_vec();
        twice.insert(index, all[index]);
        let refused = parsed(&twice).unwrap_err().to_string();
        assert!(refused.contains("for the same CPUs"), "{index}: {refused}");
    }
}

#[test]
fn a_feature_has_a_name_that_can_be_one() {
    let one = |features: &[&str]| parsed(&[(Target::X86_64, features)]);
    assert!(one(&["has_of_tomorrow2"]).is_ok(), "what is not known is the loader's to judge");
    let long = format!("has_{}", "x".repeat(29));
    for wrong in [
        &["avx"][..],
        &["has_"],
        &["has_AVX"],
        &["has_avx+fma"],
        &["has_a", "has_a"],
        &["has_b", "has_a"],
        &[&long],
    ] {
        assert!(matches!(one(wrong), Err(ManifestError::Field(_))), "{wrong:?}");
    }
    let many: Vec<String> = (10..75).map(|number| format!("has_{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(one(&many[1..]).is_ok() && one(&many).is_err());
    assert!(parsed(&[(Target::Pulley64, &["has_avx"])]).is_err());
}

#[test]
fn subjects_tell_parts_of_one_target_apart() {
    let machines: [(Target, &[&str]); 4] = [
        (Target::X86_64, &["has_sse3"]),
        (Target::X86_64, &["has_avx", "has_fma"]),
        (Target::X86_64, &["has_avx", "has_fma", "has_sse3"]),
        (Target::Aarch64, &["has_lse"]),
    ];
    let statement = Statement::new(with_parts(&machines));
    let names: Vec<&str> = statement.subject.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "app@x86_64-unknown-linux-gnu",
            "app@x86_64-unknown-linux-gnu+avx+fma-sse3",
            "app@x86_64-unknown-linux-gnu+avx+fma",
            "app@aarch64-unknown-linux-gnu",
        ]
    );
    let text = String::from_utf8(statement.to_bytes()).unwrap();
    let other = text.replacen("gnu+avx+fma\"", "gnu+fma+avx\"", 1);
    assert_eq!(Statement::parse(other.as_bytes()), Err(ManifestError::Subjects));
}
