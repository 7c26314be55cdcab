//! `bls-compile verify --rebuild`: was this artifact made from that source?

use super::{Failure, artifact_error, print, print_json};
use crate::child::{Allowance, Child, Job};
use crate::given::{self, Given};
use crate::program::cli::{Verify, With};
use crate::program::modules::{self, Inputs, ModulesError};
use crate::program::progress::Progress;
use crate::rebuild::{self, Comparison, PartResult, RebuildError};
use bls_artifact::quantity::show_size;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Fields that are shown to a person, where many differ.
const FIELDS_SHOWN: usize = 8;

pub(super) fn run(arguments: &Verify) -> Result<(), Failure> {
    let refused = artifact_error("verify");
    let bytes = given::read(&arguments.artifact).map_err(&refused)?;
    let given = Given::parse(&bytes, &arguments.artifact).map_err(&refused)?;
    let outcome = rebuilt(&given, &arguments.rebuild, arguments.bounded.into(), "verify", true);
    if arguments.json {
        print_json(&match &outcome {
            Ok(comparison) => json_of(&given, comparison),
            Err(failure) => {
                let mut answer = failure.json();
                answer["identical"] = json!(false);
                answer["identity"] = json!(given.envelope.identity());
                answer
            }
        })?;
    }
    let comparison = outcome?;
    if !arguments.json {
        print(&table(&given, &comparison))?;
    }
    if comparison.confirmed().is_some() {
        return Ok(());
    }
    Err(other_bytes("verify", &arguments.rebuild, &comparison))
}

/// Builds what `given` says it is from the source in `inputs`, and compares.
pub(super) fn rebuilt<'a>(
    given: &'a Given<'a>,
    inputs: &[PathBuf],
    limits: Allowance,
    stage: &'static str,
    progress: bool,
) -> Result<Comparison<'a>, Failure> {
    let refused =
        |error: RebuildError| Failure::new(stage, error.code(), &error, Some(error.hint()));
    let mut found = Vec::new();
    for input in inputs {
        let Inputs { given, .. } = modules::read(input, &With::default())?;
        found.extend(given.into_all());
    }
    let source = rebuild::source(&given.manifest, found).map_err(refused)?;
    let digest = source.digest().map_err(ModulesError::from)?;
    let options = rebuild::options(&given.manifest, digest).map_err(refused)?;
    let label = source.label().to_owned();
    let child = Child::start(source, Job::Build(options), limits)?;
    let progress = Progress::start(&label, progress);
    let unsigned = child.build(&mut |stage| progress.stage(stage))?;
    drop(progress);
    Ok(rebuild::compare(given, unsigned.assembled()))
}

/// What is said when the rebuilt artifact is another.
pub(super) fn other_bytes(
    stage: &'static str,
    inputs: &[PathBuf],
    comparison: &Comparison<'_>,
) -> Failure {
    Failure {
        stage,
        code: "rebuild.differs",
        what: format!(
            "{} gives another artifact: {}",
            shown(inputs),
            comparison.first_difference()
        ),
        excerpt: Vec::new(),
        hint: Some(
            "it was not compiled from this source by this bls-compile: do not run it before you know why"
                .to_owned(),
        ),
    }
}

/// Files, as a sentence names them.
fn shown(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    files.join(" and ")
}

/// What was compared, for a program.
fn json_of(given: &Given<'_>, comparison: &Comparison<'_>) -> Value {
    let fields: Vec<Value> = comparison
        .fields()
        .iter()
        .map(|one| json!({ "field": one.field, "artifact": one.given, "rebuilt": one.rebuilt }))
        .collect();
    let parts: Vec<Value> = comparison
        .parts()
        .iter()
        .zip(&given.manifest.parts)
        .map(|((machine, result), part)| {
            let (result, offset) = match result {
                PartResult::Identical => ("identical", None),
                PartResult::Stripped => ("stripped", None),
                PartResult::Differs(at) => ("differs", Some(*at)),
            };
            json!({ "target": part.target, "machine": machine, "result": result, "offset": offset })
        })
        .collect();
    json!({
        "identical": comparison.confirmed().is_some(),
        "identity": given.envelope.identity(),
        "source_sha256": given.manifest.source,
        "compiler": given.manifest.compiler,
        "manifest": { "identical": fields.is_empty(), "differs": fields },
        "parts": parts,
    })
}

/// What was compared, for a person.
fn table(given: &Given<'_>, comparison: &Comparison<'_>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "identity   {}", given.envelope.identity());
    let _ = writeln!(text, "source     {} identical", given.manifest.source);
    let fields = comparison.fields();
    if fields.is_empty() {
        let _ = writeln!(text, "manifest   identical ({} bytes)", given.envelope.payload().len());
    }
    for one in fields.iter().take(FIELDS_SHOWN) {
        let _ = writeln!(
            text,
            "manifest   {} differs: {} in the artifact, {} rebuilt",
            one.field.escape_default(),
            one.given,
            one.rebuilt
        );
    }
    if fields.len() > FIELDS_SHOWN {
        let _ = writeln!(text, "manifest   {} more fields differ", fields.len() - FIELDS_SHOWN);
    }
    for ((machine, result), part) in comparison.parts().iter().zip(&given.manifest.parts) {
        let result = match result {
            PartResult::Identical => format!("identical ({})", show_size(part.stored.length)),
            PartResult::Stripped => "stripped from this file".to_owned(),
            PartResult::Differs(at) => format!("differs from byte {at:#x} on"),
        };
        let _ = writeln!(text, "part       {machine} {result}");
    }
    text
}
