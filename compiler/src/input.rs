//! Stage *input*: bytes become a [`Source`] or a [`Component`], or are refused by name.
//!
//! Text (WAT) is encoded here, so that later stages see binaries only, and legacy exceptions
//! become standard ones (`legacy`), so that later stages see one form of them. May assume nothing about
//! the bytes. Guarantees: a [`Source`] begins with the magic and version of a core module, a
//! [`Component`] with the magic and layer of one, and both have at most [`MODULE_BYTES_MAX`]
//! bytes. Does not validate: what is inside may still be nonsense.

use bls_artifact::artifact::{Foreign, MAGIC, foreign_kind};
use bls_artifact::digest::Sha256;
use bls_artifact::limits::{MODULE_BYTES_MAX, NAME_BYTES_MAX};
use bls_artifact::recipe::Recipe;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
pub use text::TextError;
pub use unread::{Given, Unread};

mod legacy;
mod text;
mod unread;

/// The name of standard input on the command line.
pub const STDIN: &str = "-";

/// Why an input is no module.
#[derive(Debug)]
pub enum InputError {
    /// The file cannot be read.
    Read(String, io::Error),
    /// A folder.
    Folder(String),
    /// Nothing in it.
    Empty,
    /// Longer than [`MODULE_BYTES_MAX`].
    TooLong,
    /// Begins like a module and ends within the first eight bytes.
    Truncated,
    /// A binary version that no engine of today knows.
    Version(u32),
    /// Something else that can be named.
    Foreign(&'static str),
    /// A component, where only a core module can be.
    Component,
    /// A core module, where only a component can be.
    Module,
    /// Neither a module nor text that begins like one.
    NotWebAssembly,
    /// Text that is no module; what and where.
    Text(TextError),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(name, error) => write!(f, "cannot read {name}: {error}"),
            Self::Folder(name) => write!(f, "{name} is a folder, not a module"),
            Self::Empty => write!(f, "the input is empty"),
            Self::TooLong => {
                write!(f, "the input is longer than {} MiB", MODULE_BYTES_MAX >> 20)
            }
            Self::Truncated => {
                write!(f, "the input is truncated: it ends inside the header of a module")
            }
            Self::Version(version) => write!(
                f,
                "this is a WebAssembly binary of version {version}; this toolchain reads version 1"
            ),
            Self::Foreign(kind) => write!(f, "this is {kind}, not a WebAssembly module"),
            Self::Component => {
                write!(f, "this is a WebAssembly component, and here only a core module can be")
            }
            Self::Module => write!(f, "this is a core module, and here only a component can be"),
            Self::NotWebAssembly => {
                write!(f, "this is neither a WebAssembly module nor its text format")
            }
            Self::Text(what) => write!(f, "not valid WebAssembly text: {what}"),
        }
    }
}

impl std::error::Error for InputError {}

impl InputError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(..) => "input.unreadable",
            Self::Folder(_) => "input.folder",
            Self::Empty => "input.empty",
            Self::TooLong => "input.too-long",
            Self::Truncated => "input.truncated",
            Self::Version(_) => "input.version",
            Self::Foreign(_) => "input.foreign",
            Self::Component => "input.component",
            Self::Module => "input.module",
            Self::NotWebAssembly => "input.not-webassembly",
            Self::Text(_) => "input.text",
        }
    }

    /// Lines that show the place, where there is one to be shown.
    #[must_use]
    pub fn excerpt(&self) -> &[String] {
        match self {
            Self::Text(error) => error.excerpt(),
            _ => &[],
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Read(_, error) if error.kind() == io::ErrorKind::NotFound => {
                "name an existing .wasm or .wat file, or - for standard input"
            }
            Self::Read(..) => "name a file that you may read",
            Self::Folder(_) => {
                "name the .wasm file inside it; or, for all that are in it, a folder for the results: -o dist/"
            }
            Self::Empty => "did the step that writes it fail?",
            Self::TooLong => "strip debug information, or split the module",
            Self::Truncated => "fetch or build the file again",
            Self::Version(_) => "use a newer bls-compile, or build for WebAssembly 1.0 binaries",
            Self::Component => {
                "compile it by itself: bls-compile app.component.wasm; components are put together by --plug"
            }
            Self::Module => {
                "make a component of it (wasm-tools component new); modules are linked by --module NAME=FILE"
            }
            Self::Foreign("a .bls artifact") => {
                "it is compiled already: bls-load app.bls runs it, bls-compile inspect app.bls shows it"
            }
            Self::Foreign(kind) if kind.contains(".cwasm") => {
                "give the .wasm it was made from: only what this tool compiled itself gets signed"
            }
            Self::Foreign(_) | Self::NotWebAssembly => {
                "build for a WebAssembly target, such as wasm32-wasip1, and give its .wasm"
            }
            Self::Text(_) => {
                "the text format is described at https://webassembly.github.io/spec/core/text"
            }
        })
    }
}

