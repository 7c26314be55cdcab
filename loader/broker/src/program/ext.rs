//! `ext`: which programs guests may use.

use super::{Defect, Failure, say};
use crate::starter::image::Image;
use crate::starter::{Folder, introduce, read_registry};
use bls_artifact::extension::{Extension, Registry, is_alias, is_variable_name};
use bls_artifact::limits::PASSWD_BYTES_MAX;
use bls_artifact::passwd;
use bls_artifact::quantity::{parse_count, parse_size, parse_time, write_size, write_time};
use bls_artifact::text::printable_path;
use lexopt::{Arg, Parser, ValueExt as _};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The registry of the machine.
const SYSTEM_REGISTRY: &str = "/etc/bls/extensions.json";

const HELP: &str = "\
Which programs guests may use as extensions.

Usage: bls-load ext add PATH [OPTIONS]
       bls-load ext list [--registry FILE | --folder DIR] [--json]
       bls-load ext remove ALIAS... [--registry FILE]

add asks the program who it is (PATH --ext_verify: confined, at most two seconds) and writes
its alias, path, SHA-256 and description; the same alias is replaced. What it may do beyond
reading system libraries is said here, and can be changed in the file.

  --registry FILE    the registry; else /etc/bls/extensions.json for root, and
                     ~/.config/bls/extensions.json for everybody else
  --alias NAME       by another name than it says
  --no-ask           without asking it: --alias names it, --description describes it
  --description TEXT
  --argument WORD    an argument that guests may pass; one that ends in * allows all that begin
                     so; repeat it; without it all may be passed
  --no-arguments     none may be passed
  --variable NAME    a variable that guests may set; repeat it; without it none may be
  --time TIME        how long it may run (10m)
  --memory SIZE      what each of its processes may take (512MiB)
  --output SIZE      what it may say (64MiB)
  --processes N      how many processes it may be (64); 1 forbids it to make any
  --files N          how many files each has open (256)
  --network          it may use the network, all of it
  --read PATH        a file, or a folder with what is in it, that it may read; repeat it
  --write PATH       the same that it may change

list also says which programs are no longer the ones that were registered. With --folder it
asks each program of a folder, as the network's runtime does (--drivers-root-path).

Examples:
  bls-load ext add ./search --read /var/lib/search --argument '--limit=*'
  bls-load run app.bls --extensions ~/.config/bls/extensions.json --allow-extension search
";

/// Does what was asked for.
pub(super) fn run(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let mut parser = Parser::from_args(words);
    let usage = |error: lexopt::Error| Failure::usage(error);
    match parser.next().map_err(usage)? {
        Some(Arg::Long("help") | Arg::Short('h')) => say(HELP),
        Some(Arg::Value(verb)) => match verb.to_string_lossy().as_ref() {
            "add" => add(parser),
            "list" => list(parser),
            "remove" => remove(parser),
            other => Err(Failure::usage(format_args!(
                "there is no command ext {other:?}; there are add, list and remove"
            ))),
        },
        _ => Err(Failure::usage("ext wants a command: add, list or remove")),
    }
}

/// Sets what an extension may do.
type Term = Box<dyn FnOnce(&mut Extension)>;

/// What `ext add` is told.
#[derive(Default)]
struct Add {
    path: Option<PathBuf>,
    registry: Option<PathBuf>,
    alias: Option<String>,
    description: Option<String>,
    no_ask: bool,
    /// Sets what was said of the extension.
    terms: Vec<Term>,
}

impl Add {
    fn parse(mut parser: Parser) -> Result<Option<Self>, Failure> {
        let mut add = Self::default();
        loop {
            match read_option(&mut parser, &mut add) {
                Ok(Some(true)) => {}
                Ok(Some(false)) => return Ok(None),
                Ok(None) => return Ok(Some(add)),
                Err(error) => return Err(Failure::usage(error)),
            }
        }
    }

    fn set(&mut self, set: impl FnOnce(&mut Extension) + 'static) {
        self.terms.push(Box::new(set));
    }
}

