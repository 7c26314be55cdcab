//! Code that does one of several things, by a number that is known when it runs.

use super::glue::CONTEXTS_MAX;
use wasm_encoder::{BlockType, Function};

/// The key is the first parameter.
pub(super) fn key_is_parameter(body: &mut Function) {
    body.instructions().local_get(0);
}

/// The key is the context in the first parameter.
pub(super) fn key_is_context(body: &mut Function) {
    body.instructions()
        .local_get(0)
        .i32_const(2)
        .i32_shr_u()
        .i32_const(CONTEXTS_MAX as i32 - 1)
        .i32_and();
}

/// Code that does what the key says: a tree of comparisons, where choices differ. The first
/// choice has the key `first`.
pub(super) fn choose<T: PartialEq>(
    choices: &[T],
    first: usize,
    block: BlockType,
    key: &dyn Fn(&mut Function),
    emit: &mut dyn FnMut(&T, &mut Function),
    body: &mut Function,
) {
    let Some(one) = choices.first() else {
        body.instructions().unreachable();
        return;
    };
    if choices.iter().all(|other| other == one) {
        return emit(one, body);
    }
    let half = choices.len() / 2;
    let (low, high) = choices.split_at(half);
    key(body);
    body.instructions().i32_const((first + half) as i32).i32_lt_u().if_(block);
    choose(low, first, block, key, emit, body);
    body.instructions().else_();
    choose(high, first + half, block, key, emit, body);
    body.instructions().end();
}