/// A core module in binary form, not validated.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    wasm: Vec<u8>,
    given: Sha256,
    given_bytes: u64,
    recipe: Option<Recipe>,
    world: Option<String>,
    /// The functions of a component that are called by their types, each as WIT has it.
    calls: Vec<String>,
    pieces: Option<Pieces>,
}

/// What of a linked module came from where, for whoever wants to follow it back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    pub(crate) modules: Vec<Piece>,
    /// Of each defined function which of the modules it was in, and its index there. Those of
    /// no module stand behind all others, and are not here.
    pub(crate) functions: Vec<(usize, u32)>,
}

/// A module that is a piece of another one.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// What it is called among them; empty for the one that has the others.
    pub(crate) name: String,
    pub(crate) wasm: Vec<u8>,
    /// Where it begins in what was given.
    pub(crate) begin: u32,
}

impl Source {
    /// Takes the bytes of a module in binary or text form. `label` is what an
    /// error in text calls them, usually a file's name.
    ///
    /// # Errors
    /// [`InputError`], by name of what the bytes are.
    pub fn new(bytes: Vec<u8>, label: &str) -> Result<Self, InputError> {
        Binary::new(bytes, label)?.module()
    }

    /// The module that a component became, whose world has this text, and whose functions are
    /// called by their types.
    ///
    /// # Errors
    /// [`InputError::TooLong`].
    pub(crate) fn of_component(
        wasm: Vec<u8>,
        component: Component,
        world: String,
        calls: Vec<String>,
    ) -> Result<Self, InputError> {
        if wasm.len() as u64 > MODULE_BYTES_MAX {
            return Err(InputError::TooLong);
        }
        let Component { name, given, given_bytes, .. } = component;
        let (recipe, world, pieces) = (None, Some(world), None);
        Ok(Self { name, wasm, given, given_bytes, recipe, world, calls, pieces })
    }

    /// A module that was linked of several, which had so many bytes together.
    ///
    /// # Errors
    /// [`InputError::TooLong`].
    pub(crate) fn linked(
        wasm: Vec<u8>,
        name: String,
        recipe: Recipe,
        given_bytes: u64,
    ) -> Result<Self, InputError> {
        if wasm.len() as u64 > MODULE_BYTES_MAX {
            return Err(InputError::TooLong);
        }
        let given = recipe.digest();
        let (recipe, world, calls, pieces) = (Some(recipe), None, Vec::new(), None);
        Ok(Self { name, wasm, given, given_bytes, recipe, world, calls, pieces })
    }

    /// Reads a file, or standard input where `path` is `-`.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn read(path: &Path) -> Result<Self, InputError> {
        Self::new(Self::read_bytes(path)?, &label(path))
    }

    /// The bytes of a file, or of standard input where `path` is `-`, whatever they are.
    ///
    /// # Errors
    /// [`InputError`], when they cannot be read.
    pub fn read_bytes(path: &Path) -> Result<Vec<u8>, InputError> {
        let label = path.display().to_string();
        let unreadable = |error| InputError::Read(label.clone(), error);
        let mut bytes = Vec::new();
        if path == Path::new(STDIN) {
            let stdin = io::stdin().lock();
            stdin.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
            return Ok(bytes);
        }
        let file = std::fs::File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(InputError::Folder(label));
        }
        file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    /// A name for the artifact, from the name of the input.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The binary module.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// What it was linked from; `None` where one module was given.
    #[must_use]
    pub fn recipe(&self) -> Option<&Recipe> {
        self.recipe.as_ref()
    }

    /// What the component imported and exported that it was made of, a line each; `None` where a
    /// module was given.
    #[must_use]
    pub fn world(&self) -> Option<&str> {
        self.world.as_deref()
    }

    /// The functions of the component that are called by their types, each as WIT has it.
    #[must_use]
    pub fn calls(&self) -> &[String] {
        &self.calls
    }

    /// The same, as what components became that have this border together.
    pub(crate) fn with_world(self, world: String, calls: Vec<String>) -> Self {
        Self { world: Some(world), calls, ..self }
    }

    /// The same, with what it is made of.
    pub(crate) fn with_pieces(self, pieces: Option<Pieces>) -> Self {
        Self { pieces, ..self }
    }

    /// What it is made of, where it was linked and somebody asked.
    pub(crate) fn pieces(&self) -> Option<&Pieces> {
        self.pieces.as_ref()
    }

    /// SHA-256 of the bytes that were given: of the text, where it was text; of the recipe's,
    /// where it was linked.
    #[must_use]
    pub fn given(&self) -> Sha256 {
        self.given
    }

    /// How many bytes were given.
    #[must_use]
    pub fn given_bytes(&self) -> u64 {
        self.given_bytes
    }
}

