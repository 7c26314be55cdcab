//! Loops that need no check of their own, because every round meets another one.
//!
//! A round is a way from the header of a loop back to it. Where each meets a check — before
//! a call of an import or through a table, or in a function that it calls — the header's is
//! left out (FUEL.md, "Where checks stand"). A function is emitted with a check at every
//! header first; that shows which can go, and what is unpaid when a round ends. Only the
//! innermost loops are looked at, so that a check that goes is nobody else's reason.
//!
//! May assume that every other loop checks at its header: whoever is outside a loop and was
//! in it since has met that check. Does not emit anything.

use crate::meter::summary::Unpaid;

/// What is known of one loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// What is unpaid at the branches back to the header.
    unpaid: Option<Unpaid>,
    /// Some round meets no check but the header's, or that cannot be told.
    needs_check: bool,
}

/// The loops of a function, by label.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// Labels of open loops that are branched to, the innermost last.
    open: Vec<usize>,
    seen: Vec<Round>,
    /// What an earlier look found; empty in the first.
    known: Vec<Round>,
}

impl Rounds {
    /// Nothing is known yet of `count` labels.
    pub(super) fn new(count: usize) -> Self {
        Self { open: Vec::new(), seen: vec![Round::default(); count], known: Vec::new() }
    }

    /// For another look with what this one found; `None` where each header needs its check.
    pub(super) fn again(&self) -> Option<Self> {
        let count = self.seen.len();
        (0..count)
            .any(|label| unchecked(&self.seen, label).is_some())
            .then(|| Self { known: self.seen.clone(), ..Self::new(count) })
    }

    /// Whether what this look found is what it was begun with.
    pub(super) fn is_confirmed(&self) -> bool {
        (0..self.seen.len()).all(|label| {
            let before = unchecked(&self.known, label);
            before.is_none() || unchecked(&self.seen, label) == before
        })
    }

    /// A loop opens that is branched to; what is unpaid when its rounds end, where its
    /// header need not check.
    pub(super) fn enter(&mut self, label: usize, is_plain: bool) -> Option<Unpaid> {
        if let Some(outer) = self.open.last() {
            self.seen[*outer].needs_check = true;
        }
        self.seen[label].needs_check |= !is_plain;
        self.open.push(label);
        unchecked(&self.known, label)
    }

    /// A loop's frame closes. Whether it was one of these.
    pub(super) fn leave(&mut self, label: usize) -> bool {
        self.open.pop_if(|open| *open == label).is_some()
    }

    /// How many of these loops are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// A round ends.
    pub(super) fn end(&mut self, label: usize, unpaid: Unpaid, is_unchecked: bool) {
        let round = &mut self.seen[label];
        round.unpaid.get_or_insert_default().meet(unpaid);
        round.needs_check |= is_unchecked;
    }
}

fn unchecked(rounds: &[Round], label: usize) -> Option<Unpaid> {
    let round = rounds.get(label)?;
    if round.needs_check { None } else { round.unpaid }
}
