//! What is to be compiled, from files: a module, several that are linked, components that are put
//! together, or a configuration that names modules.
//!
//! Guarantees that a digest which a configuration gives is one of the bytes that are then used:
//! each file is read once. Looks into no module. MD5 is read for compatibility; it says that the
//! file is the one that was meant, and nothing against whoever can choose both.

use crate::input::{self, Given, InputError, Source, Unread, artifact_name};
use crate::link::LinkError;
use crate::options::Options;
use crate::program::cli::With;
use bls_artifact::capability::Permission;
use bls_artifact::config::{CONFIG_BYTES_MAX, Config, ConfigError, ModuleEntry, ModuleKind};
use bls_artifact::digest::Sha256;
use bls_artifact::limits::{JSON_INTEGER_MAX, MODULE_BYTES_MAX, RECIPE_MODULES_MAX};
use bls_artifact::net::NetGrant;
use bls_artifact::recipe::{ENTRY_NAME, RecipeError};
use md5::{Digest as _, Md5};
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of a page of memory, as `limited_memory` counts.
const PAGE_BYTES: u64 = 65536;
/// The variable that a configuration may name as `$ENV_ROOT_PATH`.
const ROOT: &str = "ENV_ROOT_PATH";

/// Why there is nothing to compile.
#[derive(Debug)]
pub enum ModulesError {
    /// A file cannot be read.
    Input(InputError),
    /// The configuration is none; what it is called.
    Config(String, ConfigError),
    /// The configuration is longer than any.
    ConfigTooLong(String),
    /// A configuration, and modules or plugs beside it.
    Both,
    /// Modules that are linked, and components that are put together.
    Plugs,
    /// A file has another MD5 than the configuration says: the file, the one that is there, the
    /// one that should be.
    Md5(String, String, String),
    /// The same of its SHA-256.
    Sha256(String, Sha256, Sha256),
    /// Modules that cannot be those of one program.
    Link(LinkError),
}

impl From<RecipeError> for ModulesError {
    fn from(error: RecipeError) -> Self {
        Self::Link(LinkError::Recipe(error))
    }
}

impl From<InputError> for ModulesError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl fmt::Display for ModulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Config(name, error) => write!(f, "{name}: {error}"),
            Self::ConfigTooLong(name) => {
                write!(f, "{name} is longer than {CONFIG_BYTES_MAX} bytes")
            }
            Self::Both => {
                write!(f, "a configuration names its modules itself; --module and --plug do too")
            }
            Self::Plugs => {
                write!(
                    f,
                    "--module is about modules, --plug about components, and INPUT is one of the two"
                )
            }
            Self::Md5(file, found, wanted) => {
                write!(f, "{file} has the MD5 {found}, and should have {wanted:?}")
            }
            Self::Sha256(file, found, wanted) => {
                write!(f, "{file} has the SHA-256 {found}, and should have {wanted}")
            }
            Self::Link(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ModulesError {}

impl ModulesError {
    /// The stage that it belongs to.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Input(_) => "input",
            Self::Link(error) => error.stage(),
            Self::Plugs => "options",
            _ => "config",
        }
    }

    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Input(error) => error.code(),
            Self::Config(_, error) => error.code(),
            Self::ConfigTooLong(_) => "config.too-long",
            Self::Both => "config.modules",
            Self::Plugs => "options.plugs",
            Self::Md5(..) => "config.md5",
            Self::Sha256(..) => "config.sha256",
            Self::Link(error) => error.code(),
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Input(error) => return error.hint().map(str::to_owned),
            Self::Config(_, error) => error.hint().to_owned(),
            Self::ConfigTooLong(_) => "is it a configuration at all?".to_owned(),
            Self::Both | Self::Plugs => "give one of the two".to_owned(),
            Self::Md5(..) | Self::Sha256(..) => {
                "put the right file there, or its digest into the configuration".to_owned()
            }
            Self::Link(error) => return error.hint(),
        })
    }
}

/// What is to be compiled, and what a configuration says of it.
#[derive(Debug)]
pub struct Inputs {
    /// The modules.
    pub given: Given,
    /// The file that names the result: the module, or the entry.
    pub entry: PathBuf,
    /// The configuration, where there is one.
    pub config: Option<Config>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
}

