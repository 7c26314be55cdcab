//! The program's entry, which calls what a component exports: a command, or what answers requests.
//!
//! Guarantees that a command's error is exit code 1, and that of a request the WASI module (its
//! `http.rs`) says whether it was answered.

use super::{Glue, Signature};
use crate::link::component::error::ComponentError;
use crate::link::component::flat::{Caller, Def, Run};
use wasm_encoder::ValType::I32;
use wasm_encoder::{BlockType, Function};

impl Glue<'_> {
    /// `_start`.
    pub(super) fn start(&mut self, base: u32) -> Result<(Signature, Function), ComponentError> {
        let body = match &self.flat.run {
            Run::Component { run, after } => self.command(run, after.as_ref(), base),
            Run::Handler { handle, instance, after } => {
                self.handler(handle, *instance, after.as_ref(), base)?
            }
            Run::Library(_) => self.typed(),
            Run::Program { .. } => {
                let mut body = Function::new([]);
                body.instructions().end();
                body
            }
        };
        Ok(((vec![], vec![]), body))
    }

    /// The command: its result is 0 or 1, and 1 is the program's exit code then.
    fn command(&mut self, run: &Def, after: Option<&Def>, base: u32) -> Function {
        let run = self.guest_function(run, &[], &[I32], base);
        let after = after.map(|one| self.guest_function(one, &[I32], &[], base));
        let exit = self.import(None, (vec![I32], vec![]));
        let mut body = Function::new([(1, I32)]);
        let mut code = body.instructions();
        code.call(run).local_tee(0).i32_const(1).i32_gt_u();
        code.if_(BlockType::Empty).unreachable().end();
        if let Some(after) = after {
            code.local_get(0).call(after);
        }
        code.local_get(0).if_(BlockType::Empty).i32_const(1).call(exit).end().end();
        body
    }

    /// What answers a request: it is given the request and where the answer goes, as handles of
    /// its instance. The WASI module knows both, and what came of it.
    fn handler(
        &mut self,
        handle: &Def,
        instance: u32,
        after: Option<&Def>,
        base: u32,
    ) -> Result<Function, ComponentError> {
        let handle = self.guest_function(handle, &[I32, I32], &[], base);
        let after = after.map(|one| self.guest_function(one, &[], &[], base));
        let caller = Caller { instance, memory: None, realloc: None, encoding: 0 };
        let caller = self.context(&caller)?.cast_signed();
        let mut body = Function::new([]);
        self.call_wasi("http#begin", &mut body);
        for name in ["http#request", "http#outparam"] {
            body.instructions().i32_const(caller);
            self.call_wasi(name, &mut body);
        }
        let mut code = body.instructions();
        code.call(handle);
        if let Some(after) = after {
            code.call(after);
        }
        self.call_wasi("http#end", &mut body);
        body.instructions().end();
        Ok(body)
    }
}
