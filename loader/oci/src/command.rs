//! What of the real runtime's command line matters here: the command, its bundle, and the log.
//!
//! Reads the words of `runc` and of `crun`, and changes none of them: only `--bls-config FILE`,
//! which is this program's own, is taken out. A line that this module misreads is one in which it
//! finds no `create`, so that it is handed on as it came.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The option of this program's own, before the command.
const OWN: &str = "bls-config";
/// Options before the command that a value follows, in both runtimes.
const GLOBAL: [&str; 8] =
    ["log", "log-format", "log-level", "root", "criu", "rootless", "cgroup-manager", OWN];
/// Options of `create` and `run` that a value follows.
const LOCAL: [&str; 7] =
    ["bundle", "b", "console-socket", "pid-file", "preserve-fds", "config", "f"];

/// Where an engine reads what went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The file.
    pub file: Option<PathBuf>,
    /// Whether its lines are JSON.
    pub is_json: bool,
}

/// A command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// What the real runtime is given.
    pub words: Vec<OsString>,
    /// The command.
    pub name: Option<String>,
    /// The log.
    pub log: Log,
    /// The node's configuration, where another than the default one is named.
    pub node: Option<PathBuf>,
    /// The bundle of a `create` or a `run`; the folder that this is run in where it is not named.
    pub bundle: Option<PathBuf>,
    /// The name of its configuration, where that is not `config.json` (crun).
    pub config: Option<PathBuf>,
}

impl Command {
    /// Reads what follows the program's name.
    #[must_use]
    pub fn parse(words: Vec<OsString>) -> Self {
        let mut command = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let is_global = command.name.is_none();
            let Some((name, inline)) = option(&word) else {
                if is_global {
                    command.name = Some(word.to_string_lossy().into_owned());
                }
                command.words.push(word);
                continue;
            };
            let known: &[&str] = if is_global { &GLOBAL } else { &LOCAL };
            let mut taken = vec![word.clone()];
            let value = match inline {
                Some(value) => Some(value),
                None if known.contains(&name.as_str()) => words.next().inspect(|value| {
                    taken.push(value.clone());
                }),
                None => None,
            };
            if is_global && name == OWN {
                command.node = value.map(PathBuf::from);
                continue;
            }
            command.words.append(&mut taken);
            let Some(value) = value else { continue };
            match (is_global, name.as_str()) {
                (true, "log") => command.log.file = Some(value.into()),
                (true, "log-format") => command.log.is_json = value == "json",
                (false, "bundle" | "b") => command.bundle = Some(value.into()),
                (false, "config" | "f") => command.config = Some(value.into()),
                _ => {}
            }
        }
        command
    }

    /// Whether it makes a container.
    #[must_use]
    pub fn makes_a_container(&self) -> bool {
        matches!(self.name.as_deref(), Some("create" | "run"))
    }

    /// The folder of the bundle.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.bundle.clone().unwrap_or_else(|| ".".into())
    }
}

/// The name of an option, and its value where that is in the same word.
fn option(word: &OsStr) -> Option<(String, Option<OsString>)> {
    let bytes = word.as_bytes();
    let rest = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
    if rest.is_empty() {
        return None;
    }
    let (name, value) = match rest.iter().position(|byte| *byte == b'=') {
        Some(at) => (&rest[..at], Some(OsStr::from_bytes(&rest[at + 1..]).to_owned())),
        None => (rest, None),
    };
    Some((String::from_utf8_lossy(name).into_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Command {
        Command::parse(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn the_lines_of_engines_are_understood() {
        // containerd, with runc.
        let line = "--root /run/r --log /b/log.json --log-format json --systemd-cgroup create \
                    --bundle /b --pid-file /b/init.pid --console-socket /s c1";
        let command = parse(line);
        assert_eq!(command.words.join(OsStr::new(" ")), OsStr::new(line));
        assert!(command.makes_a_container());
        assert_eq!(command.bundle(), PathBuf::from("/b"));
        assert_eq!(command.log, Log { file: Some("/b/log.json".into()), is_json: true });

        // conmon, with crun; and what is written in one word.
        let command = parse("--cgroup-manager=cgroupfs create --bundle=/b -f other.json c1");
        assert_eq!(command.bundle, Some("/b".into()));
        assert_eq!(command.config, Some("other.json".into()));
        let command = parse("run -b /b c1");
        assert_eq!((command.makes_a_container(), command.bundle), (true, Some("/b".into())));

        for line in ["--root create delete --force c1", "state c1", "--version", "kill create 9"] {
            let command = parse(line);
            assert!(!command.makes_a_container(), "{line}");
            assert_eq!(command.words.join(OsStr::new(" ")), OsStr::new(line));
        }
    }

    #[test]
    fn its_own_option_is_taken_out_and_no_other() {
        for line in
            ["--bls-config /n --root /r create -b /b c", "--root /r --bls-config=/n create -b /b c"]
        {
            let command = parse(line);
            assert_eq!(command.node, Some("/n".into()));
            assert_eq!(command.words.join(OsStr::new(" ")), OsStr::new("--root /r create -b /b c"));
        }
        // Behind the command it is somebody else's.
        assert_eq!(parse("exec c --bls-config /n").words.len(), 4);
    }
}