/// Reads a module, a component or a configuration, and what is linked or put together with it.
///
/// # Errors
/// [`ModulesError`].
pub fn read(input: &Path, with: &With) -> Result<Inputs, ModulesError> {
    let bytes = Source::read_bytes(input)?;
    if is_config(&bytes) {
        if !with.is_empty() {
            return Err(ModulesError::Both);
        }
        return of_config(input, &bytes);
    }
    let entry = Unread { label: input::label(input), bytes };
    let mut room = Room(MODULE_BYTES_MAX);
    let mut files = vec![input.to_owned()];
    let given = match (&with.module[..], &with.plug[..]) {
        ([], []) => Given::One(entry),
        (libraries, []) => {
            let mut all = Vec::new();
            for (name, file) in libraries {
                all.push((name.clone(), room.read(file)?));
                files.push(file.clone());
            }
            all.push((ENTRY_NAME.to_owned(), room.take(entry)?));
            checked_names(Given::Several(all))?
        }
        ([], plugs) => {
            let mut all: Vec<(String, Unread)> = Vec::new();
            for file in plugs {
                let plug = room.read(file)?;
                all.push((plug_name(&plug.label, &all), plug));
                files.push(file.clone());
            }
            all.push((plug_name(&entry.label, &all), room.take(entry)?));
            checked_names(Given::Plugged(all))?
        }
        _ => return Err(ModulesError::Plugs),
    };
    Ok(Inputs { given, entry: input.to_owned(), config: None, files })
}

/// What a component is called among others: the stem of its file, with a number where that is
/// another one's.
fn plug_name(label: &str, others: &[(String, Unread)]) -> String {
    let stem = artifact_name(label);
    let is_free = |name: &str| others.iter().all(|(other, _)| other != name);
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let mut names = std::iter::once(stem.clone()).chain(numbered);
    names.find(|name| is_free(name)).unwrap_or(stem)
}

/// Reads modules that are linked, by their names, the entry last.
///
/// # Errors
/// [`ModulesError`].
pub fn read_all(modules: &[(String, PathBuf)]) -> Result<Inputs, ModulesError> {
    let mut room = Room(MODULE_BYTES_MAX);
    let read = |(name, file): &(String, PathBuf)| Ok((name.clone(), room.read(file)?));
    let all = modules.iter().map(read).collect::<Result<Vec<_>, ModulesError>>()?;
    Ok(Inputs {
        given: checked_names(Given::Several(all))?,
        entry: modules.last().map(|(_, file)| file.clone()).unwrap_or_default(),
        config: None,
        files: modules.iter().map(|(_, file)| file.clone()).collect(),
    })
}

/// Refuses names and numbers that those of one program cannot have.
fn checked_names(given: Given) -> Result<Given, ModulesError> {
    given.digest()?;
    Ok(given)
}

/// How many bytes may still be read.
struct Room(u64);

impl Room {
    fn read(&mut self, file: &Path) -> Result<Unread, ModulesError> {
        self.take(Unread { label: input::label(file), bytes: Source::read_bytes(file)? })
    }

    fn take(&mut self, unread: Unread) -> Result<Unread, ModulesError> {
        let bytes = unread.bytes.len() as u64;
        let together = MODULE_BYTES_MAX - self.0 + bytes;
        let left = self.0.checked_sub(bytes);
        self.0 = left.ok_or(ModulesError::Link(LinkError::TooLong(together)))?;
        Ok(unread)
    }
}

/// Whether bytes begin as a configuration does, and as no module: with a brace, or a comment of
/// JSON's.
fn is_config(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    [&b"{"[..], b"//", b"/*"].iter().any(|begin| text.starts_with(begin))
}

fn of_config(path: &Path, bytes: &[u8]) -> Result<Inputs, ModulesError> {
    let name = input::label(path);
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(ModulesError::ConfigTooLong(name));
    }
    let text = String::from_utf8_lossy(bytes);
    let root = env::var(ROOT).ok();
    let config = Config::parse(text.trim_start_matches('\u{feff}'), root.as_deref())
        .map_err(|error| ModulesError::Config(name, error))?;
    let listed: Vec<ModuleEntry> = match config.version {
        0 => vec![alone(&config)],
        _ => config.in_order().into_iter().cloned().collect(),
    };
    if listed.len() > RECIPE_MODULES_MAX {
        return Err(RecipeError::TooMany(listed.len()).into());
    }
    // What version 0 says of other files is about files that are there.
    let others = config.modules.iter().filter(|other| {
        config.version == 0
            && other.file != config.entry
            && (other.md5.is_some() || other.sha256.is_some())
    });
    let mut room = Room(MODULE_BYTES_MAX);
    for other in others {
        checked(&mut room, other)?;
    }
    let mut room = Room(MODULE_BYTES_MAX);
    let mut all = Vec::new();
    let mut files = vec![path.to_owned()];
    for module in &listed {
        let unread = checked(&mut room, module)?;
        let is_unnamed = module.name.is_empty() && module.kind == ModuleKind::Entry;
        let name = if is_unnamed { ENTRY_NAME.to_owned() } else { module.name.clone() };
        all.push((name, unread));
        files.push(PathBuf::from(&module.file));
    }
    let entry = files.last().cloned().unwrap_or_default();
    let given = match config.version {
        0 => Given::One(all.swap_remove(0).1),
        _ => checked_names(Given::Several(all))?,
    };
    Ok(Inputs { given, entry, config: Some(config), files })
}

