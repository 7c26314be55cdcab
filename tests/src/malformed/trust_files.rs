//! Trust files that say nothing, because they are none or contradict themselves.
//!
//! Each is given by `--trust`, with the base, which the good trust file would let run.

use super::judged::{changed, draft, root, text, trusted};
use super::{Defect, Kind, Make, builder, replaced, second_builder};
use bls_artifact::envelope::{Envelope, PayloadType};
use bls_artifact::limits::TRUST_PREFIXES_MAX;
use bls_artifact::trust::signed::Signed;
use bls_artifact::trust::{Roots, Trust};

pub(super) fn defects() -> Vec<Defect> {
    let mut all = json();
    all.extend(contents());
    all.extend(terms());
    all.extend(signed());
    all
}

fn row(name: &'static str, code: &'static str, says: &'static str, make: Make) -> Defect {
    Defect::beside(name, code, says).with(Kind::Trust, make)
}

/// The good trust file with something else in its text.
fn edited(from: &str, to: &str) -> Vec<u8> {
    replaced(&trusted().to_text(), from, to).into_bytes()
}

fn json() -> Vec<Defect> {
    const NONE: &str = "trust.json";
    vec![
        row("trust-empty", NONE, "EOF while parsing", |_| Vec::new()),
        row("trust-cut", NONE, "EOF while parsing", |_| {
            let text = text(&trusted());
            text[..text.len() - 10].to_vec()
        }),
        row("trust-trailing-bytes", NONE, "trailing characters", |_| {
            [text(&trusted()), b"{}".to_vec()].concat()
        }),
        row("trust-utf8", NONE, "invalid unicode", |_| {
            let mut text = edited("\"comment\": \"builder\"", "\"comment\": \"_uilder\"");
            let at = text.iter().position(|byte| *byte == b'_');
            text[at.expect("a comment")] = 0xc3;
            text
        }),
        row("trust-syntax", NONE, "expected", |_| edited("\"version\": 2", "\"version\" 2")),
        row("trust-depth", NONE, "recursion limit", |_| "[".repeat(2000).into_bytes()),
        row("trust-null", NONE, "null", |_| edited("2,", "2, \"clock\": null,")),
        row("trust-negative", NONE, "integer `-1`", |_| edited("2,", "2, \"sequence\": -1,")),
        row("trust-above-2-53", NONE, "9007199254740992", |_| {
            edited("2,", "2, \"sequence\": 9007199254740992,")
        }),
        row("trust-duplicate-field", NONE, "duplicate field \"keys\"", |_| {
            edited("2,", "2, \"keys\": [],")
        }),
        row("trust-unknown-field", NONE, "an unknown field \"anybody\"", |_| {
            edited("2,", "2, \"anybody\": 1,")
        }),
        row("trust-unknown-field-of-a-key", NONE, "an unknown field \"always\"", |_| {
            edited("\"comment\":", "\"always\": 1, \"comment\":")
        }),
        row("trust-missing-field", NONE, "has no field \"version\"", |_| {
            edited("\"version\": 2,", "")
        }),
        row("trust-value", NONE, "is a number", |_| {
            edited("\"version\": 2,", "\"version\": 2, \"threshold\": \"2\",")
        }),
    ]
}

