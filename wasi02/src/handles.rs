//! The tables of handles: one for each component instance, as the canonical ABI has it.
//!
//! A handle names a slot of its instance's table, and a slot knows the type of what it holds: so
//! no instance reaches what another one has, and none takes one thing for another. Borrowed
//! handles belong to the call that they were made for, which ends only when all are dropped;
//! what is lent cannot be dropped or given away meanwhile.

use crate::guest::Caller;
use crate::objects::{self, Kind};
use crate::{Only, trap};
use alloc::vec::Vec;

/// Handles are smaller than this.
const HANDLES_MAX: usize = 1 << 28;

enum Slot {
    /// The next free one.
    Free(u32),
    Own {
        ty: u32,
        rep: u32,
        lends: u32,
    },
    /// Of the call of this depth.
    Borrow {
        ty: u32,
        rep: u32,
        scope: u32,
    },
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    /// The first free slot, where it is less than how many there are.
    free: u32,
}

impl Table {
    fn insert(&mut self, slot: Slot) -> u32 {
        let at = self.free;
        match self.slots.get_mut(at as usize) {
            Some(place) => {
                let Slot::Free(next) = *place else { trap() };
                self.free = next;
                *place = slot;
            }
            None => {
                if self.slots.len() + 2 >= HANDLES_MAX {
                    trap();
                }
                self.slots.push(slot);
                self.free = at + 1;
            }
        }
        // No handle is 0.
        at + 1
    }

    fn get(&mut self, handle: u32) -> &mut Slot {
        match self.slots.get_mut(handle.wrapping_sub(1) as usize) {
            Some(slot) => slot,
            None => trap(),
        }
    }

    fn remove(&mut self, handle: u32) {
        let next = self.free;
        *self.get(handle) = Slot::Free(next);
        self.free = handle - 1;
    }
}

/// A call from one component into another.
#[derive(Default)]
struct Scope {
    /// How many borrowed handles its callee still has.
    borrows: u32,
    /// What was lent to it: instances and handles.
    lent: Vec<(u32, u32)>,
}

struct State {
    tables: Vec<Table>,
    scopes: Vec<Scope>,
}

static STATE: Only<State> = Only::new(State { tables: Vec::new(), scopes: Vec::new() });

impl State {
    fn table(&mut self, instance: u32) -> &mut Table {
        let at = instance as usize;
        if at >= self.tables.len() {
            self.tables.resize_with(at + 1, Table::default);
        }
        &mut self.tables[at]
    }

    /// What a handle stands for.
    fn rep(&mut self, instance: u32, ty: u32, handle: u32) -> u32 {
        match *self.table(instance).get(handle) {
            Slot::Own { ty: is, rep, .. } | Slot::Borrow { ty: is, rep, .. } if is == ty => rep,
            _ => trap(),
        }
    }

    /// Takes an owned handle out of a table.
    fn take(&mut self, instance: u32, ty: u32, handle: u32) -> u32 {
        let table = self.table(instance);
        match *table.get(handle) {
            Slot::Own { ty: is, rep, lends: 0 } if is == ty => {
                table.remove(handle);
                rep
            }
            _ => trap(),
        }
    }
}

/// The object of this kind that a caller's handle stands for.
pub(crate) fn rep_of(caller: Caller, kind: Kind, handle: u32) -> u32 {
    STATE.get().rep(caller.instance(), kind as u32, handle)
}

/// The same of a handle that a caller gives away.
pub(crate) fn take(caller: Caller, kind: Kind, handle: u32) -> u32 {
    STATE.get().take(caller.instance(), kind as u32, handle)
}

/// A new handle of a caller, which owns it.
pub(crate) fn own(caller: Caller, kind: Kind, rep: u32) -> u32 {
    let slot = Slot::Own { ty: kind as u32, rep, lends: 0 };
    STATE.get().table(caller.instance()).insert(slot)
}

#[unsafe(export_name = "resource#new")]
extern "C" fn new(instance: u32, ty: u32, rep: u32) -> u32 {
    STATE.get().table(instance).insert(Slot::Own { ty, rep, lends: 0 })
}

