//! `bls-load node …`, and bls-load called as `bls-runtime`: the command line that the network's
//! node and its tools write.
//!
//! Its words and its configuration become a [`Config`], whose flags win; that becomes words of
//! bls-load's own ([`super::config`]), and the run is one like any other, in the node's manner.
//! So what an option means, and what it is held to, is said once. Guarantees that a flag that is
//! absent takes nothing from a configuration, that the guest sees no variable of this process
//! but those that are listed for it, and that a word nobody knows ends with [`NODE_USAGE`].

mod dotenv;
mod help;
mod mounts;
mod words;

use super::cmd::{self, run};
use super::config::{self, Asked, Beside};
use super::manner::{Manner, NODE_USAGE, line};
use super::module::ModuleError;
use super::{cli, say};
use crate::error::{Cause, Failure};
use bls_artifact::config::{Config, ModuleEntry, ModuleKind, START, Stdin, Stream};
use bls_artifact::limits::POLICY_BYTES_MAX;
use bls_artifact::net::{Endpoint, NetGrant};
use bls_artifact::recipe::ENTRY_NAME;
pub(crate) use help::HELP;
use mounts::Mounts;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use words::Words;

/// What bls-load is called as where it takes this command line.
pub(super) const NAME: &str = "bls-runtime";
/// The variable that the network's configurations call `$ROOT`.
const ROOT_VARIABLE: &str = "ENV_ROOT_PATH";
/// The variable that names those that the guest may list, with `;` between them.
const LIST_VARIABLE: &str = "BLS_LIST_VARS";

/// Does what the words behind the program's name say.
pub(super) fn main(words: impl Iterator<Item = OsString>) -> u8 {
    let words = match Words::parse(words) {
        Ok(Some(words)) => words,
        Ok(None) => return printed(HELP),
        Err(words::Wrong::Version) => return printed(&(cli::version() + "\n")),
        Err(words::Wrong::Usage(what)) => {
            say(&format_args!("{NAME}: {what}\n\n{}", help::USAGE));
            return NODE_USAGE;
        }
    };
    match started(&words) {
        // It does not come back.
        Ok(()) => 0,
        Err(failure) => {
            say(&line(&failure));
            Manner::Node.code_of(&failure)
        }
    }
}

fn printed(text: &str) -> u8 {
    match cmd::print(text) {
        Ok(()) => 0,
        Err(failure) => Manner::Node.code_of(&failure),
    }
}

fn started(words: &Words) -> Result<(), Failure> {
    let input = Path::new(&words.input);
    let mut config = match config::kind(input) {
        config::Kind::Archive => return Err(ModuleError::Archive(input.to_owned()).into()),
        config::Kind::Module | config::Kind::Artifact => of_module(words),
        config::Kind::Config => {
            let variable = std::env::var_os(ROOT_VARIABLE);
            let root = words.last("fs-root-path").or(variable.as_deref());
            config::read(input, root.and_then(OsStr::to_str), Manner::Node)?
        }
    };
    apply(words, &mut config);
    let mounts = mounts::of(words, &config)?;
    let mut given = config::option_words(&config, &mounts.folders);
    given.extend(
        variables(words)?
            .into_iter()
            .map(|(name, value)| OsString::from_vec([b"--env=", &*name, b"=", &*value].concat())),
    );
    given.extend(words.own.iter().cloned());
    if words.has("unknown-imports-trap") {
        given.push("--unknown-imports=trap".into());
    }
    let invoke = words.text("entry").or((config.version == 1).then(|| config.start().to_owned()));
    let invoke = invoke.filter(|name| name != START);
    // Behind an artifact that is called by an export stand values, and the guest's arguments
    // behind a `--`.
    let mut behind: Vec<OsString> = vec!["./guest".into()];
    if let Some(name) = invoke {
        given.push(format!("--invoke={name}").into());
        behind.push("--".into());
    }
    behind.extend(words.arguments.iter().cloned());
    let beside = beside(words, &config, &mounts)?;
    let file = Some(input).filter(|_| config::kind(input) == config::Kind::Config);
    let asked = Asked { config: &config, file, options: given, words: behind, beside };
    run::run(&asked.options(Manner::Node)?)
}

/// What a module alone is a configuration of: with `--module` it is the entry of several.
fn of_module(words: &Words) -> Config {
    let entry = words.input.to_string_lossy().into_owned();
    let module = |name: String, file: String, kind| ModuleEntry {
        file,
        name,
        kind,
        md5: None,
        sha256: None,
    };
    let mut modules: Vec<ModuleEntry> = words
        .all("module")
        .filter_map(|word| word.to_str()?.split_once('='))
        .map(|(name, file)| module(name.to_owned(), file.to_owned(), ModuleKind::Library))
        .collect();
    if modules.is_empty() {
        return Config { entry, stdin: Some(Stdin::Inherit), ..Config::default() };
    }
    modules.push(module(ENTRY_NAME.to_owned(), entry, ModuleKind::Entry));
    Config {
        version: 1,
        entry: START.to_owned(),
        modules,
        stdin: Some(Stdin::Inherit),
        ..Config::default()
    }
}

