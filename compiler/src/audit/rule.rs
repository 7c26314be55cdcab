//! The rules of the audit, by name, and what breaks one.
//!
//! Every refusal goes through [`Judge::require`]. In this crate's own tests a
//! judge can be told to overlook one rule; that shows that a test notices when
//! the rule is gone. Knows nothing of modules.

use std::fmt;
use wasmparser::Operator;

/// A rule. FUEL.md ("The audit") says what each demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Reserved names: the counter once, the start function at most once.
    Names,
    /// The counter is the last global: defined, mutable, `i64`, 0 at first.
    Counter,
    /// No `start` section.
    Start,
    /// The counter and its locals are touched by the fixed texts only.
    Reserved,
    /// Checks, and nothing else, lead to the one place that ends a run.
    Cold,
    /// Unrolled loops are copies of one body, which stays in itself.
    Copies,
    /// Nothing injected stands where control cannot come.
    Dead,
    /// The local counter is used only where it holds what it should.
    Stale,
    /// Ways that meet agree on what is pending.
    Join,
    /// At a check nothing is pending but the operator it stands before.
    Settled,
    /// Nothing is pending in the global at calls, throws and exits.
    Exact,
    /// At an event the counter was found not to be negative.
    Strict,
    /// Every round of a loop meets a check: mostly the one that the loop begins with.
    Loop,
    /// A function that can reach itself by direct calls begins with a check.
    Recursion,
    /// No way around a loop is free, and none from an entry to a call.
    Free,
    /// Lengths are paid for, clamped and checked before the work.
    Length,
    /// What is pending stays small enough never to wrap the counter.
    Range,
    /// S is small.
    Bound,
    /// The claimed S is the one that was computed.
    ClaimedBound,
    /// The claimed cost of instantiation is the one that was computed.
    ClaimedInstantiation,
    /// The claimed model, plan and cost table are those of the audit.
    ClaimedModel,
    /// Sections of the source are there unchanged.
    SameSections,
    /// Functions without the injected text are those of the source.
    SameCode,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Names,
        Self::Counter,
        Self::Start,
        Self::Reserved,
        Self::Cold,
        Self::Copies,
        Self::Dead,
        Self::Stale,
        Self::Join,
        Self::Settled,
        Self::Exact,
        Self::Strict,
        Self::Loop,
        Self::Recursion,
        Self::Free,
        Self::Length,
        Self::Range,
        Self::Bound,
        Self::ClaimedBound,
        Self::ClaimedInstantiation,
        Self::ClaimedModel,
        Self::SameSections,
        Self::SameCode,
    ];

    /// Its name in messages and in FUEL.md.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Counter => "counter",
            Self::Start => "start",
            Self::Reserved => "reserved",
            Self::Cold => "cold",
            Self::Copies => "copies",
            Self::Dead => "dead",
            Self::Stale => "stale",
            Self::Join => "join",
            Self::Settled => "settled",
            Self::Exact => "exact",
            Self::Strict => "strict",
            Self::Loop => "loop",
            Self::Recursion => "recursion",
            Self::Free => "free",
            Self::Length => "length",
            Self::Range => "range",
            Self::Bound => "bound",
            Self::ClaimedBound => "claimed-bound",
            Self::ClaimedInstantiation => "claimed-instantiation",
            Self::ClaimedModel => "claimed-model",
            Self::SameSections => "same-sections",
            Self::SameCode => "same-code",
        }
    }

    /// What a user can do about a module that breaks it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Names | Self::Counter | Self::Start => {
                "metering is the last step: meter the module after every other tool has seen it"
            }
            _ => {
                "the module was changed after it was metered, or metered by something else; meter its source again: bls-compile --emit wasm app.wasm"
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    function: Option<u32>,
    offset: Option<u32>,
}

impl Place {
    /// The module as a whole.
    pub(super) const MODULE: Self = Self { function: None, offset: None };

    /// A section or an entry of one.
    pub(super) fn offset(offset: usize) -> Self {
        Self { function: None, offset: u32::try_from(offset).ok() }
    }

    /// An operator of a function, by the function's index.
    pub(super) fn function(function: u32, offset: u32) -> Self {
        Self { function: Some(function), offset: Some(offset) }
    }
}

/// A broken rule: the first that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The index of the function it is broken in.
    pub function: Option<u32>,
    /// Where, in bytes from the start of the binary module.
    pub offset: Option<u32>,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.what)?;
        if let Some(function) = self.function {
            write!(f, ", in function {function}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset:#x}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

/// Who decides whether a rule is broken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judge {
    /// A rule that a test wants overlooked.
    #[cfg(test)]
    pub(super) overlooks: Option<Rule>,
    /// What a test wants to weigh nothing: no cycle can be free otherwise.
    #[cfg(test)]
    pub(super) weighs_nothing: Option<fn(&Operator<'_>) -> bool>,
}

impl Judge {
    /// Refuses what breaks a rule.
    pub(super) fn require(
        self,
        holds: bool,
        rule: Rule,
        place: Place,
        what: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        if holds || self.is_overlooked(rule) {
            return Ok(());
        }
        let Place { function, offset } = place;
        Err(Violation { rule, function, offset, what: what() })
    }

    /// What an operator weighs that the table gives `units`.
    #[cfg(test)]
    pub(super) fn weight(self, operator: &Operator<'_>, units: u64) -> u64 {
        if self.weighs_nothing.is_some_and(|is_free| is_free(operator)) { 0 } else { units }
    }

    /// What an operator weighs that the table gives `units`.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test's judge differs")]
    pub(super) fn weight(self, _: &Operator<'_>, units: u64) -> u64 {
        units
    }

    #[cfg(test)]
    fn is_overlooked(self, rule: Rule) -> bool {
        self.overlooks == Some(rule)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test's judge differs")]
    fn is_overlooked(self, _: Rule) -> bool {
        false
    }
}
