//! How an artifact comes to be: left as it is, taken from a cache, or compiled and signed.
//!
//! The order is the one of security: the process that parses the module is made first, then the
//! key is looked for, and only what this key has signed, or one that the user names, is taken for
//! what it would make now.
//! Guarantees that a cache never makes a difference but in time: what is in it and is not what
//! would be made is compiled again, with a word about it, and one that cannot be written is
//! a word too. Writes no result.

use super::Failure;
use crate::again::recognise;
use crate::child::{Allowance, Child, Job};
use crate::compile::effort::Effort;
use crate::given::Given as Artifact;
use crate::input::{Given, artifact_name, is_binary};
use crate::key_of::key_of;
use crate::pipeline::{self, Options, Stage};
use crate::program::cache::{Cache, CacheError, Entry, Found};
use crate::program::keystore::{self, SigningKey, Wanted};
use crate::program::modules::ModulesError;
use crate::program::progress::Progress;
use crate::sign;
use bls_artifact::digest::Sha256;
use bls_artifact::key::PublicKey;
use bls_artifact::text::printable;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is wanted, and where it may be already.
pub(super) struct Wish<'a> {
    pub(super) given: Given,
    pub(super) options: Options,
    pub(super) limits: Allowance,
    pub(super) signing: &'a Wanted,
    /// The file that the result is for, where one that answers is to be left as it is.
    pub(super) existing: Option<&'a Path>,
    /// Where results are kept.
    pub(super) cache: Option<Kept<'a>>,
    /// Whose signature on what is kept counts, beside that of who signs now.
    pub(super) trusted: &'a [PublicKey],
    /// Whether a line shows how far it is.
    pub(super) progress: bool,
    /// Since when.
    pub(super) reading: Instant,
}

/// A cache, and how it names this artifact.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) cache: &'a Cache,
    /// Where there may be several of one key: of each name.
    pub(super) name: Option<&'a str>,
    /// Whether the result is its entry: then one that cannot be kept is a failure.
    pub(super) is_result: bool,
}

/// How an artifact came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Compiled,
    Cached,
    Unchanged,
}

impl How {
    /// The word for it in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::Cached => "cached",
            Self::Unchanged => "unchanged",
        }
    }
}

/// An artifact, and how it came to be.
pub(super) struct Obtained {
    pub(super) artifact: sign::Artifact,
    pub(super) how: How,
    pub(super) key: Sha256,
    pub(super) source_bytes: u64,
    /// Where it was compiled: the bytes of the module that was, and how well.
    pub(super) compiled: Option<(u64, Effort)>,
    /// Time of each stage that ran, in order.
    pub(super) times: Vec<(Stage, Duration)>,
    /// Where it is kept.
    pub(super) kept: Option<PathBuf>,
    /// The debug file of what was compiled, where one is wanted.
    pub(super) debug_file: Option<Vec<u8>>,
}

/// Gets it; `note` is told what a user should know of.
pub(super) fn obtain(wish: Wish<'_>, note: &mut dyn FnMut(String)) -> Result<Obtained, Failure> {
    let Wish { given, options, limits, signing, existing, cache, trusted, progress, reading } =
        wish;
    let source = given.digest().map_err(ModulesError::from)?;
    let label = given.label().to_owned();
    let source_bytes = given.all().map(|(_, one)| one.bytes.len() as u64).sum();
    let is_text = given.all().any(|(_, one)| !is_binary(&one.bytes));
    // Before there is a key, though nothing may be left to compile: the other process waits.
    let mut child = Child::start(given, Job::Build(options.clone()), limits)?;
    let progress = Progress::start(&label, progress);
    progress.stage(Stage::Input);
    // What is no module is refused before anything is made for it.
    if is_text || (existing.is_none() && cache.is_none()) {
        let _ = child.read()?;
    }
    let read_time = reading.elapsed();
    // A key that cannot be used is refused before the work; none is made for an artifact that
    // cannot be.
    let found = keystore::find(signing)?;
    if let Some(kept) = cache.filter(|kept| kept.is_result) {
        kept.cache.make()?;
    }
    let key = key_of(source, &options);
    let search = Search { source, key, options: &options, trusted, source_bytes };
    if let Some(signing) = &found
        && let Some(obtained) = search.look(&label, signing, existing, cache, note)?
    {
        return Ok(obtained);
    }
    let unsigned = child.build(&mut |stage| progress.stage(stage))?;
    drop(progress);
    let signing = match found {
        Some(found) => found,
        None => open(signing, note)?,
    };
    let signature = signing.signer.sign(&unsigned.message())?;
    let mut built = unsigned.seal(&[(signing.public(), signature)], &mut |_| {})?;
    built.times.insert(0, (Stage::Input, read_time));
    let kept = search.keep(&built.artifact, &signing, true, cache, note)?;
    Ok(Obtained {
        artifact: built.artifact,
        how: How::Compiled,
        key: search.key,
        source_bytes: built.source_bytes,
        compiled: Some((built.compiled_bytes, built.effort)),
        times: built.times,
        kept,
        debug_file: built.debug_file,
    })
}

/// What is said of a cache that cannot be used.
pub(super) fn without(error: &CacheError) -> String {
    printable(&format!("bls-compile: cache: {error}; compiled without it"))
}

