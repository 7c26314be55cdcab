//! In whose words a run ends: bls-load's own, or those of the network's node.
//!
//! A node compares (stdout, stderr, exit code) of many machines, so there both streams are the
//! guest's, and only what kept it from running at all is said, in one line. Its exit codes are
//! the ones that its operators know (docs/bls-runtime.md). Guarantees that each
//! way to end has one code in either manner.

use crate::error::{Failure, printable};
use crate::run::outcome::{FAILED, Limit, Outcome};

/// In whose words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// bls-load's.
    #[default]
    Own,
    /// The node's.
    Node,
}

/// Codes of the node: for a command line that makes no sense, and for every other reason not to
/// run or not to go on.
pub(crate) const NODE_USAGE: u8 = 2;
const NODE_FAILED: u8 = 255;
/// A module that is not the one the configuration means.
const NODE_MD5: u8 = 128;
const NODE_FUEL: u8 = 1;
const NODE_TIME: u8 = 15;
const NODE_MEMORY: u8 = 16;
/// From here on a guest's own code becomes [`NODE_FAILED`].
const NODE_EXIT_END: u32 = 126;

/// What a trap's kind is to the node; others are [`NODE_FAILED`].
const NODE_TRAPS: [(&str, u8); 10] = [
    ("stack-overflow", 2),
    ("memory-out-of-bounds", 3),
    ("unaligned-atomic", 4),
    ("table-out-of-bounds", 5),
    ("indirect-call-to-null", 6),
    ("indirect-call-type-mismatch", 7),
    ("integer-overflow", 8),
    ("integer-division-by-zero", 9),
    ("invalid-conversion-to-integer", 10),
    ("unreachable", 11),
];

impl Manner {
    /// The exit code of the process.
    pub(crate) fn code(self, outcome: &Outcome) -> u8 {
        if self == Self::Own {
            return outcome.exit_code();
        }
        match outcome {
            Outcome::Exited(code) if *code < NODE_EXIT_END => *code as u8,
            Outcome::Trapped(trap) => {
                let known = NODE_TRAPS.iter().find(|(kind, _)| *kind == trap.kind);
                known.map_or(NODE_FAILED, |(_, code)| *code)
            }
            Outcome::OutOfFuel => NODE_FUEL,
            Outcome::Limit(Limit::Time, _) => NODE_TIME,
            Outcome::Limit(Limit::Memory, _) => NODE_MEMORY,
            Outcome::Failed(failure) => self.code_of(failure),
            Outcome::Exited(_) | Outcome::Limit(..) | Outcome::Signal(_) => NODE_FAILED,
        }
    }

    /// The exit code where something was refused or failed.
    pub(crate) fn code_of(self, failure: &Failure) -> u8 {
        match self {
            Self::Own => FAILED,
            Self::Node if failure.code == "module.md5" => NODE_MD5,
            Self::Node if failure.code == "usage.words" => NODE_USAGE,
            Self::Node => NODE_FAILED,
        }
    }

    /// The same where nothing is known of it.
    pub(crate) fn failed(self) -> u8 {
        match self {
            Self::Own => FAILED,
            Self::Node => NODE_FAILED,
        }
    }

    /// What is said on standard error, without the end of the line.
    pub(crate) fn message(self, outcome: &Outcome) -> Option<String> {
        match (self, outcome) {
            (Self::Own, _) => outcome.message(),
            (Self::Node, Outcome::Failed(failure)) => Some(line(failure)),
            // It is told before the first instruction.
            (Self::Node, Outcome::Limit(Limit::Memory, what)) => {
                Some(format!("bls-runtime: run: memory limit: {}", printable(what)))
            }
            (Self::Node, _) => None,
        }
    }
}

/// A failure in one line.
pub(crate) fn line(failure: &Failure) -> String {
    let Failure { stage, code, what, hint, .. } = failure;
    let hint = hint.as_ref().map_or(String::new(), |hint| format!("; {}", printable(hint)));
    format!("bls-runtime: {stage}: {}{hint} [{code}]", printable(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;
    use crate::run::outcome::{TrapReport, trap_kind};
    use wasmtime::Trap;

    fn trapped(trap: Trap) -> Outcome {
        Outcome::Trapped(TrapReport {
            kind: trap_kind(trap),
            what: trap.to_string(),
            image: None,
            frames: Vec::new(),
            has_more_frames: false,
            lacked_memory: false,
        })
    }

    #[test]
    fn a_node_gets_the_codes_that_it_knows() {
        let failed = |code| {
            let (stage, what) = ("module", "it\nis".to_owned());
            Outcome::Failed(Failure { stage, code, what, hint: None, cause: Cause::Refused })
        };
        for (outcome, own, node) in [
            (Outcome::Exited(0), 0, 0),
            (Outcome::Exited(125), 125, 125),
            (Outcome::Exited(126), 126, 255),
            (Outcome::Exited(256), 0, 255),
            (Outcome::OutOfFuel, 123, 1),
            (trapped(Trap::StackOverflow), 134, 2),
            (trapped(Trap::MemoryOutOfBounds), 134, 3),
            (trapped(Trap::HeapMisaligned), 134, 4),
            (trapped(Trap::TableOutOfBounds), 134, 5),
            (trapped(Trap::IndirectCallToNull), 134, 6),
            (trapped(Trap::BadSignature), 134, 7),
            (trapped(Trap::IntegerOverflow), 134, 8),
            (trapped(Trap::IntegerDivisionByZero), 134, 9),
            (trapped(Trap::BadConversionToInteger), 134, 10),
            (trapped(Trap::UnreachableCodeReached), 134, 11),
            (trapped(Trap::NullReference), 134, 255),
            (Outcome::Limit(Limit::Time, String::new()), 124, 15),
            (Outcome::Limit(Limit::Memory, String::new()), 124, 16),
            (Outcome::Limit(Limit::Output, String::new()), 124, 255),
            (Outcome::Signal(15), 143, 255),
            (failed("module.md5"), 125, 128),
            (failed("link.unknown-import"), 125, 255),
        ] {
            assert_eq!(Manner::Own.code(&outcome), own, "{outcome:?}");
            assert_eq!(Manner::Node.code(&outcome), node, "{outcome:?}");
        }
        assert_eq!(Manner::Node.message(&trapped(Trap::StackOverflow)), None);
        let said = Manner::Node.message(&failed("module.kind"));
        assert_eq!(said.as_deref(), Some("bls-runtime: module: it?is [module.kind]"));
    }
}
