//! Good artifacts, made quickly: small images, each release signed once.

use super::Choices;
use bls_artifact::artifact::{self, Contents};
use bls_artifact::digest::{Sha256, verity};
use bls_artifact::envelope::Envelope;
use bls_artifact::key::PrivateKey;
use bls_artifact::limits::{JSON_INTEGER_MAX, SEQUENCE_JUMP_MAX};
use bls_artifact::manifest::{Encoding, Image, Manifest, Part, Statement, Stored};
use bls_artifact::target::{EngineProfile, Nans, Target};
use bls_artifact::trust::Trust;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Names of artifacts; the last cannot be called.
pub(super) const NAMES: [&str; 5] = ["app", "b", "app-2", "C_3", "d.bls"];
const SEQUENCES: [u64; 8] =
    [0, 1, 2, 3, 9, 1 + SEQUENCE_JUMP_MAX, 3 + SEQUENCE_JUMP_MAX, JSON_INTEGER_MAX];
/// Images; two releases may share one.
const WORDS: [&str; 4] = ["", "one", "two", "a longer one, which is written in several pieces"];

/// A good artifact.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) name: String,
    pub(super) sequence: u64,
    pub(super) identity: Sha256,
    /// The image that runs here.
    pub(super) image: Sha256,
    pub(super) file: Vec<u8>,
}

impl Release {
    /// Its files in a store: record, envelope, image.
    pub(super) fn files(&self) -> [String; 3] {
        [
            format!("names/{}", self.name),
            format!("artifacts/{}", self.identity),
            format!("images/{}", self.image),
        ]
    }
}

/// Who is trusted: the key of [`crate::programs::Home::new`].
pub(crate) fn trust() -> Trust {
    Trust::only(key().public())
}

/// The key of the trusted builder.
pub(crate) fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

/// How a release is made: name, sequence, word, whether compressed, whether fat.
type Recipe = (usize, usize, usize, bool, bool);

/// The release that these bytes choose.
pub(super) fn release(choices: &mut Choices<'_>) -> Arc<Release> {
    static MADE: LazyLock<Mutex<HashMap<Recipe, Arc<Release>>>> = LazyLock::new(Mutex::default);
    let (name, sequence) = (choices.below(NAMES.len()), choices.below(SEQUENCES.len()));
    let rest = choices.below(16);
    let recipe = (name, sequence, rest % WORDS.len(), rest & 4 != 0, rest & 8 != 0);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(made.entry(recipe).or_insert_with(|| Arc::new(make(recipe))))
}

fn make((name, sequence, word, is_compressed, is_fat): Recipe) -> Release {
    let mut manifest = template();
    manifest.name = NAMES[name].to_owned();
    manifest.sequence = SEQUENCES[sequence];
    manifest.compiler.compression = is_compressed.then_some(3);
    let host = Target::host().expect("a host");
    let mut targets = vec![host];
    if is_fat {
        targets.push(Target::Pulley64);
    }
    let (mut parts, mut stored) = (Vec::new(), Vec::new());
    for target in targets {
        let image = format!("code for {target}: {}\n", WORDS[word].repeat(50)).into_bytes();
        let bytes = match is_compressed {
            true => zstd::bulk::compress(&image, 3).expect("a zstd frame"),
            false => image.clone(),
        };
        parts.push(part(&manifest.parts[0], target, &image, &bytes, is_compressed));
        stored.push(bytes);
    }
    manifest.parts = parts;
    let image = manifest.parts[0].image.sha256;
    let name = manifest.name.clone();
    let envelope = Envelope::sign(Statement::new(manifest).to_bytes(), &[&key()]);
    let stored: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
    let file = artifact::write(&envelope.to_bytes(), &stored);
    let sequence = SEQUENCES[sequence];
    Release { name, sequence, identity: envelope.identity(), image, file }
}

/// A part for this target, with this image, stored so.
pub(crate) fn part(
    like: &Part,
    target: Target,
    image: &[u8],
    stored: &[u8],
    is_compressed: bool,
) -> Part {
    let encoding = if is_compressed { Encoding::Zstd } else { Encoding::Raw };
    Part {
        target,
        cpu_features: Vec::new(),
        profile: EngineProfile::of(target, Nans::Canonical),
        stored: Stored { encoding, length: stored.len() as u64, sha256: Sha256::of(stored) },
        image: Image {
            length: image.len() as u64,
            sha256: Sha256::of(image),
            verity: verity(image),
        },
        ..like.clone()
    }
}

/// The manifest of a real artifact.
pub(crate) fn template() -> Manifest {
    static TEMPLATE: LazyLock<Manifest> = LazyLock::new(|| {
        let file = include_bytes!("../../../fixtures/malformed/base/hello.bls");
        let (contents, _) = Contents::parse(file).expect("a good artifact");
        let envelope = Envelope::parse(contents.envelope).expect("a good envelope");
        Statement::parse(envelope.payload()).expect("a good manifest")
    });
    TEMPLATE.clone()
}