/// Opens the key, which is made where it is missing.
fn open(wanted: &Wanted, note: &mut dyn FnMut(String)) -> Result<SigningKey, Failure> {
    let signing = keystore::open(wanted)?;
    if let Some(made) = &signing.made {
        note(made.to_string());
    }
    Ok(signing)
}

/// What is looked for.
struct Search<'a> {
    source: Sha256,
    key: Sha256,
    options: &'a Options,
    trusted: &'a [PublicKey],
    source_bytes: u64,
}

impl Search<'_> {
    /// Looks where it may be already.
    fn look(
        &self,
        label: &str,
        signing: &SigningKey,
        existing: Option<&Path>,
        cache: Option<Kept<'_>>,
        note: &mut dyn FnMut(String),
    ) -> Result<Option<Obtained>, Failure> {
        // What cannot be is said by whoever makes it.
        let Ok(name) = self.options.artifact_name(&artifact_name(label)) else { return Ok(None) };
        if self.options.check().is_err() {
            return Ok(None);
        }
        if let Some(artifact) = existing.and_then(|path| self.unchanged(path, &name, signing)) {
            return Ok(Some(self.obtained(artifact, How::Unchanged, None)));
        }
        let Some(kept) = cache else { return Ok(None) };
        let own = signing.public();
        let mut wrong = Vec::new();
        let tell = |wrong: Vec<String>, then: &str, note: &mut dyn FnMut(String)| {
            for what in wrong {
                note(printable(&format!("bls-compile: cache: {what}; {then}")));
            }
        };
        for signer in iter::once(&own).chain(self.trusted.iter().filter(|key| **key != own)) {
            for found in kept.cache.find(Entry::new(kept.name, self.key, signer.id())) {
                let found = match found {
                    Ok(found) => found,
                    Err(error) => {
                        note(without(&error));
                        continue;
                    }
                };
                match self.again(&found, &name, signer, signing)? {
                    Ok((artifact, is_there)) => {
                        tell(wrong, "another is used", note);
                        let path = match is_there {
                            true => found.path,
                            false => self.keep(&artifact, signing, false, cache, note)?,
                        };
                        return Ok(Some(self.obtained(artifact, How::Cached, path)));
                    }
                    Err(why) => {
                        let place = &found.place;
                        wrong.push(format!("{place} is not what it should be: {why}"));
                    }
                }
            }
        }
        tell(wrong, "compiled again", note);
        Ok(None)
    }

    /// What was found as the artifact that is wanted, and whether that is what is kept nearby, to
    /// the byte; or why it is something else.
    fn again(
        &self,
        found: &Found,
        name: &str,
        signer: &PublicKey,
        signing: &SigningKey,
    ) -> Result<Result<(sign::Artifact, bool), String>, Failure> {
        let given = match Artifact::parse(&found.bytes, Path::new("it")) {
            Ok(given) => given,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let again = match recognise(&given, self.source, self.options, signer) {
            Ok(again) => again,
            Err(unlike) => return Ok(Err(unlike.to_string())),
        };
        // As it would be compiled, with this key's signature and no other.
        let is_own = *signer == signing.public() && given.envelope.claims().len() == 1;
        if is_own && again.is_release(name, self.options) {
            let artifact = sign::Artifact::again(again, found.bytes.clone());
            return Ok(Ok((artifact, found.path.is_some())));
        }
        let assembled = again.reassemble(name, self.options);
        let signature = signing.signer.sign(&sign::message(&assembled))?;
        let next = sign::seal(&assembled, &[(signing.public(), signature)]);
        Ok(Ok((next.map_err(pipeline::Error::Sign)?, false)))
    }

    /// The artifact that lies where the result belongs, if it is the result. Who else has signed
    /// it matters to nobody.
    fn unchanged(&self, path: &Path, name: &str, signing: &SigningKey) -> Option<sign::Artifact> {
        if !path.is_file() {
            return None;
        }
        let bytes = crate::given::read(path).ok()?;
        let given = Artifact::parse(&bytes, path).ok()?;
        let again = recognise(&given, self.source, self.options, &signing.public()).ok()?;
        let is_it = again.is_release(name, self.options);
        is_it.then(|| sign::Artifact::again(again, bytes.clone()))
    }

    fn obtained(&self, artifact: sign::Artifact, how: How, kept: Option<PathBuf>) -> Obtained {
        Obtained {
            artifact,
            how,
            key: self.key,
            source_bytes: self.source_bytes,
            compiled: None,
            times: Vec::new(),
            kept,
            debug_file: None,
        }
    }

    /// Keeps an artifact, where that is wanted; what `is_new` on a server too.
    fn keep(
        &self,
        artifact: &sign::Artifact,
        signing: &SigningKey,
        is_new: bool,
        cache: Option<Kept<'_>>,
        note: &mut dyn FnMut(String),
    ) -> Result<Option<PathBuf>, Failure> {
        let Some(kept) = cache else { return Ok(None) };
        let entry = Entry::new(kept.name, self.key, signing.public().id());
        let mut failed = None;
        let path = kept.cache.keep(entry, artifact.bytes(), is_new, &mut |error| {
            if kept.is_result {
                failed = Some(error);
                return;
            }
            let what = format!("bls-compile: cache: {error}; the result is not kept there");
            note(printable(&what));
        });
        failed.map_or(Ok(path), |error| Err(error.into()))
    }
}
