//! Whether a release is still the one to run: sequences against rollback.
//!
//! A machine remembers the highest sequence it has seen of each name; the store keeps
//! that durably, in the same record that says what is installed (`store/record.rs`), so
//! that there is no moment at which one is new and the other old. Guarantees that an
//! older release is refused wherever a newer one was installed, and that one bad release
//! cannot use up all sequences. Does not read or write files; what expires is judged with
//! the trust file (`shared/src/trust/judge.rs`).

use bls_artifact::limits::SEQUENCE_JUMP_MAX;
use std::fmt;

/// What is remembered of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The highest sequence; 0 when none had one.
    pub highest: u64,
    /// The reset that was applied last.
    pub reset: Option<u64>,
}

/// Why a release is too old, or too new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// A newer one was seen.
    Rollback {
        /// The sequence of this one.
        offered: u64,
        /// The highest that was seen.
        highest: u64,
    },
    /// It would leave no room for the releases after it.
    Jump {
        /// The sequence of this one.
        offered: u64,
        /// The highest that was seen.
        highest: u64,
    },
}

impl fmt::Display for Stale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rollback { offered, highest } => write!(
                formatter,
                "release {offered} is older than release {highest}, which was installed here under that name"
            ),
            Self::Jump { offered, highest } => write!(
                formatter,
                "release {offered} is more than {SEQUENCE_JUMP_MAX} above release {highest}, the \
                 highest that this machine has seen: it would leave too little room for later ones"
            ),
        }
    }
}

impl Stale {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rollback { .. } => "freshness.rollback",
            Self::Jump { .. } => "freshness.jump",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Rollback { .. } => {
                "run the newest release, which bls-load list shows if it was not removed; a builder \
                 gives the next one a higher --sequence, or another --name; a reset in a signed \
                 trust file permits going back"
            }
            Self::Jump { .. } => {
                "ask its builder whether this is the next release; a reset in the trust file permits it"
            }
        }
    }
}

impl Seen {
    /// The same under a reset that roots have signed: from its first appearance on it
    /// is as though the release it names had been the highest. One that was applied
    /// before changes nothing, however long it stays in the trust file.
    #[must_use]
    pub fn under(self, reset: Option<u64>) -> Self {
        match reset {
            Some(to) if self.reset != reset => Self { highest: to, reset },
            _ => self,
        }
    }

    /// Whether this release may run.
    ///
    /// # Errors
    /// [`Stale::Rollback`]; a release without a sequence is older than any with one.
    pub fn check(self, offered: u64) -> Result<(), Stale> {
        if offered < self.highest {
            return Err(Stale::Rollback { offered, highest: self.highest });
        }
        Ok(())
    }

    /// What is remembered once this release is installed.
    ///
    /// # Errors
    /// [`Stale`]. The first release that has a sequence may have any.
    pub fn advance(self, offered: u64) -> Result<Self, Stale> {
        self.check(offered)?;
        if self.highest > 0 && offered - self.highest > SEQUENCE_JUMP_MAX {
            return Err(Stale::Jump { offered, highest: self.highest });
        }
        Ok(Self { highest: offered, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_only_rise() {
        let seen = Seen::default().advance(5).unwrap();
        assert_eq!(seen.highest, 5);
        assert_eq!(seen.advance(5), Ok(seen));
        assert_eq!(seen.check(4), Err(Stale::Rollback { offered: 4, highest: 5 }));
        assert_eq!(seen.advance(0), Err(Stale::Rollback { offered: 0, highest: 5 }));
        assert_eq!(Seen::default().advance(0), Ok(Seen::default()));
    }

    #[test]
    fn one_release_does_not_use_up_the_rest() {
        let first = Seen::default().advance(20_260_101_120_000).unwrap();
        let next = first.highest + SEQUENCE_JUMP_MAX;
        assert_eq!(first.advance(next).map(|seen| seen.highest), Ok(next));
        assert!(matches!(first.advance(next + 1), Err(Stale::Jump { .. })));
        // It may run; only remembering it is refused.
        assert_eq!(first.check(next + 1), Ok(()));
    }

    #[test]
    fn a_reset_counts_once() {
        let seen = Seen { highest: 9, reset: None };
        let back = seen.under(Some(3));
        assert_eq!(back, Seen { highest: 3, reset: Some(3) });
        let again = back.advance(8).unwrap();
        assert_eq!(again.under(Some(3)).check(7), Err(Stale::Rollback { offered: 7, highest: 8 }));
        assert_eq!(again.under(Some(4)).check(7), Ok(()));
        assert_eq!(again.under(None), again);
    }
}
