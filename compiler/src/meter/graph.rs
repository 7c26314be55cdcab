//! The call graph: who can come back to himself, and in which order functions
//! are metered.
//!
//! Two graphs over the defined functions. In the *direct* one an edge is a
//! `call` or `return_call`. In the *full* one a function that calls through a
//! table or a reference also has an edge to every function that escapes (is
//! exported, in a segment, or referenced). May assume scans of valid bodies.
//! Guarantees: a cycle of direct calls contains only functions whose
//! [`Role::checks_entry`] is set, and a cycle of any calls only functions whose
//! [`Role::checks_exit`] is set; that is what makes the way down and the way
//! back up of a recursion meet checks (FUEL.md, "Where checks stand").

use super::scan::Scan;

/// What metering must know of a function before it emits code for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// It can reach itself by direct calls.
    pub(super) checks_entry: bool,
    /// Returning from it is an event (it is exported), or it can reach itself
    /// by calls of any kind, or its return is that of such a function.
    pub(super) checks_exit: bool,
    /// It takes the place of such a function by a tail call. Then it checks even
    /// when it consumes nothing itself: who called it has not checked.
    pub(super) stands_in: bool,
    /// An indirect call may land in it.
    pub(super) escapes: bool,
}

/// The call graph of a module.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// By defined function.
    pub(super) roles: Vec<Role>,
    /// Defined functions, each behind all that it calls outside its cycles.
    pub(super) order: Vec<usize>,
}

impl Graph {
    /// Builds the graph. `imported` functions come first in the index space;
    /// `exported` and `escaping` are function indices.
    pub(super) fn of(scans: &[Scan], imported: u32, exported: &[u32], escaping: &[u32]) -> Self {
        let defined = |index: &u32| index.checked_sub(imported).map(|index| index as usize);
        let count = scans.len();
        let mut roles = vec![Role::default(); count];
        for function in escaping.iter().chain(exported).filter_map(defined) {
            roles[function].escapes = true;
        }
        for scan in scans {
            for function in scan.references.iter().filter_map(defined) {
                roles[function].escapes = true;
            }
        }

        let direct: Vec<Vec<usize>> =
            scans.iter().map(|scan| scan.calls.iter().filter_map(defined).collect()).collect();
        let direct_order = components(&direct);
        for component in cycles(&direct, &direct_order) {
            for function in component {
                roles[*function].checks_entry = true;
            }
        }

        // One node more stands for "an indirect call": it leads to everything
        // that escapes, so the graph stays as small as the module.
        let hub = count;
        let mut full = direct;
        for (function, scan) in scans.iter().enumerate() {
            if scan.calls_indirectly {
                full[function].push(hub);
            }
        }
        full.push((0..count).filter(|function| roles[*function].escapes).collect());
        let full_order = components(&full);
        let mut leaving: Vec<usize> = exported.iter().filter_map(defined).collect();
        for component in cycles(&full, &full_order) {
            leaving.extend(component.iter().filter(|function| **function != hub));
        }
        mark_leaving(scans, imported, leaving, &mut roles);

        // Components come callees first. Inside one, direct order decides:
        // among functions that do not check at entry it has no cycle.
        let mut rank = vec![0; count];
        for (position, function) in direct_order.iter().flatten().enumerate() {
            rank[*function] = position;
        }
        let mut order = Vec::with_capacity(count);
        for component in &full_order {
            let mut members: Vec<usize> =
                component.iter().copied().filter(|function| *function != hub).collect();
            members.sort_unstable_by_key(|function| rank[*function]);
            order.extend(members);
        }
        Self { roles, order }
    }
}

/// Marks functions that check at their exit: these, and all that they reach by
/// tail calls, whose return is theirs.
fn mark_leaving(scans: &[Scan], imported: u32, mut queue: Vec<usize>, roles: &mut [Role]) {
    let defined = |index: &u32| index.checked_sub(imported).map(|index| index as usize);
    let mut all_escaping = false;
    while let Some(function) = queue.pop() {
        if std::mem::replace(&mut roles[function].checks_exit, true) {
            continue;
        }
        let mut successors: Vec<usize> =
            scans[function].tail_calls.iter().filter_map(defined).collect();
        if scans[function].tail_calls_indirectly && !std::mem::replace(&mut all_escaping, true) {
            successors.extend((0..scans.len()).filter(|function| roles[*function].escapes));
        }
        for successor in successors {
            roles[successor].stands_in = true;
            queue.push(successor);
        }
    }
}

/// The components that contain a cycle.
fn cycles<'a>(
    edges: &'a [Vec<usize>],
    components: &'a [Vec<usize>],
) -> impl Iterator<Item = &'a Vec<usize>> {
    components.iter().filter(|component| match component.as_slice() {
        [single] => edges[*single].contains(single),
        _ => true,
    })
}

/// Strongly connected components, callees first (Tarjan 1972, without
/// recursion: call chains are as long as the input likes).
fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut number = vec![UNSEEN; edges.len()];
    let mut low = vec![UNSEEN; edges.len()];
    let mut on_stack = vec![false; edges.len()];
    let mut stack = Vec::new();
    let mut found = Vec::new();
    let mut next = 0;
    for root in 0..edges.len() {
        if number[root] != UNSEEN {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some((node, edge)) = path.last_mut() {
            let node = *node;
            if *edge == 0 && number[node] == UNSEEN {
                number[node] = next;
                low[node] = next;
                next += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(target) = edges[node].get(*edge).copied() {
                *edge += 1;
                if number[target] == UNSEEN {
                    path.push((target, 0));
                } else if on_stack[target] {
                    low[node] = low[node].min(number[target]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
            if low[node] == number[node] {
                let mut component = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member] = false;
                    component.push(member);
                    if member == node {
                        break;
                    }
                }
                found.push(component);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_come_callees_first() {
        // 0 → 1 ⇄ 2, 2 → 3, 4 → 4
        let edges = vec![vec![1], vec![2], vec![1, 3], vec![], vec![4]];
        let mut found = components(&edges);
        found.iter_mut().for_each(|component| component.sort_unstable());
        assert_eq!(found, [vec![3], vec![1, 2], vec![0], vec![4]]);
        let cyclic: Vec<_> = cycles(&edges, &found).cloned().collect();
        assert_eq!(cyclic, [vec![1, 2], vec![4]]);
    }

    #[test]
    fn a_long_chain_of_calls_needs_no_stack() {
        let edges: Vec<Vec<usize>> = (1..=300_000).map(|next| vec![next % 300_000]).collect();
        assert_eq!(components(&edges).len(), 1);
    }
}
