//! What the author says a module needs: from `--needs` and from a policy file.
//!
//! A need is a promise to refuse: a loader that does not grant it does not start the
//! module, and says which it was. Guarantees that what reaches the manifest is
//! sorted, names exactly what is needed, and is something the module can use: a need
//! of what it does not even import is a mistake. Does not guess needs from imports.

use bls_artifact::capability::{Capability, Permission};
use bls_artifact::limits::{NEEDS_MAX, POLICY_BYTES_MAX};
use bls_artifact::policy::{self, PolicyError};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Needs that cannot be declared.
#[derive(Debug)]
pub enum NeedsError {
    /// The policy file cannot be read.
    Read(PathBuf, std::io::Error),
    /// The policy file is longer than any.
    TooLong(PathBuf),
    /// The policy file is not one.
    Form(PathBuf, PolicyError),
    /// The need does not say which folder, variable or extension.
    Indefinite(Permission),
    /// The module imports nothing that uses it.
    Unused(Permission),
    /// More than a manifest holds.
    TooMany(usize),
}

impl fmt::Display for NeedsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::TooLong(path) => {
                write!(f, "{} is longer than {POLICY_BYTES_MAX} bytes", path.display())
            }
            Self::Form(path, error) => write!(f, "{} is {error}", path.display()),
            Self::Indefinite(need) => {
                let scope = need.capability().scope().unwrap_or_default().to_lowercase();
                write!(f, "the need {need} does not say which {scope}")
            }
            Self::Unused(need) => {
                write!(f, "the module imports nothing that could use {need}")
            }
            Self::TooMany(count) => write!(f, "{count} needs are more than {NEEDS_MAX}"),
        }
    }
}

impl std::error::Error for NeedsError {}

impl NeedsError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(..) => "needs.unreadable",
            Self::TooLong(_) => "needs.too-long",
            Self::Form(..) => "needs.form",
            Self::Indefinite(_) => "needs.indefinite",
            Self::Unused(_) => "needs.unused",
            Self::TooMany(_) => "needs.too-many",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Read(..) => "--policy takes a file that exists and that you may read".to_owned(),
            Self::TooLong(_) | Self::TooMany(_) => {
                "a need of a folder covers what lies below it: name fewer".to_owned()
            }
            Self::Form(..) => {
                r#"a policy is JSON: {"version": 1, "needs": ["fs.write:/data"]}"#.to_owned()
            }
            Self::Indefinite(need) => {
                let scope = need.capability().scope().unwrap_or_default();
                format!("name it: --needs {need}:{scope}")
            }
            Self::Unused(_) => {
                "drop the need; bls-compile check shows what the module may use".to_owned()
            }
        }
    }
}

/// The needs in a policy file.
///
/// # Errors
/// [`NeedsError`] when it cannot be read or is not one.
pub fn read(path: &Path) -> Result<Vec<Permission>, NeedsError> {
    let unreadable = |error| NeedsError::Read(path.to_owned(), error);
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(POLICY_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > POLICY_BYTES_MAX {
        return Err(NeedsError::TooLong(path.to_owned()));
    }
    policy::parse_needs(&text).map_err(|error| NeedsError::Form(path.to_owned(), error))
}

/// The same of needs, and of permissions, which count where the module could use them.
///
/// # Errors
/// [`NeedsError`], as of [`settle`].
pub fn wanted(
    needs: &[Permission],
    permissions: &[Permission],
    may_use: &[Capability],
) -> Result<Vec<Permission>, NeedsError> {
    let reached = permissions.iter().filter(|one| may_use.contains(&one.capability()));
    settle(needs.iter().chain(reached).cloned().collect(), may_use)
}

/// The needs as the manifest has them, for a module that may use `may_use`.
///
/// # Errors
/// [`NeedsError`] when one says too little or cannot be used.
pub fn settle(
    mut needs: Vec<Permission>,
    may_use: &[Capability],
) -> Result<Vec<Permission>, NeedsError> {
    needs.sort_unstable();
    needs.dedup();
    if needs.len() > NEEDS_MAX {
        return Err(NeedsError::TooMany(needs.len()));
    }
    for need in &needs {
        if !need.is_definite() {
            return Err(NeedsError::Indefinite(need.clone()));
        }
        // What no import of preview 1 stands for may come from another host.
        let other = matches!(need.capability(), Capability::Http | Capability::Extension);
        if !other && !may_use.contains(&need.capability()) {
            return Err(NeedsError::Unused(need.clone()));
        }
    }
    Ok(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(texts: &[&str]) -> Vec<Permission> {
        texts.iter().map(|text| Permission::parse(text).unwrap()).collect()
    }

    #[test]
    fn needs_are_sorted_and_judged() {
        let may_use = [Capability::Environment, Capability::FilesRead];
        let settled = settle(permissions(&["fs.read:/b", "env:X", "fs.read:/b"]), &may_use);
        assert_eq!(settled.unwrap(), permissions(&["env:X", "fs.read:/b"]));
        let refused = |texts: &[&str]| settle(permissions(texts), &may_use).unwrap_err();
        assert!(matches!(refused(&["fs.read"]), NeedsError::Indefinite(_)));
        assert!(matches!(refused(&["fs.write:/b"]), NeedsError::Unused(_)));
        assert!(settle(permissions(&["extension:gpu"]), &may_use).is_ok());
        let many: Vec<Permission> = (0..=NEEDS_MAX)
            .map(|index| Permission::scoped(Capability::Environment, &format!("V{index}")).unwrap())
            .collect();
        assert!(matches!(settle(many, &may_use), Err(NeedsError::TooMany(_))));
    }
}
