//! Defects of signatures: whose they are, over what, and how they are written.
//!
//! What a trust file says about a key that it holds is in `judged.rs`. The private keys are the tests' own (`super::builder`), so that what must be signed
//! to be a defect is.

use super::{Defect, Trusted, builder, second_builder, stranger};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::{Envelope, PayloadType, pre_authentication_encoding};
use bls_artifact::key::KeyId;

/// An Ed25519 public key of order one: the neutral element.
pub(super) const SMALL_ORDER_KEY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

pub(super) fn defects() -> Vec<Defect> {
    let mut all = keys();
    all.extend(bytes());
    all.extend(messages());
    all
}

fn keys() -> Vec<Defect> {
    vec![
        Defect::new("signature-none", "signature.none", "carries no signature", |bases| {
            bases.hello.with_envelope(&envelope(bases.hello.envelope.payload(), &[]))
        }),
        Defect::new("signature-field-missing", "envelope.missing-field", "signatures", |bases| {
            let text =
                String::from_utf8(envelope(bases.hello.envelope.payload(), &[])).expect("JSON");
            bases.hello.with_envelope(text.replace(",\"signatures\":[]", "").as_bytes())
        }),
        Defect::new(
            "signature-unknown-key",
            "signature.unknown-key",
            "which this machine does not trust",
            |bases| {
                let payload = bases.hello.envelope.payload().to_vec();
                bases.hello.with_envelope(&Envelope::sign(payload, &[&stranger()]).to_bytes())
            },
        ),
        Defect::new(
            "signature-two-unknown-keys",
            "signature.unknown-key",
            "none of which this machine trusts",
            |bases| {
                let payload = bases.hello.envelope.payload().to_vec();
                let signed = Envelope::sign(payload, &[&stranger(), &second_builder()]);
                bases.hello.with_envelope(&signed.to_bytes())
            },
        ),
        Defect::new(
            "signature-lying-key-id",
            "signature.lying-key-id",
            "in the name of key",
            |bases| {
                let payload = bases.hello.envelope.payload();
                let signature = second_builder()
                    .sign(&pre_authentication_encoding(PayloadType::Statement, payload));
                let claim = (builder().public().id(), signature.to_vec());
                bases.hello.with_envelope(&envelope(payload, &[claim]))
            },
        )
        .trusting(Trusted::BothBuilders),
        Defect::new("signature-key-twice", "signature.key-twice", "signed twice", |bases| {
            let payload = bases.hello.envelope.payload();
            let claim = good(payload);
            bases.hello.with_envelope(&envelope(payload, &[claim.clone(), claim]))
        }),
        Defect::new("signature-order", "signature.order", "must be sorted", |bases| {
            let payload = bases.hello.envelope.payload();
            let signature = second_builder()
                .sign(&pre_authentication_encoding(PayloadType::Statement, payload));
            let mut claims =
                vec![good(payload), (second_builder().public().id(), signature.to_vec())];
            claims.sort_by_key(|claim| std::cmp::Reverse(claim.0));
            bases.hello.with_envelope(&envelope(payload, &claims))
        }),
        Defect::new("signature-17", "signature.too-many", "17 signatures", |bases| {
            let payload = bases.hello.envelope.payload();
            let mut claims: Vec<_> =
                (0..17).map(|index| (Sha256::of(&[index]), vec![0; 64])).collect();
            claims.sort();
            bases.hello.with_envelope(&envelope(payload, &claims))
        }),
        Defect::new(
            "signature-small-order-key",
            "key.small-order",
            "with which signatures mean nothing",
            |bases| {
                // What a careless check takes for a signature of anything.
                let mut signature = vec![0; 64];
                signature[..32].copy_from_slice(&SMALL_ORDER_KEY);
                let claim = (key_id(&SMALL_ORDER_KEY), signature);
                let payload = bases.hello.envelope.payload();
                bases.hello.with_envelope(&envelope(payload, &[claim]))
            },
        )
        .trusting(Trusted::SmallOrder),
    ]
}

