//! Artifacts with one defect each, made from two that are good.
//!
//! `fixtures/malformed/base/` holds the good ones; what is made of them here lies in
//! `fixtures/malformed/`, named for its [`Defect`]: an artifact, what lies beside it and
//! makes it one to be refused (a trust file, a record of what was seen, a policy), or
//! both. Guarantees the same bytes from the same bases: keys come from fixed seeds, and
//! nothing is compiled. Says of each defect how bls-load must refuse it; the test
//! `malformed` holds it to that. What is in no file's bytes is a [`Situation`], which a
//! test builds. All of them make one table ([`table`]).

mod compatibility;
mod compression;
mod content;
pub mod deltas;
mod envelope;
mod fat;
mod framing;
mod json;
mod judged;
mod policies;
mod signature;
mod situations;
mod table;
mod trust_files;

use crate::programs::fixtures;
use bls_artifact::artifact::{self, Contents};
use bls_artifact::digest::{Sha256, verity};
use bls_artifact::envelope::Envelope;
use bls_artifact::key::PrivateKey;
use bls_artifact::manifest::{Encoding, Image, Manifest, Statement, Stored};
pub use situations::{Situation, situations};
use std::path::PathBuf;
pub use table::table;

/// Whom the loader is told to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Who signed the bases.
    Builder,
    /// The same, and a second builder.
    BothBuilders,
    /// A key of small order.
    SmallOrder,
}

/// What makes bytes of the good artifacts.
type Make = fn(&Bases) -> Vec<u8>;

/// A file of a [`Defect`], by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The artifact.
    Artifact,
    /// The trust file that decides.
    Trust,
    /// What the machine remembers of the signed trust file that it accepted.
    State,
    /// What a store remembers of the artifact's name.
    Record,
    /// An operator's policy.
    Policy,
    /// A delta that begins with the base.
    Delta,
}

impl Kind {
    /// How the names of such files end.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Artifact => "bls",
            Self::Trust => "trust.json",
            Self::State => "trust.state.json",
            Self::Record => "record",
            Self::Policy => "policy.json",
            Self::Delta => "blsd",
        }
    }
}

/// One defect: how it comes about, and how it must be refused.
pub struct Defect {
    /// The files' name, without an ending.
    pub name: &'static str,
    /// The code of the refusal.
    pub code: &'static str,
    /// A part of the sentence of the refusal.
    pub says: &'static str,
    /// Whom the loader is told to trust, where no trust file says it.
    pub trusted: Trusted,
    /// Options of the run.
    pub options: &'static [&'static str],
    /// Whether it is refused when it is installed, and not when it is run.
    pub is_for_install: bool,
    files: Vec<(Kind, Make)>,
}

impl Defect {
    /// An artifact with a defect of its own.
    fn new(name: &'static str, code: &'static str, says: &'static str, make: Make) -> Self {
        Self::beside(name, code, says).with(Kind::Artifact, make)
    }

    /// Something that is wrong beside an artifact, which is the base unless one is made.
    fn beside(name: &'static str, code: &'static str, says: &'static str) -> Self {
        let (trusted, options) = (Trusted::Builder, &[][..]);
        Self { name, code, says, trusted, options, is_for_install: false, files: Vec::new() }
    }

    fn with(mut self, kind: Kind, make: Make) -> Self {
        self.files.push((kind, make));
        self
    }

    fn trusting(self, trusted: Trusted) -> Self {
        Self { trusted, ..self }
    }

    fn run_with(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    fn installing(self) -> Self {
        Self { is_for_install: true, ..self }
    }

    /// Its files' bytes, by their paths.
    #[must_use]
    pub fn bytes(&self, bases: &Bases) -> Vec<(PathBuf, Vec<u8>)> {
        self.files.iter().map(|(kind, make)| (self.path(*kind), make(bases))).collect()
    }

    /// The kinds of its files.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.files.iter().map(|(kind, _)| *kind)
    }

    /// Its file of this kind, if it has one.
    #[must_use]
    pub fn file(&self, kind: Kind) -> Option<PathBuf> {
        self.kinds().any(|other| other == kind).then(|| self.path(kind))
    }

    /// The artifact that is loaded: its own, or the base.
    #[must_use]
    pub fn artifact(&self) -> PathBuf {
        self.file(Kind::Artifact).unwrap_or_else(|| Bases::path(Bases::NAMES[0]))
    }

    /// Whether its trust file is one of a place where a signed one was accepted.
    #[must_use]
    pub fn is_of_a_place(&self) -> bool {
        self.kinds().any(|kind| kind == Kind::State)
    }

    /// Whether it is a delta's, which is refused where it is installed.
    #[must_use]
    pub fn is_of_a_delta(&self) -> bool {
        self.kinds().any(|kind| kind == Kind::Delta)
    }

    fn path(&self, kind: Kind) -> PathBuf {
        folder().join(format!("{}.{}", self.name, kind.ending()))
    }
}

/// Every defect, by where it is.
#[must_use]
pub fn defects() -> Vec<Defect> {
    let mut all = framing::defects();
    all.extend(envelope::defects());
    all.extend(signature::defects());
    all.extend(json::defects());
    all.extend(content::defects());
    all.extend(compatibility::defects());
    all.extend(fat::defects());
    all.extend(compression::defects());
    all.extend(judged::defects());
    all.extend(trust_files::defects());
    all.extend(policies::defects());
    all.extend(deltas::defects());
    all
}

