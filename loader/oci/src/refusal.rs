//! Why a container is not made, and where an engine reads that.
//!
//! Guarantees that what is said holds plain characters only, and is bounded: names, annotations
//! and paths are a stranger's.

use crate::command::Log;
use bls_artifact::text::printable;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// The kind of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A command line of this program's own that makes no sense.
    Usage,
    /// The node's configuration cannot be used.
    Node,
    /// A file that decides, and that others than root could have written.
    Guard,
    /// There is no real runtime.
    Runtime,
    /// There is no loader.
    Loader,
    /// Nobody is trusted on this node.
    Trust,
    /// The node's policy cannot hold in a container.
    Policy,
    /// A `config.json` that is too long.
    Config,
    /// A bundle in which nothing can be written.
    Unwritable,
    /// An entry point that is refused.
    Entry,
    /// What is no artifact, on a node that runs nothing else.
    Other,
    /// An annotation that makes no sense here.
    Annotation,
    /// A memory limit in which no guest fits.
    Memory,
    /// A place in the container that an image or a mount has taken.
    Place,
    /// A module, on a node that does not compile, or one that cannot be compiled.
    Module,
    /// The node's loader refuses the artifact; with the loader's own code.
    Artifact(String),
}

impl Defect {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Usage => "oci.usage",
            Self::Node => "oci.node",
            Self::Guard => "oci.guard",
            Self::Runtime => "oci.runtime",
            Self::Loader => "oci.loader",
            Self::Trust => "oci.trust",
            Self::Policy => "oci.policy",
            Self::Config => "oci.config",
            Self::Unwritable => "oci.unwritable",
            Self::Entry => "oci.entry",
            Self::Other => "oci.other",
            Self::Annotation => "oci.annotation",
            Self::Memory => "oci.memory",
            Self::Place => "oci.place",
            Self::Module => "oci.module",
            Self::Artifact(code) => code,
        }
    }
}

/// Why a container is not made, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which kind it is.
    pub defect: Defect,
    what: String,
    hint: String,
}

impl Refusal {
    /// One with its sentence and its hint.
    #[must_use]
    pub fn new(defect: Defect, what: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { defect, what: printable(&what.to_string()), hint: printable(&hint.to_string()) }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// In three lines, as every program here says it.
    #[must_use]
    pub fn lines(&self) -> String {
        let Self { what, hint, .. } = self;
        format!("bls-oci: {what}\nhint: {hint}\ncode: {}\n", printable(self.defect.code()))
    }

    /// In one line, for logs.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { what, hint, .. } = self;
        format!("bls-oci: {what}; {hint} [{}]", printable(self.defect.code()))
    }

    /// Says it on standard error, and in the engine's log where there is one: in the form of the
    /// real runtime, from whose last error an engine makes its own.
    pub fn say(&self, log: &Log) {
        let _ = std::io::stderr().write_all(self.lines().as_bytes());
        let Some(path) = &log.file else { return };
        let line = self.line();
        let text = if log.is_json {
            serde_json::json!({ "level": "error", "msg": line }).to_string()
        } else {
            format!("level=error msg={}", serde_json::json!(line))
        };
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        // Standard error has it already.
        let _ = opened.and_then(|mut file| file.write_all((text + "\n").as_bytes()));
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_in_plain_characters_and_in_the_engines_form() {
        let refusal = Refusal::new(Defect::Entry, "/a\u{1b}[31m\nb", "do \"this\"");
        assert_eq!(refusal.lines(), "bls-oci: /a?[31m?b\nhint: do \"this\"\ncode: oci.entry\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.json");
        std::fs::write(&path, "{\"level\":\"debug\"}\n").unwrap();
        for is_json in [true, false] {
            refusal.say(&Log { file: Some(path.clone()), is_json });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let json: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(json["level"], "error");
        assert_eq!(json["msg"], "bls-oci: /a?[31m?b; do \"this\" [oci.entry]");
        assert!(lines[2].starts_with("level=error msg=\"bls-oci: "), "{text}");
    }
}
