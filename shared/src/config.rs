//! The configuration of a run, as the network's tools write it, and as ours read it.
//!
//! JSON with `//` and `/* */` comments, and commas before a closing bracket. Version 0: `entry`
//! is the module's file. Version 1: `modules` are linked in order, and `entry` is the export that
//! is called. Beside the network's own fields there is one for each option of a run
//! ([`field_of`]). Guarantees after a parse: no unknown field, no field twice, every number a
//! number, an entry. Reads no file, compares no digest, and grants nothing.

mod comments;
mod form;
#[cfg(test)]
mod tests;

use crate::digest::Sha256;
use crate::options;
use form::{Node, Object};
use std::fmt;

pub use form::{is_network_field, is_overlooked};

/// Longer files are not read, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// The export that is called where none is named.
pub const START: &str = "_start";
/// The newest version.
const VERSION_MAX: u64 = 1;

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// It is not JSON.
    Json,
    /// A field that there is not, that is there twice, or whose value is another.
    Field,
    /// A version that this program does not read.
    Version,
    /// Nothing says what is to be run.
    Entry,
}

/// Why a text is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    kind: Mistake,
    what: String,
    /// Line and column, counted from 1.
    place: Option<(usize, usize)>,
}

impl ConfigError {
    fn new(kind: Mistake, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), place: None }
    }

    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            Mistake::Json => "config.json",
            Mistake::Field => "config.field",
            Mistake::Version => "config.version",
            Mistake::Entry => "config.entry",
        }
    }

    /// Line and column, counted from 1, where one place is to blame. It is where reading
    /// stopped: behind the word that is wrong.
    #[must_use]
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.kind {
            Mistake::Json => "it is JSON, with // and /* */ comments where you like",
            Mistake::Field => "docs/bls-runtime.md has the fields",
            Mistake::Version => "0: entry is a file; 1: modules, and entry is an export",
            Mistake::Entry => {
                "version 0: \"entry\": \"app.wasm\"; version 1: one module of \"type\": \"entry\""
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(formatter, "line {line}, column {column}: ")?;
        }
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for ConfigError {}

/// What a module of version 1 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// The one that is called.
    Entry,
    /// One whose exports others import under its name.
    Library,
}

/// A module of version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleEntry {
    /// Its file, relative to the folder that the program was started in.
    pub file: String,
    /// What the modules behind it import from.
    pub name: String,
    /// Whether it is the one that is called.
    pub kind: ModuleKind,
    /// Its MD5 as it is written there, whatever it is: for compatibility, and no proof.
    pub md5: Option<String>,
    /// Its SHA-256.
    pub sha256: Option<Sha256>,
}

/// Where standard input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// From this process's own.
    Inherit,
    /// From this text, unless this process's own has something in it.
    Text(String),
}

/// Where standard output or standard error goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// To this process's own.
    Inherit,
    /// Nowhere.
    Null,
    /// To the end of a file under the root folder.
    File(String),
}

impl Stream {
    /// What a word means, here and on the network's command line.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "inherit" => Self::Inherit,
            "null" => Self::Null,
            file => Self::File(file.to_owned()),
        }
    }
}

impl Stdin {
    /// What a word means, here and on the network's command line.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "inherit" => Self::Inherit,
            text => Self::Text(text.to_owned()),
        }
    }
}

/// A folder that the guest gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDir {
    /// Its path on this machine.
    pub host: String,
    /// Its path in the guest's eyes.
    pub guest: String,
}

/// A configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// 0 or 1.
    pub version: u8,
    /// Version 0: the module's file. Version 1: the export to call, perhaps empty
    /// ([`Config::start`]).
    pub entry: String,
    /// The modules: of version 1 one is the entry. Those of version 0 say a digest at most.
    pub modules: Vec<ModuleEntry>,
    /// The folder that is the guest's `/`.
    pub fs_root_path: Option<String>,
    /// The folder of extensions.
    pub drivers_root_path: Option<String>,
    /// Units of fuel.
    pub limited_fuel: Option<u64>,
    /// Pages of 64 KiB, all memories together.
    pub limited_memory: Option<u64>,
    /// Bytes, all memories together.
    pub max_memory_size: Option<u64>,
    /// Milliseconds.
    pub run_time: Option<u64>,
    /// Read, and without effect: names of functions are in what the compiler makes, or not.
    pub debug_info: Option<bool>,
    /// A file under the root folder that is told how a run ended.
    pub runtime_logger: Option<String>,
    /// Standard input.
    pub stdin: Option<Stdin>,
    /// Standard output.
    pub stdout: Option<Stream>,
    /// Standard error.
    pub stderr: Option<Stream>,
    /// What the guest may reach over the network: URLs.
    pub permissions: Vec<String>,
    /// More folders.
    pub map_dirs: Vec<MapDir>,
    /// The options of a run that have a field of their own, without their dashes, in the order
    /// they are written, with their values: [`options::RUN`].
    pub options: Vec<(&'static str, Option<String>)>,
}

