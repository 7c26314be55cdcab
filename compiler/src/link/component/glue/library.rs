//! Calls of what a library exports, by its types: what `wasi02/src/typed.rs` imports.
//!
//! ```text
//! (func $call (param $function i32) (param $slots i32)
//!   … by the number of the function, here of one from an i32 and an f64 to an i32:
//!   (i32.store (local.get $slots)
//!     (call $f (i32.load (local.get $slots)) (f64.load offset=8 (local.get $slots)))))
//! ```
//!
//! Slots are of 8 bytes, in the memory of the WASI module. What is called afterwards may not
//! leave its component.

use super::{Glue, Signature};
use crate::link::component::choose::{choose, key_is_parameter};
use crate::link::component::error::ComponentError;
use crate::link::component::flat::{Library, Run};
use crate::link::module::Kind;
use crate::link::resolve::Item;
use wasm_encoder::ValType::{self, I32};
use wasm_encoder::{BlockType, Encode as _, Function, MemArg};

/// The first parameter is the number of the function, the second where the slots are.
const SLOTS: u32 = 1;

/// A function to be called, and what with.
#[derive(PartialEq, Eq)]
struct Callee {
    function: u32,
    parameters: Vec<ValType>,
    results: Vec<ValType>,
    /// The global of its instance, where that may not be left.
    may_leave: Option<u32>,
}

impl<'p> Glue<'p> {
    /// What is called by its types.
    pub(super) fn library(&self) -> Option<&'p Library> {
        match &self.flat.run {
            Run::Library(library) => Some(library),
            _ => None,
        }
    }

    /// The entry: the WASI module reads what is to be called, and calls it.
    pub(super) fn typed(&mut self) -> Function {
        self.plain("typed#run")
    }

    /// A call by the number of the function.
    pub(super) fn call(&mut self, base: u32) -> (Signature, Function) {
        let functions = self.library().map_or(&[][..], |library| &library.functions);
        let mut callees = Vec::with_capacity(functions.len());
        for one in functions {
            let (parameters, results) = (one.parameters.clone(), one.results.clone());
            let function = self.guest_function(&one.function, &parameters, &results, base);
            callees.push(Some(Callee { function, parameters, results, may_leave: None }));
        }
        self.by_number(&callees)
    }

    /// What is called with a result afterwards, by the number of the function.
    pub(super) fn after(&mut self, base: u32) -> (Signature, Function) {
        let functions = self.library().map_or(&[][..], |library| &library.functions);
        let mut callees = Vec::with_capacity(functions.len());
        for one in functions {
            let Some(after) = &one.after else {
                callees.push(None);
                continue;
            };
            let parameters = one.results.clone();
            let function = self.guest_function(after, &parameters, &[], base);
            let may_leave = Some(self.may_leave(one.caller.instance));
            callees.push(Some(Callee { function, parameters, results: vec![], may_leave }));
        }
        self.by_number(&callees)
    }

    fn by_number(&mut self, callees: &[Option<Callee>]) -> (Signature, Function) {
        let memory_index = self.memory(self.own_memory());
        let mut body = Function::new([]);
        let mut emit = |callee: &Option<Callee>, body: &mut Function| {
            let Some(callee) = callee else { return };
            let slot = |at: usize, align| MemArg { offset: at as u64 * 8, align, memory_index };
            let mut code = body.instructions();
            if let Some(global) = callee.may_leave {
                code.i32_const(0).global_set(global);
            }
            if !callee.results.is_empty() {
                code.local_get(SLOTS);
            }
            for (at, ty) in callee.parameters.iter().enumerate() {
                code.local_get(SLOTS);
                match ty {
                    I32 => code.i32_load(slot(at, 2)),
                    ValType::I64 => code.i64_load(slot(at, 3)),
                    ValType::F32 => code.f32_load(slot(at, 2)),
                    _ => code.f64_load(slot(at, 3)),
                };
            }
            code.call(callee.function);
            match callee.results.first() {
                None => &mut code,
                Some(I32) => code.i32_store(slot(0, 2)),
                Some(ValType::I64) => code.i64_store(slot(0, 3)),
                Some(ValType::F32) => code.f32_store(slot(0, 2)),
                Some(_) => code.f64_store(slot(0, 3)),
            };
            if let Some(global) = callee.may_leave {
                code.i32_const(1).global_set(global);
            }
        };
        choose(callees, 0, BlockType::Empty, &key_is_parameter, &mut emit, &mut body);
        body.instructions().end();
        ((vec![I32, I32], vec![]), body)
    }

    /// What is exported, and of which types: all that there is to know, as bytes.
    pub(super) fn described(&mut self) -> Result<Vec<u8>, ComponentError> {
        let Some(library) = self.library() else { return Ok(Vec::new()) };
        let mut bytes = library.types.clone();
        library.functions.len().encode(&mut bytes);
        for one in &library.functions {
            one.interface.encode(&mut bytes);
            one.name.encode(&mut bytes);
            self.context(&one.caller)?.encode(&mut bytes);
            bytes.extend_from_slice(&one.signature);
        }
        Ok(bytes)
    }

    /// How long that is.
    pub(super) fn description_size(&mut self) -> Result<(Signature, Function), ComponentError> {
        let size = self.described()?.len() as u32;
        let mut body = Function::new([]);
        body.instructions().i32_const(size.cast_signed()).end();
        Ok(((vec![], vec![I32]), body))
    }

    /// Writes it where the parameter says.
    pub(super) fn description(&mut self) -> Result<(Signature, Function), ComponentError> {
        let size = self.described()?.len() as u32;
        let memory = self.memory(self.own_memory());
        let mut body = Function::new([]);
        let mut code = body.instructions();
        code.local_get(0).i32_const(0).i32_const(size.cast_signed()).memory_init(memory, 0).end();
        Ok(((vec![I32], vec![]), body))
    }

    /// The memory of the WASI module.
    pub(super) fn own_memory(&self) -> Item {
        Item { module: self.wasi(), kind: Kind::Memory, index: 0 }
    }
}
