//! The signed statement: what an artifact is, what it needs, what it may do.
//!
//! An in-toto Statement (v1) whose predicate is our [`Manifest`]. Field order in
//! these structs is the order in the bytes: [`Statement::to_bytes`] is the one
//! spelling, and [`Statement::parse`] accepts nothing else. Guarantees after a
//! parse: no unknown field, no duplicate, no number above 2⁵³−1, names within
//! their caps, one subject for each part. Does not judge whether this machine
//! can or may run it: that is the loader's.

use crate::capability::{Capability, Permission};
use crate::control_flow;
use crate::digest::Sha256;
use crate::fuel::{PROFILE_EXTENSION, PROFILE_VERSION};
use crate::json::{self, JsonError};
use crate::limits::{
    DOCUMENT_NAME_BYTES_MAX, DOCUMENTS_MAX, JSON_INTEGER_MAX, NEEDS_MAX, ZSTD_LEVEL_MAX,
    ZSTD_WINDOW_MAX, ZSTD_WINDOW_MIN,
};
use crate::name::{self, NameError};
use crate::recipe::{self, Recipe};
use crate::target::{EngineProfile, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

mod parts;

/// in-toto's Statement type.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What the predicate is: a manifest of this format.
pub const PREDICATE_TYPE: &str = "https://blockless.network/bls/manifest/v1";
/// The extension that stands for the list of exports, where that is too long for a manifest.
pub const EXPORTS_EXTENSION: &str = "exports";
/// Extensions that this reader understands.
const EXTENSIONS: [&str; 4] =
    [EXPORTS_EXTENSION, PROFILE_EXTENSION, control_flow::EXTENSION, recipe::EXTENSION];

/// Why a signed payload is no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// Not the JSON of a statement.
    Json(JsonError),
    /// Another statement or predicate type.
    Type(String),
    /// An extension marked critical that this program does not know.
    Critical(String),
    /// A name that cannot be an artifact's.
    Name(NameError),
    /// An integer that not every reader of JSON keeps exactly.
    NumberRange(u64),
    /// Another list of subjects than the parts'.
    Subjects,
    /// A field whose value is not allowed; which, and why.
    Field(&'static str),
    /// Valid, but not the one spelling that is allowed.
    NotCanonical,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(what) => write!(f, "the manifest is not valid: {what}"),
            Self::Type(kind) => write!(f, "{kind:?} is not a type of statement this program reads"),
            Self::Critical(name) => {
                write!(
                    f,
                    "the manifest needs the extension {name:?}, which this program does not know"
                )
            }
            Self::Name(error) => write!(f, "the manifest is not valid: {error}"),
            Self::NumberRange(number) => {
                write!(f, "the manifest is not valid: the number {number} is above 2^53-1")
            }
            Self::Subjects => {
                write!(f, "the manifest is not valid: the subjects are not the parts")
            }
            Self::Field(what) => write!(f, "the manifest is not valid: {what}"),
            Self::NotCanonical => write!(f, "the manifest is not in canonical form"),
        }
    }
}

impl std::error::Error for ManifestError {}

impl ManifestError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(JsonError::Utf8(_)) => "manifest.utf8",
            Self::Json(JsonError::Truncated(_)) => "manifest.truncated",
            Self::Json(JsonError::Trailing(_)) => "manifest.trailing-bytes",
            Self::Json(JsonError::Depth) => "manifest.depth",
            Self::Json(JsonError::Syntax(_)) => "manifest.syntax",
            Self::Json(JsonError::DuplicateField(_)) => "manifest.duplicate-field",
            Self::Json(JsonError::UnknownField(_)) => "manifest.unknown-field",
            Self::Json(JsonError::MissingField(_)) => "manifest.missing-field",
            Self::Json(JsonError::Value(_)) => "manifest.value",
            Self::Type(_) => "manifest.type",
            Self::Critical(_) => "manifest.critical",
            Self::Name(_) => "manifest.name",
            Self::NumberRange(_) => "manifest.number-range",
            Self::Subjects => "manifest.subjects",
            Self::Field(_) => "manifest.field",
            Self::NotCanonical => "manifest.not-canonical",
        }
    }
}

/// The in-toto Statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Manifest,
}

/// What the statement is about: one native image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectDigest {
    sha256: Sha256,
}

