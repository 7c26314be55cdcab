//! A configuration in the place of a command line: `bls-load run config.json`, and the node's.
//!
//! What it says becomes words, as somebody would write them before the artifact, and the words
//! of the command line stand behind those: so flags win, lists add up, and no option is read by
//! two readers. Guarantees that a configuration for the node chooses nothing that is the
//! operator's: whom to trust, what is installed where, which files this program writes, which
//! programs it starts.

use super::cli::{self, Artifact, Command, Options};
use super::manner::Manner;
use super::module::{self, ModuleError};
use super::streams;
use crate::error::{Failure, StageError, printable_path};
use crate::request::{Folder, Request};
use bls_artifact::config::{CONFIG_BYTES_MAX, Config, START, Stdin, Stream, field_of};
use bls_artifact::fuel::BUDGET_MAX;
use bls_artifact::limits::TIMEOUT_MS_MAX;
use bls_artifact::net::{Endpoint, NetGrant, NetRules};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of a page of memory.
const PAGE_BYTES: u64 = 65536;
/// Options that a configuration for the node may have: those that limit. Who wrote it may be a
/// stranger, so the others, which grant, trust or name files of this machine, are the operator's.
const STRANGERS: [&str; 18] = [
    "deny",
    "only-declared",
    "fuel",
    "timeout",
    "max-memory",
    "max-stack",
    "max-output",
    "max-descriptors",
    "require-fuel",
    "require-deterministic",
    "require-sandbox",
    "require-control-flow",
    "invoke",
    "argv0",
    "deterministic",
    "seed",
    "epoch",
    "unknown-imports",
];

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Module,
    Artifact,
    Archive,
    Config,
}

/// What the network takes a file for.
pub(super) fn kind(path: &Path) -> Kind {
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    match extension.as_ref().and_then(|extension| extension.to_str()) {
        Some("wasm" | "wasi" | "wat") => Kind::Module,
        Some("bls") => Kind::Artifact,
        Some("car") => Kind::Archive,
        _ => Kind::Config,
    }
}

/// Why a file gives no configuration.
#[derive(Debug)]
pub(super) enum ConfigFileError {
    /// It cannot be read, or is no text; why.
    Unreadable(String),
    /// The text is none.
    Contents(bls_artifact::config::ConfigError),
    /// It says what is the operator's to say; which field.
    Operator(String),
}

impl fmt::Display for ConfigFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => formatter.write_str(why),
            Self::Contents(error) => error.fmt(formatter),
            Self::Operator(field) => write!(formatter, "{field:?} is the operator's to say"),
        }
    }
}

impl StageError for ConfigFileError {
    const STAGE: &'static str = "config";

    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "config.unreadable",
            Self::Contents(error) => error.code(),
            Self::Operator(_) => "config.operator",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable(_) => "name a module, or a configuration in JSON".into(),
            Self::Contents(error) => error.hint().into(),
            Self::Operator(_) => {
                "give it as an option of bls-runtime, or in /etc/bls/policy.json".into()
            }
        })
    }
}

/// Reads a configuration. `root` is what it calls `$ROOT`.
pub(super) fn read(path: &Path, root: Option<&str>, manner: Manner) -> Result<Config, Failure> {
    let config = read_file(path).and_then(|text| {
        let config = Config::parse(&text, root).map_err(ConfigFileError::Contents)?;
        match config.options.iter().find(|(name, _)| !STRANGERS.contains(name)) {
            Some((name, _)) if manner == Manner::Node => {
                Err(ConfigFileError::Operator(field_of(name)))
            }
            _ => Ok(config),
        }
    });
    config.map_err(|error| {
        let failure = Failure::from(error);
        Failure { what: format!("{}: {}", printable_path(path), failure.what), ..failure }
    })
}

fn read_file(path: &Path) -> Result<String, ConfigFileError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    let why = match read {
        Err(error) => error.to_string(),
        Ok(count) if count > CONFIG_BYTES_MAX => "it is too long for a configuration".into(),
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => return Ok(text),
            Err(error) if error.as_bytes().starts_with(b"\x7fELF") => {
                "it is native code, and no configuration (what bls-compile makes ends in .bls)"
                    .into()
            }
            Err(_) => "it is no text".into(),
        },
    };
    Err(ConfigFileError::Unreadable(why))
}

/// The folders that a configuration grants, the root last.
pub(super) fn folders(config: &Config) -> Vec<Folder> {
    let folder = |host: &str, guest: &str| Folder {
        below: PathBuf::new(),
        host: host.into(),
        guest: guest.into(),
        read_only: false,
    };
    let mapped = config.map_dirs.iter().map(|dir| folder(&dir.host, &dir.guest));
    mapped.chain(config.fs_root_path.as_deref().map(|root| folder(root, "/"))).collect()
}

/// What a configuration asks for, in words of a command line.
pub(super) fn option_words(config: &Config, folders: &[Folder]) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    for folder in folders {
        let option = if folder.read_only { "--dir-ro=" } else { "--dir=" };
        let mut word = OsString::from(option);
        for part in [folder.path().as_os_str(), OsStr::new("::"), &folder.guest] {
            word.push(part);
        }
        words.push(word);
    }
    let mut number = |option: &str, value: Option<u64>, unit: &str| {
        words.extend(value.map(|value| format!("--{option}={value}{unit}").into()));
    };
    number("fuel", config.limited_fuel.map(|units| units.min(BUDGET_MAX)), "");
    let pages = config.limited_memory.map(|pages| pages.saturating_mul(PAGE_BYTES));
    let bytes = [pages, config.max_memory_size].into_iter().flatten().min();
    number("max-memory", bytes, "");
    number("timeout", config.run_time.map(|time| time.clamp(1, TIMEOUT_MS_MAX)), "ms");
    words.extend(config.options.iter().map(|(name, value)| match value {
        Some(value) => format!("--{name}={value}").into(),
        None => format!("--{name}").into(),
    }));
    words
}