#[unsafe(export_name = "resource#rep")]
extern "C" fn rep(instance: u32, ty: u32, handle: u32) -> u32 {
    STATE.get().rep(instance, ty, handle)
}

/// Drops a handle. What its type's destructor is to be called with, above bit 0, which says
/// whether it is: it was owned, and the type is not one of this module's.
#[unsafe(export_name = "resource#drop")]
extern "C" fn drop_handle(instance: u32, ty: u32, handle: u32) -> u64 {
    let state = STATE.get();
    let table = state.table(instance);
    let dropped = match *table.get(handle) {
        Slot::Own { ty: is, rep, lends: 0 } if is == ty => Some(rep),
        Slot::Borrow { ty: is, scope, .. } if is == ty => {
            match state.scopes.get_mut(scope as usize) {
                Some(scope) if scope.borrows > 0 => scope.borrows -= 1,
                _ => trap(),
            }
            None
        }
        _ => trap(),
    };
    state.table(instance).remove(handle);
    match dropped {
        Some(rep) if objects::is_ours(ty) => {
            objects::remove(rep);
            0
        }
        Some(rep) => u64::from(rep) << 1 | 1,
        None => 0,
    }
}

/// Gives a handle to another instance.
#[unsafe(export_name = "resource#transfer-own")]
extern "C" fn transfer_own(handle: u32, from: u32, from_ty: u32, to: u32, to_ty: u32) -> u32 {
    let state = STATE.get();
    let rep = state.take(from, from_ty, handle);
    state.table(to).insert(Slot::Own { ty: to_ty, rep, lends: 0 })
}

/// Lends a handle to another instance for one call. Who defines the type gets what it stands
/// for instead of a handle.
#[unsafe(export_name = "resource#transfer-borrow")]
extern "C" fn transfer_borrow(
    handle: u32,
    from: u32,
    from_ty: u32,
    to: u32,
    to_ty: u32,
    is_definer: u32,
) -> u32 {
    let state = STATE.get();
    let rep = state.rep(from, from_ty, handle);
    let Some(scope) = state.scopes.len().checked_sub(1) else { trap() };
    if let Slot::Own { lends, .. } = state.table(from).get(handle) {
        *lends = lends.checked_add(1).unwrap_or_else(|| trap());
        state.scopes[scope].lent.push((from, handle));
    }
    if is_definer != 0 {
        return rep;
    }
    state.scopes[scope].borrows += 1;
    state.table(to).insert(Slot::Borrow { ty: to_ty, rep, scope: scope as u32 })
}

/// A call from one component into another begins.
#[unsafe(export_name = "resource#enter")]
extern "C" fn enter() {
    STATE.get().scopes.push(Scope::default());
}

/// It ends: what was lent to it has come back.
#[unsafe(export_name = "resource#exit")]
extern "C" fn exit() {
    let state = STATE.get();
    let Some(scope) = state.scopes.pop() else { trap() };
    if scope.borrows != 0 {
        trap();
    }
    for (instance, handle) in scope.lent {
        if let Slot::Own { lends, .. } = state.table(instance).get(handle) {
            *lends -= 1;
        }
    }
}

/// A handle of something that does nothing: what stands for a closed network.
#[unsafe(export_name = "closed#new")]
extern "C" fn closed_new(instance: u32, ty: u32) -> u32 {
    STATE.get().table(instance).insert(Slot::Own { ty, rep: 0, lends: 0 })
}

/// Checks a handle that is lent to a closed interface.
#[unsafe(export_name = "closed#borrow")]
extern "C" fn closed_borrow(instance: u32, ty: u32, handle: u32) {
    let _ = STATE.get().rep(instance, ty, handle);
}

/// Takes a handle that is given to a closed interface.
#[unsafe(export_name = "closed#take")]
extern "C" fn closed_take(instance: u32, ty: u32, handle: u32) {
    let rep = STATE.get().take(instance, ty, handle);
    if objects::is_ours(ty) {
        objects::remove(rep);
    }
}
