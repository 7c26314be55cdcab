//! `bls-registry image FILE...`
//!
//! Has a bls-load verify each artifact, for each machine that the image is for, before anything
//! is written.

use super::{Common, malformed, no_option, option_name, print, say, usage, write_file, write_out};
use crate::error::Error;
use crate::image::{LOADER_BYTES_MAX, Loader, default_file, default_name, make, name, trust_file};
use crate::package::{Artifact, Source, packages};
use bls_artifact::limits::TRUST_BYTES_MAX;
use bls_artifact::quantity::show_size;
use bls_artifact::registry::Defect;
use bls_artifact::target::Target;
use lexopt::{Arg, Parser, ValueExt as _};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The options, as the help explains them.
pub(super) const OPTIONS: [&str; 7] =
    ["output", "loader", "no-loader", "trust", "tag", "json", "quiet"];
/// The program that verifies, and that this machine's images hold.
const LOADER: &str = "bls-load";

/// What was asked for.
#[derive(Default)]
struct Asked {
    files: Vec<PathBuf>,
    output: Option<PathBuf>,
    loaders: Vec<(Target, PathBuf)>,
    no_loader: bool,
    trust: Option<PathBuf>,
    tag: Option<String>,
    common: Common,
}

pub(super) fn run(parser: &mut Parser) -> Result<(), Error> {
    let asked = read(parser)?;
    let files = asked.files.iter().map(|path| Source::artifact(path));
    let files = files.collect::<Result<Vec<_>, _>>()?;
    let artifacts = files.iter().map(Artifact::parse).collect::<Result<Vec<_>, _>>()?;
    // Several are one release, and none has what another has.
    let _ = packages(&artifacts)?;
    let trust = asked.trust.as_deref().map(|path| Source::read(path, TRUST_BYTES_MAX));
    let trust = trust.transpose()?.map(|file| trust_file(&file)).transpose()?;
    let own = beside()?;

    let mut loaders = asked.loaders.clone();
    if let Some(host) = Target::host()
        && !asked.no_loader
        && loaders.iter().all(|(target, _)| *target != host)
        && artifacts.iter().any(|artifact| artifact.targets().contains(&host))
    {
        loaders.push((host, own.clone()));
    }
    let programs = loaders.iter().map(|(target, path)| {
        Source::read(path, LOADER_BYTES_MAX).map(|program| (*target, program))
    });
    let programs = programs.collect::<Result<Vec<_>, _>>()?;
    let mut loaders = Vec::new();
    for (target, program) in &programs {
        loaders.push(Loader::new(*target, program)?);
    }
    if asked.no_loader {
        // Each once: no two of one release have the same.
        loaders.extend(artifacts.iter().flat_map(Artifact::targets).map(Loader::of_the_node));
    }
    let mut images = Vec::new();
    for loader in &loaders {
        let mut all = artifacts.iter().zip(&files);
        let found = all.find(|(artifact, _)| artifact.targets().contains(&loader.target));
        let (artifact, file) = found.ok_or_else(|| {
            let target = loader.target.short();
            Error::new(Defect::NoArchitecture, format!("there is no code for {target}"))
        })?;
        verify(&own, &file.path, artifact, loader.target, asked.trust.as_deref())?;
        images.push((loader, artifact));
    }
    let Some((_, first)) = images.first() else {
        let what = "there is a loader for no architecture that there is code for";
        return Err(Error::new(Defect::Loader, what));
    };
    let tag = match &asked.tag {
        Some(tag) => name(tag)?,
        None => default_name(first),
    };
    // Whom to trust is the node's matter where the loader is.
    let trust = trust.filter(|_| !asked.no_loader);
    let layout = make(&images, trust.as_deref(), &tag)?;
    let tar = layout.to_tar()?;
    let output = asked.output.clone().unwrap_or_else(|| default_file(first).into());
    let is_stdout = output == Path::new("-");
    if is_stdout {
        write_out(&tar)?
    } else {
        write_file(&output, &tar)?
    }

    let has = images.iter().map(|(loader, _)| loader.target.short()).collect::<Vec<_>>();
    if asked.common.json {
        let value = json!({
            "output": output,
            "name": tag,
            "digest": format!("sha256:{}", layout.top()?.digest),
            "bytes": tar.len(),
            "targets": has,
        });
        return print(&format!("{value:#}\n"));
    }
    if !asked.common.quiet {
        let all = artifacts.iter().flat_map(Artifact::targets);
        for left in all.filter(|target| !has.contains(&target.short())) {
            let left = left.short();
            say(&format!(
                "bls-registry: {left} is left out, for no loader is given for it: --loader {left}=FILE"
            ));
        }
        let size = show_size(tar.len() as u64);
        say(&format!("{}  {size}, {tag} for {}", output.display(), has.join(", ")));
    }
    Ok(())
}