/// A component in binary form, not validated.
#[derive(Clone, Debug)]
pub struct Component {
    name: String,
    wasm: Vec<u8>,
    given: Sha256,
    given_bytes: u64,
}

impl Component {
    /// A name for the artifact, from the name of the input.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The binary component.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// SHA-256 of the bytes that were given: of the text, where it was text.
    #[must_use]
    pub fn given(&self) -> Sha256 {
        self.given
    }

    /// How many bytes were given.
    #[must_use]
    pub fn given_bytes(&self) -> u64 {
        self.given_bytes
    }
}

/// What can be compiled: a module or a component.
#[derive(Clone, Debug)]
pub enum Binary {
    /// A core module.
    Module(Source),
    /// A component, which becomes one.
    Component(Component),
}

impl Binary {
    /// Takes the bytes of a module or a component in binary or text form. `label` is what an
    /// error in text calls them, usually a file's name.
    ///
    /// # Errors
    /// [`InputError`], by name of what the bytes are.
    pub fn new(bytes: Vec<u8>, label: &str) -> Result<Self, InputError> {
        if bytes.len() as u64 > MODULE_BYTES_MAX {
            return Err(InputError::TooLong);
        }
        let given = Sha256::of(&bytes);
        let given_bytes = bytes.len() as u64;
        let wasm = if is_binary(&bytes) { bytes } else { encoded(&bytes, label)? };
        if wasm.len() as u64 > MODULE_BYTES_MAX {
            return Err(InputError::TooLong);
        }
        let name = artifact_name(label);
        Ok(match layer(&wasm)? {
            Layer::Module => {
                let wasm = legacy::translated(&wasm).unwrap_or(wasm);
                if wasm.len() as u64 > MODULE_BYTES_MAX {
                    return Err(InputError::TooLong);
                }
                let (recipe, world, calls, pieces) = (None, None, Vec::new(), None);
                Self::Module(Source {
                    name,
                    wasm,
                    given,
                    given_bytes,
                    recipe,
                    world,
                    calls,
                    pieces,
                })
            }
            Layer::Component => Self::Component(Component { name, wasm, given, given_bytes }),
        })
    }

    /// The same where somebody else has encoded the text that was given: what it says is
    /// believed to be what the text says.
    ///
    /// # Errors
    /// [`InputError`].
    pub(crate) fn encoded(text: &[u8], label: &str, wasm: Vec<u8>) -> Result<Self, InputError> {
        if !is_binary(&wasm) {
            return Err(InputError::NotWebAssembly);
        }
        let (given, given_bytes) = (Sha256::of(text), text.len() as u64);
        Ok(match Self::new(wasm, label)? {
            Self::Module(source) => Self::Module(Source { given, given_bytes, ..source }),
            Self::Component(one) => Self::Component(Component { given, given_bytes, ..one }),
        })
    }

    /// The module, where only one can be.
    ///
    /// # Errors
    /// [`InputError::Component`].
    pub(crate) fn module(self) -> Result<Source, InputError> {
        match self {
            Self::Module(source) => Ok(source),
            Self::Component(_) => Err(InputError::Component),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        match self {
            Self::Module(source) => source.wasm(),
            Self::Component(component) => component.wasm(),
        }
    }
}

/// What an input is called in messages.
#[must_use]
pub fn label(path: &Path) -> String {
    if path == Path::new(STDIN) { "stdin".to_owned() } else { path.to_string_lossy().into_owned() }
}

/// Whether bytes begin as a binary module does; if not, they may be one in text.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}

/// What a binary is, by its head.
enum Layer {
    Module,
    Component,
}

/// What bytes are that begin with the magic of WebAssembly.
fn layer(bytes: &[u8]) -> Result<Layer, InputError> {
    let Some(version) = bytes.get(4..8) else { return Err(InputError::Truncated) };
    match *version {
        [1, 0, 0, 0] => Ok(Layer::Module),
        [_, _, 1, 0] => Ok(Layer::Component),
        [a, b, c, d] => Err(InputError::Version(u32::from_le_bytes([a, b, c, d]))),
        _ => Err(InputError::Truncated),
    }
}

/// Bytes that do not: text, or something that is refused by name.
fn encoded(bytes: &[u8], label: &str) -> Result<Vec<u8>, InputError> {
    if bytes.is_empty() {
        return Err(InputError::Empty);
    }
    if b"\0asm".starts_with(bytes) {
        return Err(InputError::Truncated);
    }
    if bytes.starts_with(&MAGIC) {
        return Err(InputError::Foreign("a .bls artifact"));
    }
    if let Some(kind) = known_kind(bytes) {
        return Err(InputError::Foreign(kind));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| InputError::NotWebAssembly)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if first_keyword(text).is_none() {
        return Err(InputError::NotWebAssembly);
    }
    let wasm = wat::parse_str(text)
        .map_err(|error| InputError::Text(TextError::new(error, label, text)))?;
    // `(module binary "…")` can say anything.
    if is_binary(&wasm) { Ok(wasm) } else { Err(InputError::NotWebAssembly) }
}

/// Whether bytes begin as a component does, in text or binary.
pub(crate) fn is_component(bytes: &[u8]) -> bool {
    match is_binary(bytes) {
        true => matches!(layer(bytes), Ok(Layer::Component)),
        false => std::str::from_utf8(bytes).is_ok_and(|text| {
            first_keyword(text.trim_start_matches('\u{feff}')) == Some("component")
        }),
    }
}

/// What people mistake for a module.
fn known_kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1f, 0x8b, ..] => Some("a gzip file"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("a zstd file"),
        [b'P', b'K', 3, 4, ..] => Some("a zip file"),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', b'\n', ..] => Some("a static library"),
        _ => {
            let kind = foreign_kind(bytes).filter(|kind| *kind != Foreign::Unknown);
            kind.map(Foreign::words)
        }
    }
}