/// What an artifact is. FORMAT.md describes each field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name its builder gave it; see [`name::check`].
    pub name: String,
    /// A number that rises with each release, against rollback; 0 is unset.
    pub sequence: u64,
    /// Seconds since 1970 at which it was made, when asked for
    /// (`SOURCE_DATE_EPOCH`).
    pub created: Option<u64>,
    /// Seconds since 1970 after which it must not run.
    pub expires: Option<u64>,
    /// SHA-256 of the module that was given to the compiler, or of the recipe's text.
    pub source: Sha256,
    /// SHA-256 of the module that was compiled: the metered one, or the source.
    pub compiled: Sha256,
    /// What made it.
    pub compiler: Compiler,
    /// Documents about the source that its builder vouches for, sorted.
    pub documents: Vec<Document>,
    /// How it is metered; `None` when it is not.
    pub fuel: Option<Fuel>,
    /// What the module looks like from outside.
    pub module: Module,
    /// What its imports may use, sorted.
    pub may_use: Vec<Capability>,
    /// What it does not start without, sorted. Paths are the guest's.
    pub needs: Vec<Permission>,
    /// Limits its builder asks for.
    pub limits: Limits,
    /// The native images.
    pub parts: Vec<Part>,
    /// Names in `extensions` that a reader must know.
    pub critical: Vec<String>,
    /// Room for what later versions add.
    pub extensions: BTreeMap<String, String>,
}

/// The program that made the artifact, and its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compiler {
    /// The version of bls-compile.
    pub version: String,
    /// The wasmtime release that generated the code.
    pub engine: String,
    /// The zstd level of every part; `None` where all are raw.
    pub compression: Option<u32>,
    /// The most window that a part's frame asks for, in bytes, where the builder chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
}

/// What a document says of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentKind {
    /// How it was built, as SLSA's provenance says it.
    Provenance,
    /// What it is made of: a software bill of materials.
    Sbom,
}

impl DocumentKind {
    /// The word for it in the manifest.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Provenance => "provenance",
            Self::Sbom => "sbom",
        }
    }
}

/// A document beside the artifact, by digest. Nothing here reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What it is.
    pub kind: DocumentKind,
    /// The name of its file, without a folder.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
}

/// How a module is metered (FUEL.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fuel {
    /// The model's name.
    pub model: String,
    /// The version of the plan.
    pub plan: u32,
    /// SHA-256 of the cost table.
    pub cost_table: Sha256,
    /// S: the most units that run between two checks without being paid for.
    pub overrun_max: u64,
    /// Units charged before instantiation: constant expressions, segments,
    /// initial tables.
    pub instantiation: u64,
}

/// The kind of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Has a `_start` export, or one of the empty name: runs and ends.
    Command,
    /// Has an `_initialize` export, called once before any other.
    Reactor,
    /// Has neither.
    Library,
}

/// A module from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Command, reactor or library.
    pub kind: Kind,
    /// Whether there is a `start` function (exported as `__bls_start`).
    pub start: bool,
    /// Every import.
    pub imports: Vec<Import>,
    /// Every exported function, table, memory, global and tag; none of them where
    /// [`Manifest::unlisted_exports`] says how many there are.
    pub exports: Vec<Export>,
    /// Every memory, imported ones first.
    pub memories: Vec<Memory>,
    /// Every table, imported ones first.
    pub tables: Vec<Table>,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The module it is imported from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Its type, as in the text format: `func (param i32) (result i32)`.
    #[serde(rename = "type")]
    pub ty: String,
}

/// One export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Its type, as in the text format.
    #[serde(rename = "type")]
    pub ty: String,
}

/// One linear memory. Sizes are in pages of `page_size` bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Pages at the start.
    pub minimum: u64,
    /// Declared maximum, capped at 2⁵³−1.
    pub maximum: Option<u64>,
    /// Bytes in a page.
    pub page_size: u64,
    /// Bits in an address: 32 or 64.
    pub address_bits: u32,
}

/// One table. Sizes are in elements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Elements at the start.
    pub minimum: u64,
    /// Declared maximum, capped at 2⁵³−1.
    pub maximum: Option<u64>,
}

/// Limits that the builder asks for. A loader may set lower ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of all linear memories together.
    pub memory: Option<u64>,
    /// Units of fuel. Not there where nobody asked for it, as before there were such limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Milliseconds of a run. The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
}

/// One native image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What it runs on.
    pub target: Target,
    /// CPU features the code uses beyond the architecture's own, by
    /// cranelift's names, sorted.
    pub cpu_features: Vec<String>,
    /// Bytes that its sections are aligned to: the largest page it runs with.
    pub page_size: u64,
    /// What wasmtime compares: [`crate::target::ENGINE_COMPATIBILITY`].
    pub engine: String,
    /// The settings of the engine.
    pub profile: EngineProfile,
    /// How it is stored.
    pub stored: Stored,
    /// What it is when it is mapped.
    pub image: Image,
}

/// How the bytes of a part are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// The image itself.
    Raw,
    /// The image without its long runs of zeros ([`crate::sparse`]).
    Sparse,
    /// One zstd frame (RFC 8878).
    Zstd,
}

/// A part as it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// Raw, sparse or zstd.
    pub encoding: Encoding,
    /// Bytes in the file.
    pub length: u64,
    /// SHA-256 of those bytes.
    pub sha256: Sha256,
}

