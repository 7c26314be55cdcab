//! `bls-registry push REF FILE...`

use super::{Common, malformed, no_option, option_name, print, say, usage};
use crate::client::{Client, Rights};
use crate::error::Error;
use crate::layout::Layout;
use crate::package::{Artifact, Source, packages};
use crate::push;
use crate::reference::Reference;
use bls_artifact::artifact::MAGIC;
use bls_artifact::limits::MODULE_BYTES_MAX;
use lexopt::{Arg, Parser};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The options, as the help explains them.
pub(super) const OPTIONS: [&str; 6] =
    ["source", "plain-http", "authorities", "max-time", "json", "quiet"];

pub(super) fn run(parser: &mut Parser) -> Result<(), Error> {
    let mut common = Common::default();
    let (mut words, mut source) = (Vec::new(), None);
    while let Some(argument) = parser.next().map_err(malformed)? {
        if let Arg::Value(word) = argument {
            words.push(word);
            continue;
        }
        match option_name(&argument).unwrap_or_default().as_str() {
            "source" => source = Some(PathBuf::from(parser.value().map_err(malformed)?)),
            name if common.option(name, parser)? => {}
            name => return Err(no_option(name, &OPTIONS)),
        }
    }
    let mut words = words.into_iter();
    let reference = words.next().ok_or_else(|| usage("push needs a reference and a file"))?;
    let files: Vec<PathBuf> = words.map(PathBuf::from).collect();
    if files.is_empty() {
        return Err(usage("push needs the file of an artifact, or of an image"));
    }
    let reference = Reference::parse(&reference.to_string_lossy())?;
    let _ = push::tag(&reference)?;
    let sources = files.iter().map(|path| Source::artifact(path)).collect::<Result<Vec<_>, _>>()?;
    match sources.as_slice() {
        [image] if is_image(image) => push_image(&reference, image, source.as_deref(), common),
        all => push_artifacts(&reference, all, source.as_deref(), common),
    }
}

/// Whether a file is a layout: an artifact says what it is in its first bytes.
fn is_image(file: &Source) -> bool {
    !file.bytes.starts_with(&MAGIC) && file.path.extension().is_some_and(|end| end == "tar")
}

fn push_artifacts(
    reference: &Reference,
    files: &[Source],
    module: Option<&Path>,
    common: Common,
) -> Result<(), Error> {
    let artifacts = files.iter().map(Artifact::parse).collect::<Result<Vec<_>, _>>()?;
    let packages = packages(&artifacts)?;
    let module = module.map(|path| Source::read(path, MODULE_BYTES_MAX)).transpose()?;
    let module = module.as_ref().map(|module| module.bytes.as_slice());
    let mut client = Client::new(reference, Rights::Push, &common.manner)?;
    let pushed = push::artifacts(&mut client, reference, &packages, module)?;
    let by_digest = reference.by_digest(pushed.top.digest).to_string();
    let all: Vec<&str> = packages.all.iter().map(|one| one.architecture).collect();
    if common.json {
        let source = pushed.source.map(|source| reference.by_digest(source.digest).to_string());
        let value = json!({ "reference": by_digest, "architectures": all, "source": source });
        return print(&format!("{value:#}\n"));
    }
    if !common.quiet {
        let beside = if pushed.source.is_some() { ", with its source" } else { "" };
        say(&format!("{reference}  {} for {}{beside}", packages.name, all.join(", ")));
    }
    print(&format!("{by_digest}\n"))
}

fn push_image(
    reference: &Reference,
    file: &Source,
    module: Option<&Path>,
    common: Common,
) -> Result<(), Error> {
    if module.is_some() {
        return Err(usage("--source is of an artifact"));
    }
    let layout = Layout::parse(&file.path, &file.bytes)?;
    let mut client = Client::new(reference, Rights::Push, &common.manner)?;
    let top = push::layout(&mut client, reference, &layout)?;
    let by_digest = reference.by_digest(top.digest).to_string();
    if common.json {
        let value = json!({ "reference": by_digest });
        return print(&format!("{value:#}\n"));
    }
    if !common.quiet {
        say(&format!("{reference}  the image of {}", file.path.display()));
    }
    print(&format!("{by_digest}\n"))
}
