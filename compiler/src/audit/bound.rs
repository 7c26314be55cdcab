//! S, computed a second time: how far the counter can fall below zero before a
//! check sees it.
//!
//! Numbers are signed, because a charge may stand before what it pays for: right
//! behind a check at which two units were charged ahead, minus two units are
//! unpaid. FUEL.md ("The bound S") is all that this shares with the meter.

/// The most units since the last check, over all ways to one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unpaid {
    /// Over ways from the function's entry that met no check.
    clean: Option<i64>,
    /// Over ways that met one.
    checked: Option<i64>,
}

impl Unpaid {
    /// At the function's entry.
    pub(super) const ENTRY: Self = Self { clean: Some(0), checked: None };

    /// Right behind a check at which `pending` units were pending.
    pub(super) fn checked(pending: i64) -> Self {
        Self { clean: None, checked: Some(pending) }
    }

    /// The same with `units` more.
    pub(super) fn plus(self, units: i64) -> Self {
        Self { clean: add(self.clean, Some(units)), checked: add(self.checked, Some(units)) }
    }

    /// Either way may have been taken.
    pub(super) fn or(self, other: Self) -> Self {
        Self { clean: self.clean.max(other.clean), checked: self.checked.max(other.checked) }
    }

    /// Behind a call.
    pub(super) fn through(self, callee: Summary) -> Self {
        Self {
            clean: add(self.clean, callee.through),
            checked: add(self.checked, callee.through).max(callee.leave),
        }
    }

    /// Every way has met a check, and has since consumed only what was paid for
    /// at that check.
    pub(super) fn is_paid(self) -> bool {
        self.clean.is_none() && self.checked <= Some(0)
    }

    /// Nothing has been consumed since the entry, on any way.
    pub(super) fn is_untouched(self) -> bool {
        self == Self::ENTRY
    }
}

fn add(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    Some(a?.saturating_add(b?))
}

/// What callers may rely on of one function. Units of fuel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// From entry to the first check, exit or trap.
    pub(super) enter: i64,
    /// From entry to exit, on ways that meet no check.
    pub(super) through: Option<i64>,
    /// From the last check to the exit.
    pub(super) leave: Option<i64>,
    /// Between two checks.
    inside: i64,
}

impl Summary {
    /// What is assumed of functions that call each other in a circle, and then
    /// shown of each: they check before they consume and before they return.
    pub(super) const CHECKED: Self = Self { enter: 0, through: None, leave: Some(0), inside: 0 };

    /// These ways end here, with `ahead` units charged that have not run yet.
    pub(super) fn close(&mut self, unpaid: Unpaid, ahead: i64) {
        let longest = |units: Option<i64>| units.map_or(0, |units| units.saturating_add(ahead));
        self.enter = self.enter.max(longest(unpaid.clean));
        self.inside = self.inside.max(longest(unpaid.checked));
    }

    /// These ways end here, and the caller goes on.
    pub(super) fn exit(&mut self, unpaid: Unpaid) {
        self.close(unpaid, 0);
        self.through = self.through.max(unpaid.clean);
        self.leave = self.leave.max(unpaid.checked);
    }

    /// Whether what [`Summary::CHECKED`] says holds.
    pub(super) fn is_checked(&self) -> bool {
        self.enter == 0 && self.through.is_none() && self.leave <= Some(0)
    }

    /// The function may be one of those that an indirect call lands in.
    pub(super) fn also(&mut self, other: Self) {
        self.enter = self.enter.max(other.enter);
        // The caller has just checked: a way that meets no check leaves its
        // whole cost behind that one.
        self.leave = self.leave.max(other.leave).max(other.through);
    }

    /// The most that is unpaid anywhere in the function.
    pub(super) fn overrun(&self) -> u64 {
        self.inside.max(self.enter).max(self.leave.unwrap_or(0)).max(0).cast_unsigned()
    }
}