fn contents() -> Vec<Defect> {
    vec![
        row("trust-future-form", "trust.form", "trust file of form 3", |_| {
            edited("\"version\": 2", "\"version\": 3")
        }),
        row("trust-form-1-with-terms", "trust.form-1", "form 1 is a list of keys", |_| {
            edited("\"version\": 2,", "\"version\": 1, \"threshold\": 2,")
        }),
        row("trust-key-of-another-id", "trust.key", "is not an Ed25519 public key", |_| {
            let [id, other] = [builder(), second_builder()].map(|key| key.public().id());
            edited(&id.to_string(), &other.to_string())
        }),
        row("trust-key-cut", "trust.key", "is not an Ed25519 public key", |_| {
            edited("-----END PUBLIC KEY-----\\n", "")
        }),
        row("trust-key-twice", "trust.twice", "stands there twice", |_| {
            let text = trusted().to_text();
            let from = text.find("[\n").expect("keys") + 2;
            let to = text.find("\n  ]").expect("an end of keys");
            let twice = format!("{},\n{}", &text[from..to], &text[from..to]);
            replaced(&text, &text[from..to], &twice).into_bytes()
        }),
        row("trust-threshold-0", "trust.threshold-value", "a threshold of 0", |_| {
            text(&changed(trusted(), |trust| trust.threshold = 0))
        }),
        row("trust-threshold-17", "trust.threshold-value", "a threshold of 17", |_| {
            text(&changed(trusted(), |trust| trust.threshold = 17))
        }),
        row("trust-range", "trust.range", "is not a range that versions are in", |_| {
            edited("2,", "2, \"refused\": {\"engine\": [\"48\"]},")
        }),
        row("trust-reset", "trust.reset", "which is no artifact's name", |_| {
            edited("2,", "2, \"reset\": [{\"name\": \"../x\", \"sequence\": 1}],")
        }),
        row("trust-reset-unsigned", "trust.reset-unsigned", "names no root key", |_| {
            edited("2,", "2, \"reset\": [{\"name\": \"hello\", \"sequence\": 1}],")
        }),
    ]
}

fn terms() -> Vec<Defect> {
    vec![
        row("trust-role", "trust.json", "is no role", |_| {
            edited("\"comment\":", "\"role\": \"root\", \"comment\":")
        }),
        row("trust-capability", "trust.json", "telepathy", |_| {
            edited("\"comment\":", "\"may\": [\"telepathy\"], \"comment\":")
        }),
        row("trust-prefix", "trust.prefix", "no artifact's name begins with \"../\"", |_| {
            edited("\"comment\":", "\"prefixes\": [\"../\"], \"comment\":")
        }),
        row("trust-many-prefixes", "trust.too-many", "name prefixes; at most", |_| {
            let prefixes = vec!["\"a\""; TRUST_PREFIXES_MAX + 1].join(",");
            edited("\"comment\":", &format!("\"prefixes\": [{prefixes}], \"comment\":"))
        }),
        row("trust-validity", "trust.validity", "expires before it becomes valid", |_| {
            edited("\"comment\":", "\"not_before\": 2, \"not_after\": 1, \"comment\":")
        }),
    ]
}

/// Signed trust files, whose signatures decide wherever they are named.
fn signed() -> Vec<Defect> {
    vec![
        row("trust-signed-white-space", "trust.envelope", "canonical", |_| {
            [by(&draft(1), &root()), b"\n".to_vec()].concat()
        }),
        row("trust-signed-as-an-artifact", "trust.envelope", "payload type", |_| {
            Envelope::sign(text(&draft(1)), &[&root()]).to_bytes()
        }),
        row("trust-signed-by-no-root", "trust.no-root", "names no root keys", |_| {
            let text = text(&changed(draft(1), |trust| trust.root = None));
            Envelope::sign_as(PayloadType::Trust, text, &[&root()]).to_bytes()
        }),
        row("trust-signed-without-sequence", "trust.no-sequence", "no sequence", |_| {
            Envelope::sign_as(PayloadType::Trust, text(&draft(0)), &[&root()]).to_bytes()
        }),
        row(
            "trust-signed-by-a-stranger",
            "trust.root-threshold",
            "must sign it, and 0 did",
            |_| by(&draft(1), &second_builder()),
        ),
        row("trust-signed-by-too-few", "trust.root-threshold", "must sign it, and 1 did", |_| {
            let mut keys = draft(1).root.expect("roots").keys;
            keys.push((second_builder().public(), "second".to_owned()));
            let roots = Some(Roots { threshold: 2, keys });
            by(&changed(draft(1), |trust| trust.root = roots), &root())
        }),
        row("trust-signature-bit", "trust.root-signature", "is not good", |_| {
            let signed = String::from_utf8(by(&draft(1), &root())).expect("JSON");
            let at = signed.find("\"sig\":\"").expect("a signature") + 10;
            let letter = if &signed[at..=at] == "A" { "B" } else { "A" };
            format!("{}{letter}{}", &signed[..at], &signed[at + 1..]).into_bytes()
        }),
    ]
}

fn by(trust: &Trust, key: &bls_artifact::key::PrivateKey) -> Vec<u8> {
    Signed::sign(text(trust), key).expect("a draft").to_bytes()
}