impl Config {
    /// Reads a configuration. `$ROOT` and `$ENV_ROOT_PATH` in its texts stand for `root`, where
    /// there is one.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, root: Option<&str>) -> Result<Self, ConfigError> {
        let text = comments::blanked(text)?;
        Self::of(form::read(&text, root)?)
    }

    /// The export that version 1 calls.
    #[must_use]
    pub fn start(&self) -> &str {
        match (self.version, self.entry.as_str()) {
            (0, _) | (_, "") => START,
            (_, entry) => entry,
        }
    }

    /// The modules in the order they are linked in: libraries as they are listed, the entry
    /// last, wherever it is listed. Version 0 has none.
    #[must_use]
    pub fn in_order(&self) -> Vec<&ModuleEntry> {
        if self.version == 0 {
            return Vec::new();
        }
        let of = |kind| self.modules.iter().filter(move |module| module.kind == kind);
        of(ModuleKind::Library).chain(of(ModuleKind::Entry)).collect()
    }

    fn of(mut object: Object) -> Result<Self, ConfigError> {
        let version = object.number("version").unwrap_or(0);
        let Ok(version @ 0..=1) = u8::try_from(version) else {
            let what = format!("it is of version {version}; this program reads 0 to {VERSION_MAX}");
            return Err(ConfigError::new(Mistake::Version, what));
        };
        let no_entry = |what: &str| Err(ConfigError::new(Mistake::Entry, what));
        let Some(entry) = object.text("entry") else { return no_entry("it has no \"entry\"") };
        if version == 0 && entry.is_empty() {
            return no_entry("its \"entry\" names no file");
        }
        let modules =
            object.objects("modules").into_iter().map(module).collect::<Result<Vec<_>, _>>()?;
        let entries = modules.iter().filter(|module| module.kind == ModuleKind::Entry).count();
        if version == 1 && entries != 1 {
            return no_entry(match entries {
                0 => "none of its modules is the entry",
                _ => "more than one of its modules is the entry",
            });
        }
        Ok(Self {
            version,
            entry,
            modules,
            fs_root_path: object.text("fs_root_path"),
            drivers_root_path: object.text("drivers_root_path"),
            limited_fuel: object.number("limited_fuel"),
            limited_memory: object.number("limited_memory"),
            max_memory_size: object.number("max_memory_size"),
            run_time: object.number("run_time"),
            debug_info: object.flag("debug_info"),
            runtime_logger: object.text("runtime_logger"),
            stdin: object.text("stdin").map(|word| Stdin::from_word(&word)),
            stdout: object.text("stdout").map(|word| Stream::from_word(&word)),
            stderr: object.text("stderr").map(|word| Stream::from_word(&word)),
            permissions: object.texts("permissions"),
            map_dirs: object
                .objects("map_dirs")
                .into_iter()
                .map(folder)
                .collect::<Result<_, _>>()?,
            options: own(object),
        })
    }
}

/// What is left in the order it was written: the options.
fn own(object: Object) -> Vec<(&'static str, Option<String>)> {
    let mut all = Vec::new();
    for (name, node) in object.rest() {
        let Some(option) = option_of(&name) else { continue };
        match node {
            Node::Flag(true) => all.push((option, None)),
            Node::Number(number) => all.push((option, Some(number.to_string()))),
            Node::Text(text) => all.push((option, Some(text))),
            Node::List(items) => {
                let text = |item| if let Node::Text(text) = item { Some(text) } else { None };
                all.extend(items.into_iter().filter_map(text).map(|text| (option, Some(text))));
            }
            Node::Object(variables) => {
                for (name, value) in variables.rest() {
                    if let Node::Text(value) = value {
                        all.push((option, Some(format!("{name}={value}"))));
                    }
                }
            }
            Node::Flag(false) | Node::Null => {}
        }
    }
    all
}

fn module(mut object: Object) -> Result<ModuleEntry, ConfigError> {
    let wrong = |what: String| ConfigError::new(Mistake::Field, what);
    let name = object.text("name").unwrap_or_default();
    let Some(file) = object.text("file") else {
        return Err(wrong(format!("module {name:?} has no \"file\"")));
    };
    let sha256 = match object.text("sha256") {
        None => None,
        Some(text) => Some(Sha256::from_hex(&text).ok_or_else(|| {
            wrong(format!("\"sha256\" of {file:?} is not 64 lower-case hex digits"))
        })?),
    };
    let kind = match object.text("type").as_deref() {
        Some("entry" | "ENTRY") => ModuleKind::Entry,
        _ => ModuleKind::Library,
    };
    Ok(ModuleEntry { file, name, kind, md5: object.text("md5"), sha256 })
}

fn folder(mut object: Object) -> Result<MapDir, ConfigError> {
    match (object.text("host"), object.text("guest")) {
        (Some(host), Some(guest)) => Ok(MapDir { host, guest }),
        _ => Err(ConfigError::new(
            Mistake::Field,
            "an entry of \"map_dirs\" has \"host\" and \"guest\"",
        )),
    }
}

/// The field that an option of a run has, by the option's name without its dashes. It is the
/// name with `_` for `-`; but `stdin` is the network's, and means text, so that the option's
/// field is `stdin_from`.
#[must_use]
pub fn field_of(option: &str) -> String {
    match option {
        "stdin" => "stdin_from".to_owned(),
        other => other.replace('-', "_"),
    }
}

/// The option whose field has this name.
#[must_use]
pub fn option_of(field: &str) -> Option<&'static str> {
    let mut all = options::RUN.iter().map(|(name, _)| *name).chain([options::FILE_ONLY]);
    all.find(|name| field_of(name) == field)
}
