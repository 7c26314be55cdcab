//! Why there is no artifact of a module, in words.

use crate::error::{Cause, StageError, printable, printable_path};
use bls_artifact::artifact::Foreign;
use bls_artifact::digest::Sha256;
use bls_artifact::recipe::RecipeError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no artifact of a module.
#[derive(Debug)]
pub(in crate::program) enum ModuleError {
    /// A file that cannot be read.
    Unreadable(String, io::Error),
    /// Longer than any module.
    TooLong(String),
    /// No module: what it is, where that is known.
    Foreign(String, Foreign),
    /// An artifact, where a module is named.
    Artifact(String),
    /// An archive.
    Archive(PathBuf),
    /// Another MD5 than the configuration says: what it is, and should be.
    Md5(String, String, String),
    /// The same of the SHA-256.
    Sha256(String, Sha256, Sha256),
    /// Modules that cannot become one program.
    Recipe(RecipeError),
    /// Nothing that is installed was made of it: how it can be.
    NotInstalled(String, Sha256, String),
    /// What was found says that it was made of something else.
    OtherSource(String),
    /// The compiler cannot be run.
    Compiler(PathBuf, io::Error),
    /// It refuses the module; its words.
    Refused(String, String),
}

impl fmt::Display for ModuleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => write!(formatter, "cannot read {file}: {error}"),
            Self::TooLong(file) => write!(formatter, "{file} is longer than any module"),
            Self::Foreign(file, kind) => {
                write!(formatter, "{file} is {}, not a module", kind.words())
            }
            Self::Artifact(file) => write!(formatter, "{file} is an artifact, not a module"),
            Self::Archive(path) => {
                let path = printable_path(path);
                write!(formatter, "{path} is a CAR archive, which bls-load does not unpack")
            }
            Self::Md5(file, actual, expected) => {
                let expected = printable(expected);
                write!(formatter, "{file} has the MD5 {actual}, and should have {expected:?}")
            }
            Self::Sha256(file, actual, expected) => {
                write!(formatter, "{file} has the SHA-256 {actual}, and should have {expected}")
            }
            Self::Recipe(error) => error.fmt(formatter),
            Self::NotInstalled(file, digest, _) => {
                write!(formatter, "nothing that is installed was made of {file} (sha256:{digest})")
            }
            Self::OtherSource(name) => {
                write!(formatter, "{name} was made of another module than the one to be run")
            }
            Self::Compiler(path, error) => {
                write!(formatter, "cannot run {}: {error}", printable_path(path))
            }
            Self::Refused(file, words) => {
                write!(formatter, "bls-compile does not compile {file}: {words}")
            }
        }
    }
}

impl StageError for ModuleError {
    const STAGE: &'static str = "module";

    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(..) => "module.unreadable",
            Self::TooLong(_) | Self::Foreign(..) | Self::Artifact(_) => "module.kind",
            Self::Archive(_) => "module.archive",
            Self::Md5(..) => "module.md5",
            Self::Sha256(..) => "module.sha256",
            Self::Recipe(_) => "module.recipe",
            Self::NotInstalled(..) => "module.not-installed",
            Self::OtherSource(_) => "module.other-source",
            Self::Compiler(..) => "module.compiler",
            Self::Refused(..) => "module.not-compiled",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Unreadable(_, error) | Self::Compiler(_, error) => Cause::of_named_io(error),
            _ => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable(..) => {
                "see that it is there and may be read; a path begins where this was started".into()
            }
            Self::Foreign(_, Foreign::Component) => {
                "compile it, and name what comes of it: bls-compile app.component.wasm && \
                 bls-runtime app.component.bls"
                    .into()
            }
            Self::Foreign(_, Foreign::Cwasm) => {
                "native code that nobody signed is not run: name the module it was made of".into()
            }
            Self::TooLong(_) | Self::Foreign(..) => "name a WebAssembly module".into(),
            Self::Artifact(_) => "let its name end in .bls".into(),
            Self::Archive(_) => "unpack it, and name its config.json".into(),
            Self::Md5(..) | Self::Sha256(..) => {
                "put the right file there, or its digest into the configuration".into()
            }
            Self::Recipe(_) => "give each module a name of its own".into(),
            Self::NotInstalled(_, _, compile) => format!(
                "{compile}; or have it compiled when it is first run: --compile-with bls-compile"
            ),
            Self::OtherSource(_) => "if it was replaced meanwhile, run it again".into(),
            Self::Compiler(..) => {
                "--compile-with takes the path of bls-compile, or its name where it is beside bls-load".into()
            }
            Self::Refused(file, _) => format!("bls-compile check {file} says all that is wrong"),
        })
    }
}
