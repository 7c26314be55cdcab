//! One function followed from its entry along all ways: what is pending where.
//!
//! Let T be budget − consumed. At each point the local counter is T + p, or
//! holds something else; and so is the global one, T + q. Operators that consume
//! `n` add `n` to p and q; the injected texts move and lower them. Where ways
//! meet, p must agree (and q, where there is no p). A loop's first pass fixes
//! what everybody who comes back must bring, so one pass over the steps is
//! enough; but for what is unpaid at a loop that does not begin with a check.
//! There one pass finds what its rounds bring, and a second one starts from it
//! and must find no more.
//!
//! Calls are judged by contract: the global holds T at the entry and at the exit
//! of each function and wherever an exception leaves it, which is shown for each
//! function here and assumed of the called one. May assume the roles of
//! [`super::calls`] and summaries of callees outside the function's own cycle.
//! Shows the rules `dead`, `stale`, `join`, `exact`, `strict`, `loop`, `free`, `range`
//! and the reachable half of `length`; gives the [`Summary`].

use super::bound::{Summary, Unpaid};
use super::calls::Role;
use super::idiom::Function;
use super::module::Facts;
use super::rule::{Place, Rule, Violation};
use super::step::{Header, Opening, Step};
use super::{ASSUMED, AuditError};

/// The most that may be pending: far from where the counter wraps, and more than all
/// operators of a function weigh together, unless it is full of those that make objects of
/// thousands of fields.
const PENDING_MAX: u64 = 1 << 40;

/// The summaries of functions, as far as they are known.
pub(super) struct Summaries {
    functions: Vec<Option<Summary>>,
    indirect: Summary,
    overrun: u64,
}

impl Summaries {
    pub(super) fn new(count: usize) -> Self {
        Self { functions: vec![None; count], indirect: ASSUMED, overrun: 0 }
    }

    /// A function was followed. Of one in a cycle everybody assumes the same,
    /// so that S does not depend on the order.
    pub(super) fn insert(&mut self, function: usize, summary: Summary, role: Role) {
        self.functions[function] = Some(if role.is_recursive { ASSUMED } else { summary });
        self.overrun = self.overrun.max(summary.overrun());
        if role.escapes {
            self.indirect.also(summary);
        }
    }

    /// S.
    pub(super) fn overrun(&self) -> u64 {
        self.overrun
    }

    /// What is not known yet is in a cycle with the caller; that it deserves
    /// the assumption is the rule `recursion`.
    fn of(&self, function: u32) -> Summary {
        self.functions[function as usize].unwrap_or(ASSUMED)
    }
}

/// What is known at a point that control can reach.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// The local counter is T plus this; `None`: it is something else.
    local: Option<i64>,
    /// The global counter is T plus this; `None`: it is something else.
    global: Option<i64>,
    unpaid: Unpaid,
    /// The counter has been found not to be negative, and no call since can
    /// have changed that.
    is_sure: bool,
    /// What the last check charged ahead, for the operator behind it.
    ahead: i64,
    /// The outermost open loop from whose header control can have come here without a
    /// check; then it can from each loop within that one.
    unchecked_since: Option<usize>,
    /// Frames below this number were open when something was consumed last, on every way:
    /// a loop above has not cost anything since it was entered. 0: nor has the function.
    paid: usize,
}

impl Point {
    /// The same outside of all frames but the first `frames`.
    fn outside(self, frames: usize) -> Self {
        let unchecked_since = self.unchecked_since.filter(|since| *since < frames);
        Self { unchecked_since, paid: self.paid.min(frames), ..self }
    }
}

struct Frame {
    opening: Opening,
    /// Loops: what everybody who comes back must bring.
    header: Option<Point>,
    /// Where `else` begins, or where a false condition goes.
    alternative: Option<Point>,
    /// What has come to the end so far.
    arrived: Option<Point>,
    /// Its number among the loops, where it is one.
    ordinal: usize,
}

