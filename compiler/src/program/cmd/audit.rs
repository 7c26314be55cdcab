//! `bls-compile audit`: whether a metered module counts what it consumes.
//!
//! Judges the module alone: it does not matter who metered it, and what was
//! claimed of it is not asked. Writes nothing but its answer.

use super::{Failure, print, print_json, targets};
use crate::audit::{AuditError, Findings, examine};
use crate::input::Source;
use crate::pipeline::Options;
use crate::program::cli::Audit;
use bls_artifact::fuel::{MODEL, PLAN};
use serde_json::json;

pub(super) fn run(arguments: &Audit) -> Result<(), Failure> {
    let options = Options::new(targets(&arguments.target)?);
    let source = Source::read(&arguments.input)?;
    let features = options.profile(options.targets[0]).wasm_features();
    match examine(source.wasm(), features) {
        Ok(findings) if arguments.json => print_json(&proved(&source, &findings)),
        Ok(findings) => print(&table(&source, &findings)),
        Err(error) => {
            if arguments.json {
                print_json(&refused(&error))?;
            }
            Err(Failure::new("audit", error.code(), &error, Some(error.hint().to_owned())))
        }
    }
}

/// The answer for a program.
fn proved(source: &Source, findings: &Findings) -> serde_json::Value {
    json!({
        "proved": true,
        "sha256": source.given(),
        "model": MODEL,
        "plan": PLAN,
        "functions": findings.functions,
        "checks": findings.checks,
        "charges": findings.charges,
        "overrun_max": findings.overrun_max,
        "instantiation": findings.instantiation,
    })
}

/// The same for a module that does not pass.
fn refused(error: &AuditError) -> serde_json::Value {
    let place = match error {
        AuditError::Broken(violation) => Some(violation),
        _ => None,
    };
    json!({
        "proved": false,
        "rule": error.rule().map(crate::audit::Rule::name),
        "function": place.and_then(|place| place.function),
        "offset": place.and_then(|place| place.offset),
        "code": error.code(),
        "error": error.to_string(),
        "hint": error.hint(),
    })
}

/// The answer for a person.
fn table(source: &Source, findings: &Findings) -> String {
    format!(
        "sha256         {}\n\
         model          {MODEL} plan {PLAN}\n\
         functions      {}\n\
         charges        {}\n\
         checks         {}\n\
         S              {} units between two checks at most\n\
         instantiation  {} units\n\
         proved         yes\n",
        source.given(),
        findings.functions,
        findings.charges,
        findings.checks,
        findings.overrun_max,
        findings.instantiation,
    )
}
