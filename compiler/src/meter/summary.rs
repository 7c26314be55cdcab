//! How much can run between two checks.
//!
//! For each function, over all ways through it: the most units before its first
//! check, behind its last one, between two, and on a way that meets none. A trap
//! ends a way as a check does. From these comes S, the bound that the manifest
//! signs (FUEL.md, "The bound S"). Costs that are charged *and checked* before the
//! work they pay for (lengths) do not count. Does not emit anything.

use super::graph::Role;

/// The most units since the last check, over all ways to one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unpaid {
    /// Over ways from the function's entry that met no check.
    clean: Option<u64>,
    /// Over ways that met one.
    checked: Option<u64>,
}

impl Unpaid {
    /// At the function's entry.
    pub(super) fn at_entry() -> Self {
        Self { clean: Some(0), checked: None }
    }

    /// Right behind a check.
    pub(super) fn checked() -> Self {
        Self { clean: None, checked: Some(0) }
    }

    /// `units` ran.
    pub(super) fn run(&mut self, units: u64) {
        *self = self.plus(units);
    }

    /// The same with `units` more.
    pub(super) fn plus(self, units: u64) -> Self {
        Self { clean: add(self.clean, Some(units)), checked: add(self.checked, Some(units)) }
    }

    /// Whether more than `limit` can have run.
    pub(super) fn exceeds(self, limit: u64) -> bool {
        self.clean.max(self.checked) > Some(limit)
    }

    /// Another way comes to the same point.
    pub(super) fn meet(&mut self, other: Self) {
        self.clean = self.clean.max(other.clean);
        self.checked = self.checked.max(other.checked);
    }

    /// Behind a call.
    pub(super) fn through(self, callee: Summary) -> Self {
        Self {
            clean: add(self.clean, callee.through),
            checked: add(self.checked, callee.through).max(callee.leave),
        }
    }
}

/// A sum of two, where there are two.
fn add(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    Some(a?.saturating_add(b?))
}

/// What a caller must know of a function. Units of fuel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// From entry to the first check, or to the exit where there is none.
    pub(super) enter: u64,
    /// From entry to exit, on ways that meet no check.
    pub(super) through: Option<u64>,
    /// From the last check to the exit.
    pub(super) leave: Option<u64>,
    /// Between two checks.
    inside: u64,
}

impl Summary {
    /// A function that checks when it is entered and before it returns.
    pub(super) const CHECKED: Self = Self { enter: 0, through: None, leave: Some(0), inside: 0 };

    /// A check ends these ways.
    pub(super) fn close(&mut self, unpaid: Unpaid) {
        self.enter = self.enter.max(unpaid.clean.unwrap_or(0));
        self.inside = self.inside.max(unpaid.checked.unwrap_or(0));
    }

    /// The function's exit ends these ways.
    pub(super) fn exit(&mut self, unpaid: Unpaid) {
        self.close(unpaid);
        self.through = self.through.max(unpaid.clean);
        self.leave = self.leave.max(unpaid.checked);
    }

    /// The function checks at its entry.
    pub(super) fn check_entry(&mut self) {
        self.inside = self.inside.max(self.enter);
        self.leave = self.leave.max(self.through.take());
        self.enter = 0;
    }

    /// The most that runs unpaid anywhere in the function.
    fn overrun(&self) -> u64 {
        self.inside.max(self.enter).max(self.leave.unwrap_or(0))
    }
}

/// The summaries of a module, as far as they are known.
#[derive(Clone, Debug)]
pub(super) struct Summaries {
    functions: Vec<Option<Summary>>,
    indirect: Summary,
    overrun: u64,
}

impl Summaries {
    /// None of `count` defined functions is known yet.
    pub(super) fn new(count: usize) -> Self {
        Self { functions: vec![None; count], indirect: Summary::CHECKED, overrun: 0 }
    }

    /// What a direct call may assume. A function that is not known yet is in a
    /// cycle with the caller, and so checks at entry and exit.
    pub(super) fn of(&self, defined: u32) -> Summary {
        self.functions[defined as usize].unwrap_or(Summary::CHECKED)
    }

    /// What a call through a table or a reference may assume: any function that
    /// escapes, or an import.
    pub(super) fn indirect(&self) -> Summary {
        self.indirect
    }

    /// A function is known.
    pub(super) fn insert(&mut self, function: usize, summary: Summary, role: Role) {
        // In a cycle all callers assume the same, whoever of it comes first: S
        // must not depend on the order.
        let assumed = if role.checks_entry { Summary::CHECKED } else { summary };
        self.functions[function] = Some(assumed);
        self.overrun = self.overrun.max(summary.overrun());
        if role.escapes {
            // The caller has just checked; a way through the callee that meets
            // no check leaves its whole cost behind that one.
            self.indirect.enter = self.indirect.enter.max(summary.enter);
            self.indirect.leave = self.indirect.leave.max(summary.leave).max(summary.through);
        }
    }

    /// S: the most units between two checks anywhere.
    pub(super) fn overrun(&self) -> u64 {
        self.overrun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_cuts_the_way() {
        let mut summary = Summary::default();
        let mut unpaid = Unpaid::at_entry();
        unpaid.run(7);
        summary.close(unpaid);
        unpaid = Unpaid::checked();
        unpaid.run(3);
        summary.exit(unpaid);
        assert_eq!(summary, Summary { enter: 7, through: None, leave: Some(3), inside: 3 });
    }

    #[test]
    fn a_callee_without_checks_adds_up() {
        let callee = Summary { enter: 5, through: Some(5), leave: None, inside: 0 };
        assert_eq!(Unpaid::at_entry().through(callee), Unpaid::at_entry().plus(5));
        assert_eq!(
            Unpaid::at_entry().through(Summary::CHECKED),
            Unpaid::checked(),
            "a callee that checks leaves nothing unpaid"
        );
    }
}