struct Flow<'f, 'm> {
    facts: &'f Facts<'m>,
    role: Role,
    summaries: &'f Summaries,
    index: u32,
    has_local: bool,
    frames: Vec<Frame>,
    /// `None` where control cannot come.
    point: Option<Point>,
    summary: Summary,
    offset: u32,
    /// How many loops have been opened.
    loops: usize,
    /// By loop without a check at its header: what is unpaid when its rounds end.
    /// What the first pass found, and what this one finds.
    known: Vec<Option<Unpaid>>,
    found: Vec<Option<Unpaid>>,
}

/// Follows a function; its summary, when no rule is broken.
pub(super) fn follow(
    facts: &Facts<'_>,
    function: &Function,
    index: u32,
    role: Role,
    summaries: &Summaries,
) -> Result<Summary, AuditError> {
    let pass = |known| {
        let mut flow = Flow::new(facts, function, index, role, summaries, known);
        for (step, offset) in &function.steps {
            flow.offset = *offset;
            flow.step(*step)?;
        }
        Ok::<_, AuditError>((flow.summary, flow.found))
    };
    let (summary, rounds) = pass(Vec::new())?;
    if rounds.is_empty() {
        return Ok(summary);
    }
    let (summary, again) = pass(rounds.clone())?;
    facts.judge.require(
        again == rounds,
        Rule::Loop,
        Place::function(index, function.start),
        || "what runs between two checks depends on how often a loop goes round".to_owned(),
    )?;
    Ok(summary)
}

impl<'f, 'm> Flow<'f, 'm> {
    fn new(
        facts: &'f Facts<'m>,
        function: &Function,
        index: u32,
        role: Role,
        summaries: &'f Summaries,
        known: Vec<Option<Unpaid>>,
    ) -> Self {
        let entry = Point {
            local: None,
            global: Some(0),
            unpaid: Unpaid::ENTRY,
            is_sure: false,
            ahead: 0,
            unchecked_since: None,
            paid: 0,
        };
        let outermost = Frame {
            opening: Opening::Block,
            header: None,
            alternative: None,
            arrived: None,
            ordinal: 0,
        };
        Self {
            facts,
            role,
            summaries,
            index,
            has_local: function.has_local,
            frames: vec![outermost],
            point: Some(entry),
            summary: Summary::default(),
            offset: function.start,
            loops: 0,
            known,
            found: Vec::new(),
        }
    }
}

