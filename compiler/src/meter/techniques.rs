//! What makes metering cheap, each by its name: for measuring what it gives.
//!
//! Without any of them consumption is the same; only the places of charges and checks move.
//! The product takes them all: [`super::meter`] does, and the audit follows its rules.

use super::graph::Graph;
use super::scan::Scan;

/// A way to charge or check less often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Technique {
    /// A label has a pending cost of its own; without, nothing is pending at any.
    Potentials,
    /// A check compares with what is pending; without, that is taken off first.
    Checks,
    /// A branch pays on the way that it takes; without, before it looks.
    Edges,
    /// Tiny loops are unrolled.
    Unrolling,
    /// What a function leaves unpaid is known to its callers; without, each function checks
    /// at its entry and its exit.
    Summaries,
    /// Loops whose rounds meet another check have none at their header.
    Rounds,
}

impl Technique {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Potentials,
        Self::Checks,
        Self::Edges,
        Self::Unrolling,
        Self::Summaries,
        Self::Rounds,
    ];

    /// As a heading.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Potentials => "potentials",
            Self::Checks => "checks",
            Self::Edges => "edges",
            Self::Unrolling => "unrolling",
            Self::Summaries => "summaries",
            Self::Rounds => "rounds",
        }
    }

    /// Takes it out of a first look.
    pub(super) fn leave_out_of(self, scans: &mut [Scan]) {
        for scan in scans {
            match self {
                Self::Potentials => scan.settles_all = true,
                Self::Checks => scan.settles_at_checks = true,
                Self::Edges => scan.pays_before_branches = true,
                Self::Unrolling => scan.labels.iter_mut().for_each(|label| label.copies = 1),
                Self::Rounds => scan.checks_all_loops = true,
                Self::Summaries => {}
            }
        }
    }

    /// Takes it out of the call graph.
    pub(super) fn leave_out_of_graph(self, graph: &mut Graph) {
        if self == Self::Summaries {
            for role in &mut graph.roles {
                role.checks_entry = true;
                role.checks_exit = true;
            }
        }
    }
}
