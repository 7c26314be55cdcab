//! `bls-registry push REF FILE...`
//!
//! `bls-compile push --cosign` calls it twice: with `--dry-run`, which sends nothing, for the digest,
//! and with the signature of that, which it makes between the two.

use super::{Common, malformed, no_option, option_name, print, say, usage};
use crate::client::{Client, Rights};
use crate::cosign::{self, Signature};
use crate::error::Error;
use crate::layout::Layout;
use crate::package::{Artifact, Source, packages};
use crate::push;
use crate::reference::Reference;
use bls_artifact::artifact::MAGIC;
use bls_artifact::digest::Sha256;
use bls_artifact::limits::MODULE_BYTES_MAX;
use lexopt::{Arg, Parser, ValueExt as _};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The options, as the help explains them.
pub(super) const OPTIONS: [&str; 12] = [
    "source",
    "cosign",
    "key",
    "public-key",
    "max-sign-time",
    "dry-run",
    "signature",
    "plain-http",
    "authorities",
    "max-time",
    "json",
    "quiet",
];

/// What is pushed beside the files, and how.
#[derive(Default)]
struct Wanted {
    common: Common,
    source: Option<PathBuf>,
    signature: Option<Signature>,
    dry_run: bool,
}

impl Wanted {
    /// Whether something is to be sent: where not, the reference is printed.
    fn is_sent(&self, reference: &Reference, digest: Sha256) -> Result<bool, Error> {
        if let Some(signature) = &self.signature {
            signature.check(digest)?;
        }
        if self.dry_run {
            print(&format!("{}\n", reference.by_digest(digest)))?;
        }
        Ok(!self.dry_run)
    }

    /// The place of the signature that was pushed.
    fn signature_place(&self, reference: &Reference) -> Option<String> {
        let signature = self.signature.as_ref()?;
        Some(format!("{}:{}", reference.repository(), cosign::tag(signature.digest)))
    }
}

pub(super) fn run(parser: &mut Parser) -> Result<(), Error> {
    let mut wanted = Wanted::default();
    let mut words = Vec::new();
    while let Some(argument) = parser.next().map_err(malformed)? {
        if let Arg::Value(word) = argument {
            words.push(word);
            continue;
        }
        match option_name(&argument).unwrap_or_default().as_str() {
            "source" => wanted.source = Some(PathBuf::from(parser.value().map_err(malformed)?)),
            "dry-run" => wanted.dry_run = true,
            "signature" => {
                let text = parser.value().and_then(|value| value.string()).map_err(malformed)?;
                let signature = Signature::parse(&text);
                let wrong = || usage("--signature takes sha256:HEX=BASE64, of 64 bytes");
                wanted.signature = Some(signature.ok_or_else(wrong)?);
            }
            name @ ("cosign" | "key" | "public-key" | "max-sign-time") => {
                return Err(usage(format!("--{name} is read by bls-compile push, which signs")));
            }
            name if wanted.common.option(name, parser)? => {}
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
        [image] if is_image(image) => push_image(&reference, image, &wanted),
        all => push_artifacts(&reference, all, &wanted),
    }
}

/// Whether a file is a layout: an artifact says what it is in its first bytes.
fn is_image(file: &Source) -> bool {
    !file.bytes.starts_with(&MAGIC) && file.path.extension().is_some_and(|end| end == "tar")
}

fn push_artifacts(reference: &Reference, files: &[Source], wanted: &Wanted) -> Result<(), Error> {
    let artifacts = files.iter().map(Artifact::parse).collect::<Result<Vec<_>, _>>()?;
    let packages = packages(&artifacts)?;
    let module = wanted.source.as_deref().map(|path: &Path| Source::read(path, MODULE_BYTES_MAX));
    let module = module.transpose()?;
    let module = module.as_ref().map(|module| module.bytes.as_slice());
    module.map_or(Ok(()), |module| push::check_source(&packages, module))?;
    if !wanted.is_sent(reference, push::top(&packages).digest)? {
        return Ok(());
    }
    let mut client = Client::new(reference, Rights::Push, &wanted.common.manner)?;
    let signature = wanted.signature.as_ref();
    let pushed = push::artifacts(&mut client, reference, &packages, module, signature)?;
    let by_digest = reference.by_digest(pushed.top.digest).to_string();
    let all: Vec<&str> = packages.all.iter().map(|one| one.architecture).collect();
    if wanted.common.json {
        let source = pushed.source.map(|source| reference.by_digest(source.digest).to_string());
        let value = json!({
            "reference": by_digest,
            "architectures": all,
            "source": source,
            "signature": wanted.signature_place(reference),
        });
        return print(&format!("{value:#}\n"));
    }
    if !wanted.common.quiet {
        let beside = if pushed.source.is_some() { ", with its source" } else { "" };
        let signed = if signature.is_some() { ", signed for cosign" } else { "" };
        say(&format!("{reference}  {} for {}{beside}{signed}", packages.name, all.join(", ")));
    }
    print(&format!("{by_digest}\n"))
}

fn push_image(reference: &Reference, file: &Source, wanted: &Wanted) -> Result<(), Error> {
    if wanted.source.is_some() {
        return Err(usage("--source is of an artifact"));
    }
    let layout = Layout::parse(&file.path, &file.bytes)?;
    if !wanted.is_sent(reference, layout.top()?.digest)? {
        return Ok(());
    }
    let mut client = Client::new(reference, Rights::Push, &wanted.common.manner)?;
    let signature = wanted.signature.as_ref();
    let top = push::layout(&mut client, reference, &layout, signature)?;
    let by_digest = reference.by_digest(top.digest).to_string();
    if wanted.common.json {
        let place = wanted.signature_place(reference);
        let value = json!({ "reference": by_digest, "signature": place });
        return print(&format!("{value:#}\n"));
    }
    if !wanted.common.quiet {
        let signed = if signature.is_some() { ", signed for cosign" } else { "" };
        say(&format!("{reference}  the image of {}{signed}", file.path.display()));
    }
    print(&format!("{by_digest}\n"))
}
