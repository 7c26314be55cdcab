//! The names of artifacts: what may be one.
//!
//! A name is signed, becomes the name of a file in a store, and stands on the command
//! line of a loader where a subcommand could stand. So a name is one plain word, is
//! never a subcommand, and can never be read as a path, an option or a digest. Both
//! sides check by [`check`]: an artifact that carries another name is none.

use crate::limits::NAME_BYTES_MAX;
use std::fmt;

/// The words that a loader's command line has, or keeps for later: never names.
pub const COMMANDS: [&str; 29] = [
    "binfmt",
    "check",
    "delta",
    "ext",
    "forget",
    "gc",
    "help",
    "inspect",
    "install",
    "key",
    "list",
    "node",
    "policy",
    "pull",
    "remove",
    "revoke",
    "rollback",
    "run",
    "show",
    "status",
    "strip",
    "symbolize",
    "trust",
    "uninstall",
    "update",
    "upgrade",
    "verify",
    "verify-receipt",
    "version",
];

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Empty, too long, or with characters that a name has not.
    Form,
    /// Hexadecimal digits that would be read as a digest.
    Digest,
    /// One of [`COMMANDS`].
    Command,
}

impl NameError {
    /// The reason, in a sentence.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Form => {
                "a name is 1 to 128 letters, digits and . _ -, not beginning with . or -, and without .."
            }
            Self::Digest => "a name must not be the 64 hexadecimal digits of a digest",
            Self::Command => "a name must not be one of bls-load's commands",
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.what())
    }
}

impl std::error::Error for NameError {}

/// Whether `name` can be an artifact's name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    check(name).is_ok()
}

/// Why `name` cannot be an artifact's name.
///
/// # Errors
/// [`NameError`]: why it cannot.
pub fn check(name: &str) -> Result<(), NameError> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || !letters
        || name.starts_with(['.', '-'])
        || name.contains("..")
    {
        return Err(NameError::Form);
    }
    if name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NameError::Digest);
    }
    if COMMANDS.contains(&name) {
        return Err(NameError::Command);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["app", "a.b-c_1", "9", "running", "list-1", &"f".repeat(63), &"x".repeat(128)]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let (long, digest) = ("x".repeat(129), "0aF".repeat(22)[..64].to_owned());
        for (bad, why) in [
            ("", NameError::Form),
            (".", NameError::Form),
            ("..", NameError::Form),
            (".hidden", NameError::Form),
            ("-flag", NameError::Form),
            ("a/b", NameError::Form),
            ("../a", NameError::Form),
            ("a..b", NameError::Form),
            ("a b", NameError::Form),
            ("a\nb", NameError::Form),
            ("a\0", NameError::Form),
            ("é", NameError::Form),
            ("sha256:00", NameError::Form),
            (&long, NameError::Form),
            (&digest, NameError::Digest),
        ] {
            assert_eq!(check(bad), Err(why), "{bad:?}");
        }
        assert!(COMMANDS.is_sorted_by(|a, b| a < b));
        for command in COMMANDS {
            assert_eq!(check(command), Err(NameError::Command));
        }
    }
}