/// Where the files are.
#[must_use]
pub fn folder() -> PathBuf {
    fixtures().join("malformed")
}

/// The key that signed the bases, which is that of [`crate::programs::Home::new`].
#[must_use]
pub fn builder() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

/// The second builder's.
#[must_use]
pub fn second_builder() -> PrivateKey {
    PrivateKey::from_seed(&[8; 32])
}

/// The key of a seed.
fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

/// A key that nobody trusts.
fn stranger() -> PrivateKey {
    PrivateKey::from_seed(&[99; 32])
}

/// A good artifact with one part, taken apart.
pub struct Base {
    /// All of it.
    pub file: Vec<u8>,
    envelope: Envelope,
    manifest: Manifest,
    part: Vec<u8>,
}

/// The good artifacts: a guest that says hello, and another one.
pub struct Bases {
    /// `fixtures/wat/hello.wat`.
    pub hello: Base,
    /// `fixtures/wat/exit-42.wat`.
    pub other: Base,
}

impl Bases {
    /// The bases' names: that of a fixture and of the artifact made from it.
    pub const NAMES: [&str; 2] = ["hello", "exit-42"];

    /// Where a base is.
    #[must_use]
    pub fn path(name: &str) -> PathBuf {
        folder().join("base").join(format!("{name}.bls"))
    }

    /// Reads them.
    ///
    /// # Panics
    /// When they are not there, or not good.
    #[must_use]
    pub fn read() -> Self {
        let [hello, other] = Self::NAMES.map(|name| {
            let file = std::fs::read(Self::path(name)).expect("a base");
            Base::of(file)
        });
        Self { hello, other }
    }
}

impl Base {
    fn of(file: Vec<u8>) -> Self {
        let (contents, parts) = Contents::parse(&file).expect("a good artifact");
        let envelope = Envelope::parse(contents.envelope).expect("a good envelope");
        let manifest = Statement::parse(envelope.payload()).expect("a good manifest");
        let part = parts[0].to_vec();
        Self { envelope, manifest, part, file }
    }

    /// The file with some of its bytes changed, and nothing mended.
    fn patched(&self, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = self.file.clone();
        change(&mut bytes);
        bytes
    }

    /// The same part below another envelope.
    fn with_envelope(&self, envelope: &[u8]) -> Vec<u8> {
        artifact::write(envelope, &[&self.part])
    }

    /// The same with something else in the text of the envelope.
    fn with_envelope_text(&self, from: &str, to: &str) -> Vec<u8> {
        let text = String::from_utf8(self.envelope.to_bytes()).expect("JSON");
        self.with_envelope(replaced(&text, from, to).as_bytes())
    }

    /// The same below a payload that the builder has signed.
    fn with_payload(&self, payload: Vec<u8>) -> Vec<u8> {
        self.with_envelope(&Envelope::sign(payload, &[&builder()]).to_bytes())
    }

    /// The same with something else in the text of the payload, signed.
    fn with_payload_text(&self, from: &str, to: &str) -> Vec<u8> {
        let text = String::from_utf8(self.envelope.payload().to_vec()).expect("JSON");
        self.with_payload(replaced(&text, from, to).into_bytes())
    }

    /// The same with another manifest, signed.
    fn with_manifest(&self, change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
        let mut manifest = self.manifest.clone();
        change(&mut manifest);
        self.with_payload(Statement::new(manifest).to_bytes())
    }

    /// Other stored bytes in place of the part, signed; the image is what it was.
    fn with_stored(&self, encoding: Encoding, stored: &[u8]) -> Vec<u8> {
        let mut manifest = self.manifest.clone();
        manifest.parts[0].stored =
            Stored { encoding, length: stored.len() as u64, sha256: Sha256::of(stored) };
        if encoding != Encoding::Zstd {
            manifest.compiler.compression = None;
        }
        let payload = Statement::new(manifest).to_bytes();
        let envelope = Envelope::sign(payload, &[&builder()]);
        artifact::write(&envelope.to_bytes(), &[stored])
    }

    /// The same with another manifest, signed by the key of this seed.
    fn signed_by(&self, seed: u8, change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
        let mut manifest = self.manifest.clone();
        change(&mut manifest);
        let payload = Statement::new(manifest).to_bytes();
        self.with_envelope(&Envelope::sign(payload, &[&key(seed)]).to_bytes())
    }

    /// Another image in place of the part, signed.
    fn with_image(&self, image: &[u8]) -> Vec<u8> {
        let (length, sha256) = (image.len() as u64, Sha256::of(image));
        let mut manifest = self.manifest.clone();
        manifest.parts[0].image = Image { length, sha256, verity: verity(image) };
        manifest.parts[0].stored = Stored { encoding: Encoding::Raw, length, sha256 };
        manifest.compiler.compression = None;
        let payload = Statement::new(manifest).to_bytes();
        let envelope = Envelope::sign(payload, &[&builder()]);
        artifact::write(&envelope.to_bytes(), &[image])
    }

    /// The image, decompressed.
    fn image(&self) -> Vec<u8> {
        crate::parts::image(&self.manifest.parts[0], &self.part)
    }
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1)
}

/// A public key of small order, as a file that `--trust` takes.
#[must_use]
pub fn small_order_pem() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let der = signature::spki(&signature::SMALL_ORDER_KEY);
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der))
}