/// Reads one word: whether to go on, or `None` at the end.
fn read_option(parser: &mut Parser, add: &mut Add) -> Result<Option<bool>, lexopt::Error> {
    let Some(option) = parser.next()? else { return Ok(None) };
    match option {
        Arg::Long("help") | Arg::Short('h') => return Ok(Some(false)),
        Arg::Long("registry") => add.registry = Some(parser.value()?.into()),
        Arg::Long("alias") => add.alias = Some(parser.value()?.string()?),
        Arg::Long("description") => add.description = Some(parser.value()?.string()?),
        Arg::Long("no-ask") => add.no_ask = true,
        Arg::Long("argument") => {
            let word = parser.value()?.string()?;
            add.set(|one| one.arguments.get_or_insert_default().push(word));
        }
        Arg::Long("no-arguments") => add.set(|one| one.arguments = Some(Vec::new())),
        Arg::Long("variable") => {
            let name = parser.value()?.string()?;
            if !is_variable_name(&name) {
                return Err(format!("{name:?} is no name of a variable").into());
            }
            add.set(|one| one.variables.push(name));
        }
        Arg::Long("time") => {
            let time = parse_time(&parser.value()?.string()?)?.as_millis() as u64;
            add.set(move |one| one.time_ms = time.max(1));
        }
        Arg::Long("memory") => {
            let size = parse_size(&parser.value()?.string()?)?;
            add.set(move |one| one.memory = size);
        }
        Arg::Long("output") => {
            let size = parse_size(&parser.value()?.string()?)?;
            add.set(move |one| one.output = size);
        }
        Arg::Long("processes") => {
            let count = count(&parser.value()?.string()?)?;
            add.set(move |one| one.processes = count);
        }
        Arg::Long("files") => {
            let count = count(&parser.value()?.string()?)?;
            add.set(move |one| one.files = count);
        }
        Arg::Long("network") => add.set(|one| one.network = true),
        Arg::Long("read") => {
            let path = granted(&PathBuf::from(parser.value()?))?;
            add.set(|one| one.read.push(path));
        }
        Arg::Long("write") => {
            let path = granted(&PathBuf::from(parser.value()?))?;
            add.set(|one| one.write.push(path));
        }
        Arg::Value(path) if add.path.is_none() => add.path = Some(path.into()),
        other => return Err(other.unexpected()),
    }
    Ok(Some(true))
}

fn count(text: &str) -> Result<u32, String> {
    u32::try_from(parse_count(text)?).map_err(|_| format!("{text:?} is too large"))
}

/// The path from the root, links resolved: what is registered is what is there now.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The same of what an extension may read or write, which must be there.
fn granted(path: &Path) -> Result<PathBuf, String> {
    absolute(path)
        .map_err(|what| format!("{what}: make it first, for it is granted by what it is now"))
}

fn add(parser: Parser) -> Result<ExitCode, Failure> {
    let Some(add) = Add::parse(parser)? else { return say(HELP) };
    let Some(path) = &add.path else {
        return Err(Failure::usage("ext add wants the path of a program"));
    };
    let refused = |defect, what: String, hint| Failure { defect, what, hint };
    let path = absolute(path)
        .map_err(|what| refused(Defect::Program, what, "name an executable file that is there"))?;
    let image = Image::open(&path).map_err(|error| {
        let what = format!("{}: {error}", printable_path(&path));
        refused(Defect::Program, what, "name an executable file that is there")
    })?;
    let mut extension = Extension::new(String::new(), path.clone(), image.sha256);
    extension.md5.clone_from(&image.md5);
    if !add.no_ask {
        let said = introduce(&path, image).map_err(|why| {
            let what = format!("{} is no extension: {why}", printable_path(&path));
            let hint = "a program is asked with --ext_verify and prints {\"alias\", \"description\", \
                        \"is_cgi\": true} (BROKER.md); --no-ask --alias NAME registers any other";
            refused(Defect::Introduction, what, hint)
        })?;
        (extension.alias, extension.description) = (said.alias, said.description);
    }
    if let Some(alias) = add.alias {
        extension.alias = alias;
    }
    if let Some(description) = add.description {
        extension.description = description;
    }
    if !is_alias(&extension.alias) {
        return Err(Failure::usage(
            "--alias NAME is wanted: 1 to 128 bytes without control characters",
        ));
    }
    add.terms.into_iter().for_each(|set| set(&mut extension));
    let place = place(add.registry)?;
    let mut registry = read(&place)?;
    let (alias, sha256) = (extension.alias.clone(), extension.sha256);
    let before = registry.extensions.iter_mut().find(|one| one.alias == alias);
    let did = match before {
        Some(before) => {
            *before = extension;
            "replaced"
        }
        None => {
            registry.extensions.push(extension);
            "added"
        }
    };
    write(&place, &registry)?;
    let shown = bls_artifact::text::printable_name(&alias);
    say(&format!(
        "{}: {did} {shown}: {} sha256:{sha256}\n",
        printable_path(&place),
        printable_path(&path)
    ))
}

