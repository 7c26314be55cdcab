//! Calls of what a component exports, by its types: the text of a call becomes values, and what
//! comes of it becomes text (WAVE, the WebAssembly value encoding).
//!
//! `bls-compile` links this module into components that are libraries, and makes `run` their
//! `_start` (compiler/src/link/component/typed.rs):
//!
//! ```text
//! argument 1: add(1, 2) ─ find, values ─► lower ─ call ─► lift ─ after ─► standard output: 3
//! ```
//!
//! What is exported, and of which types, the linker says in bytes (`types`). Nothing is called
//! before all of the text is understood. Guarantees a sentence for every text that is no call,
//! on standard error, and exit code 2; what a component gives against the rules of the canonical
//! ABI traps, as everywhere.

mod find;
mod lift;
mod lower;
mod text;
mod types;
mod values;

use crate::guest::Caller;
use crate::preview1;
use alloc::string::String;
use alloc::vec::Vec;
use types::{Function, Types};

/// The exit code of a call that cannot be made.
const NO_CALL: u32 = 2;
/// The most parameters that are given as they are; more of them lie in memory.
const FLAT_MAX: usize = 16;
/// What is said where nothing is to be called.
const NOTHING_TO_CALL: &str =
    "this is a library: name one of its functions with its values, --invoke 'NAME(VALUES)'\n";

#[link(wasm_import_module = "guest")]
unsafe extern "C" {
    /// How many bytes say what is exported.
    #[link_name = "description-size"]
    safe fn description_size() -> usize;
    #[link_name = "description"]
    fn description(to: *mut u8);
    /// Calls a function by its number: its values are taken from the slots, and its result
    /// is left there.
    #[link_name = "call"]
    fn guest_call(function: u32, slots: *mut u64);
    /// What is called with the result when it was read.
    #[link_name = "after"]
    fn guest_after(function: u32, slots: *mut u64);
}

/// Why a text is no call: a sentence, and where it is about a function, which.
struct NoCall(String, Option<usize>);

#[unsafe(export_name = "typed#run")]
extern "C" fn run() {
    let size = description_size();
    let mut bytes: Vec<u8> = Vec::with_capacity(size);
    // SAFETY: there is room for them, and afterwards they are there.
    unsafe {
        description(bytes.as_mut_ptr());
        bytes.set_len(size);
    }
    let types = Types::read(&bytes);
    let arguments = preview1::arguments();
    let Some(text) = arguments.get(1) else {
        let mut said = String::from(NOTHING_TO_CALL);
        find::list(&types, &mut said);
        fail(&said);
    };
    let text = String::from_utf8_lossy(text);
    match called(&types, &text) {
        Ok(result) => print(1, &result),
        Err(NoCall(mut said, function)) => {
            said.insert_str(0, "error: ");
            said.push('\n');
            if let Some(number) = function {
                said.push_str("  ");
                types.show_function(&types.functions[number], &mut said);
                said.push('\n');
            }
            fail(&said);
        }
    }
}

/// Arguments without the text of the call, which is nobody's but this module's.
pub(crate) fn without_call(mut arguments: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if arguments.len() > 1 {
        arguments.remove(1);
    }
    arguments
}

fn called(types: &Types, text: &str) -> Result<String, NoCall> {
    let (number, values_at) = find::find(types, text)?;
    let function = &types.functions[number];
    if types.has_resource(function) {
        const SAID: &str = "it cannot be called by a text: a resource is wanted or given, which \
             no text can be";
        return Err(NoCall(String::from(SAID), Some(number)));
    }
    let values = values::parameters(types, function, text, values_at);
    let values = values.map_err(|error| NoCall(error, Some(number)))?;
    let mut slots = lower::parameters(types, function, &values);
    // The result takes the first.
    slots.resize(slots.len().max(1), 0);
    // SAFETY: a slot for each of the function's parameters, and for its result.
    unsafe { guest_call(number as u32, slots.as_mut_ptr()) };
    let mut result = String::new();
    lift::result(types, function, slots[0], &mut result);
    // SAFETY: the result, as it was.
    unsafe { guest_after(number as u32, slots.as_mut_ptr()) };
    result.push('\n');
    Ok(result)
}

impl Function {
    fn caller(&self) -> Caller {
        Caller::new(self.caller)
    }
}

fn print(fd: u32, text: &str) {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        match preview1::write(fd, left, None) {
            Ok(written) if written > 0 => left = left.get(written..).unwrap_or_default(),
            _ => preview1::exit(1),
        }
    }
}

fn fail(text: &str) -> ! {
    print(2, text);
    preview1::exit(NO_CALL)
}
