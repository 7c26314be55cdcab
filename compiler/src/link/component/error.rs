//! Why a component does not become a module.

use std::fmt;

/// How many names a sentence has.
const NAMES_SHOWN: usize = 4;

/// An export that does not fit an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Whose export.
    pub plug: String,
    /// Its name.
    pub export: String,
    /// Whose import.
    pub importer: String,
    /// Its name.
    pub import: String,
    /// How the types differ.
    pub what: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plug, export, importer, import, what } = self;
        if export == import {
            write!(f, "{plug:?} exports {export} otherwise than {importer:?} imports it: {what}")
        } else {
            write!(
                f,
                "{plug:?} exports {export}, and {importer:?} imports {import} of another type: {what}"
            )
        }
    }
}

/// Why a component does not become a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentError {
    /// It is not valid: why, and where, in bytes from its start.
    Invalid(String, Option<usize>),
    /// It uses functions, types or options of the asynchronous component model: the first.
    Async(String),
    /// It uses threads of the component model: what.
    Threads(String),
    /// It uses something else that nothing here does: what.
    Feature(String),
    /// It imports what nothing here has, by full names.
    Import(Vec<String>),
    /// It imports a function of WASI as one of another type.
    ImportType(String),
    /// It exports no function: what it exports instead.
    NoRun(Vec<String>),
    /// There is more of something than a program may have: of what, how much, and the most.
    TooMany(&'static str, u64, u64),
    /// A plug that fills no import of those behind it.
    PlugUnused {
        /// Its name.
        plug: String,
        /// What it exports.
        exports: Vec<String>,
        /// What nobody fills.
        wanted: Vec<String>,
    },
    /// An export of a plug that is of another type than the import that it would fill.
    PlugType(Box<Misfit>),
    /// What several components import, or export together, cannot stand at one border: why.
    PlugBorder(String),
}

/// Some names, and how many there are beside them.
fn some(names: &[String]) -> String {
    let mut text = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = names.len().checked_sub(NAMES_SHOWN).filter(|more| *more > 0) {
        text += &format!(" and {more} more");
    }
    text
}

impl fmt::Display for ComponentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what, Some(offset)) => {
                write!(f, "the component is not valid: {what} at offset {offset:#x}")
            }
            Self::Invalid(what, None) => write!(f, "the component is not valid: {what}"),
            Self::Async(what) => {
                write!(f, "the component is asynchronous, which is not supported: it uses {what}")
            }
            Self::Threads(what) => {
                write!(f, "the component has threads, which are not supported: it uses {what}")
            }
            Self::Feature(what) => write!(f, "the component uses what is not supported: {what}"),
            Self::Import(names) => {
                write!(f, "the component imports what no loader has: {}", some(names))
            }
            Self::ImportType(name) => {
                write!(f, "the component imports {name} as a function of another type than WASI's")
            }
            Self::NoRun(exports) if exports.is_empty() => {
                write!(
                    f,
                    "the component is no program: it exports nothing, so there is nothing to call"
                )
            }
            Self::NoRun(exports) => write!(
                f,
                "the component is no program: it exports {}, and no function that could be called",
                some(exports)
            ),
            Self::TooMany(what, found, most) => {
                write!(f, "the component has {found} {what}; at most {most} are allowed")
            }
            Self::PlugUnused { plug, exports, .. } if exports.is_empty() => {
                write!(f, "the plug {plug:?} fills nothing: it exports nothing")
            }
            Self::PlugUnused { plug, exports, wanted } if wanted.is_empty() => write!(
                f,
                "the plug {plug:?} fills nothing: it exports {}, and no import is left to be filled",
                some(exports)
            ),
            Self::PlugUnused { plug, exports, wanted } => write!(
                f,
                "the plug {plug:?} fills nothing: it exports {}, and what is left to be filled is {}",
                some(exports),
                some(wanted)
            ),
            Self::PlugType(misfit) => misfit.fmt(f),
            Self::PlugBorder(what) => {
                write!(f, "the components cannot be put together: {what}")
            }
        }
    }
}

impl std::error::Error for ComponentError {}

impl ComponentError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(..) => "link.component-invalid",
            Self::Async(_) => "link.component-async",
            Self::Threads(_) => "link.component-threads",
            Self::Feature(_) => "link.component-feature",
            Self::Import(_) => "link.component-import",
            Self::ImportType(_) => "link.component-import-type",
            Self::NoRun(_) => "link.component-no-run",
            Self::TooMany(..) => "link.component-too-many",
            Self::PlugUnused { .. } => "link.plug-unused",
            Self::PlugType(_) => "link.plug-type",
            Self::PlugBorder(_) => "link.plug-border",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Invalid(..) => {
                "the tool that made it has a defect, or the file is damaged; wasm-tools validate says the same"
            }
            Self::Async(_) => "build for WASI 0.2, such as target wasm32-wasip2",
            Self::Threads(_) => "build it without threads",
            Self::Feature(_) => "build it without that",
            Self::Import(_) => {
                "name a component that exports them: --plug FILE; or build for WASI 0.2"
            }
            Self::ImportType(_) => "is it built from another version of the interface?",
            Self::NoRun(_) => {
                "build a program with a main function, or a library that exports functions"
            }
            Self::TooMany(..) => "split it",
            Self::PlugUnused { .. } => {
                "leave it out; or, if another plug imports from it, name it before that one"
            }
            Self::PlugType(_) => {
                "build both from the same interface, and name a plug before those that import from it; bls-compile inspect shows what each of them says"
            }
            Self::PlugBorder(_) => {
                "bls-compile inspect shows what each imports and exports; fill more of it by plugs, or build them from the same interfaces"
            }
        }
    }
}