/// A part as it is mapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Bytes of the image: the most that a decompressor may write.
    pub length: u64,
    /// SHA-256 of the image.
    pub sha256: Sha256,
    /// fs-verity digest of the image (SHA-256, 4096-byte blocks, no salt).
    pub verity: Sha256,
}

impl Statement {
    /// The statement about `manifest`.
    #[must_use]
    pub fn new(manifest: Manifest) -> Self {
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject: parts::subjects(&manifest),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: manifest,
        }
    }

    /// The one spelling of this statement.
    ///
    /// # Panics
    /// Never: there is nothing in it that JSON cannot say.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, integers and lists only")
    }

    /// Reads a signed payload and gives the manifest in it.
    ///
    /// # Errors
    /// [`ManifestError`] for anything [`Statement::to_bytes`] would not write.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let statement: Self = json::read(bytes).map_err(ManifestError::Json)?;
        if statement.kind != STATEMENT_TYPE {
            return Err(ManifestError::Type(statement.kind));
        }
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(ManifestError::Type(statement.predicate_type));
        }
        let manifest = &statement.predicate;
        if let Some(unknown) =
            manifest.critical.iter().find(|name| !EXTENSIONS.contains(&name.as_str()))
        {
            return Err(ManifestError::Critical(unknown.clone()));
        }
        name::check(&manifest.name).map_err(ManifestError::Name)?;
        if let Some(number) = manifest.integers().find(|number| *number > JSON_INTEGER_MAX) {
            return Err(ManifestError::NumberRange(number));
        }
        manifest.check().map_err(ManifestError::Field)?;
        if statement.subject != parts::subjects(manifest) {
            return Err(ManifestError::Subjects);
        }
        if statement.to_bytes() != bytes {
            return Err(ManifestError::NotCanonical);
        }
        Ok(statement.predicate)
    }
}

impl Manifest {
    /// Whether the module also counts its fuel by function (FUEL.md, "Profile").
    #[must_use]
    pub fn counts_by_function(&self) -> bool {
        let version = self.extensions.get(PROFILE_EXTENSION);
        self.fuel.is_some() && version.is_some_and(|version| version == PROFILE_VERSION)
    }

    /// Whether the code of `part`, which is one of this manifest's, has what keeps control
    /// flow inside it (`control_flow.rs`).
    #[must_use]
    pub fn keeps_control_flow(&self, part: &Part) -> bool {
        let version = self.extensions.get(control_flow::EXTENSION);
        let is_said = version.is_some_and(|version| version == control_flow::VERSION);
        !part.target.is_portable() && (is_said || !control_flow::must_be_said(part.target))
    }

    /// How many exports the module has, and the SHA-256 of their list as
    /// [`Module::exports`] would have it; `None` where that has them.
    #[must_use]
    pub fn unlisted_exports(&self) -> Option<(u64, Sha256)> {
        parse_unlisted(self.extensions.get(EXPORTS_EXTENSION)?)
    }

    /// What it was linked from; `None` where its source is one module.
    #[must_use]
    pub fn recipe(&self) -> Option<Recipe> {
        Recipe::parse(self.extensions.get(recipe::EXTENSION)?).ok()
    }

