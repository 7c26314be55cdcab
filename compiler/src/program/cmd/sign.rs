//! `bls-compile sign --rebuild`: a second builder's signature.
//!
//! The key signs what this program compiled itself: what is added to the artifact is a
//! signature over the payload that came out of the rebuild.

use super::{Failure, artifact_error, open_key, print_json, verify};
use crate::given::{self, Given};
use crate::pipeline;
use crate::program::cli::Sign;
use crate::program::output::Destination;
use crate::sign::{countersign, to_countersign};
use bls_artifact::key::KeyId;
use bls_artifact::text::{printable, printable_path};
use serde_json::json;
use std::path::Path;

pub(super) fn run(arguments: &Sign) -> Result<(), Failure> {
    let destination = match &arguments.output {
        Some(path) if path == Path::new("-") => Destination::Stdout,
        Some(path) => Destination::File(path.clone()),
        None => Destination::File(arguments.artifact.clone()),
    };
    if arguments.json && destination == Destination::Stdout {
        return Err(Failure::usage(
            "the result and its JSON cannot both go to standard output",
            Some("name a file with -o".to_owned()),
        ));
    }
    arguments.rebuild.iter().try_for_each(|input| destination.check(Some(input)))?;

    let refused = artifact_error("sign");
    let bytes = given::read(&arguments.artifact).map_err(&refused)?;
    let given = Given::parse(&bytes, &arguments.artifact).map_err(&refused)?;
    let limits = arguments.bounded.into();
    let comparison = verify::rebuilt(&given, &arguments.rebuild, limits, "sign", !arguments.quiet)?;
    let Some(confirmed) = comparison.confirmed() else {
        return Err(verify::other_bytes("sign", &arguments.rebuild, &comparison));
    };

    // Not before: nobody gets a key for an artifact that they do not sign.
    let signing = open_key(&(&arguments.signing).into(), arguments.quiet)?;
    let public = signing.public();
    let id = public.id();
    let signed = match to_countersign(confirmed, &public).map_err(pipeline::Error::Sign)? {
        None => None,
        Some(message) => {
            let signature = signing.signer.sign(&message)?;
            let added = countersign(confirmed, &public, signature);
            Some(added.map_err(pipeline::Error::Sign)?)
        }
    };
    // Where nothing was added, the file that was asked for is there all the same.
    match &signed {
        Some(artifact) => destination.write(artifact.bytes())?,
        None if arguments.output.is_some() => destination.write(&bytes)?,
        None => {}
    }
    let key_ids: Vec<KeyId> = match &signed {
        Some(artifact) => artifact.key_ids().to_vec(),
        None => given.envelope.claims().iter().map(|claim| claim.key_id).collect(),
    };
    if arguments.json {
        return print_json(&json!({
            "output": destination.to_string(),
            "added": signed.is_some(),
            "key_id": id,
            "key_ids": key_ids,
            "identity": given.envelope.identity(),
            "sha256": signed.as_ref().map_or(given.file_digest, |artifact| artifact.file_digest()),
        }));
    }
    if !arguments.quiet {
        super::say(&match signed {
            Some(_) => format!(
                "{}  rebuilt to the byte, signed by {}… ({} signatures)",
                printable(&destination.to_string()),
                &id.to_string()[..12],
                key_ids.len()
            ),
            None => format!(
                "{}  rebuilt to the byte, and signed by {id} already: nothing to add",
                printable_path(&arguments.artifact)
            ),
        });
    }
    Ok(())
}