/// The word after the first parenthesis; `None` when the text does not begin
/// with one, white space and comments aside.
fn first_keyword(text: &str) -> Option<&str> {
    let rest = skip_trivia(text).strip_prefix('(')?;
    let rest = skip_trivia(rest);
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Skips white space, `;; line` and nested `(; block ;)` comments.
fn skip_trivia(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if text.starts_with(";;") {
            text = text.find('\n').map_or("", |end| &text[end..]);
        } else if text.starts_with("(;") {
            let (mut depth, mut at) = (0_usize, 0);
            let bytes = text.as_bytes();
            while let Some(pair) = bytes.get(at..at + 2) {
                match pair {
                    b"(;" => (depth, at) = (depth + 1, at + 2),
                    b";)" => (depth, at) = (depth - 1, at + 2),
                    _ => at += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            if depth != 0 {
                return "";
            }
            text = &text[at..];
        } else {
            return text;
        }
    }
}

/// The stem of a file's name, in the characters that a manifest allows. What is left
/// may still be no name: a command's, or a digest.
#[must_use]
pub fn artifact_name(label: &str) -> String {
    let stem = Path::new(label).file_stem().unwrap_or_default().to_string_lossy();
    let allowed: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(NAME_BYTES_MAX)
        .collect();
    // Dots that stand together would be read as the folder above.
    let single = allowed.split('.').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(".");
    let name = single.trim_start_matches(['.', '-']);
    if name.is_empty() { "module".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::name;

    fn refusal(bytes: &[u8]) -> String {
        Source::new(bytes.to_vec(), "x.wat").unwrap_err().to_string()
    }

    #[test]
    fn each_kind_is_refused_by_name() {
        let cases: [(&[u8], &str); 14] = [
            (b"", "empty"),
            (b"\0as", "truncated"),
            (b"\0asm\x01", "truncated"),
            (b"\0asm\x02\0\0\0", "version 2"),
            (b"\0asm\x0d\0\x01\0", "component"),
            (b" ;; c\n(; (; x ;) ;)\n( component)", "component"),
            (b"\x7fELF\x02\x01\x01\xc8rest", ".cwasm"),
            (b"\x7fELF\x02\x01\x01\x00rest", "an ELF file"),
            (b"\x89BLS\r\n\x1a\nrest", ".bls artifact"),
            (b"hello there", "neither"),
            (b"(; never closed", "neither"),
            (b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", "neither"),
            (b"(module\n  (fnc))", "x.wat:2:4"),
            (b"(module binary \"\\00asm\\0d\\00\\01\\00\")", "component"),
        ];
        for (bytes, expected) in cases {
            let message = refusal(bytes);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn text_and_binary_are_read() {
        let wat = Source::new(b"(module (func (export \"f\")))".to_vec(), "a/app.wat").unwrap();
        let binary = Source::new(wat.wasm().to_vec(), "app.wasm").unwrap();
        assert_eq!(binary.wasm(), wat.wasm());
        assert_eq!((wat.name(), binary.name()), ("app", "app"));
        assert_ne!(wat.given(), binary.given());
    }

    #[test]
    fn names_are_always_allowed() {
        let long = "x".repeat(500);
        for (label, expected) in [
            ("a b.wasm", "a-b"),
            ("dir/.hidden.wasm", "hidden"),
            ("--x.wasm", "x"),
            ("é.wasm", "module"),
            ("", "module"),
            ("..", "module"),
            ("v1.2.wasm", "v1.2"),
            ("v1..2.wasm", "v1.2"),
            (long.as_str(), &long[..128]),
        ] {
            assert_eq!(artifact_name(label), expected);
            assert_eq!(name::check(expected), Ok(()));
        }
    }
}
