//! How much of a module is seen from outside: what wasmparser bounds over all imports and
//! exports together, whatever each of them is.
//!
//! Counts as wasmparser does, so that what metering exports beside it still fits. May assume
//! a module that was validated.

use wasmparser::types::{EntityType, TypesRef};

/// A function counts 2 and its parameters and results, anything else 1.
pub(super) fn surface(types: TypesRef<'_>) -> u64 {
    let size = |entity: EntityType| match entity {
        EntityType::Func(id) | EntityType::FuncExact(id) | EntityType::Tag(id) => {
            let ty = types[id].composite_type.unwrap_func();
            2 + (ty.params().len() + ty.results().len()) as u64
        }
        EntityType::Table(_) | EntityType::Memory(_) | EntityType::Global(_) => 1,
    };
    let imports = types.core_imports().into_iter().flatten().map(|(_, _, entity)| size(entity));
    let exports = types.core_exports().into_iter().flatten().map(|(_, entity)| size(entity));
    imports.chain(exports).sum()
}
