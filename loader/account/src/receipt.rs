//! A receipt: one run, signed.
//!
//! A DSSE envelope over an [in-toto Statement](https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md)
//! whose subject is the artifact, by its identity, and whose predicate is the report of the run:
//!
//! ```json
//! {"_type":"https://in-toto.io/Statement/v1",
//!  "predicate":{"finished":"2026-11-30T00:00:00Z","report":{…}},
//!  "predicateType":"https://blockless.network/bls/receipt/v1",
//!  "subject":[{"digest":{"sha256":"…"},"name":"app"}]}
//! ```
//!
//! Guarantees that the payload is a function of the report alone where the run was deterministic:
//! no time, and nothing of how the artifact came to this machine. Field names are sorted and no
//! byte is between them, so that two machines with one key write one file. A receipt says what
//! whoever holds the key saw; it proves nothing about a holder who lies (SECURITY.md, "Receipts").

use crate::run::Run;
use crate::{Defect, Failure};
use bls_artifact::date::Date;
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::Envelope;
use bls_artifact::key::{KeyId, PrivateKey, PublicKey};
use serde_json::{Value, json};

/// What the predicate is.
pub const PREDICATE_TYPE: &str = "https://blockless.network/bls/receipt/v1";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The longest receipt that is read, in bytes.
pub const BYTES_MAX: u64 = 16 << 20;
/// Of a deterministic run: what says how the artifact came to this machine, and not what ran.
const OF_THE_MACHINE: [&str; 2] = ["integrity", "broker"];

/// Signs a run that ended at this second since 1970; `None` where no artifact was verified, so
/// that there is nothing to give a receipt for.
#[must_use]
pub fn sign(run: Run, finished: u64, key: &PrivateKey) -> Option<Vec<u8>> {
    let identity = run.text("artifact/identity")?.to_owned();
    let name = run.text("artifact/name")?.to_owned();
    let is_deterministic = run.is_deterministic();
    let mut report = run.into_json();
    let mut predicate = json!({});
    if is_deterministic {
        if let Some(report) = report.as_object_mut() {
            report.retain(|field, _| !OF_THE_MACHINE.contains(&field.as_str()));
        }
        if let Some(artifact) = report.get_mut("artifact").and_then(Value::as_object_mut) {
            let _ = artifact.insert("file_sha256".to_owned(), Value::Null);
        }
    } else {
        predicate["finished"] = Date(finished).to_string().into();
    }
    predicate["report"] = report;
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "subject": [{ "name": name, "digest": { "sha256": identity } }],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    });
    Some(Envelope::sign(statement.to_string().into_bytes(), &[key]).to_bytes())
}

/// A receipt whose signature is good.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Who signed it.
    pub key_id: KeyId,
    /// The artifact that ran.
    pub identity: Sha256,
    /// When the run ended, where that is said.
    pub finished: Option<String>,
    /// What the report said.
    pub run: Run,
}

/// Reads a receipt that this key signed.
///
/// # Errors
/// It is none, or this key did not sign it.
pub fn verify(bytes: &[u8], key: &PublicKey) -> Result<Receipt, Failure> {
    let wrong = |what: &dyn std::fmt::Display| {
        let hint = "bls-load --receipt FILE --receipt-key KEY writes receipts";
        Failure::new(Defect::NotAReceipt, format_args!("not a receipt: {what}"), hint)
    };
    let envelope = Envelope::parse(bytes).map_err(|error| wrong(&error))?;
    if !envelope.claims().iter().any(|claim| envelope.verifies(claim, key)) {
        let by = envelope.claims().first().map(|claim| claim.key_id.to_string());
        let what =
            format!("signed by {}, and not by this key, {}", by.unwrap_or_default(), key.id());
        let hint = "take the public key of the node whose receipt it is";
        return Err(Failure::new(Defect::Signature, what, hint));
    }
    let mut statement: Value =
        serde_json::from_slice(envelope.payload()).map_err(|error| wrong(&error))?;
    let of = |name: &str| statement.get(name).and_then(Value::as_str);
    if of("_type") != Some(STATEMENT_TYPE) || of("predicateType") != Some(PREDICATE_TYPE) {
        return Err(wrong(&"it is signed, and says something else"));
    }
    let subject = statement.pointer("/subject/0/digest/sha256").and_then(Value::as_str);
    let identity = subject.and_then(Sha256::from_hex);
    let finished = statement.pointer("/predicate/finished").and_then(Value::as_str);
    let finished = finished.map(str::to_owned);
    let report = statement.pointer_mut("/predicate/report").map(Value::take).unwrap_or_default();
    let run = Run::parse(report.to_string().as_bytes())?;
    match identity {
        Some(identity) if run.text("artifact/identity") == Some(&identity.to_string()) => {
            Ok(Receipt { key_id: key.id(), identity, finished, run })
        }
        _ => Err(wrong(&"it is about one artifact, and its report about another")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32])
    }

    fn run(deterministic: bool, mode: &str) -> Run {
        let identity = Sha256::of(b"payload");
        let rules = if deterministic { r#""deterministic":{"epoch":1,"seed":0},"# } else { "" };
        Run::parse(
            format!(
                r#"{{"version":1,{rules}"integrity":{{"mode":"{mode}"}},
                    "artifact":{{"identity":"{identity}","name":"app","file_sha256":"{mode}"}},
                    "outcome":{{"kind":"exited","exit_code":0}}}}"#
            )
            .as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn a_receipt_is_read_by_whoever_has_the_public_key() {
        let bytes = sign(run(false, "copy"), 1_600_000_000, &key(1)).unwrap();
        let receipt = verify(&bytes, &key(1).public()).unwrap();
        assert_eq!(receipt.identity, Sha256::of(b"payload"));
        assert_eq!(receipt.finished.as_deref(), Some("2020-09-13T12:26:40Z"));
        assert_eq!(receipt.run, run(false, "copy"));
        let other = verify(&bytes, &key(2).public()).unwrap_err();
        assert_eq!(other.defect, Defect::Signature);
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(verify(&damaged, &key(1).public()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_deterministic_run_has_one_receipt_wherever_it_ran() {
        let here = sign(run(true, "copy"), 1_600_000_000, &key(1)).unwrap();
        let there = sign(run(true, "store"), 1_700_000_000, &key(1)).unwrap();
        assert_eq!(here, there);
        let text = String::from_utf8(Envelope::parse(&here).unwrap().payload().to_vec()).unwrap();
        assert!(!text.contains("finished") && !text.contains("integrity"), "{text}");
        assert_ne!(
            sign(run(false, "copy"), 1_600_000_000, &key(1)),
            sign(run(false, "copy"), 1_700_000_000, &key(1))
        );
    }

    #[test]
    fn what_is_signed_and_no_receipt_is_refused() {
        let envelope = |text: &str| Envelope::sign(text.into(), &[&key(1)]).to_bytes();
        for text in
            ["{}", "[", r#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"x"}"#]
        {
            let failure = verify(&envelope(text), &key(1).public()).unwrap_err();
            assert_eq!(failure.defect, Defect::NotAReceipt, "{text}");
        }
        let nothing_ran = Run::parse(br#"{"version":1,"outcome":{"kind":"refused"}}"#).unwrap();
        assert!(sign(nothing_ran, 0, &key(1)).is_none());
    }
}
