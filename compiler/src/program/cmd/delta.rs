//! `bls-compile delta OLD NEW`: what turns an artifact that devices have into the next one.
//!
//! Takes no key: a delta is not signed. Says for which targets it has something, and how long it
//! is beside the whole artifact.

use super::{Failure, artifact_error, print_json};
use crate::delta;
use crate::given::{self, Given};
use crate::program::cli::Delta;
use crate::program::output::Destination;
use bls_artifact::quantity::show_size;
use bls_artifact::text::{printable, printable_path};
use serde_json::json;
use std::path::{Path, PathBuf};

pub(super) fn run(arguments: &Delta) -> Result<(), Failure> {
    let destination = match &arguments.output {
        Some(path) if path == Path::new("-") => Destination::Stdout,
        Some(path) => Destination::File(path.clone()),
        None => Destination::File(
            PathBuf::from(arguments.new.file_name().unwrap_or_default()).with_extension("blsd"),
        ),
    };
    if arguments.json && destination == Destination::Stdout {
        return Err(Failure::usage(
            "the result and its JSON cannot both go to standard output",
            Some("name a file with -o".to_owned()),
        ));
    }
    destination.check(Some(&arguments.old))?;
    destination.check(Some(&arguments.new))?;

    let refused = artifact_error("delta");
    let (old, new) = (given::read(&arguments.old), given::read(&arguments.new));
    let (old_bytes, new_bytes) = (old.map_err(&refused)?, new.map_err(&refused)?);
    let old = Given::parse(&old_bytes, &arguments.old).map_err(&refused)?;
    let new = Given::parse(&new_bytes, &arguments.new).map_err(&refused)?;
    let made = delta::make(&old, &new).map_err(|error| {
        Failure::new("delta", error.code(), &error, Some(error.hint().to_owned()))
    })?;
    destination.write(&made.bytes)?;
    if arguments.json {
        let part = |(machine, bytes): &(_, _)| json!({ "machine": machine, "bytes": bytes });
        return print_json(&json!({
            "output": destination.to_string(),
            "bytes": made.bytes.len(),
            "base": old.envelope.identity(),
            "identity": new.envelope.identity(),
            "parts": made.parts.iter().map(part).collect::<Vec<_>>(),
        }));
    }
    if !arguments.quiet {
        for (machine, _) in made.parts.iter().filter(|(_, bytes)| bytes.is_none()) {
            super::say(&format!(
                "bls-compile: {} has no part for {machine} to begin with: it is not in the delta",
                printable_path(&arguments.old)
            ));
        }
        super::say(&format!(
            "{}  {} instead of {}",
            printable(&destination.to_string()),
            show_size(made.bytes.len() as u64),
            show_size(new.file_bytes),
        ));
    }
    Ok(())
}
