//! Modules whose native image has about a given size: code, then data.
//!
//! The same bytes each time. The guest ends at once, so what is measured is the start.
//! Code takes half, but not more than [`CODE_MAX`]: it is slow to compile, and a large
//! program is mostly data.

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// Most bytes of an image that are code.
const CODE_MAX: usize = 4_000_000;
/// Steps of one function.
const STEPS: usize = 400;
/// About what one step is in native code.
const STEP_BYTES: usize = 4;

/// A command whose image has about this many bytes.
pub(super) fn module(image_bytes: usize) -> Vec<u8> {
    let code_bytes = (image_bytes / 2).min(CODE_MAX);
    let functions = (code_bytes / (STEPS * STEP_BYTES)).max(1) as u32;
    let data_bytes = image_bytes - code_bytes;

    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([ValType::I32], [ValType::I32]);
    let mut kinds = FunctionSection::new();
    kinds.function(0);
    for _ in 0..functions {
        kinds.function(1);
    }
    let mut memories = MemorySection::new();
    let pages = data_bytes.div_ceil(65536) as u64;
    memories.memory(MemoryType {
        minimum: pages,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("_start", ExportKind::Func, 0).export("memory", ExportKind::Memory, 0);

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut code = CodeSection::new();
    let mut start = Function::new([]);
    start.instruction(&Instruction::End);
    code.function(&start);
    for _ in 0..functions {
        let mut function = Function::new([]);
        for _ in 0..STEPS {
            function.instruction(&Instruction::LocalGet(0));
            function.instruction(&Instruction::I32Const(random.next() as i32));
            function.instruction(match random.next() % 3 {
                0 => &Instruction::I32Add,
                1 => &Instruction::I32Xor,
                _ => &Instruction::I32Rotl,
            });
            function.instruction(&Instruction::LocalSet(0));
        }
        function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::End);
        code.function(&function);
    }
    let mut data = DataSection::new();
    let bytes = std::iter::repeat_with(|| random.next() as u8).take(data_bytes);
    data.active(0, &ConstExpr::i32_const(0), bytes);

    let mut module = Module::new();
    module.section(&types).section(&kinds).section(&memories).section(&exports);
    module.section(&code).section(&data);
    module.finish()
}

/// Numbers that are no pattern to a compiler (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_same_module_each_time_and_of_that_size() {
        let module = super::module(1_000_000);
        assert_eq!(module, super::module(1_000_000));
        assert!(module.len() > 500_000, "{}", module.len());
        assert!(crate::modules::valid(module).is_some());
    }
}