impl Flow<'_, '_> {
    fn step(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Open(opening) => return self.open(opening),
            Step::Else => return self.alternative(),
            Step::End => return self.end(),
            _ => {}
        }
        let Some(point) = self.point else { return self.dead(step) };
        let point = self.settled(point, step)?;
        let next = match step {
            Step::Run(units) => {
                let paid = if units > 0 { self.frames.len() } else { point.paid };
                Some(Point { paid, ..self.charge(point, -units, -units, units)? })
            }
            Step::Load | Step::Store(_) | Step::Charge(_) | Step::Direct(_) => {
                Some(self.account(point, step)?)
            }
            Step::Check(depth, below) => Some(self.check(point, depth, below)?),
            Step::Length(depth) => Some(self.check(point, depth, 0)?),
            Step::Free => {
                self.require(false, Rule::Length, || "a length is not paid for".to_owned())?;
                Some(point)
            }
            Step::Branch(depth) => {
                self.arrive(depth, point)?;
                Some(point)
            }
            Step::Catch(depth) => {
                // Who threw had checked, and had left everything in the global.
                let thrown = Point {
                    local: None,
                    global: Some(0),
                    unpaid: Unpaid::checked(0),
                    is_sure: false,
                    ahead: 0,
                    unchecked_since: None,
                    paid: point.paid,
                };
                self.arrive(depth, thrown)?;
                Some(point)
            }
            Step::Return => {
                self.exit(point)?;
                None
            }
            Step::MayTrap => {
                self.exact(point, "a trap")?;
                Some(point)
            }
            Step::Trap => {
                self.exact(point, "a trap")?;
                self.summary.close(point.unpaid, 0);
                None
            }
            Step::Stop | Step::OutOfFuel => None,
            _ => self.leave(point, step)?,
        };
        self.point = next;
        Ok(())
    }

    fn require(
        &self,
        holds: bool,
        rule: Rule,
        what: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        self.facts.judge.require(holds, rule, Place::function(self.index, self.offset), what)
    }

    /// What was charged ahead at a check is what the next operator consumes.
    fn settled(&self, point: Point, step: Step) -> Result<Point, Violation> {
        let is_settled = match step {
            _ if point.ahead == 0 => true,
            Step::Store(_) => return Ok(point),
            Step::Run(units) => units == point.ahead,
            _ => false,
        };
        self.require(is_settled, Rule::Settled, || {
            format!("{} units were charged ahead at a check, for something else", point.ahead)
        })?;
        Ok(Point { ahead: 0, ..point })
    }

    /// Nothing injected is where control cannot come.
    fn dead(&self, step: Step) -> Result<(), Violation> {
        let is_injected = matches!(
            step,
            Step::Load
                | Step::Store(_)
                | Step::Charge(_)
                | Step::Direct(_)
                | Step::Check(..)
                | Step::Length(_)
        );
        self.require(!is_injected, Rule::Dead, || "metering where control cannot come".to_owned())
    }

    // ---- the counter -------------------------------------------------------

    /// Takes from the local and from the global counter, and runs.
    fn charge(
        &self,
        point: Point,
        from_local: i64,
        from_global: i64,
        run: i64,
    ) -> Result<Point, Violation> {
        let take = |pending: Option<i64>, units: i64| pending.map(|now| now.saturating_sub(units));
        let next = Point {
            local: take(point.local, from_local),
            global: take(point.global, from_global),
            unpaid: point.unpaid.plus(run),
            ..point
        };
        let is_small = |pending: Option<i64>| pending.unwrap_or(0).unsigned_abs() <= PENDING_MAX;
        self.require(is_small(next.local) && is_small(next.global), Rule::Range, || {
            "more is pending than can be owed".to_owned()
        })?;
        Ok(next)
    }

    /// The local counter, where it is used.
    fn local(&self, point: Point) -> Result<i64, Violation> {
        self.require(point.local.is_some(), Rule::Stale, || {
            "the local counter is used where it does not hold the count".to_owned()
        })?;
        Ok(point.local.unwrap_or(0))
    }

    /// The texts that move and lower the counter.
    fn account(&self, point: Point, step: Step) -> Result<Point, Violation> {
        match step {
            Step::Charge(units) => {
                self.local(point)?;
                self.charge(point, units, 0, 0)
            }
            Step::Store(units) => {
                let global = Some(self.local(point)?);
                self.charge(Point { global, ..point }, 0, units, 0)
            }
            _ => {
                self.require(point.global.is_some(), Rule::Stale, || {
                    "the global counter is read where it does not hold the count".to_owned()
                })?;
                match step {
                    Step::Direct(units) => self.charge(point, 0, units, 0),
                    _ => Ok(Point { local: point.global, ..point }),
                }
            }
        }
    }

    /// Behind it, the local counter is not below `below`: with what is pending taken off, it
    /// is not negative; and what was charged ahead is paid.
    fn check(&mut self, point: Point, depth: u32, below: i64) -> Result<Point, Violation> {
        let pending = self.local(point)?.saturating_sub(below);
        self.summary.close(point.unpaid, pending.saturating_neg());
        if let Some(frame) = self.frame(depth) {
            // The cold path uses nothing of what is known.
            self.frames[frame].arrived.get_or_insert(Point {
                local: None,
                global: None,
                unpaid: Unpaid::checked(0),
                is_sure: false,
                ahead: 0,
                unchecked_since: None,
                paid: 0,
            });
        }
        self.require(pending <= 0, Rule::Settled, || {
            format!("{pending} units more are pending at a check than it sees")
        })?;
        let ahead = pending.saturating_neg();
        Ok(Point {
            unpaid: Unpaid::checked(pending),
            is_sure: true,
            ahead,
            unchecked_since: None,
            ..point
        })
    }

    // ---- leaving the function ----------------------------------------------

    /// The global counter must hold T.
    fn exact(&self, point: Point, what: &str) -> Result<(), Violation> {
        self.require(point.global == Some(0), Rule::Exact, || match point.global {
            Some(pending) => format!("{pending} units are pending at {what}"),
            None => format!("the global counter does not hold the count at {what}"),
        })
    }

    /// The same, and it must have been found not to be negative.
    fn event(&self, point: Point, what: &str) -> Result<(), Violation> {
        self.exact(point, what)?;
        self.require(point.is_sure && point.unpaid.is_paid(), Rule::Strict, || {
            format!("the counter may be negative at {what}")
        })
    }

    fn exit(&mut self, point: Point) -> Result<(), Violation> {
        self.exact(point, "an exit")?;
        let is_paid = point.is_sure && point.unpaid.is_paid();
        let is_untouched = !self.role.stands_in && point.unpaid.is_untouched();
        let needs_none = !self.role.checks_exit || is_untouched;
        self.require(is_paid || needs_none, Rule::Strict, || {
            "the counter may be negative at an exit".to_owned()
        })?;
        self.summary.exit(point.unpaid);
        Ok(())
    }

    /// Calls and throws; what is known behind them.
    fn leave(&mut self, point: Point, step: Step) -> Result<Option<Point>, Violation> {
        let defined = |function: u32| function.checked_sub(self.facts.imported);
        self.require(point.paid > 0, Rule::Free, || {
            "nothing was consumed between the entry and a call".to_owned()
        })?;
        let callee = match step {
            Step::Throw => {
                self.event(point, "a throw")?;
                return Ok(None);
            }
            Step::Call(function) | Step::TailCall(function) => match defined(function) {
                Some(function) => {
                    self.exact(point, "a call")?;
                    self.summaries.of(function)
                }
                None => {
                    self.event(point, "a call of an import")?;
                    ASSUMED
                }
            },
            _ => {
                self.event(point, "an indirect call")?;
                self.summaries.indirect
            }
        };
        self.summary.close(point.unpaid.plus(callee.enter), 0);
        let unpaid = point.unpaid.through(callee);
        if step.ends() {
            self.summary.exit(unpaid);
            return Ok(None);
        }
        // Where each way through the callee meets a check, so does each way across it.
        let unchecked_since = callee.through.and(point.unchecked_since);
        Ok(Some(Point {
            local: None,
            global: Some(0),
            unpaid,
            is_sure: false,
            ahead: 0,
            unchecked_since,
            paid: point.paid,
        }))
    }

    // ---- frames ------------------------------------------------------------

    /// The frame that is `depth` labels out.
    fn frame(&self, depth: u32) -> Option<usize> {
        self.frames.len().checked_sub(1 + depth as usize)
    }

    fn open(&mut self, opening: Opening) -> Result<(), Violation> {
        let mut frame =
            Frame { opening, header: None, alternative: None, arrived: None, ordinal: self.loops };
        self.loops += usize::from(matches!(opening, Opening::Loop(_)));
        match (opening, self.point) {
            (Opening::If, point) => frame.alternative = point,
            (Opening::Loop(header), Some(point)) => {
                let rounds = self.known.get(frame.ordinal).copied().flatten();
                let point = match (header, rounds) {
                    (Header::Plain, None) => point,
                    (Header::Plain, Some(unpaid)) => Point {
                        global: None,
                        unpaid: point.unpaid.or(unpaid),
                        is_sure: false,
                        ..point
                    },
                    (Header::Checked, _) => {
                        self.require(point.local.unwrap_or(0) == 0, Rule::Settled, || {
                            "something is pending at a loop".to_owned()
                        })?;
                        Point { global: None, is_sure: false, ..point }
                    }
                    (Header::Reloaded, _) => {
                        self.exact(point, "a loop that a catch leads to")?;
                        Point { local: None, is_sure: false, ..point }
                    }
                };
                let since = point.unchecked_since.unwrap_or(usize::MAX).min(self.frames.len());
                let point = Point { unchecked_since: Some(since), ..point };
                frame.header = Some(point);
                self.point = Some(point);
            }
            _ => {}
        }
        self.frames.push(frame);
        Ok(())
    }

    fn alternative(&mut self) -> Result<(), Violation> {
        if let Some(point) = self.point {
            self.arrive(0, point)?;
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.opening = Opening::Block;
            self.point = frame.alternative.take();
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Violation> {
        let is_loop = matches!(self.frames.last(), Some(Frame { opening: Opening::Loop(_), .. }));
        if is_loop {
            self.frames.pop();
            self.point = self.point.map(|point| point.outside(self.frames.len()));
            return Ok(());
        }
        if let Some(point) = self.point {
            self.arrive(0, point)?;
        }
        if let Some(point) = self.frames.last_mut().and_then(|frame| frame.alternative.take()) {
            self.arrive(0, point)?;
        }
        self.point = self.frames.pop().and_then(|frame| frame.arrived);
        Ok(())
    }

    /// Somebody comes to the label that is `depth` out.
    fn arrive(&mut self, depth: u32, point: Point) -> Result<(), Violation> {
        let Some(index) = self.frame(depth) else { return Ok(()) };
        if index == 0 {
            return self.exit(point);
        }
        if let Opening::Loop(header) = self.frames[index].opening {
            self.require(point.paid > index, Rule::Free, || {
                "a way around a loop consumes nothing".to_owned()
            })?;
            return self.come_back(header, index, point);
        }
        let point = point.outside(index);
        let met = match self.frames[index].arrived {
            Some(before) => self.join(before, point)?,
            None => point,
        };
        self.frames[index].arrived = Some(met);
        Ok(())
    }

    /// Somebody comes back to a loop: to its check, or having met another.
    fn come_back(&mut self, header: Header, frame: usize, point: Point) -> Result<(), Violation> {
        let Frame { header: expected, ordinal, .. } = self.frames[frame];
        if header == Header::Plain {
            let is_checked = point.unchecked_since.is_none_or(|since| since > frame);
            self.require(is_checked && point.local.is_some(), Rule::Loop, || {
                "a round of a loop meets no check".to_owned()
            })?;
            if self.found.len() <= ordinal {
                self.found.resize(ordinal + 1, None);
            }
            let before = self.found[ordinal];
            self.found[ordinal] = Some(before.map_or(point.unpaid, |one| one.or(point.unpaid)));
        }
        let expected = expected.unwrap_or(point);
        if header == Header::Reloaded {
            self.exact(point, "a loop that a catch leads to")?;
            self.summary.close(point.unpaid, 0);
            return Ok(());
        }
        self.require(point.local == expected.local, Rule::Join, || {
            disagreement(expected.local, point.local)
        })?;
        self.summary.close(point.unpaid, point.local.unwrap_or(0).saturating_neg());
        Ok(())
    }

    /// Two ways meet.
    fn join(&self, one: Point, other: Point) -> Result<Point, Violation> {
        let both = |a: Option<i64>, b: Option<i64>| if a == b { a } else { None };
        let local = both(one.local, other.local);
        let global = both(one.global, other.global);
        // Somewhere the count must be; and a local that two ways hold differently
        // is a mistake even when the global agrees.
        let differ = one.local.is_some() && other.local.is_some() && local.is_none();
        let is_lost = local.is_none() && global.is_none();
        self.require(!differ && !is_lost, Rule::Join, || {
            if self.has_local {
                disagreement(one.local, other.local)
            } else {
                disagreement(one.global, other.global)
            }
        })?;
        Ok(Point {
            local: if differ { one.local } else { local },
            global: if is_lost { one.global } else { global },
            unpaid: one.unpaid.or(other.unpaid),
            is_sure: one.is_sure && other.is_sure,
            ahead: 0,
            unchecked_since: match (one.unchecked_since, other.unchecked_since) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            paid: one.paid.min(other.paid),
        })
    }
}

fn disagreement(one: Option<i64>, other: Option<i64>) -> String {
    let say = |pending: Option<i64>| match pending {
        Some(pending) => format!("{pending} units are pending"),
        None => "the count is elsewhere".to_owned(),
    };
    format!("ways that meet do not agree: {} on one, {} on another", say(one), say(other))
}
