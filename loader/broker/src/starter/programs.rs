//! Which program an alias is: by a registry, or by a folder whose programs are asked.
//!
//! A registry is a decision of whoever wrote it, and is believed only where nobody else can
//! write it. A folder is the network's way: every program of it that answers is an extension;
//! what it was when it was asked is what is executed later.

use super::image::Image;
use super::introduce::introduce_all;
use super::process::{Command, paths};
use bls_artifact::broker::{ExtensionInfo, ExtensionsFrom, Reason, Refusal};
use bls_artifact::extension::{
    Extension, Registry, RegistryError, is_loader_variable, is_variable_name,
};
use bls_artifact::limits::{EXTENSION_WORDS_BYTES_MAX, EXTENSIONS_MAX, REGISTRY_BYTES_MAX};
use rustix::fs::{FileType, Mode, OFlags};
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 4096;

/// Why a registry is not read.
#[derive(Debug)]
pub enum ProgramsError {
    /// It cannot be opened or read.
    Io(PathBuf, io::Error),
    /// It is no file.
    Kind(PathBuf),
    /// Somebody else may write it.
    Owner(PathBuf),
    /// What is in it.
    Registry(PathBuf, RegistryError),
}

impl fmt::Display for ProgramsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(formatter, "{}: {error}", path.display()),
            Self::Kind(path) => write!(formatter, "{} is no file", path.display()),
            Self::Owner(path) => write!(
                formatter,
                "{} says what may be executed, and others than root and this user may write it: \
                 chmod go-w, or chown",
                path.display()
            ),
            Self::Registry(path, error) => write!(formatter, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ProgramsError {}

/// Reads a registry that nobody but root and this user can have written.
///
/// # Errors
/// [`ProgramsError`].
pub fn read_registry(path: &Path) -> Result<Registry, ProgramsError> {
    let io = |error: io::Error| ProgramsError::Io(path.to_owned(), error);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| io(error.into()))?;
    let status = rustix::fs::fstat(&file).map_err(|error| io(error.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(ProgramsError::Kind(path.to_owned()));
    }
    let own = rustix::process::geteuid().as_raw();
    if status.st_uid != 0 && status.st_uid != own || status.st_mode & 0o022 != 0 {
        return Err(ProgramsError::Owner(path.to_owned()));
    }
    let mut text = Vec::new();
    File::from(file).take(REGISTRY_BYTES_MAX + 1).read_to_end(&mut text).map_err(io)?;
    Registry::parse(&text).map_err(|error| ProgramsError::Registry(path.to_owned(), error))
}

/// A folder of programs, each of which was asked.
#[derive(Debug, Default)]
pub struct Folder {
    /// Those that answered.
    pub extensions: Vec<Extension>,
    /// Those that did not, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

impl Folder {
    /// Asks every executable file of a folder. One that is not there has none.
    #[must_use]
    pub fn ask(path: &Path) -> Self {
        let mut folder = Self::default();
        let Ok(entries) = std::fs::read_dir(path) else { return folder };
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .take(ENTRIES_MAX)
            .map(|entry| entry.path())
            .filter(|path| is_executable(path))
            .collect();
        files.sort();
        for late in files.drain(files.len().min(EXTENSIONS_MAX)..) {
            folder.skipped.push((late, format!("there are more than {EXTENSIONS_MAX}")));
        }
        let (mut asked, mut images, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for path in files {
            match Image::open(&path) {
                Ok(image) => {
                    digests.push((image.sha256, image.md5.clone()));
                    images.push(image);
                    asked.push(path);
                }
                Err(error) => folder.skipped.push((path, error.to_string())),
            }
        }
        let programs = asked.iter().map(PathBuf::as_path).zip(images).collect();
        let answers = introduce_all(programs);
        for ((path, (sha256, md5)), answer) in asked.into_iter().zip(digests).zip(answers) {
            let said = match answer {
                Ok(said) => said,
                Err(why) => {
                    folder.skipped.push((path, why));
                    continue;
                }
            };
            if folder.extensions.iter().any(|other| other.alias == said.alias) {
                let why = format!("another is called {:?}", said.alias);
                folder.skipped.push((path, why));
                continue;
            }
            let mut extension = Extension::new(said.alias, path, sha256);
            extension.md5 = md5;
            extension.description = said.description;
            folder.extensions.push(extension);
        }
        folder
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|what| what.is_file() && what.permissions().mode() & 0o111 != 0)
}

/// What a starter may start.
#[derive(Debug)]
pub struct Programs {
    place: Place,
    aliases: Option<Vec<String>>,
}

#[derive(Debug)]
enum Place {
    Registry(Registry),
    /// What is in it, once somebody has asked.
    Folder(PathBuf, Option<Folder>),
}

impl Programs {
    /// Reads a registry; a folder is asked later.
    ///
    /// # Errors
    /// [`ProgramsError`].
    pub fn read(from: &ExtensionsFrom) -> Result<Self, ProgramsError> {
        let place = if from.is_folder {
            Place::Folder(from.path.clone(), None)
        } else {
            Place::Registry(read_registry(&from.path)?)
        };
        Ok(Self { place, aliases: from.aliases.clone() })
    }

    /// All of them, those that may not be used among them.
    fn all(&mut self) -> &[Extension] {
        match &mut self.place {
            Place::Registry(registry) => &registry.extensions,
            Place::Folder(path, folder) => {
                &folder.get_or_insert_with(|| Folder::ask(path)).extensions
            }
        }
    }

    fn may(&self, alias: &str) -> bool {
        self.aliases.as_ref().is_none_or(|aliases| aliases.iter().any(|one| one == alias))
    }

    /// Those that may be used.
    pub(super) fn list(&mut self) -> Vec<ExtensionInfo> {
        let all = self.all().to_vec();
        let info = |one: Extension| ExtensionInfo {
            file_name: one.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            alias: one.alias,
            sha256: one.sha256.to_string(),
            md5: one.md5,
            description: one.description,
        };
        all.into_iter().filter(|one| self.may(&one.alias)).map(info).collect()
    }

    /// The program that is started for this.
    pub(super) fn command(
        &mut self,
        alias: &str,
        arguments: &[String],
        variables: &[(String, String)],
    ) -> Result<Command, Refusal> {
        let found = self.all().iter().find(|one| one.alias == alias).cloned();
        let Some(extension) = found.filter(|_| self.may(alias)) else {
            return Err(self.unknown(alias));
        };
        let is_folder = matches!(self.place, Place::Folder(..));
        let denied = |what: fmt::Arguments<'_>| {
            Refusal::new(Reason::Denied, format_args!("the extension {alias:?} {what}"))
        };
        if let Some(wrong) = arguments.iter().find(|argument| !extension.allows_argument(argument))
        {
            let shown = bls_artifact::text::printable_name(wrong);
            return Err(denied(format_args!("may not get the argument {shown:?}")));
        }
        let mut kept = Vec::new();
        for (name, value) in variables {
            let may =
                if is_folder { !is_loader_variable(name) } else { extension.allows_variable(name) };
            match (may && is_variable_name(name), is_folder) {
                (true, _) => kept.push(format!("{name}={value}")),
                // The network's guests are not told: what they set has never arrived there.
                (false, true) => {}
                (false, false) => {
                    let shown = bls_artifact::text::printable_name(name);
                    return Err(denied(format_args!("may not get the variable {shown:?}")));
                }
            }
        }
        let words = arguments.iter().chain(&kept).map(|word| word.len() + 1).sum::<usize>();
        if words > EXTENSION_WORDS_BYTES_MAX {
            return Err(Refusal::new(
                Reason::TooLong,
                format_args!(
                    "arguments and variables are longer than {EXTENSION_WORDS_BYTES_MAX} bytes"
                ),
            ));
        }
        let word = |bytes: &[u8]| {
            CString::new(bytes).map_err(|_| Refusal::new(Reason::Invalid, "a zero byte in a word"))
        };
        let name = extension.path.as_os_str().as_bytes();
        let all = std::iter::once(name).chain(arguments.iter().map(String::as_bytes));
        let arguments = all.map(word).collect::<Result<_, _>>()?;
        let variables = kept.iter().map(|one| word(one.as_bytes())).collect::<Result<_, _>>()?;
        let image = Image::open(&extension.path).map_err(|error| {
            let path = extension.path.display();
            Refusal::new(Reason::Failed, format_args!("the extension {alias:?}: {path}: {error}"))
        })?;
        if image.sha256 != extension.sha256 {
            return Err(denied(format_args!(
                "is another file than was registered: {} and not {}; bls-load ext add registers it anew",
                image.sha256, extension.sha256
            )));
        }
        Ok(Command { extension, image, arguments, variables })
    }

    fn unknown(&self, alias: &str) -> Refusal {
        let shown = bls_artifact::text::printable_name(alias);
        let mut text = format!("no extension is called {shown:?}");
        if let Place::Folder(_, Some(folder)) = &self.place {
            for (path, why) in folder.skipped.iter().take(8) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                text += &format!("; {name} is none: {why}");
            }
        }
        Refusal::new(Reason::UnknownExtension, text)
    }

    /// Programs, or the folder of them; and what they may read and change.
    pub(super) fn uses(&self) -> (Vec<&Path>, Vec<&Path>, Vec<&Path>) {
        match &self.place {
            Place::Folder(path, _) => (vec![path], Vec::new(), Vec::new()),
            Place::Registry(registry) => {
                let may = registry.extensions.iter().filter(|one| self.may(&one.alias));
                let (mut programs, mut read, mut write) = (Vec::new(), Vec::new(), Vec::new());
                for extension in may {
                    programs.push(extension.path.as_path());
                    let (own_read, own_write) = paths(extension);
                    read.extend(own_read);
                    write.extend(own_write);
                }
                (programs, read, write)
            }
        }
    }

    /// Whether one that may be used may use the network.
    pub(super) fn any_network(&self) -> bool {
        match &self.place {
            Place::Folder(..) => false,
            Place::Registry(registry) => {
                registry.extensions.iter().any(|one| one.network && self.may(&one.alias))
            }
        }
    }
}
