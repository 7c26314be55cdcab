//! What the operator grants the guest: arguments, variables, folders.
//!
//! Guarantees that a guest gets what was named on the command line and nothing
//! else: no variable and no folder that was not. Folders are opened here, once, by
//! the operator's own words; from there on `cap-std` guards the way. Does not
//! decide what an import may do with them.

use crate::cli::Options;
use crate::error::StageError;
use crate::host::{Grants, Preopen};
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// Why something cannot be granted.
#[derive(Debug)]
pub(crate) enum GrantError {
    /// The folder cannot be opened.
    Folder(PathBuf, std::io::Error),
    /// The guest's name for a folder is not UTF-8, as WASI wants it.
    GuestPath(OsString),
    /// No such variable in our own environment.
    Variable(OsString),
}

impl fmt::Display for GrantError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path, error) => {
                write!(formatter, "cannot open the folder {}: {error}", path.display())
            }
            Self::GuestPath(path) => {
                write!(
                    formatter,
                    "the guest cannot know {} by this name: not UTF-8",
                    path.display()
                )
            }
            Self::Variable(name) => {
                write!(formatter, "there is no variable {} to pass on", name.display())
            }
        }
    }
}

impl StageError for GrantError {
    const STAGE: &'static str = "grant";

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Folder(..) => "--dir takes an existing folder: --dir ./data::/data".into(),
            Self::GuestPath(_) => "give it another name in the guest: --dir HOST::/data".into(),
            Self::Variable(name) => format!("give it a value: --env {}=VALUE", name.display()),
        })
    }
}

/// Gathers what `options` grant.
pub(crate) fn grants(options: &Options) -> Result<Grants, GrantError> {
    let program = options.artifact.file_name().unwrap_or_default();
    let arguments = std::iter::once(program.as_bytes().to_vec())
        .chain(options.arguments.iter().map(|argument| argument.as_bytes().to_vec()))
        .collect();

    let mut environment: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(options.variables.len());
    for (name, given) in &options.variables {
        let value = match given {
            Some(value) => value.clone(),
            None => std::env::var_os(name).ok_or_else(|| GrantError::Variable(name.clone()))?,
        };
        // The last word about a variable counts.
        environment.retain(|(known, _)| known != name.as_bytes());
        environment.push((name.as_bytes().to_vec(), value.into_vec()));
    }

    let mut preopens = Vec::with_capacity(options.folders.len());
    for folder in &options.folders {
        let dir = cap_std::fs::Dir::open_ambient_dir(&folder.host, cap_std::ambient_authority())
            .map_err(|error| GrantError::Folder(folder.host.clone(), error))?;
        let guest_path = folder.guest.clone().into_string().map_err(GrantError::GuestPath)?;
        preopens.push(Preopen { dir, guest_path, read_only: folder.read_only });
    }
    Ok(Grants { args: arguments, env: environment, preopens, output_max: None })
}
