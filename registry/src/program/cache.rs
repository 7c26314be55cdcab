//! `bls-registry cache`: what `bls-compile --cache URL` starts.
//!
//! `get` gives an entry on standard output once it is whole, `put` takes one on standard input,
//! `probe` says whether somebody is there.

use super::{Common, malformed, no_option, option_name, unwritable, usage};
use crate::cache::{Cache, gather};
use crate::error::Error;
use bls_artifact::digest::Sha256;
use bls_artifact::registry::AUTHORIZATION;
use lexopt::{Arg, Parser, ValueExt as _};
use std::env;
use std::io::{Seek as _, copy, stdin, stdout};
use std::path::Path;

/// The options, as the help explains them.
pub(super) const OPTIONS: [&str; 2] = ["authorities", "max-time"];

pub(super) fn run(parser: &mut Parser) -> Result<(), Error> {
    let mut common = Common::default();
    let mut words = Vec::new();
    while let Some(argument) = parser.next().map_err(malformed)? {
        if let Arg::Value(word) = argument {
            words.push(word.string().map_err(malformed)?);
            continue;
        }
        let name = option_name(&argument).unwrap_or_default();
        if !OPTIONS.contains(&name.as_str()) || !common.option(&name, parser)? {
            return Err(no_option(&name, &OPTIONS));
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let authorization = env::var_os(AUTHORIZATION).filter(|value| !value.is_empty());
    let cache = |place: &str| Cache::new(place, &common.manner, authorization.clone());
    match words[..] {
        ["probe", place] => cache(place)?.probe(),
        ["get", place, name] => {
            let (cache, entry) = (cache(place)?, entry(name)?);
            // Nobody reads what may turn out to be half of it.
            let failed = |error: std::io::Error| unwritable(Path::new("standard output"), &error);
            let mut file = tempfile::tempfile().map_err(failed)?;
            let _ = cache.get(entry, &mut file)?;
            file.rewind().and_then(|()| copy(&mut file, &mut stdout())).map_err(failed)?;
            Ok(())
        }
        ["put", place, name] => {
            let (cache, entry) = (cache(place)?, entry(name)?);
            cache.put(entry, &gather(&mut stdin().lock())?)
        }
        _ => Err(usage("cache takes get, put or probe, a URL, and but for probe a digest")),
    }
}

fn entry(name: &str) -> Result<Sha256, Error> {
    Sha256::from_hex(name).ok_or_else(|| usage(format!("{name:?} is no entry: 64 digits")))
}
