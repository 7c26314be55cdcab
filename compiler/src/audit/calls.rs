//! The call graph of a metered module: who can come back to himself, whose
//! return can be seen from outside, and in which order functions are followed.
//!
//! May assume steps of a valid module. Only calls that control can reach count.
//! An indirect call is assumed to land in anything that escapes: is exported or
//! referred to. Written apart from the meter's graph, by another algorithm.

use super::idiom::Function;
use super::module::Facts;
use super::step::{Opening, Step};

/// A function's place in the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// It can reach itself by direct calls.
    pub(super) is_recursive: bool,
    /// Its return can be seen from outside, or it can reach itself by calls of
    /// any kind, or its return is that of such a function: the counter is
    /// checked before it returns.
    pub(super) checks_exit: bool,
    /// It takes the place of such a function by a tail call: its caller has not
    /// checked, so it checks even when it consumes nothing.
    pub(super) stands_in: bool,
    /// An indirect call may land in it.
    pub(super) escapes: bool,
}

/// The call graph.
pub(super) struct Graph {
    /// By defined function.
    pub(super) roles: Vec<Role>,
    /// Defined functions, each behind all that it calls, but for cycles.
    pub(super) order: Vec<usize>,
}

/// What one function calls, where control can come.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    /// Defined functions.
    direct: Vec<usize>,
    /// Those of them in tail position.
    tail: Vec<usize>,
    indirect: bool,
    tail_indirect: bool,
}

impl Graph {
    /// Of all functions of a module, by what each calls.
    pub(super) fn of(facts: &Facts<'_>, calls: &[Calls]) -> Self {
        let count = calls.len();
        let mut roles = vec![Role::default(); count];
        for function in facts.exported.iter().chain(&facts.referred) {
            if let Some(defined) = function.checked_sub(facts.imported) {
                roles[defined as usize].escapes = true;
            }
        }

        let direct: Vec<Vec<usize>> = calls.iter().map(|calls| calls.direct.clone()).collect();
        let direct_rank = ranks(&direct);
        for (function, is_cyclic) in cyclic(&direct, &direct_rank).into_iter().enumerate() {
            roles[function].is_recursive = is_cyclic;
        }

        // One node more is "an indirect call".
        let mut all = direct;
        for (function, calls) in calls.iter().enumerate() {
            if calls.indirect {
                all[function].push(count);
            }
        }
        all.push((0..count).filter(|function| roles[*function].escapes).collect());
        let all_rank = ranks(&all);
        let is_cyclic = cyclic(&all, &all_rank);
        let mut leaving: Vec<usize> = (0..count).filter(|function| is_cyclic[*function]).collect();
        let defined = |index: &u32| index.checked_sub(facts.imported).map(|index| index as usize);
        leaving.extend(facts.exported.iter().filter_map(defined));
        follow_tail_calls(leaving, calls, &mut roles);

        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|function| (all_rank[*function], direct_rank[*function]));
        Self { roles, order }
    }
}

/// Functions that check at their exit, and all that take their place.
fn follow_tail_calls(mut waiting: Vec<usize>, calls: &[Calls], roles: &mut [Role]) {
    let mut escaping: Vec<usize> = (0..calls.len()).filter(|index| roles[*index].escapes).collect();
    while let Some(function) = waiting.pop() {
        if std::mem::replace(&mut roles[function].checks_exit, true) {
            continue;
        }
        let mut next = calls[function].tail.clone();
        if calls[function].tail_indirect {
            next.append(&mut escaping);
        }
        for function in next {
            roles[function].stands_in = true;
            waiting.push(function);
        }
    }
}

