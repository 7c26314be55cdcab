//! Defects of the envelope as a text (FORMAT.md, "Envelope").

use super::Defect;

pub(super) fn defects() -> Vec<Defect> {
    let mut all = vec![
        Defect::new("envelope-empty", "envelope.truncated", "it ends early", |bases| {
            bases.hello.with_envelope(b"")
        }),
        Defect::new("envelope-cut", "envelope.truncated", "it ends early", |bases| {
            let envelope = bases.hello.envelope.to_bytes();
            bases.hello.with_envelope(&envelope[..envelope.len() - 1])
        }),
        Defect::new("envelope-trailing-bytes", "envelope.trailing-bytes", "follows it", |bases| {
            let envelope = bases.hello.envelope.to_bytes();
            bases.hello.with_envelope(&[&envelope, &b"{}"[..]].concat())
        }),
        Defect::new("envelope-syntax", "envelope.syntax", "expected", |bases| {
            bases.hello.with_envelope_text("\"signatures\":", "\"signatures\"=")
        }),
        Defect::new("envelope-utf8", "envelope.utf8", "not UTF-8", |bases| {
            let mut envelope = bases.hello.envelope.to_bytes();
            envelope[20] = 0xff;
            bases.hello.with_envelope(&envelope)
        }),
        Defect::new("envelope-depth", "envelope.depth", "nested", |bases| {
            bases.hello.with_envelope(&[b'['; 2000])
        }),
    ];
    all.extend(fields());
    all.extend(spelling());
    all
}

fn fields() -> Vec<Defect> {
    vec![
        Defect::new(
            "envelope-duplicate-field",
            "envelope.duplicate-field",
            "duplicate field `payload`",
            |bases| bases.hello.with_envelope_text("{\"payload\"", "{\"payload\":\"\",\"payload\""),
        ),
        Defect::new(
            "envelope-unknown-field",
            "envelope.unknown-field",
            "unknown field `version`",
            |bases| bases.hello.with_envelope_text("{\"payload\"", "{\"version\":1,\"payload\""),
        ),
        Defect::new(
            "envelope-missing-field",
            "envelope.missing-field",
            "missing field `payload",
            |_| bls_artifact::artifact::write(b"{\"signatures\":[]}", &[b"a part"]),
        ),
        Defect::new("envelope-value", "envelope.value", "invalid type", |bases| {
            bases.hello.with_envelope(b"{\"payload\":1,\"payloadType\":\"\",\"signatures\":[]}")
        }),
        Defect::new("envelope-keyid-upper-case", "envelope.value", "lower-case hex", |bases| {
            let id = super::builder().public().id().to_string();
            bases.hello.with_envelope_text(&id, &id.to_uppercase())
        }),
    ]
}

/// JSON that says the same as an envelope, in another spelling.
fn spelling() -> Vec<Defect> {
    vec![
        Defect::new("envelope-white-space", "envelope.not-canonical", "canonical", |bases| {
            bases.hello.with_envelope_text(",\"payloadType\"", ", \"payloadType\"")
        }),
        Defect::new("envelope-escape", "envelope.not-canonical", "canonical", |bases| {
            bases.hello.with_envelope_text("in-toto+json", "in-toto\\u002bjson")
        }),
        Defect::new("envelope-field-order", "envelope.not-canonical", "canonical", |bases| {
            let text = String::from_utf8(bases.hello.envelope.to_bytes()).expect("JSON");
            let kind = ",\"payloadType\":\"application/vnd.in-toto+json\"";
            let moved = text.replacen(kind, "", 1);
            let moved = moved.strip_suffix('}').expect("an object");
            bases.hello.with_envelope(format!("{moved}{kind}}}").as_bytes())
        }),
        Defect::new("envelope-base64-unpadded", "envelope.base64", "strict base64", |bases| {
            bases.hello.with_envelope_text("==\"}]}", "\"}]}")
        }),
        Defect::new("envelope-base64-stray-bits", "envelope.base64", "strict base64", |bases| {
            let text = String::from_utf8(bases.hello.envelope.to_bytes()).expect("JSON");
            let head = text.strip_suffix("==\"}]}").expect("64 bytes end in two");
            // The last letter holds two bits, and four that must be zero.
            let (head, last) = head.split_at(head.len() - 1);
            let stray = char::from(last.as_bytes()[0] + 1);
            bases.hello.with_envelope(format!("{head}{stray}==\"}}]}}").as_bytes())
        }),
        Defect::new("envelope-base64-url", "envelope.base64", "strict base64", |bases| {
            let text = String::from_utf8(bases.hello.envelope.to_bytes()).expect("JSON");
            let (head, tail) = text.split_at(12);
            let (payload, tail) = tail.split_once('"').expect("a string");
            let payload = format!("-{}", &payload[1..]);
            bases.hello.with_envelope(format!("{head}{payload}\"{tail}").as_bytes())
        }),
    ]
}
