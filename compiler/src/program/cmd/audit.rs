//! `bls-compile audit`: whether a metered module counts what it consumes.
//!
//! Judges the module alone: it does not matter who metered it, and what was
//! claimed of it is not asked. Writes nothing but its answer.

use super::cpu::machines;
use super::{Failure, print, print_json};
use crate::audit::Findings;
use crate::child::{Child, ChildError, Job, Refusal};
use crate::input::{Given, Source, label};
use crate::pipeline::Options;
use crate::program::cli::Audit;
use bls_artifact::digest::Sha256;
use bls_artifact::fuel::{MODEL, PLAN};
use serde_json::json;

pub(super) fn run(arguments: &Audit) -> Result<(), Failure> {
    let options = Options::new(machines(&arguments.target, None)?);
    let bytes = Source::read_bytes(&arguments.input)?;
    let features = options.first_profile().wasm_features();
    let digest = Sha256::of(&bytes);
    let job = Job::Examine(features);
    let given = Given::one(bytes, &label(&arguments.input));
    let child = Child::start(given, job, arguments.bounded.into())?;
    match child.examine() {
        Ok(findings) if arguments.json => print_json(&proved(digest, &findings)),
        Ok(findings) => print(&table(digest, &findings)),
        Err(error) => {
            if let (true, ChildError::Refused(refusal)) = (arguments.json, &error)
                && refusal.stage == "audit"
            {
                print_json(&refused(refusal))?;
            }
            Err(error.into())
        }
    }
}

/// The answer for a program.
fn proved(source: Sha256, findings: &Findings) -> serde_json::Value {
    json!({
        "proved": true,
        "sha256": source,
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
fn refused(refusal: &Refusal) -> serde_json::Value {
    json!({
        "proved": false,
        "rule": refusal.rule,
        "function": refusal.function,
        "offset": refusal.offset,
        "code": refusal.code,
        "error": refusal.what,
        "hint": refusal.hint,
    })
}

/// The answer for a person.
fn table(source: Sha256, findings: &Findings) -> String {
    format!(
        "sha256         {}\n\
         model          {MODEL} plan {PLAN}\n\
         functions      {}\n\
         charges        {}\n\
         checks         {}\n\
         S              {} units between two checks at most\n\
         instantiation  {} units\n\
         proved         yes\n",
        source,
        findings.functions,
        findings.charges,
        findings.checks,
        findings.overrun_max,
        findings.instantiation,
    )
}
