//! Defects of the signed payload as a text (FORMAT.md, "Statement"). Each payload is
//! signed by a trusted key: the signature is good, and what it signs is not.

use super::Defect;

pub(super) fn defects() -> Vec<Defect> {
    let mut all = texts();
    all.extend(fields());
    all.extend(values());
    all
}

fn texts() -> Vec<Defect> {
    vec![
        Defect::new("manifest-empty", "manifest.truncated", "it ends early", |bases| {
            bases.hello.with_payload(Vec::new())
        }),
        Defect::new("manifest-cut", "manifest.truncated", "it ends early", |bases| {
            let payload = bases.hello.envelope.payload();
            bases.hello.with_payload(payload[..payload.len() - 1].to_vec())
        }),
        Defect::new("manifest-trailing-bytes", "manifest.trailing-bytes", "follows it", |bases| {
            let payload = bases.hello.envelope.payload();
            bases.hello.with_payload([payload, b"{}"].concat())
        }),
        Defect::new("manifest-syntax", "manifest.syntax", "invalid number", |bases| {
            bases.hello.with_payload_text("\"sequence\":0", "\"sequence\":00")
        }),
        Defect::new("manifest-utf8", "manifest.utf8", "not UTF-8", |bases| {
            let mut payload = bases.hello.envelope.payload().to_vec();
            let at = payload.windows(7).position(|window| window == b"\"hello\"");
            payload[at.expect("a name") + 1] = 0xc3;
            bases.hello.with_payload(payload)
        }),
        Defect::new("manifest-depth", "manifest.depth", "nested", |bases| {
            let deep = format!("\"extensions\":{}{}", "[".repeat(2000), "]".repeat(2000));
            bases.hello.with_payload_text("\"extensions\":{}", &deep)
        }),
        Defect::new("manifest-white-space", "manifest.not-canonical", "canonical", |bases| {
            bases.hello.with_payload_text("\"sequence\":0", "\"sequence\": 0")
        }),
        Defect::new("manifest-escape", "manifest.not-canonical", "canonical", |bases| {
            bases.hello.with_payload_text("\"name\":\"hello\"", "\"name\":\"\\u0068ello\"")
        }),
        Defect::new("manifest-field-order", "manifest.not-canonical", "canonical", |bases| {
            bases.hello.with_payload_text(
                "\"created\":null,\"expires\":null",
                "\"expires\":null,\"created\":null",
            )
        }),
    ]
}

fn fields() -> Vec<Defect> {
    vec![
        Defect::new(
            "manifest-duplicate-field",
            "manifest.duplicate-field",
            "duplicate field `sequence`",
            |bases| {
                bases.hello.with_payload_text("\"sequence\":0", "\"sequence\":0,\"sequence\":1")
            },
        ),
        Defect::new(
            "manifest-unknown-field",
            "manifest.unknown-field",
            "unknown field `signed`",
            |bases| {
                bases.hello.with_payload_text("\"sequence\":0", "\"sequence\":0,\"signed\":false")
            },
        ),
        Defect::new(
            "manifest-missing-field",
            "manifest.missing-field",
            "missing field `sequence`",
            |bases| bases.hello.with_payload_text("\"sequence\":0,", ""),
        ),
        Defect::new(
            "manifest-unknown-critical",
            "manifest.critical",
            "needs the extension \"attested\"",
            |bases| {
                bases.hello.with_manifest(|manifest| {
                    manifest.critical.push("attested".into());
                    manifest.extensions.insert("attested".into(), "yes".into());
                })
            },
        ),
        Defect::new("manifest-statement-type", "manifest.type", "Statement/v9", |bases| {
            bases.hello.with_payload_text("in-toto.io/Statement/v1", "in-toto.io/Statement/v9")
        }),
        Defect::new("manifest-predicate-type", "manifest.type", "manifest/v9", |bases| {
            bases.hello.with_payload_text("bls/manifest/v1", "bls/manifest/v9")
        }),
        Defect::new("manifest-subjects", "manifest.subjects", "are not the parts", |bases| {
            bases.hello.with_payload_text("\"name\":\"hello@x86_64", "\"name\":\"other@x86_64")
        }),
    ]
}

fn values() -> Vec<Defect> {
    vec![
        Defect::new("manifest-negative", "manifest.value", "`-1`", |bases| {
            bases.hello.with_payload_text("\"sequence\":0", "\"sequence\":-1")
        }),
        Defect::new("manifest-float", "manifest.value", "floating point", |bases| {
            bases.hello.with_payload_text("\"sequence\":0", "\"sequence\":0.0")
        }),
        Defect::new(
            "manifest-above-2-53",
            "manifest.number-range",
            "9007199254740992 is above 2^53-1",
            |bases| bases.hello.with_manifest(|manifest| manifest.sequence = 1 << 53),
        ),
        Defect::new("manifest-above-2-64", "manifest.value", "floating point", |bases| {
            bases.hello.with_payload_text("\"sequence\":0", "\"sequence\":18446744073709551616")
        }),
        Defect::new("manifest-name", "manifest.name", "a name is 1 to 128", |bases| {
            bases.hello.with_manifest(|manifest| manifest.name = "../hello".into())
        }),
        Defect::new("manifest-needs-unsorted", "manifest.field", "must be sorted", |bases| {
            bases.hello.with_manifest(|manifest| {
                manifest.needs = ["stdout", "stdin"]
                    .map(|name| bls_artifact::capability::Permission::parse(name).expect("one"))
                    .into();
            })
        }),
        Defect::new("manifest-image-above-cap", "manifest.field", "an image is longer", |bases| {
            bases.hello.with_manifest(|manifest| manifest.parts[0].image.length = (2 << 30) + 1)
        }),
        Defect::new("manifest-raw-is-not-image", "manifest.field", "must be its image", |bases| {
            let stored = bases.hello.part.clone();
            bases.hello.with_stored(bls_artifact::manifest::Encoding::Raw, &stored)
        }),
        Defect::new("manifest-no-parts", "manifest.field", "1 to 32 parts", |bases| {
            bases.hello.with_manifest(|manifest| manifest.parts.clear())
        }),
    ]
}