    /// What serde's types cannot say.
    fn check(&self) -> Result<(), &'static str> {
        if self.extensions.contains_key(EXPORTS_EXTENSION)
            && (self.unlisted_exports().is_none() || !self.module.exports.is_empty())
        {
            return Err("exports are listed, or counted with the digest of their list");
        }
        if self.limits.fuel.is_some() && self.fuel.is_none() {
            return Err("a limit on fuel takes an artifact that counts it");
        }
        if self.extensions.contains_key(recipe::EXTENSION)
            && self.recipe().map(|recipe| recipe.digest()) != Some(self.source)
        {
            return Err(
                "what it was linked from must be a recipe, and its source that recipe's digest",
            );
        }
        if self.created.zip(self.expires).is_some_and(|(created, expires)| expires <= created) {
            return Err("it must expire after it was created");
        }
        self.check_compression()?;
        self.check_documents()?;
        if !self.may_use.is_sorted_by(|a, b| a < b) {
            return Err("capabilities must be sorted");
        }
        if self.needs.len() > NEEDS_MAX || !self.needs.is_sorted_by(|a, b| a < b) {
            return Err("needs must be sorted, and at most 256");
        }
        if !self.needs.iter().all(Permission::is_definite) {
            return Err("a need of env, fs or an extension must say which");
        }
        parts::check(&self.parts)
    }

    /// The zstd level is there exactly where parts are compressed.
    fn check_compression(&self) -> Result<(), &'static str> {
        let is_zstd = |part: &Part| part.stored.encoding == Encoding::Zstd;
        let is_window = |bytes: u64| {
            bytes.is_power_of_two() && (ZSTD_WINDOW_MIN..=ZSTD_WINDOW_MAX).contains(&bytes)
        };
        if self.compiler.window.is_some_and(|bytes| !is_window(bytes))
            || self.compiler.window.is_some() && self.compiler.compression.is_none()
        {
            return Err("a window is of compressed parts, and a power of two from 1 KiB to 8 MiB");
        }
        match self.compiler.compression {
            None if !self.parts.iter().any(is_zstd) => Ok(()),
            Some(1..=ZSTD_LEVEL_MAX) if self.parts.iter().all(is_zstd) => Ok(()),
            _ => Err("the zstd level is 1 to 22 where parts are compressed, and null elsewhere"),
        }
    }

    fn check_documents(&self) -> Result<(), &'static str> {
        let sorted = self.documents.is_sorted_by(|a, b| (a.kind, &a.name) < (b.kind, &b.name));
        if self.documents.len() > DOCUMENTS_MAX || !sorted {
            return Err("documents must be sorted by kind and name, and at most 16");
        }
        if !self.documents.iter().all(|document| is_file_name(&document.name)) {
            return Err(
                "a document's name must be a file's, without a folder or control characters",
            );
        }
        Ok(())
    }

    /// Every integer of the manifest.
    fn integers(&self) -> impl Iterator<Item = u64> + '_ {
        let memories = self
            .module
            .memories
            .iter()
            .flat_map(|memory| [memory.minimum, memory.maximum.unwrap_or(0), memory.page_size]);
        let tables =
            self.module.tables.iter().flat_map(|table| [table.minimum, table.maximum.unwrap_or(0)]);
        let parts = self.parts.iter().flat_map(|part| {
            let profile = &part.profile;
            let sizes = [profile.memory_reservation, profile.memory_guard];
            sizes.into_iter().chain([part.stored.length, part.image.length, part.page_size])
        });
        let metering = self.fuel.iter().flat_map(|fuel| [fuel.overrun_max, fuel.instantiation]);
        let Limits { memory, fuel, time_ms } = self.limits;
        let options = [self.created, self.expires, memory, fuel, time_ms];
        memories
            .chain(tables)
            .chain(parts)
            .chain(metering)
            .chain(options.into_iter().flatten())
            .chain([self.sequence])
    }
}

/// What stands for a list of exports: how many, and the digest of the list.
#[must_use]
pub fn unlisted(count: usize, list: Sha256) -> String {
    format!("{count} {list}")
}

/// Reads what [`unlisted`] wrote, and nothing else.
fn parse_unlisted(text: &str) -> Option<(u64, Sha256)> {
    let (count, list) = text.split_once(' ')?;
    let found = (count.parse().ok()?, Sha256::from_hex(list)?);
    (format!("{} {}", found.0, found.1) == text).then_some(found)
}

/// Whether `name` can be a file's, in one folder, without control characters.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= DOCUMENT_NAME_BYTES_MAX
        && !name.chars().any(|letter| letter == '/' || letter.is_control())
        && name != "."
        && name != ".."
}

/// A value that fits into signed JSON.
#[must_use]
pub fn saturate(number: u64) -> u64 {
    number.min(JSON_INTEGER_MAX)
}

/// A manifest for tests.
#[cfg(test)]
pub(crate) fn example() -> Manifest {
    let image = b"an image";
    Manifest {
        name: "app".into(),
        sequence: 0,
        created: None,
        expires: None,
        source: Sha256::of(b"source"),
        compiled: Sha256::of(b"metered"),
        compiler: Compiler {
            version: "0.1.0".into(),
            engine: "48.0.8".into(),
            compression: None,
            window: None,
        },
        documents: vec![Document {
            kind: DocumentKind::Sbom,
            name: "app.spdx.json".into(),
            sha256: Sha256::of(b"sbom"),
        }],
        fuel: None,
        module: Module {
            kind: Kind::Command,
            start: false,
            imports: vec![],
            exports: vec![],
            memories: vec![],
            tables: vec![],
        },
        may_use: vec![Capability::Arguments, Capability::FilesWrite],
        needs: vec![Permission::parse("fs.write:/data").unwrap()],
        limits: Limits::default(),
        parts: vec![Part {
            target: Target::X86_64,
            cpu_features: vec!["has_sse3".into()],
            page_size: 4096,
            engine: "48".into(),
            profile: EngineProfile::of(Target::X86_64, crate::target::Nans::Canonical),
            stored: Stored {
                encoding: Encoding::Raw,
                length: image.len() as u64,
                sha256: Sha256::of(image),
            },
            image: Image {
                length: image.len() as u64,
                sha256: Sha256::of(image),
                verity: crate::digest::verity(image),
            },
        }],
        critical: vec![],
        extensions: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests;