fn bytes() -> Vec<Defect> {
    vec![
        Defect::new("signature-bit", "signature.wrong", "is not good", |bases| {
            let payload = bases.hello.envelope.payload();
            let mut claim = good(payload);
            claim.1[5] ^= 1;
            bases.hello.with_envelope(&envelope(payload, &[claim]))
        }),
        Defect::new("signature-malleable", "signature.malleable", "its S is too large", |bases| {
            let payload = bases.hello.envelope.payload();
            let mut claim = good(payload);
            add_order(&mut claim.1[32..]);
            bases.hello.with_envelope(&envelope(payload, &[claim]))
        }),
        Defect::new("signature-small-order-r", "signature.small-order", "its R is", |bases| {
            let payload = bases.hello.envelope.payload();
            let mut claim = good(payload);
            claim.1[..32].copy_from_slice(&SMALL_ORDER_KEY);
            claim.1[32..].fill(0);
            bases.hello.with_envelope(&envelope(payload, &[claim]))
        }),
        Defect::new("signature-ecdsa", "signature.length", "not one of Ed25519", |bases| {
            // The shape of ECDSA over P-256, in DER.
            let mut der = vec![0x30, 0x44, 0x02, 0x20];
            der.extend([0x11; 32]);
            der.extend([0x02, 0x20]);
            der.extend([0x22; 32]);
            let payload = bases.hello.envelope.payload();
            bases.hello.with_envelope(&envelope(payload, &[(builder().public().id(), der)]))
        }),
        Defect::new("signature-empty", "signature.length", "a signature of 0 bytes", |bases| {
            let payload = bases.hello.envelope.payload();
            let claim = (builder().public().id(), Vec::new());
            bases.hello.with_envelope(&envelope(payload, &[claim]))
        }),
    ]
}

fn messages() -> Vec<Defect> {
    vec![
        Defect::new("signature-payload-type", "signature.payload-type", "text/plain", |bases| {
            bases.hello.with_envelope_text(PayloadType::Statement.name(), "text/plain")
        }),
        Defect::new("signature-of-another-type", "signature.wrong", "is not good", |bases| {
            let payload = bases.hello.envelope.payload();
            let message = format!("DSSEv1 10 text/plain {} ", payload.len());
            let signature = builder().sign(&[message.as_bytes(), payload].concat());
            let claim = (builder().public().id(), signature.to_vec());
            bases.hello.with_envelope(&envelope(payload, &[claim]))
        }),
        Defect::new("signature-of-bare-payload", "signature.wrong", "is not good", |bases| {
            let payload = bases.hello.envelope.payload();
            let claim = (builder().public().id(), builder().sign(payload).to_vec());
            bases.hello.with_envelope(&envelope(payload, &[claim]))
        }),
        Defect::new("signature-of-another-artifact", "signature.wrong", "is not good", |bases| {
            let claim = good(bases.other.envelope.payload());
            bases.hello.with_envelope(&envelope(bases.hello.envelope.payload(), &[claim]))
        }),
    ]
}

/// A key id and the bytes of a signature.
type Claim = (KeyId, Vec<u8>);

/// The builder's good signature.
fn good(payload: &[u8]) -> Claim {
    (
        builder().public().id(),
        builder().sign(&pre_authentication_encoding(PayloadType::Statement, payload)).to_vec(),
    )
}

/// An envelope in canonical spelling, whatever it claims.
fn envelope(payload: &[u8], claims: &[Claim]) -> Vec<u8> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let signatures: Vec<String> = claims
        .iter()
        .map(|(id, bytes)| format!("{{\"keyid\":\"{id}\",\"sig\":\"{}\"}}", STANDARD.encode(bytes)))
        .collect();
    format!(
        "{{\"payload\":\"{}\",\"payloadType\":\"{}\",\"signatures\":[{}]}}",
        STANDARD.encode(payload),
        PayloadType::Statement.name(),
        signatures.join(",")
    )
    .into_bytes()
}

/// SHA-256 of the key's SubjectPublicKeyInfo, for bytes that our own type refuses.
fn key_id(key: &[u8; 32]) -> KeyId {
    Sha256::of(&spki(key))
}

/// A key in the container of RFC 8410.
#[must_use]
pub(super) fn spki(key: &[u8; 32]) -> Vec<u8> {
    let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    der.extend_from_slice(key);
    der
}

/// S + L, little-endian: another number that is the same modulo L.
fn add_order(s: &mut [u8]) {
    const ORDER: [u8; 16] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14,
    ];
    let mut carry = 0;
    for (index, byte) in s.iter_mut().enumerate() {
        let order = match index {
            0..16 => ORDER[index],
            31 => 0x10,
            _ => 0,
        };
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
}
