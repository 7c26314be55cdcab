//! Host functions by the engine's own calling convention: numbers in an array.
//!
//! The engine's checked ways make a copy of what calls a function for each type that one has.
//! Here one copy reads all parameters by the types that the function is defined with.
//! Guarantees that what is read was written by the caller as that type, and that the one result
//! is written as its own. Knows no function.

use bls_artifact::host_table::{Function, Kind};
use wasmtime::{Caller, FuncType, Linker, ValRaw, ValType};

/// Most parameters of a function: more are not given.
const PARAMETERS_MAX: usize = 16;

/// Defines `function` in `linker` by these names: `run` gets its parameters, those of 32 bits
/// in the low half, and what it gives is the result, where the function has one.
pub(crate) fn define<T: 'static>(
    linker: &mut Linker<T>,
    (module, name): (&str, &str),
    function: &'static Function,
    run: impl Fn(&mut Caller<'_, T>, &[u64]) -> wasmtime::Result<u32> + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    let ty = |kind: &Kind| match kind {
        Kind::I32 => ValType::I32,
        Kind::I64 => ValType::I64,
    };
    let results = function.answers.then_some(ValType::I32);
    let ty = FuncType::new(linker.engine(), function.parameters.iter().map(ty), results);
    let call = move |mut caller: Caller<'_, T>, values: &mut [std::mem::MaybeUninit<ValRaw>]| {
        let mut given = [0; PARAMETERS_MAX];
        for ((given, kind), value) in given.iter_mut().zip(function.parameters).zip(&*values) {
            // SAFETY: the engine calls with as many values as the type below has parameters or
            // results, whichever are more, and has written the parameters, in order.
            let value = unsafe { value.assume_init_ref() };
            *given = match kind {
                Kind::I32 => value.get_u32().into(),
                Kind::I64 => value.get_u64(),
            };
        }
        let count = function.parameters.len().min(PARAMETERS_MAX);
        let result = run(&mut caller, &given[..count])?;
        if function.answers
            && let Some(place) = values.first_mut()
        {
            place.write(ValRaw::u32(result));
        }
        Ok(())
    };
    // SAFETY: `call` reads each parameter as the type that `ty` says, by the same list, and
    // writes an i32 where `ty` has that one result, and nothing where it has none.
    unsafe { linker.func_new_unchecked(module, name, ty, call) }?;
    Ok(())
}
