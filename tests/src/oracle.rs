//! The naive meter: one charge and one check for each operator.
//!
//! It is written to be obviously right, not fast, and shares nothing with the
//! real one but the cost table: the counter lives in the global alone, and every
//! operator is paid for and checked just before it begins. One that weighs nothing is
//! checked too, for a host function may have taken the last unit. Whatever the real
//! meter does with regions and potentials must give the same fuel at every event
//! (FUEL.md, "Meaning").

use bls_artifact::fuel::{COUNTER_EXPORT, OUT_OF_FUEL, START_EXPORT};
use bls_compiler::cost;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, Function, GlobalSection,
    GlobalType, Instruction, Module, RawSection, ValType,
    reencode::{Reencode as _, RoundtripReencoder},
};
use wasmparser::{Operator, Parser, Payload, TypeRef};

/// Sizes that lengths are clamped to.
#[derive(Default)]
struct Facts {
    imported_functions: u32,
    globals: u32,
    types: Vec<u32>,
    shapes: cost::Shapes,
    parameters: Vec<u32>,
    memories: Vec<wasmparser::MemoryType>,
    tables: Vec<wasmparser::TableType>,
    data: Vec<u64>,
    elements: Vec<u64>,
    start: Option<u32>,
}

/// Meters a valid module.
///
/// # Panics
/// When the module is not valid.
#[must_use]
pub fn meter(wasm: &[u8]) -> Vec<u8> {
    let facts = Facts::of(wasm);
    let mut module = Module::new();
    let mut code = CodeSection::new();
    let mut left = 0;
    let mut function = 0;
    let (mut has_globals, mut has_exports) = (false, false);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.expect("a valid module");
        let id = payload.as_section().map(|(id, _)| id);
        // Global is 6, export 7; the tag section (13) comes before them.
        let late = id.is_some_and(|id| id > 6 && id != 13);
        if late && !has_globals {
            has_globals = true;
            module.section(&facts.globals(GlobalSection::new()));
        }
        if late && id != Some(7) && !has_exports {
            has_exports = true;
            module.section(&facts.exports(ExportSection::new()));
        }
        match payload {
            Payload::GlobalSection(section) => {
                has_globals = true;
                let mut globals = GlobalSection::new();
                RoundtripReencoder.parse_global_section(&mut globals, section).expect("globals");
                module.section(&facts.globals(globals));
            }
            Payload::ExportSection(section) => {
                has_exports = true;
                let mut exports = ExportSection::new();
                RoundtripReencoder.parse_export_section(&mut exports, section).expect("exports");
                module.section(&facts.exports(exports));
            }
            Payload::StartSection { .. } | Payload::CustomSection(_) => {}
            Payload::CodeSectionStart { count, .. } => left = count,
            Payload::CodeSectionEntry(body) => {
                code.function(&facts.function(&body, function));
                function += 1;
                left -= 1;
                if left == 0 {
                    module.section(&code);
                }
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    module.section(&RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    if !has_globals {
        module.section(&facts.globals(GlobalSection::new()));
    }
    if !has_exports {
        module.section(&facts.exports(ExportSection::new()));
    }
    module.finish()
}

impl Facts {
    fn of(wasm: &[u8]) -> Self {
        let mut facts = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.expect("a valid module") {
                Payload::TypeSection(section) => {
                    for ty in section.into_iter().flat_map(|group| group.unwrap().into_types()) {
                        facts.shapes.add(&ty.composite_type.inner);
                        facts.parameters.push(match ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => ty.params().len() as u32,
                            _ => 0,
                        });
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import.unwrap().ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                                facts.shapes.add_function(ty);
                                facts.imported_functions += 1;
                            }
                            TypeRef::Global(_) => facts.globals += 1,
                            TypeRef::Memory(memory) => facts.memories.push(memory),
                            TypeRef::Table(table) => facts.tables.push(table),
                            TypeRef::Tag(_) => facts.shapes.add_tag(),
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    facts.types = section.into_iter().map(Result::unwrap).collect();
                    for ty in &facts.types {
                        facts.shapes.add_function(*ty);
                    }
                }
                Payload::TagSection(section) if section.count() > 0 => facts.shapes.add_tag(),
                Payload::MemorySection(section) => {
                    facts.memories.extend(section.into_iter().map(Result::unwrap));
                }
                Payload::TableSection(section) => {
                    facts.tables.extend(section.into_iter().map(|table| table.unwrap().ty));
                }
                Payload::GlobalSection(section) => facts.globals += section.count(),
                Payload::StartSection { func, .. } => facts.start = Some(func),
                Payload::ElementSection(section) => {
                    facts.elements.extend(section.into_iter().map(|element| {
                        match element.unwrap().items {
                            wasmparser::ElementItems::Functions(items) => u64::from(items.count()),
                            wasmparser::ElementItems::Expressions(_, items) => {
                                u64::from(items.count())
                            }
                        }
                    }));
                }
                Payload::DataSection(section) => {
                    facts
                        .data
                        .extend(section.into_iter().map(|data| data.unwrap().data.len() as u64));
                }
                _ => {}
            }
        }
        facts
    }

    fn globals(&self, mut globals: GlobalSection) -> GlobalSection {
        globals.global(
            GlobalType { val_type: ValType::I64, mutable: true, shared: false },
            &ConstExpr::i64_const(0),
        );
        globals
    }

    fn exports(&self, mut exports: ExportSection) -> ExportSection {
        exports.export(COUNTER_EXPORT, ExportKind::Global, self.globals);
        if let Some(start) = self.start {
            exports.export(START_EXPORT, ExportKind::Func, start);
        }
        exports
    }

    fn function(&self, body: &wasmparser::FunctionBody<'_>, index: usize) -> Function {
        let mut locals: Vec<(u32, ValType)> = Vec::new();
        let mut next = self.parameters[self.types[index] as usize];
        for group in body.get_locals_reader().unwrap() {
            let (count, ty) = group.unwrap();
            locals.push((count, RoundtripReencoder.val_type(ty).unwrap()));
            next += count;
        }
        // Scratch for a length: as i32, and as i64.
        locals.push((1, ValType::I32));
        locals.push((1, ValType::I64));
        // The first operator pays for the locals, but not the end of an empty body.
        let declared: u32 = locals.iter().map(|(count, _)| count).sum();
        let mut entry = cost::entry(u64::from(declared - 2));
        let mut weigher = cost::Weigher::new(&self.shapes, self.types[index]);
        let mut function = Function::new(locals);
        let mut operators = body.get_operators_reader().unwrap();
        while !operators.eof() {
            let operator = operators.read().unwrap();
            let mut weight = weigher.weigh(&operator).expect("an operator that some target runs");
            if !operators.eof() {
                weight += std::mem::take(&mut entry);
            }
            self.pay(&mut function, Instruction::I64Const(weight as i64));
            self.length(&operator, next, &mut function);
            function.instruction(&RoundtripReencoder.instruction(operator).unwrap());
        }
        function
    }

    /// Pays what `units` leaves on the stack.
    fn pay(&self, function: &mut Function, units: Instruction<'_>) {
        function
            .instruction(&Instruction::GlobalGet(self.globals))
            .instruction(&units)
            .instruction(&Instruction::I64Sub)
            .instruction(&Instruction::GlobalSet(self.globals))
            .instruction(&Instruction::GlobalGet(self.globals))
            .instruction(&Instruction::I64Const(0))
            .instruction(&Instruction::I64LtS)
            .instruction(&Instruction::If(BlockType::Empty))
            .instruction(&Instruction::I64Const(OUT_OF_FUEL))
            .instruction(&Instruction::GlobalSet(self.globals))
            .instruction(&Instruction::Unreachable)
            .instruction(&Instruction::End);
    }

    /// Pays for a length on the stack: FUEL.md, "Lengths".
    fn length(&self, operator: &Operator<'_>, scratch: u32, function: &mut Function) {
        use cost::{LENGTH_MAX, PER_BYTE, PER_ELEMENT, PER_ITEM, PER_PAGE, PER_SLOT};
        let fixed = |bound: u64| vec![Instruction::I64Const(bound as i64)];
        let widen = |wide: bool| (!wide).then_some(Instruction::I64ExtendI32U);
        let memory = |index: u32| self.memories[index as usize].memory64;
        let table = |index: u32| self.tables[index as usize].table64;
        let (rate, wide, bound): (_, _, Vec<Instruction<'_>>) = match *operator {
            Operator::MemoryFill { mem } => (PER_BYTE, memory(mem), self.bytes(mem)),
            Operator::MemoryCopy { dst_mem, src_mem } => {
                (PER_BYTE, memory(dst_mem) && memory(src_mem), self.bytes(dst_mem))
            }
            Operator::MemoryInit { data_index, .. } => {
                (PER_BYTE, false, fixed(self.data[data_index as usize]))
            }
            Operator::MemoryGrow { mem } => {
                let ty = self.memories[mem as usize];
                let cap = if ty.memory64 { LENGTH_MAX } else { 65_536 };
                let mut room = fixed(ty.maximum.unwrap_or(LENGTH_MAX).min(cap));
                room.push(Instruction::MemorySize(mem));
                room.extend(widen(ty.memory64));
                room.push(Instruction::I64Sub);
                (PER_PAGE, ty.memory64, room)
            }
            Operator::TableGrow { table: index } => {
                let ty = self.tables[index as usize];
                let mut room = fixed(ty.maximum.unwrap_or(LENGTH_MAX).min(LENGTH_MAX));
                room.push(Instruction::TableSize(index));
                room.extend(widen(ty.table64));
                room.push(Instruction::I64Sub);
                (PER_SLOT, ty.table64, room)
            }
            Operator::TableFill { table: index } => {
                let mut size = vec![Instruction::TableSize(index)];
                size.extend(widen(table(index)));
                (PER_ELEMENT, table(index), size)
            }
            Operator::TableCopy { dst_table, src_table } => {
                let mut size = vec![Instruction::TableSize(dst_table)];
                size.extend(widen(table(dst_table)));
                (PER_ELEMENT, table(dst_table) && table(src_table), size)
            }
            Operator::TableInit { elem_index, .. } => {
                (PER_SLOT, false, fixed(self.elements[elem_index as usize]))
            }
            Operator::ArrayNewElem { array_elem_index: elem_index, .. }
            | Operator::ArrayInitElem { array_elem_index: elem_index, .. } => {
                (PER_ITEM, false, fixed(self.elements[elem_index as usize]))
            }
            Operator::ArrayNewData { array_data_index, .. }
            | Operator::ArrayInitData { array_data_index, .. } => {
                (PER_ELEMENT, false, fixed(self.data[array_data_index as usize]))
            }
            Operator::ArrayNew { .. }
            | Operator::ArrayNewDefault { .. }
            | Operator::ArrayFill { .. }
            | Operator::ArrayCopy { .. } => (PER_ELEMENT, false, fixed(LENGTH_MAX)),
            _ => return,
        };

        // length := operand; if length > bound { length := bound }
        let (narrow, length) = (scratch, scratch + 1);
        if wide {
            function.instruction(&Instruction::LocalTee(length));
        } else {
            function
                .instruction(&Instruction::LocalTee(narrow))
                .instruction(&Instruction::LocalGet(narrow))
                .instruction(&Instruction::I64ExtendI32U)
                .instruction(&Instruction::LocalSet(length));
        }
        // The operand itself stays on the stack for the operator.
        function.instruction(&Instruction::LocalGet(length));
        for instruction in &bound {
            function.instruction(instruction);
        }
        function.instruction(&Instruction::I64GtU).instruction(&Instruction::If(BlockType::Empty));
        for instruction in &bound {
            function.instruction(instruction);
        }
        function.instruction(&Instruction::LocalSet(length)).instruction(&Instruction::End);
        function
            .instruction(&Instruction::LocalGet(length))
            .instruction(&Instruction::I64Const(rate.multiplier as i64))
            .instruction(&Instruction::I64Mul)
            .instruction(&Instruction::I64Const(i64::from(rate.shift)))
            .instruction(&Instruction::I64ShrU)
            .instruction(&Instruction::LocalSet(length));
        self.pay(function, Instruction::LocalGet(length));
    }

    /// The size of a memory in bytes, as i64.
    fn bytes(&self, memory: u32) -> Vec<Instruction<'static>> {
        let mut size = vec![Instruction::MemorySize(memory)];
        if !self.memories[memory as usize].memory64 {
            size.push(Instruction::I64ExtendI32U);
        }
        size.extend([Instruction::I64Const(16), Instruction::I64Shl]);
        size
    }
}