/// The calls of a function that control can reach.
fn reachable_calls(function: &Function, imported: u32) -> Calls {
    let mut calls = Calls::default();
    let mut frames = vec![Frame { opening: Opening::Block, was_live: true, is_joined: false }];
    let mut is_live = true;
    for (step, _) in &function.steps {
        match step {
            Step::Open(opening) => {
                let frame = Frame { opening: *opening, was_live: is_live, is_joined: false };
                frames.push(frame);
            }
            Step::Else => {
                if let Some(frame) = frames.last_mut() {
                    frame.opening = Opening::Block;
                    frame.is_joined |= is_live;
                    is_live = frame.was_live;
                }
            }
            Step::End => {
                if let Some(frame) = frames.pop() {
                    is_live |= match frame.opening {
                        Opening::Block => frame.is_joined,
                        Opening::If => frame.is_joined || frame.was_live,
                        Opening::Loop(_) => false,
                    };
                }
            }
            _ if !is_live => {}
            Step::Branch(depth)
            | Step::Catch(depth)
            | Step::Check(depth, _)
            | Step::Length(depth) => {
                let frame = frames.len().checked_sub(1 + *depth as usize);
                if let Some(frame) = frame.and_then(|frame| frames.get_mut(frame)) {
                    frame.is_joined = true;
                }
            }
            step => {
                calls.note(*step, imported);
                is_live = !step.ends();
            }
        }
    }
    for list in [&mut calls.direct, &mut calls.tail] {
        list.sort_unstable();
        list.dedup();
        list.shrink_to_fit();
    }
    calls
}

struct Frame {
    opening: Opening,
    was_live: bool,
    /// Control comes to its end from somewhere.
    is_joined: bool,
}

impl Calls {
    /// Of a function.
    pub(super) fn of(function: &Function, imported: u32) -> Self {
        reachable_calls(function, imported)
    }

    fn note(&mut self, step: Step, imported: u32) {
        let defined = |index: u32| index.checked_sub(imported).map(|index| index as usize);
        match step {
            Step::Call(function) => self.direct.extend(defined(function)),
            Step::TailCall(function) => {
                self.direct.extend(defined(function));
                self.tail.extend(defined(function));
            }
            Step::CallIndirect => self.indirect = true,
            Step::TailCallIndirect => {
                self.indirect = true;
                self.tail_indirect = true;
            }
            _ => {}
        }
    }
}

/// Which nodes lie on a cycle.
fn cyclic(edges: &[Vec<usize>], ranks: &[usize]) -> Vec<bool> {
    let mut members = vec![0_usize; edges.len()];
    for rank in ranks {
        members[*rank] += 1;
    }
    let is_cyclic = |node: usize| members[ranks[node]] > 1 || edges[node].contains(&node);
    (0..edges.len()).map(is_cyclic).collect()
}

/// The number of each node's strongly connected component, callees' before
/// callers' (Kosaraju and Sharir 1981, without recursion).
fn ranks(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut reversed = vec![Vec::new(); edges.len()];
    for (caller, callees) in edges.iter().enumerate() {
        for callee in callees {
            reversed[*callee].push(caller);
        }
    }
    // Searched against the arrows, a component is left after all its callers
    // are; so by falling time, each search along the arrows fills one whose
    // callees are all known.
    let mut seen = vec![false; edges.len()];
    let mut left = Vec::with_capacity(edges.len());
    for root in 0..edges.len() {
        search(&reversed, root, &mut seen, |node| left.push(node));
    }
    let mut ranks = vec![0; edges.len()];
    seen.fill(false);
    let mut next = 0;
    for root in left.into_iter().rev() {
        if !seen[root] {
            search(edges, root, &mut seen, |node| ranks[node] = next);
            next += 1;
        }
    }
    ranks
}

/// Depth first from `root` over what is not seen yet; tells of each node when
/// it is left.
fn search(edges: &[Vec<usize>], root: usize, seen: &mut [bool], mut leave: impl FnMut(usize)) {
    if std::mem::replace(&mut seen[root], true) {
        return;
    }
    let mut path = vec![(root, 0)];
    while let Some((node, next)) = path.last_mut() {
        match edges[*node].get(*next) {
            Some(target) => {
                *next += 1;
                if !std::mem::replace(&mut seen[*target], true) {
                    path.push((*target, 0));
                }
            }
            None => {
                leave(*node);
                path.pop();
            }
        }
    }
}
