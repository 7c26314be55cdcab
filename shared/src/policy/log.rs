//! Where the log of runs goes, and how much of it is wanted: words that an option and a policy
//! share.
//!
//! Guarantees that a word means one place. Opens nothing: what is at a path is the loader's to see.

use serde::Deserialize;
use std::fmt;

/// Where the lines go that say what runs and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Log {
    /// To standard error, as text.
    Stderr,
    /// To the socket of this path, as text, the way syslog(3) writes to its own.
    Socket(String),
    /// To journald's socket of this path, in its native protocol.
    Journald(String),
    /// To this descriptor, which came open, as JSON.
    Descriptor(u16),
    /// To the file of this path, as JSON; where that is a socket, as to [`Log::Socket`].
    File(String),
}

impl Log {
    /// Where the system's log listens, whoever keeps it.
    pub const SYSLOG: &str = "/dev/log";
    /// Where journald listens for its native protocol.
    pub const JOURNALD: &str = "/run/systemd/journal/socket";

    /// What a word means: `stderr`, `syslog`, `journald`, `journald:SOCKET`, `fd:N`, or a path.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "" => None,
            "stderr" => Some(Self::Stderr),
            "syslog" => Some(Self::Socket(Self::SYSLOG.to_owned())),
            "journald" => Some(Self::Journald(Self::JOURNALD.to_owned())),
            _ => match word.split_once(':') {
                Some(("journald", path)) if path.starts_with('/') => {
                    Some(Self::Journald(path.to_owned()))
                }
                Some(("fd", number)) => number.parse().ok().map(Self::Descriptor),
                Some(("journald", _)) => None,
                _ => Some(Self::File(word.to_owned())),
            },
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => formatter.write_str("stderr"),
            Self::Descriptor(number) => write!(formatter, "descriptor {number}"),
            Self::Socket(path) | Self::Journald(path) | Self::File(path) => {
                formatter.write_str(path)
            }
        }
    }
}

impl TryFrom<String> for Log {
    type Error = &'static str;

    /// What a policy may say: it holds for runs in any folder, with any descriptors.
    fn try_from(word: String) -> Result<Self, Self::Error> {
        match Self::from_word(&word) {
            Some(Self::File(path)) if !path.starts_with('/') => None,
            Some(Self::Descriptor(_)) => None,
            log => log,
        }
        .ok_or("log takes stderr, syslog, journald, or the absolute path of a file or socket")
    }
}

/// How much an event matters, the most first: a log takes its level and all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A run that was refused, or that failed.
    Error,
    /// A guest that ended otherwise than by itself, or that gets less than it asks for.
    Warn,
    /// A run that begins, or ends.
    #[default]
    Info,
    /// A stage of a run.
    Debug,
}

impl LogLevel {
    /// Every level.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The level of this name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == word)
    }

    /// What syslog calls it (RFC 5424, section 6.2.1).
    #[must_use]
    pub fn severity(self) -> u32 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_place() {
        let socket = |path: &str| Log::Socket(path.to_owned());
        let journald = |path: &str| Log::Journald(path.to_owned());
        for (word, log) in [
            ("stderr", Some(Log::Stderr)),
            ("syslog", Some(socket("/dev/log"))),
            ("journald", Some(journald("/run/systemd/journal/socket"))),
            ("journald:/j", Some(journald("/j"))),
            ("journald:j", None),
            ("fd:3", Some(Log::Descriptor(3))),
            ("fd:-1", None),
            ("fd:x", None),
            ("", None),
            ("runs.log", Some(Log::File("runs.log".to_owned()))),
        ] {
            assert_eq!(Log::from_word(word), log, "{word}");
        }
        for word in ["runs.log", "fd:3", "journald:j", ""] {
            assert!(Log::try_from(word.to_owned()).is_err(), "{word}");
        }
        assert_eq!(Log::try_from("/l".to_owned()), Ok(Log::File("/l".to_owned())));
    }

    #[test]
    fn a_level_has_one_name() {
        for level in LogLevel::ALL {
            assert_eq!(LogLevel::from_word(level.name()), Some(level));
        }
        assert!(LogLevel::Error < LogLevel::Debug && LogLevel::default() == LogLevel::Info);
    }
}