/// The module of version 0, with the digests that are given for its file.
fn alone(config: &Config) -> ModuleEntry {
    let own = config.modules.iter().find(|module| module.file == config.entry);
    ModuleEntry {
        file: config.entry.clone(),
        name: String::new(),
        kind: ModuleKind::Entry,
        md5: own.and_then(|own| own.md5.clone()),
        sha256: own.and_then(|own| own.sha256),
    }
}

/// Reads the file of a module, and holds it to its digests.
fn checked(room: &mut Room, module: &ModuleEntry) -> Result<Unread, ModulesError> {
    let unread = room.read(Path::new(&module.file))?;
    let file = || module.file.clone();
    if let Some(wanted) = module.sha256 {
        let found = Sha256::of(&unread.bytes);
        if found != wanted {
            return Err(ModulesError::Sha256(file(), found, wanted));
        }
    }
    if let Some(wanted) = &module.md5 {
        let found = Md5::digest(&unread.bytes);
        let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        if !found.eq_ignore_ascii_case(wanted) {
            return Err(ModulesError::Md5(file(), found, wanted.clone()));
        }
    }
    Ok(unread)
}

/// What a configuration says of limits and of the network, where an option does not say it
/// already. Words that name no place of the network are left out, as there.
pub fn apply(config: &Config, options: &mut Options) {
    let pages = config.limited_memory.map(|pages| pages.saturating_mul(PAGE_BYTES));
    let memory = match (pages, config.max_memory_size) {
        (Some(pages), Some(bytes)) => Some(pages.min(bytes)),
        (pages, bytes) => pages.or(bytes),
    };
    // More than a manifest can say is no limit that anybody would meet.
    let limit = |number: Option<u64>| number.map(|number| number.min(JSON_INTEGER_MAX));
    options.memory_max = options.memory_max.or(limit(memory));
    if options.metered {
        options.fuel_max = options.fuel_max.or(limit(config.limited_fuel));
    }
    let time = config.run_time.filter(|time| *time > 0);
    options.time_ms_max = options.time_ms_max.or(limit(time));
    let places = config.permissions.iter().filter_map(|place| NetGrant::parse(place).ok());
    options
        .permissions
        .extend(places.flat_map(|place| Permission::of_network(&place).collect::<Vec<_>>()));
    options.permissions.sort_unstable();
    options.permissions.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::target::Target;
    use std::fs;

    /// A folder with two modules.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lib.wat"), "(module)").unwrap();
        fs::write(folder.path().join("app.wat"), "(module (func))").unwrap();
        folder
    }

    /// Reads a configuration of two modules, with this said of the library.
    fn config(folder: &Path, more: &str) -> Result<Inputs, ModulesError> {
        let path = folder.join("config.json");
        let [lib, app] = ["lib.wat", "app.wat"].map(|name| folder.join(name));
        let text = format!(
            "// two modules\n{{\"version\": 1, \"entry\": \"\", \"modules\": [
                {{\"file\": {app:?}, \"name\": \"\", \"type\": \"entry\"}},
                {{\"file\": {lib:?}, \"name\": \"lib\", \"type\": \"module\"{more}}}]}}"
        );
        fs::write(&path, text).unwrap();
        read(&path, &With::default())
    }

    #[test]
    fn a_configuration_names_modules_in_their_order() {
        let folder = folder();
        let inputs = config(folder.path(), "").unwrap();
        let names: Vec<_> = inputs.given.all().map(|(name, one)| (name, one.bytes.len())).collect();
        assert_eq!(names, [(Some("lib"), 8), (Some("entry"), 15)]);
        assert_eq!(inputs.entry, folder.path().join("app.wat"));
        assert_eq!(inputs.files.len(), 3);
    }

    #[test]
    fn digests_are_of_the_bytes_that_are_used() {
        let folder = folder();
        let bytes = b"(module)";
        let md5: String = Md5::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect();
        let sha256 = Sha256::of(bytes);
        let with = |more: &str| config(folder.path(), more);
        assert!(with(&format!(", \"md5\": \"{md5}\", \"sha256\": \"{sha256}\"")).is_ok());
        for (more, code) in [
            (", \"md5\": \"00000000000000000000000000000000\"".to_owned(), "config.md5"),
            (", \"md5\": \"\"".to_owned(), "config.md5"),
            (format!(", \"sha256\": \"{}\"", Sha256::of(b"")), "config.sha256"),
        ] {
            let error = with(&more).unwrap_err();
            assert_eq!(error.code(), code, "{more}");
            assert!(error.to_string().contains("lib.wat has the "), "{error}");
        }
    }

    #[test]
    fn a_module_alone_may_have_digests_too() {
        let folder = folder();
        let path = folder.path().join("config.json");
        let app = folder.path().join("app.wat");
        let of = |md5: &str| {
            let text = format!(
                "{{\"entry\": {app:?}, \"modules\": [{{\"file\": {app:?}, \"name\": \"x\", \"md5\": \"{md5}\"}}]}}"
            );
            fs::write(&path, text).unwrap();
            read(&path, &With::default())
        };
        let md5: String =
            Md5::digest(b"(module (func))").iter().map(|byte| format!("{byte:02x}")).collect();
        let inputs = of(&md5).unwrap();
        assert!(matches!(inputs.given, Given::One(_)));
        assert_eq!(inputs.given.digest().unwrap(), Sha256::of(b"(module (func))"));
        assert_eq!(of("0").unwrap_err().code(), "config.md5");
    }

    #[test]
    fn what_is_a_configuration_is_no_module() {
        for (bytes, is) in [
            (&b"{}"[..], true),
            (b" \n// x\n{}", true),
            (b"/* x */ {}", true),
            (b"\xef\xbb\xbf{}", true),
            (b"(module)", false),
            (b";; {\n(module)", false),
            (b"\0asm\x01\0\0\0", false),
            (b"", false),
        ] {
            assert_eq!(is_config(bytes), is, "{bytes:?}");
        }
        let folder = folder();
        let path = folder.path().join("config.json");
        fs::write(&path, "{\"entry\": 1}").unwrap();
        assert!(matches!(read(&path, &With::default()), Err(ModulesError::Config(..))));
        let lib = folder.path().join("lib.wat");
        let with = |names: &[&str], plugs: usize| With {
            module: names.iter().map(|name| ((*name).to_owned(), lib.clone())).collect(),
            plug: vec![lib.clone(); plugs],
        };
        assert_eq!(read(&path, &with(&["lib"], 0)).unwrap_err().code(), "config.modules");
        assert_eq!(read(&path, &with(&[], 1)).unwrap_err().code(), "config.modules");
        let app = folder.path().join("app.wat");
        let inputs = read(&app, &with(&["lib"], 0)).unwrap();
        assert_eq!(inputs.given.all().count(), 2);
        assert_eq!(read(&app, &with(&["lib", "lib"], 0)).unwrap_err().code(), "link.modules");
        assert_eq!(read(&app, &with(&["lib"], 1)).unwrap_err().code(), "options.plugs");
        let inputs = read(&app, &with(&[], 2)).unwrap();
        let names: Vec<_> = inputs.given.all().map(|(name, _)| name.unwrap().to_owned()).collect();
        assert_eq!(
            (&names[..], inputs.files.len()),
            (&["lib", "lib-2", "app"].map(String::from)[..], 3)
        );
        assert!(matches!(inputs.given, Given::Plugged(_)));
    }

    #[test]
    fn limits_of_a_configuration_hold_where_no_option_says_otherwise() {
        let text = r#"{"entry": "a.wasm", "limited_fuel": 7, "limited_memory": 2, "run_time": 30,
            "max_memory_size": 100000,
            "permissions": ["https://example.com/a", "no place", "tcp://10.0.0.1:80"]}"#;
        let config = Config::parse(text, None).unwrap();
        let mut options = Options::new(vec![Target::X86_64]);
        apply(&config, &mut options);
        let limits = (options.fuel_max, options.memory_max, options.time_ms_max);
        assert_eq!(limits, (Some(7), Some(100_000), Some(30)));
        let shown: Vec<String> = options.permissions.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["sockets:tcp://10.0.0.1:80", "http:https://example.com/a"]);
        let mut own = Options {
            fuel_max: Some(1),
            memory_max: Some(2),
            ..Options::new(Vec::<Target>::new())
        };
        apply(&config, &mut own);
        assert_eq!((own.fuel_max, own.memory_max), (Some(1), Some(2)));
    }
}
