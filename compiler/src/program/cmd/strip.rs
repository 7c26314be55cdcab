//! `bls-compile strip`: an artifact with some of its parts, signed as it was.
//!
//! Guarantees that the envelope stays as it is, byte for byte, and that each part that is kept
//! is one of the manifest's, with the digest that is signed. Checks no signature.

use super::{Failure, cpu, print_json};
use crate::given::{self, Given};
use crate::program::cli::{Strip, TargetWord};
use crate::program::output::Destination;
use bls_artifact::artifact::{self, Contents};
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::Part;
use bls_artifact::quantity::show_size;
use bls_artifact::text::printable;
use serde_json::json;
use std::path::PathBuf;

pub(super) fn run(arguments: &Strip) -> Result<(), Failure> {
    let refused = super::artifact_error("strip");
    let path = &arguments.artifact;
    let bytes = given::read(path).map_err(&refused)?;
    let given = Given::parse(&bytes, path).map_err(&refused)?;
    let destination = match &arguments.output {
        Some(path) if path.as_os_str() == "-" => Destination::Stdout,
        Some(path) => Destination::File(path.clone()),
        None => {
            let mut name = path.file_stem().unwrap_or_default().to_owned();
            name.push(".stripped.bls");
            Destination::File(PathBuf::from(name))
        }
    };
    if arguments.json && destination == Destination::Stdout {
        return Err(Failure::usage(
            "the result and its JSON cannot both go to standard output",
            Some("name a file with -o".to_owned()),
        ));
    }
    let kept = kept(&given, &arguments.target)?;
    let stored: Vec<&[u8]> = kept.iter().filter_map(|index| given.parts[*index]).collect();
    let (contents, _) = Contents::parse(&bytes)
        .map_err(|error| refused(given::GivenError::Frame(path.clone(), error)))?;
    let stripped = artifact::write(contents.envelope, &stored);
    destination.write(&stripped)?;
    let machines: Vec<String> =
        kept.iter().map(|index| given.manifest.parts[*index].machine()).collect();
    if arguments.json {
        return print_json(&json!({
            "name": given.manifest.name,
            "output": destination.to_string(),
            "identity": given.envelope.identity(),
            "sha256": Sha256::of(&stripped),
            "sizes": { "given": given.file_bytes, "artifact": stripped.len() },
            "kept": machines,
        }));
    }
    if !arguments.quiet {
        super::say(&format!(
            "{}  {} → {}, {} of {} parts: {}",
            printable(&destination.to_string()),
            show_size(given.file_bytes),
            show_size(stripped.len() as u64),
            machines.len(),
            given.manifest.parts.len(),
            machines.join(", "),
        ));
    }
    Ok(())
}

/// The parts that are asked for, by their indices: those of a target, or the one for a CPU.
fn kept(given: &Given<'_>, wanted: &[TargetWord]) -> Result<Vec<usize>, Failure> {
    let parts = &given.manifest.parts;
    let mut kept = Vec::new();
    for word in wanted {
        let machine = match word {
            TargetWord::Target(_) => None,
            word => cpu::machines(std::slice::from_ref(word), None)?.pop(),
        };
        let is_meant = |part: &Part| match (word, &machine) {
            (_, Some(machine)) => {
                part.target == machine.target() && part.cpu_features == machine.features()
            }
            (TargetWord::Target(target), None) => part.target == *target,
            _ => false,
        };
        let name = match (word, &machine) {
            (TargetWord::Target(target), _) => target.short().to_owned(),
            (_, Some(machine)) => machine.to_string(),
            _ => String::new(),
        };
        let meant: Vec<usize> = (0..parts.len()).filter(|at| is_meant(&parts[*at])).collect();
        if meant.is_empty() {
            let all: Vec<String> = parts.iter().map(Part::machine).collect();
            return Err(Failure {
                stage: "strip",
                code: "strip.no-part",
                what: format!("there is no part for {name}; the artifact has {}", all.join(", ")),
                excerpt: Vec::new(),
                hint: Some("bls-compile inspect shows what each part asks of a CPU".to_owned()),
            });
        }
        let here: Vec<usize> =
            meant.iter().copied().filter(|at| given.parts[*at].is_some()).collect();
        if here.is_empty() {
            return Err(Failure {
                stage: "strip",
                code: "strip.gone",
                what: format!(
                    "the part for {name} is not in this file, which was stripped of it before"
                ),
                excerpt: Vec::new(),
                hint: Some("take it from the artifact as it was built".to_owned()),
            });
        }
        kept.extend(here);
    }
    kept.sort_unstable();
    kept.dedup();
    Ok(kept)
}
