//! `bls-registry pull REF`
//!
//! Started by bls-load too, with its standard output in a file that has no name: then it ends when
//! bls-load does.

use super::{Common, malformed, no_option, option_name, print, say, unwritable, usage, write_with};
use crate::client::{Client, Rights};
use crate::error::Error;
use crate::pull::{choose, fetch};
use crate::reference::Reference;
use bls_artifact::quantity::show_size;
use bls_artifact::registry::architecture;
use bls_artifact::target::Target;
use lexopt::{Arg, Parser, ValueExt as _};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::json;
use std::io::{Seek as _, copy, stdout};
use std::path::{Path, PathBuf};

/// The options, as the help explains them.
pub(super) const OPTIONS: [&str; 7] =
    ["output", "target", "plain-http", "authorities", "max-time", "json", "quiet"];
/// What bls-load says, for no person to say.
const WITH_PARENT: &str = "with-parent";

pub(super) fn run(parser: &mut Parser) -> Result<(), Error> {
    let mut common = Common::default();
    let (mut words, mut output, mut target) = (Vec::new(), None, Target::host());
    while let Some(argument) = parser.next().map_err(malformed)? {
        if let Arg::Value(word) = argument {
            words.push(word);
            continue;
        }
        match option_name(&argument).unwrap_or_default().as_str() {
            "output" => output = Some(PathBuf::from(parser.value().map_err(malformed)?)),
            "target" => {
                let word = parser.value().and_then(|word| word.string()).map_err(malformed)?;
                target = Some(Target::from_word(&word).ok_or_else(|| {
                    usage(format!("there is no target {word:?}: bls-compile --cpu list"))
                })?);
            }
            // Without it a run that is stopped would leave it waiting for the registry.
            WITH_PARENT => drop(set_parent_process_death_signal(Some(Signal::KILL))),
            name if common.option(name, parser)? => {}
            name => return Err(no_option(name, &OPTIONS)),
        }
    }
    let [word] = words.as_slice() else { return Err(usage("pull takes one reference")) };
    let reference = Reference::parse(&word.to_string_lossy())?;
    let target = target.ok_or_else(|| usage("nothing is compiled for this machine: --target"))?;
    let last = reference.name.rsplit('/').next().unwrap_or_default();
    let output = output.unwrap_or_else(|| PathBuf::from(format!("{last}.bls")));
    let is_stdout = output == Path::new("-");
    if common.json && is_stdout {
        return Err(usage("the artifact and the JSON cannot both go to standard output"));
    }

    let mut client = Client::new(&reference, Rights::Pull, &common.manner)?;
    let chosen = choose(&mut client, &reference, architecture(target))?;
    if is_stdout {
        // Nobody reads what may turn out to be false.
        let failed = |error: std::io::Error| unwritable(Path::new("standard output"), &error);
        let mut file = tempfile::tempfile().map_err(failed)?;
        fetch(&mut client, &chosen, &mut file)?;
        file.rewind().and_then(|()| copy(&mut file, &mut stdout())).map_err(failed)?;
    } else {
        write_with(&output, |file| fetch(&mut client, &chosen, file))?;
    }
    let by_digest = reference.by_digest(chosen.manifest).to_string();
    if common.json {
        let value = json!({
            "output": output,
            "reference": by_digest,
            "sha256": chosen.layer.digest,
            "bytes": chosen.layer.size,
        });
        return print(&format!("{value:#}\n"));
    }
    if !common.quiet {
        let size = show_size(chosen.layer.size);
        say(&format!("{}  {size}, {by_digest}", output.display()));
    }
    Ok(())
}
