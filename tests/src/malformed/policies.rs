//! An operator's policies: ones that are none, and runs that ask for more than one allows.
//!
//! Each is given by `--policy`, with the base, or with an artifact that needs something.

use super::{Bases, Defect, Kind};
use bls_artifact::capability::Permission;

pub(super) fn defects() -> Vec<Defect> {
    let mut all = bounds();
    all.extend(texts());
    all
}

/// Bounds on everything that the rows ask for.
const BOUNDS: &[u8] = br#"{"version": 1, "allow": ["stdout"],
 "limits": {"fuel": {"max": 1000000}, "memory_bytes": {"max": 65536}, "timeout_ms": {"max": 1000}}}
"#;

fn bounds() -> Vec<Defect> {
    let row = |name, code, says| Defect::beside(name, code, says);
    vec![
        row("policy-fuel-beyond", "policy.beyond", "--fuel asks for 1000001")
            .with(Kind::Policy, bounded)
            .run_with(&["--fuel", "1000001"]),
        row("policy-memory-beyond", "policy.beyond", "--max-memory asks for 1MiB")
            .with(Kind::Policy, bounded)
            .run_with(&["--max-memory", "1M"]),
        row("policy-timeout-beyond", "policy.beyond", "--timeout asks for 2s")
            .with(Kind::Policy, bounded)
            .run_with(&["--timeout", "2s"]),
        row("policy-variable-forbidden", "grant.forbidden", "does not allow env:A")
            .with(Kind::Policy, bounded)
            .run_with(&["--env", "A=B"]),
        Defect::new(
            "policy-need-forbidden",
            "grant.forbidden",
            "does not allow env:TOKEN",
            |bases| {
                bases.hello.with_manifest(|manifest| {
                    manifest.sequence = 1;
                    manifest.needs = vec![Permission::parse("env:TOKEN").expect("a permission")];
                })
            },
        )
        .with(Kind::Policy, bounded)
        .run_with(&["--env", "TOKEN=1"]),
    ]
}

fn bounded(_: &Bases) -> Vec<u8> {
    BOUNDS.to_vec()
}

fn texts() -> Vec<Defect> {
    let row = |name, code, says| Defect::beside(name, code, says);
    vec![
        row("policy-syntax", "policy.json", "EOF while parsing")
            .with(Kind::Policy, |_| b"{\"version\": 1,".to_vec()),
        row("policy-unknown-field", "policy.json", "unknown field")
            .with(Kind::Policy, |_| b"{\"version\": 1, \"forbid\": []}\n".to_vec()),
        row("policy-duplicate-field", "policy.json", "duplicate field")
            .with(Kind::Policy, |_| b"{\"version\": 1, \"version\": 1}\n".to_vec()),
        row("policy-future-version", "policy.version", "9")
            .with(Kind::Policy, |_| b"{\"version\": 9}\n".to_vec()),
        row("policy-default-above-bound", "policy.default", "fuel").with(Kind::Policy, |_| {
            b"{\"version\": 1, \"limits\": {\"fuel\": {\"default\": 2, \"max\": 1}}}\n".to_vec()
        }),
    ]
}
