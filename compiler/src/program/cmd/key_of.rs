//! `bls-compile key-of INPUT`: what decides the code of an artifact, in one digest.
//!
//! Looks into no module and at no key: what cannot be compiled has one too.

use super::{Failure, compile, cpu, print, print_json};
use crate::key_of::key_of;
use crate::program::cli::{Emit, KeyOf};
use crate::program::modules::{self, ModulesError};
use bls_artifact::text::printable_path;
use serde_json::json;

pub(super) fn run(arguments: &KeyOf) -> Result<(), Failure> {
    let compile = &arguments.compile;
    let build = &compile.build;
    if build.cpu.as_deref() == Some(cpu::LIST) {
        return cpu::list(build.json);
    }
    let [inputs @ .., last] = &compile.inputs[..] else {
        return Err(Failure::usage("no INPUT", None));
    };
    if !inputs.is_empty() && !compile.with.is_empty() {
        return Err(Failure::usage(
            "--module and --plug are about one artifact, and there are several",
            Some("ask for that one by itself".to_owned()),
        ));
    }
    let options = compile::options(build, Emit::Artifact)?;
    for input in inputs.iter().chain([last]) {
        let mut options = options.clone();
        let read = modules::read(input, &compile.with)?;
        if let Some(config) = &read.config {
            modules::apply(config, &mut options);
        }
        let source = read.given.digest().map_err(ModulesError::from)?;
        let key = key_of(source, &options);
        match (build.json, inputs.is_empty()) {
            (true, _) => print_json(&json!({
                "input": input.to_string_lossy(),
                "key": key,
                "source_sha256": source,
            }))?,
            (false, true) => print(&format!("{key}\n"))?,
            (false, false) => print(&format!("{key}  {}\n", printable_path(input)))?,
        }
    }
    Ok(())
}