/// Lets flags win.
fn apply(words: &Words, config: &mut Config) {
    fn set<T>(field: &mut Option<T>, value: Option<T>) {
        if value.is_some() {
            *field = value;
        }
    }
    set(&mut config.fs_root_path, words.text("fs-root-path"));
    // Which programs may be started is the operator's to say.
    // The node names a folder that may not be there.
    let extensions = words.text("drivers-root-path");
    config.drivers_root_path = extensions.filter(|path| Path::new(path).exists());
    set(&mut config.runtime_logger, words.text("runtime-logger"));
    set(&mut config.limited_fuel, words.number("limited-fuel"));
    set(&mut config.limited_memory, words.number("limited-memory"));
    set(&mut config.max_memory_size, words.number("max-memory-size"));
    set(&mut config.run_time, words.number("run-time"));
    set(&mut config.stdin, words.text("stdin").map(|word| Stdin::from_word(&word)));
    set(&mut config.stdout, words.text("stdout").map(|word| Stream::from_word(&word)));
    set(&mut config.stderr, words.text("stderr").map(|word| Stream::from_word(&word)));
    let permissions: Vec<String> =
        words.all("permission").map(|word| word.to_string_lossy().into_owned()).collect();
    if !permissions.is_empty() {
        config.permissions = permissions;
    }
}

/// The guest's variables: those of the file, then those of the flags, by name.
fn variables(words: &Words) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Failure> {
    let mut all = BTreeMap::new();
    if let Some(path) = words.last("env-file") {
        // One that is not there is no mistake.
        match std::fs::read(path) {
            Ok(text) if text.len() as u64 <= POLICY_BYTES_MAX => {
                let text = String::from_utf8_lossy(&text);
                let read = dotenv::parse(&text).map_err(|line| Failure {
                    stage: "usage",
                    code: "usage.env-file",
                    what: format!("{}, line {line}: not NAME=VALUE", path.display()),
                    hint: Some("write NAME=VALUE, with quotes around white space".into()),
                    cause: Cause::Refused,
                })?;
                all.extend(
                    read.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())),
                );
            }
            _ => {}
        }
    }
    for word in words.all("env") {
        let bytes = word.as_bytes();
        if let Some(at) = bytes.iter().position(|byte| *byte == b'=') {
            all.insert(bytes[..at].to_vec(), bytes[at + 1..].to_vec());
        }
    }
    Ok(all)
}

/// What no option says: the network, extensions, listed variables.
fn beside(words: &Words, config: &Config, mounts: &Mounts) -> Result<Beside, Failure> {
    let mut beside = Beside {
        hidden: mounts.hidden.clone(),
        inner: mounts
            .folders
            .iter()
            .filter(|folder| !folder.below.as_os_str().is_empty())
            .cloned()
            .collect(),
        ..Beside::of(config)
    };
    let grants = |flag| -> Result<Vec<NetGrant>, Failure> {
        let one = |text: &String| {
            NetGrant::parse(text).map_err(|error| wrong(&format!("--{flag}={text}: {error}")))
        };
        match words.list(flag) {
            None => Ok(Vec::new()),
            Some(list) if list.is_empty() => Ok(vec![NetGrant::all()]),
            Some(list) => list.iter().map(one).collect(),
        }
    };
    beside.network.allow.extend(grants("allow-net")?);
    beside.network.deny.extend(grants("deny-net")?);
    if words.has("allow-all") {
        beside.network.allow.push(NetGrant::all());
    }
    for word in words.all("tcplisten") {
        let word = word.to_string_lossy();
        let (address, number) = word.split_once("::").unwrap_or((&word, ""));
        let endpoint = Endpoint::parse(address)
            .map_err(|error| wrong(&format!("--tcplisten {word}: {error}")))?;
        let next = 3 + mounts.folders.len() + beside.listeners.len();
        // It takes the next number that is free, which must not be below the one that is asked
        // for.
        if !number.is_empty() && number.parse().map_or(true, |number: usize| number > next) {
            return Err(wrong(&format!("--tcplisten {word}: it would be descriptor {next}")));
        }
        beside.listeners.push(endpoint);
    }
    let names = std::env::var_os(LIST_VARIABLE).unwrap_or_default();
    let names = names.as_bytes().split(|byte| *byte == b';').filter(|name| !name.is_empty());
    beside.listed = names.map(|name| OsStr::from_bytes(name).to_owned()).collect();
    Ok(beside)
}

/// A command line that makes no sense.
fn wrong(what: &str) -> Failure {
    cli::usage(what).into()
}