fn read(parser: &mut Parser) -> Result<Asked, Error> {
    let mut asked = Asked::default();
    while let Some(argument) = parser.next().map_err(malformed)? {
        if let Arg::Value(word) = argument {
            asked.files.push(word.into());
            continue;
        }
        match option_name(&argument).unwrap_or_default().as_str() {
            "output" => asked.output = Some(parser.value().map_err(malformed)?.into()),
            "trust" => asked.trust = Some(parser.value().map_err(malformed)?.into()),
            "tag" => {
                let text = parser.value().and_then(|value| value.string()).map_err(malformed)?;
                asked.tag = Some(text);
            }
            "loader" => {
                let text = parser.value().and_then(|value| value.string()).map_err(malformed)?;
                let (target, file) = loader(&text)?;
                if asked.loaders.iter().any(|(known, _)| *known == target) {
                    return Err(usage(format!("--loader is given twice for {}", target.short())));
                }
                asked.loaders.push((target, file));
            }
            "no-loader" => asked.no_loader = true,
            name @ ("json" | "quiet") => {
                let _ = asked.common.option(name, parser)?;
            }
            name => return Err(no_option(name, &OPTIONS)),
        }
    }
    if asked.files.is_empty() {
        return Err(usage("image needs the file of an artifact"));
    }
    if asked.no_loader && !asked.loaders.is_empty() {
        return Err(usage("--loader and --no-loader exclude each other"));
    }
    if asked.common.json && asked.output.as_deref() == Some(Path::new("-")) {
        return Err(usage("the image and the JSON cannot both go to standard output"));
    }
    Ok(asked)
}

/// `ARCH=FILE`.
fn loader(text: &str) -> Result<(Target, PathBuf), Error> {
    let wrong = || usage(format!("--loader takes ARCH=FILE, such as aarch64=bls-load: {text:?}"));
    let (word, file) =
        text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or_else(wrong)?;
    // What runs there is interpreted.
    let word = if word == "armv7" { Target::Pulley32.short() } else { word };
    Ok((Target::from_word(word).ok_or_else(wrong)?, file.into()))
}

/// The loader beside this program.
fn beside() -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map(|own| own.with_file_name(LOADER));
    own.ok().filter(|path| path.is_file()).ok_or_else(|| {
        Error::new(Defect::Loader, "there is no bls-load beside this program, to verify with")
            .with_hint("put bls-load beside bls-registry")
    })
}

/// Has the artifact verified as a machine of this target would: the one that asks least.
fn verify(
    program: &Path,
    file: &Path,
    artifact: &Artifact<'_>,
    target: Target,
    trust: Option<&Path>,
) -> Result<(), Error> {
    let machine = artifact.machines(target).next().unwrap_or_default();
    let mut command = Command::new(program);
    if let Some(trust) = trust {
        command.arg("--trust").arg(trust);
    }
    // A name with a slash is a file's, whatever it is.
    let file = if file.is_absolute() { file.to_owned() } else { Path::new(".").join(file) };
    command.args(["verify", "--target", &machine]).arg(&file).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        Error::new(Defect::Loader, format!("cannot run {}: {error}", program.display()))
            .with_hint("put bls-load beside bls-registry")
    })?;
    if output.status.success() {
        return Ok(());
    }
    say(String::from_utf8_lossy(&output.stderr).trim_end());
    let what = format!("bls-load refuses {} for {machine}", file.display());
    Err(Error::new(Defect::Refused, what))
}