/// A configuration, and what stands beside it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) config: &'a Config,
    /// Where it was read, if it was.
    pub(super) file: Option<&'a Path>,
    /// Options that stand before the words.
    pub(super) options: Vec<OsString>,
    /// A command line: its artifact is what the configuration names.
    pub(super) words: Vec<OsString>,
    /// What is asked for beside all that.
    pub(super) beside: Beside,
}

/// What no option says.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) hidden: Vec<PathBuf>,
    /// Which of the folders are to be opened from another one, through no link.
    pub(super) inner: Vec<Folder>,
    /// Names of variables of this process that `blockless_memory` lists.
    pub(super) listed: Vec<OsString>,
    pub(super) network: NetRules,
    pub(super) extensions: Option<PathBuf>,
    pub(super) listeners: Vec<Endpoint>,
}

impl Asked<'_> {
    /// Finds what is to be run, and everything that is asked for it.
    pub(super) fn options(self, manner: Manner) -> Result<Options, Failure> {
        let config = self.config;
        let file = config.in_order().last().map_or(config.entry.as_str(), |entry| &entry.file);
        // It has the entry's name, so that this becomes the guest's argument 0; what it is is
        // found below.
        let mut place = OsString::from("./");
        place.push(Path::new(file).file_name().unwrap_or(OsStr::new("guest")));
        let Command::Run(mut options) = cli::parse_behind(self.options, self.words, place)? else {
            return Err(cli::usage("a configuration is for a run").into());
        };
        options.manner = manner;
        self.beside.add_to(&mut options.request);
        options.root = config.fs_root_path.as_ref().map(PathBuf::from).filter(|root| root.is_dir());
        options.log.clone_from(&config.runtime_logger);
        options.outputs = [&config.stdout, &config.stderr]
            .map(|stream| stream.clone().unwrap_or(Stream::Inherit));
        if let (Some(Stdin::Text(text)), cli::Input::Inherit) = (&config.stdin, &options.stdin)
            && !text.is_empty()
            && !streams::host_gives_input()
        {
            options.stdin = cli::Input::Text(text.as_bytes().to_vec());
            options.request.own_stdin = true;
        }
        let found = match kind(Path::new(file)) {
            Kind::Artifact if config.version == 0 => {
                module::Found::artifact(Artifact::File(file.into()))
            }
            Kind::Archive => return Err(ModuleError::Archive(file.into()).into()),
            // What has no ending and no folder is the name of something that is installed.
            Kind::Config if manner == Manner::Own && config.version == 0 && !file.contains('/') => {
                module::Found::artifact(Artifact::from_word(file.into())?)
            }
            _ => module::find(config, self.file, &options)?,
        };
        (options.artifact, options.source) = (found.artifact, found.source);
        Ok(*options)
    }
}

impl Beside {
    /// What a configuration itself grants. A permission for what is no network, such as a file,
    /// grants nothing, as on the network.
    pub(super) fn of(config: &Config) -> Self {
        let grants = config.permissions.iter().filter_map(|url| NetGrant::parse(url).ok());
        Self {
            network: NetRules { allow: grants.collect(), deny: Vec::new() },
            extensions: config.drivers_root_path.as_ref().map(PathBuf::from),
            ..Self::default()
        }
    }

    fn add_to(self, request: &mut Request) {
        request.hidden.extend(self.hidden);
        for folder in &mut request.folders {
            let is_it = |one: &&Folder| one.guest == folder.guest && one.path() == folder.host;
            if let Some(inner) = self.inner.iter().find(is_it) {
                (folder.host, folder.below) = (inner.host.clone(), inner.below.clone());
            }
        }
        request.listed.extend(self.listed.into_iter().map(|name| (name, None)));
        let beyond = &mut request.beyond;
        beyond.network.allow.extend(self.network.allow);
        beyond.network.deny.extend(self.network.deny);
        beyond.listeners.extend(self.listeners);
        if beyond.extensions.path.is_none() {
            beyond.extensions.path = self.extensions;
        }
    }
}

/// `bls-load run config.json`: the words of the command line win over the file's.
pub(super) fn own(path: &Path, words: Vec<OsString>) -> Result<Options, Failure> {
    let root = std::env::var_os("ENV_ROOT_PATH");
    let config = read(path, root.as_deref().and_then(OsStr::to_str), Manner::Own)?;
    of_config(&config, Some(path), words)
}

fn of_config(
    config: &Config,
    file: Option<&Path>,
    words: Vec<OsString>,
) -> Result<Options, Failure> {
    let mut options = option_words(config, &folders(config));
    if config.version == 1 && config.start() != START {
        options.push(format!("--invoke={}", config.start()).into());
    }
    let beside = Beside::of(config);
    Asked { config, file, options, words, beside }.options(Manner::Own)
}

#[cfg(test)]
mod tests;
