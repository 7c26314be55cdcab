//! Why modules do not become one.

use super::component::ComponentError;
use crate::validate::ValidateError;
use bls_artifact::limits::MODULE_BYTES_MAX;
use bls_artifact::recipe::RecipeError;
use std::fmt;

/// Why there is no linked module. Modules and exports are named as they were given.
#[derive(Clone, Debug)]
pub enum LinkError {
    /// A name that no module can have, two of one name, or too many modules.
    Recipe(RecipeError),
    /// A module that is refused by itself.
    Module(String, ValidateError),
    /// Modules that import each other: the way from one to itself.
    Cycle(Vec<String>),
    /// An import that its module does not export.
    NoExport {
        /// Who imports.
        importer: String,
        /// From which module.
        from: String,
        /// Which name.
        name: String,
        /// The export that may have been meant, or some of them all.
        exports: Vec<String>,
        /// Whether `exports` is what may have been meant.
        is_near: bool,
    },
    /// An import of one kind, whose export is of another: words for both.
    ExportKind {
        /// Who imports.
        importer: String,
        /// `MODULE.NAME`.
        export: String,
        /// What is imported.
        wanted: &'static str,
        /// What is exported.
        found: &'static str,
    },
    /// An import of one type, whose export is of another: both as in the text format.
    ExportType {
        /// Who imports.
        importer: String,
        /// `MODULE.NAME`.
        export: String,
        /// What is imported.
        wanted: String,
        /// What is exported.
        found: String,
    },
    /// A library whose `_initialize` takes or gives something.
    Initializer(String),
    /// A table of this module that begins with something of another module which is no plain
    /// reference.
    TableInitial(String),
    /// A component that does not become a module.
    Component(ComponentError),
    /// One of several components that is refused by itself; its name.
    Composed(String, ComponentError),
    /// All together are longer than one module may be.
    TooLong(u64),
    /// A valid module cannot be read again, or what is made of it is none: a defect of ours.
    Defect(String),
}

impl From<wasmparser::Error> for LinkError {
    fn from(error: wasmparser::Error) -> Self {
        Self::Defect(error.to_string())
    }
}

impl From<ComponentError> for LinkError {
    fn from(error: ComponentError) -> Self {
        Self::Component(error)
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipe(error) => error.fmt(f),
            Self::Module(name, error) => write!(f, "module {name:?}: {error}"),
            Self::Cycle(names) => {
                write!(f, "modules import each other in a circle: {}", names.join(" → "))
            }
            Self::NoExport { importer, from, name, .. } => {
                write!(f, "{importer:?} imports {name:?} of {from:?}, which does not export it")
            }
            Self::ExportKind { importer, export, wanted, found } => {
                write!(f, "{importer:?} imports {export:?} as {wanted}, and it is {found}")
            }
            Self::ExportType { importer, export, wanted, found } if wanted == found => write!(
                f,
                "{importer:?} imports {export:?} as {wanted}, and it is another type of the same text: one of a recursive group, or of other supertypes"
            ),
            Self::ExportType { importer, export, wanted, found } => {
                write!(f, "{importer:?} imports {export:?} as {wanted}, and it is {found}")
            }
            Self::Initializer(name) => {
                write!(f, "the export _initialize of {name:?} takes or gives something")
            }
            Self::TableInitial(name) => write!(
                f,
                "a table of {name:?} begins with a global of another module that is no plain reference"
            ),
            Self::Component(error) => error.fmt(f),
            Self::Composed(name, error) => write!(f, "{name:?}: {error}"),
            Self::TooLong(bytes) => write!(
                f,
                "the linked module has {bytes} bytes; at most {MODULE_BYTES_MAX} are allowed"
            ),
            Self::Defect(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for LinkError {}

impl LinkError {
    /// The stage that it belongs to.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Module(..) => "validate",
            _ => "link",
        }
    }

    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Recipe(_) => "link.modules",
            Self::Module(_, error) => error.code(),
            Self::Cycle(_) => "link.cycle",
            Self::NoExport { .. } => "link.no-export",
            Self::ExportKind { .. } => "link.export-kind",
            Self::ExportType { .. } => "link.export-type",
            Self::Initializer(_) => "link.initializer",
            Self::TableInitial(_) => "link.table-initial",
            Self::Component(error) | Self::Composed(_, error) => error.code(),
            Self::TooLong(_) => "link.too-long",
            Self::Defect(_) => "link.defect",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Recipe(RecipeError::Twice(_)) => {
                "give one of them another name: --module NAME=FILE, or link FILE --as NAME"
                    .to_owned()
            }
            Self::Recipe(RecipeError::TooMany(_)) => {
                "link some of them to one library first: bls-compile link".to_owned()
            }
            Self::Recipe(_) => {
                "name a library by --as NAME, the name that others import".to_owned()
            }
            Self::Module(_, error) => return error.hint(),
            Self::Cycle(_) => {
                "a module begins when those it imports have begun: move what both need into a third"
                    .to_owned()
            }
            Self::NoExport { exports, is_near: true, .. } => {
                format!("is {} meant?", exports.join(" or "))
            }
            Self::NoExport { from, exports, .. } if exports.is_empty() => format!(
                "{from:?} exports nothing: is it built as a library (a reactor, a cdylib, --no-entry --export=…)?"
            ),
            Self::NoExport { from, exports, .. } => {
                format!("{from:?} exports {}", exports.join(", "))
            }
            Self::ExportKind { .. } | Self::ExportType { .. } => {
                "both sides must say the same: is one of them built from an older interface?"
                    .to_owned()
            }
            Self::Initializer(_) => {
                "it is no WASI reactor: build it as one, or without an export of that name"
                    .to_owned()
            }
            Self::TableInitial(_) => "fill the table by an element segment or by code".to_owned(),
            Self::Component(error) | Self::Composed(_, error) => error.hint().to_owned(),
            Self::TooLong(_) => "strip debug information: wasm-opt --strip-debug".to_owned(),
            Self::Defect(_) => "please report this, with the modules".to_owned(),
        })
    }
}