fn list(mut parser: Parser) -> Result<ExitCode, Failure> {
    let (mut registry, mut folder, mut json): (Option<PathBuf>, Option<PathBuf>, _) =
        (None, None, false);
    while let Some(option) = parser.next().map_err(Failure::usage)? {
        match option {
            Arg::Long("help") | Arg::Short('h') => return say(HELP),
            Arg::Long("registry") => registry = Some(value(&mut parser)?),
            Arg::Long("folder") => folder = Some(value(&mut parser)?),
            Arg::Long("json") => json = true,
            other => return Err(Failure::usage(other.unexpected())),
        }
    }
    let (extensions, skipped) = match (folder, registry) {
        (Some(_), Some(_)) => return Err(Failure::usage("--registry and --folder are two places")),
        (Some(folder), None) => {
            let asked = Folder::ask(&absolute(&folder).map_err(Failure::usage)?);
            (asked.extensions, asked.skipped)
        }
        (None, registry) => (read(&place(registry)?)?.extensions, Vec::new()),
    };
    if json {
        let registry = Registry { extensions, ..Registry::empty() };
        let text = registry.to_text().map_err(|error| internal(error.to_string()))?;
        return say(&text);
    }
    let mut text = String::new();
    for one in &extensions {
        let state = match Image::open(&one.path) {
            Ok(image) if image.sha256 == one.sha256 => String::new(),
            Ok(_) => "  (its file has changed: it is not executed)".to_owned(),
            Err(error) => format!("  ({error})"),
        };
        let name = bls_artifact::text::printable_name;
        text += &format!(
            "{}  {}{state}\n    {}\n    sha256:{}  time {}  memory {}  output {}  processes {}{}\n",
            name(&one.alias),
            printable_path(&one.path),
            name(&one.description),
            one.sha256,
            write_time(one.time_ms),
            write_size(one.memory),
            write_size(one.output),
            one.processes,
            if one.network { "  network" } else { "" },
        );
    }
    for (path, why) in &skipped {
        text +=
            &format!("{} is none: {}\n", printable_path(path), bls_artifact::text::printable(why));
    }
    say(&text)
}

fn value(parser: &mut Parser) -> Result<PathBuf, Failure> {
    parser.value().map(PathBuf::from).map_err(Failure::usage)
}

fn remove(mut parser: Parser) -> Result<ExitCode, Failure> {
    let (mut registry, mut aliases) = (None, Vec::new());
    while let Some(option) = parser.next().map_err(Failure::usage)? {
        match option {
            Arg::Long("help") | Arg::Short('h') => return say(HELP),
            Arg::Long("registry") => {
                registry = Some(value(&mut parser)?);
            }
            Arg::Value(alias) => aliases.push(alias.string().map_err(Failure::usage)?),
            other => return Err(Failure::usage(other.unexpected())),
        }
    }
    if aliases.is_empty() {
        return Err(Failure::usage("ext remove wants an alias"));
    }
    let place = place(registry)?;
    let mut registry = read(&place)?;
    for alias in &aliases {
        if registry.find(alias).is_none() {
            return Err(Failure {
                defect: Defect::Unknown,
                what: format!("{} has no extension {alias:?}", place.display()),
                hint: "bls-load ext list says which there are",
            });
        }
    }
    registry.extensions.retain(|one| !aliases.contains(&one.alias));
    write(&place, &registry)?;
    let shown = bls_artifact::text::printable(&aliases.join(", "));
    say(&format!("{}: removed {shown}\n", printable_path(&place)))
}

/// The registry that is meant.
fn place(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return std::path::absolute(&path).map_err(|error| internal(error.to_string()));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(SYSTEM_REGISTRY.into());
    }
    let mut text = Vec::new();
    let read = File::open(passwd::DATABASE)
        .and_then(|file| file.take(PASSWD_BYTES_MAX).read_to_end(&mut text));
    let home = read.ok().and_then(|_| {
        passwd::home(&String::from_utf8_lossy(&text), rustix::process::geteuid().as_raw())
    });
    let home = home.filter(|home| home.is_absolute()).ok_or_else(|| Failure {
        defect: Defect::NoHome,
        what: "the password database does not say where this user's home is".to_owned(),
        hint: "name the registry: --registry FILE",
    })?;
    Ok(home.join(passwd::USER_FOLDER).join("extensions.json"))
}

fn internal(what: String) -> Failure {
    Failure { defect: Defect::Registry, what, hint: "see the file and its folder" }
}

/// The registry, or an empty one where there is none yet.
fn read(place: &Path) -> Result<Registry, Failure> {
    if std::fs::symlink_metadata(place).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    {
        return Ok(Registry::empty());
    }
    read_registry(place).map_err(|error| Failure {
        defect: Defect::Registry,
        what: error.to_string(),
        hint: "BROKER.md, \"The registry\", says what is in such a file",
    })
}

/// Puts another in its place: whole, or not at all.
fn write(place: &Path, registry: &Registry) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    registry
        .check()
        .map_err(|error| Failure::usage(format_args!("it cannot be registered so: {error}")))?;
    let text = registry.to_text().map_err(|error| internal(error.to_string()))?;
    let folder = place.parent().unwrap_or(Path::new("/"));
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let put = || -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o644).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, place)?;
        File::open(folder)?.sync_all()
    };
    put().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        internal(format!("{}: {error}", printable_path(place)))
    })
}
