//! The caller's memory and its allocator, by the number that the WASI module has of a caller.

use super::{Glue, Signature};
use crate::link::component::choose::{choose, key_is_context};
use crate::link::component::flat::Def;
use crate::link::resolve::Item;
use wasm_encoder::ValType::I32;
use wasm_encoder::{BlockType, Function};

impl Glue<'_> {
    /// Bytes between the WASI module's memory and a caller's. `is_read`: out of the caller's.
    pub(super) fn copy(&mut self, is_read: bool) -> (Signature, Function) {
        let own = self.memory(self.own_memory());
        let callers: Vec<Option<Item>> = self.contexts.iter().map(|one| one.memory).collect();
        let callers: Vec<Option<u32>> =
            callers.into_iter().map(|memory| memory.map(|one| self.memory(one))).collect();
        let mut body = Function::new([]);
        let mut emit = |memory: &Option<u32>, body: &mut Function| {
            let Some(memory) = *memory else {
                body.instructions().unreachable();
                return;
            };
            let (to, from) = if is_read { (own, memory) } else { (memory, own) };
            let mut code = body.instructions();
            code.local_get(1).local_get(2).local_get(3).memory_copy(to, from);
        };
        choose(&callers, 0, BlockType::Empty, &key_is_context, &mut emit, &mut body);
        body.instructions().end();
        ((vec![I32; 4], vec![]), body)
    }

    /// A caller's allocator. Nothing may leave the caller's instance while it runs.
    pub(super) fn realloc(&mut self, base: u32) -> (Signature, Function) {
        let callers: Vec<(u32, Option<Def>)> =
            self.contexts.iter().map(|one| (one.instance, one.realloc.clone())).collect();
        let callers: Vec<Option<(u32, u32)>> = callers
            .into_iter()
            .map(|(instance, realloc)| {
                let function = self.guest_function(&realloc?, &[I32; 4], &[I32], base);
                Some((self.may_leave(instance), function))
            })
            .collect();
        let mut body = Function::new([]);
        let mut emit = |choice: &Option<(u32, u32)>, body: &mut Function| {
            let mut code = body.instructions();
            let Some((may_leave, function)) = *choice else {
                code.unreachable();
                return;
            };
            code.i32_const(0).global_set(may_leave);
            code.local_get(1).local_get(2).local_get(3).local_get(4).call(function);
            code.i32_const(1).global_set(may_leave);
        };
        choose(&callers, 0, BlockType::Result(I32), &key_is_context, &mut emit, &mut body);
        body.instructions().end();
        ((vec![I32; 5], vec![I32]), body)
    }
}
