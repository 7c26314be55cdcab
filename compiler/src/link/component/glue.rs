//! The module that holds a component together: what its instances import of WASI, of handle
//! tables and of transcoders, and the command.
//!
//! What it does for a function that the component imports, here one of WASI's (before, and
//! after):
//!
//! ```text
//! (import "wasi:io/streams@0.2.6" "[method]output-stream.write" (func (param i32 i32 i32 i32)))
//!
//! (func (param i32 i32 i32 i32)
//!   (if (i32.eqz (global.get $may_leave)) (then (unreachable)))
//!   (call $write (i32.const caller) (local.get 0) … (local.get 3)))
//! ```
//!
//! `caller` is what the WASI module asks this one by for the caller's memory and allocator
//! (`guest`). May assume valid instances. Guarantees that nothing of the WASI module is called
//! while an allocator runs that it has called.

use super::choose::{choose, key_is_parameter};
use super::error::ComponentError;
use super::flat::{Caller, Def, Flat, Handles, Import, Ours, Run};
use super::make::Make;
use crate::link::module::{Kind, Module};
use crate::link::resolve::Item;
use std::collections::HashMap;
use wasm_encoder::ValType::{I32, I64};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataCountSection, DataSection, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection, MemArg,
    MemoryType, NameMap, NameSection, TypeSection, ValType,
};
use wasmparser::CompositeInnerType;

mod entry;
mod library;
mod memory;

/// The most instances of components, and of memories with their allocators.
const INSTANCES_MAX: u32 = 1 << 16;
pub(super) const CONTEXTS_MAX: usize = 1 << 14;
/// What preview 1 is imported from.
pub(super) const HOST: &str = "wasi_snapshot_preview1";
/// What a library exports, for hosts: calls the function that argument 1 names with its values.
pub(super) const TYPED_CALL: &str = bls_artifact::recipe::TYPED_CALL;
/// What the WASI module imports from this one.
const GUEST: &str = "guest";

/// Parameters and results.
type Signature = (Vec<ValType>, Vec<ValType>);

/// What is made.
pub(super) struct Glue<'p> {
    flat: &'p Flat<'p>,
    /// All instances, then the WASI module.
    modules: &'p [Module<'p>],
    makes: Vec<Make>,
    numbers: HashMap<Make, u32>,
    /// Which functions and memories it imports, in order; `None` is the end of the program.
    functions: Vec<Option<Item>>,
    signatures: Vec<Signature>,
    memories: Vec<Item>,
    /// Callers by their memories and allocators.
    contexts: Vec<Caller>,
    /// Instances of components, in the order of their globals.
    instances: Vec<u32>,
    /// Where each of these four is.
    places: Places,
    missing: Vec<String>,
    is_wide: bool,
}

/// Where something is in its list.
#[derive(Default)]
struct Places {
    functions: HashMap<Option<Item>, u32>,
    memories: HashMap<Item, u32>,
    contexts: HashMap<(u32, Option<Item>, Option<Def>), u32>,
    instances: HashMap<u32, u32>,
}

/// The module, and what its imports are.
pub(super) struct Glued {
    pub(super) wasm: Vec<u8>,
    pub(super) origins: Vec<Option<Item>>,
    /// Whether the WASI module is called.
    pub(super) uses_wasi: bool,
    numbers: HashMap<Make, u32>,
    instances: HashMap<u32, u32>,
    imported: u32,
}

impl Glued {
    /// What an instance imports, where `own` is the number of this module.
    pub(super) fn item(&self, def: &Def, own: usize) -> Option<Item> {
        match def {
            Def::Core(item) => Some(*item),
            Def::Host => None,
            Def::MayLeave(instance) => {
                let index = *self.instances.get(instance)?;
                Some(Item { module: own, kind: Kind::Global, index })
            }
            Def::Ours(ours) => self.function(&Make::Ours(ours.clone()), own),
        }
    }

    /// What the WASI module imports; `None` for what is the host's.
    pub(super) fn for_wasi(&self, module: &str, name: &str, own: usize) -> Option<Item> {
        let make = match (module, name) {
            (GUEST, "read") => Make::Read,
            (GUEST, "write") => Make::Write,
            (GUEST, "realloc") => Make::Realloc,
            (GUEST, "call") => Make::Call,
            (GUEST, "after") => Make::After,
            (GUEST, "description") => Make::Description,
            (GUEST, "description-size") => Make::DescriptionSize,
            _ => return None,
        };
        self.function(&make, own)
    }

    fn function(&self, make: &Make, own: usize) -> Option<Item> {
        let number = *self.numbers.get(make)?;
        Some(Item { module: own, kind: Kind::Function, index: self.imported + number })
    }
}

/// Makes the module. `modules` are all instances, then the WASI module.
pub(super) fn glue(flat: &Flat<'_>, modules: &[Module<'_>]) -> Result<Glued, ComponentError> {
    let mut glue = Glue {
        flat,
        modules,
        makes: Vec::new(),
        numbers: HashMap::new(),
        functions: Vec::new(),
        signatures: Vec::new(),
        memories: Vec::new(),
        contexts: Vec::new(),
        instances: Vec::new(),
        places: Places::default(),
        missing: Vec::new(),
        is_wide: false,
    };
    for def in flat.instances.iter().flat_map(|instance| &instance.arguments) {
        match def {
            Def::Core(_) | Def::Host => {}
            Def::MayLeave(instance) => {
                glue.may_leave(*instance);
            }
            Def::Ours(ours) => {
                glue.make(Make::Ours(ours.clone()));
            }
        }
    }
    match flat.run {
        Run::Component { .. } | Run::Handler { .. } | Run::Library(_) => {
            glue.make(Make::Start);
        }
        Run::Program { start, memory } => {
            glue.import(Some(start), (vec![], vec![]));
            memory.map(|memory| glue.memory(memory));
        }
    }
    // Whoever is called by types has an allocator, which is imported too.
    glue.described()?;
    // To find all that is imported, which stands before what is defined.
    glue.bodies(0)?;
    if glue.uses_wasi() {
        for make in [Make::Read, Make::Write, Make::Realloc] {
            glue.make(make);
        }
        if glue.library().is_some() {
            for make in [Make::Call, Make::After, Make::Description, Make::DescriptionSize] {
                glue.make(make);
            }
        }
        glue.bodies(0)?;
    }
    if !glue.missing.is_empty() {
        glue.missing.sort();
        glue.missing.dedup();
        return Err(ComponentError::Import(glue.missing));
    }
    if glue.is_wide {
        let what = "a memory of 64 bits at the border of a component";
        return Err(ComponentError::Feature(what.to_owned()));
    }
    let imported = glue.functions.len() as u32;
    let bodies = glue.bodies(imported)?;
    let described = glue.described()?;
    Ok(glue.finish(imported, bodies, &described))
}

impl Glue<'_> {
    fn wasi(&self) -> usize {
        self.modules.len() - 1
    }

    fn uses_wasi(&self) -> bool {
        self.functions.iter().flatten().any(|item| item.module == self.wasi())
    }

    /// The number of a function among those that are made.
    fn make(&mut self, make: Make) -> u32 {
        let next = self.makes.len() as u32;
        let number = *self.numbers.entry(make.clone()).or_insert(next);
        if number == next {
            self.makes.push(make);
        }
        number
    }

    /// The global that says whether an instance may call out of its component.
    fn may_leave(&mut self, instance: u32) -> u32 {
        *self.places.instances.entry(instance).or_insert_with(|| {
            self.instances.push(instance);
            self.instances.len() as u32 - 1
        })
    }

    fn import(&mut self, item: Option<Item>, signature: Signature) -> u32 {
        *self.places.functions.entry(item).or_insert_with(|| {
            self.functions.push(item);
            self.signatures.push(signature);
            self.functions.len() as u32 - 1
        })
    }

    fn memory(&mut self, item: Item) -> u32 {
        self.is_wide |= self.memory_type(item).memory64;
        *self.places.memories.entry(item).or_insert_with(|| {
            self.memories.push(item);
            self.memories.len() as u32 - 1
        })
    }

    /// The type that an import of a memory has here.
    fn memory_type(&self, item: Item) -> MemoryType {
        let found = self.modules[item.module].memories.get(item.index as usize);
        MemoryType {
            minimum: 0,
            maximum: None,
            memory64: found.is_some_and(|memory| memory.memory64),
            shared: found.is_some_and(|memory| memory.shared),
            page_size_log2: found.and_then(|memory| memory.page_size_log2),
        }
    }

    /// A function of the WASI module, which is there.
    fn wasi_function(&mut self, name: &str) -> Option<(u32, Signature)> {
        let at = self.wasi();
        let index = self.modules[at].exported(name, Kind::Function)?;
        let signature = signature(&self.modules[at], index)?;
        let item = Item { module: at, kind: Kind::Function, index };
        Some((self.import(Some(item), signature.clone()), signature))
    }

    /// A function of an instance.
    fn guest_function(
        &mut self,
        def: &Def,
        parameters: &[ValType],
        results: &[ValType],
        base: u32,
    ) -> u32 {
        match def {
            Def::Core(item) => self.import(Some(*item), (parameters.to_vec(), results.to_vec())),
            Def::Ours(ours) => base + self.make(Make::Ours(ours.clone())),
            // No function of a component: what is made is not valid.
            Def::MayLeave(_) | Def::Host => u32::MAX,
        }
    }

    fn context(&mut self, caller: &Caller) -> Result<u32, ComponentError> {
        let key = (caller.instance, caller.memory, caller.realloc.clone());
        let context = *self.places.contexts.entry(key).or_insert_with(|| {
            self.contexts.push(caller.clone());
            self.contexts.len() as u32 - 1
        });
        if context as usize >= CONTEXTS_MAX {
            let (found, most) = (context as u64 + 1, CONTEXTS_MAX as u64);
            return Err(ComponentError::TooMany("memories with allocators", found, most));
        }
        if caller.instance >= INSTANCES_MAX {
            let (found, most) = (u64::from(caller.instance) + 1, u64::from(INSTANCES_MAX));
            return Err(ComponentError::TooMany("instances", found, most));
        }
        Ok(caller.instance << 16 | context << 2 | caller.encoding)
    }

    /// All functions; what is defined is numbered from `base` on.
    fn bodies(&mut self, base: u32) -> Result<Vec<(Signature, Function)>, ComponentError> {
        let mut bodies = Vec::new();
        let mut at = 0;
        // More may be asked for on the way.
        while let Some(make) = self.makes.get(at).cloned() {
            bodies.push(self.body(&make, base)?);
            at += 1;
        }
        Ok(bodies)
    }

    fn body(&mut self, make: &Make, base: u32) -> Result<(Signature, Function), ComponentError> {
        Ok(match make {
            Make::Ours(ours) => self.ours(ours, base)?,
            Make::InstanceOf => self.by_table(|handles| handles.instance),
            Make::TypeOf => self.by_table(|handles| handles.ty),
            Make::IsDefiner => self.by_table(|handles| u32::from(handles.is_definer)),
            Make::Read => self.copy(true),
            Make::Write => self.copy(false),
            Make::Realloc => self.realloc(base),
            Make::Start => self.start(base)?,
            Make::Call => self.call(base),
            Make::After => self.after(base),
            Make::Description => self.description()?,
            Make::DescriptionSize => self.description_size()?,
        })
    }

    fn ours(&mut self, ours: &Ours, base: u32) -> Result<(Signature, Function), ComponentError> {
        let three = || vec![I32; 3];
        Ok(match ours {
            Ours::Import(import) => self.imported(import)?,
            Ours::New(instance, ty) => {
                let mut body = Function::new([]);
                self.check_may_leave(*instance, &mut body);
                self.handle_call("resource#new", *instance, *ty, &mut body);
                body.instructions().end();
                ((vec![I32], vec![I32]), body)
            }
            Ours::Rep(instance, ty) => {
                let mut body = Function::new([]);
                self.handle_call("resource#rep", *instance, *ty, &mut body);
                body.instructions().end();
                ((vec![I32], vec![I32]), body)
            }
            Ours::Drop(instance, ty, destructor) => {
                self.dropping(*instance, *ty, destructor.as_ref(), base)
            }
            Ours::TransferOwn => {
                ((three(), vec![I32]), self.transfer("resource#transfer-own", false, base))
            }
            Ours::TransferBorrow => {
                ((three(), vec![I32]), self.transfer("resource#transfer-borrow", true, base))
            }
            Ours::Enter => ((three(), vec![]), self.plain("resource#enter")),
            Ours::Exit => ((vec![], vec![]), self.plain("resource#exit")),
            Ours::Trap => {
                let mut body = Function::new([]);
                body.instructions().unreachable().end();
                ((vec![I32], vec![]), body)
            }
            Ours::Transcode(name, from, to) => self.transcode(name, *from, *to)?,
        })
    }

    fn check_may_leave(&mut self, instance: u32, body: &mut Function) {
        let global = self.may_leave(instance);
        body.instructions().global_get(global).i32_eqz().if_(BlockType::Empty).unreachable().end();
    }

    /// A call of the WASI module for a handle, which is the first parameter.
    fn handle_call(&mut self, name: &str, instance: u32, ty: u32, body: &mut Function) {
        let mut code = body.instructions();
        code.i32_const(instance.cast_signed()).i32_const(ty.cast_signed()).local_get(0);
        self.call_wasi(name, body);
    }

    fn call_wasi(&mut self, name: &str, body: &mut Function) {
        match self.wasi_function(name) {
            Some((function, _)) => body.instructions().call(function),
            None => body.instructions().unreachable(),
        };
    }

    /// A call without values.
    fn plain(&mut self, name: &str) -> Function {
        let mut body = Function::new([]);
        self.call_wasi(name, &mut body);
        body.instructions().end();
        body
    }

    fn imported(&mut self, import: &Import) -> Result<(Signature, Function), ComponentError> {
        let Import { interface, function, parameters, results, caller, answer } = import;
        let signature = (parameters.clone(), results.clone());
        let mut body = Function::new([]);
        self.check_may_leave(caller.instance, &mut body);
        if let Some(answer) = answer {
            for (place, ty, is_given) in &answer.handles {
                let name = if *is_given { "closed#take" } else { "closed#borrow" };
                let mut code = body.instructions();
                code.i32_const(caller.instance.cast_signed()).i32_const(ty.cast_signed());
                code.local_get(*place);
                self.call_wasi(name, &mut body);
            }
            self.answered(import, &mut body);
            body.instructions().end();
            return Ok((signature, body));
        }
        let name = format!("{interface}#{function}");
        let Some((number, (wanted, gives))) = self.wasi_function(&name) else {
            self.missing.push(name);
            return Ok((signature, body));
        };
        if wanted.get(1..) != Some(parameters) || gives != *results {
            return Err(ComponentError::ImportType(name));
        }
        let packed = self.context(caller)?;
        body.instructions().i32_const(packed.cast_signed());
        for at in 0..parameters.len() as u32 {
            body.instructions().local_get(at);
        }
        body.instructions().call(number).end();
        Ok((signature, body))
    }

    /// The answer of a closed function: a value, or bytes where the last parameter says.
    fn answered(&mut self, import: &Import, body: &mut Function) {
        let Import { parameters, results, caller, answer, .. } = import;
        let Some(answer) = answer else { return };
        let new = |glue: &mut Self, ty: u32, body: &mut Function| {
            let mut code = body.instructions();
            code.i32_const(caller.instance.cast_signed()).i32_const(ty.cast_signed());
            glue.call_wasi("closed#new", body);
        };
        if let Some(result) = results.first() {
            if let Some((_, ty)) = answer.new.first() {
                return new(self, *ty, body);
            }
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(&answer.bytes).for_each(|(to, from)| *to = *from);
            let number = u64::from_le_bytes(bytes);
            let mut code = body.instructions();
            match result {
                I32 => code.i32_const(number as i32),
                I64 => code.i64_const(number.cast_signed()),
                ValType::F32 => code.f32_const(0.0_f32.into()),
                _ => code.f64_const(0.0_f64.into()),
            };
            return;
        }
        let (Some(last), Some(memory)) = (parameters.len().checked_sub(1), caller.memory) else {
            return;
        };
        if answer.bytes.is_empty() {
            return;
        }
        let (last, memory_index) = (last as u32, self.memory(memory));
        let place = |at: usize| MemArg { offset: at as u64, align: 0, memory_index };
        let mut code = body.instructions();
        code.local_get(last).i32_const(answer.align.cast_signed().wrapping_sub(1)).i32_and();
        code.if_(BlockType::Empty).unreachable().end();
        for (at, byte) in answer.bytes.iter().enumerate() {
            code.local_get(last).i32_const(i32::from(*byte)).i32_store8(place(at));
        }
        for (at, ty) in &answer.new {
            body.instructions().local_get(last);
            new(self, *ty, body);
            body.instructions().i32_store(place(*at as usize));
        }
    }

    fn dropping(
        &mut self,
        instance: u32,
        ty: u32,
        destructor: Option<&(Def, u32)>,
        base: u32,
    ) -> (Signature, Function) {
        let mut body = Function::new([(1, I64)]);
        self.check_may_leave(instance, &mut body);
        self.handle_call("resource#drop", instance, ty, &mut body);
        match destructor {
            None => {
                body.instructions().drop();
            }
            Some((def, definer)) => {
                let mut code = body.instructions();
                code.local_tee(1).i32_wrap_i64().i32_const(1).i32_and().if_(BlockType::Empty);
                if *definer != instance {
                    self.check_may_leave(*definer, &mut body);
                }
                let function = self.guest_function(def, &[I32], &[], base);
                let mut code = body.instructions();
                code.local_get(1).i64_const(1).i64_shr_u().i32_wrap_i64().call(function).end();
            }
        }
        body.instructions().end();
        ((vec![I32], vec![]), body)
    }

    /// A handle of the table that the second parameter names goes to that of the third.
    fn transfer(&mut self, name: &str, is_lent: bool, base: u32) -> Function {
        let instance_of = base + self.make(Make::InstanceOf);
        let type_of = base + self.make(Make::TypeOf);
        let is_definer = base + self.make(Make::IsDefiner);
        let mut body = Function::new([]);
        let mut code = body.instructions();
        code.local_get(0);
        for table in [1, 2] {
            code.local_get(table).call(instance_of).local_get(table).call(type_of);
        }
        if is_lent {
            code.local_get(2).call(is_definer);
        }
        self.call_wasi(name, &mut body);
        body.instructions().end();
        body
    }

    fn transcode(
        &mut self,
        name: &str,
        from: Item,
        to: Item,
    ) -> Result<(Signature, Function), ComponentError> {
        let of = |memory| Caller { instance: 0, memory: Some(memory), realloc: None, encoding: 0 };
        let (from, to) = (self.context(&of(from))?, self.context(&of(to))?);
        let full = format!("transcode#{name}");
        let Some((number, (parameters, results))) = self.wasi_function(&full) else {
            return Err(ComponentError::Import(vec![full]));
        };
        let parameters = parameters.get(2..).unwrap_or_default().to_vec();
        let own = parameters.len() as u32;
        let is_pair = results == [I64];
        let mut body = Function::new(is_pair.then_some((1, I64)));
        let mut code = body.instructions();
        code.i32_const(from.cast_signed()).i32_const(to.cast_signed());
        for at in 0..own {
            code.local_get(at);
        }
        code.call(number);
        if !is_pair {
            code.end();
            return Ok(((parameters, results), body));
        }
        code.local_tee(own).i64_const(32).i64_shr_u().i32_wrap_i64();
        code.local_get(own).i32_wrap_i64().end();
        Ok(((parameters, vec![I32, I32]), body))
    }

    /// A number for each table of handles.
    fn by_table(&self, number: impl Fn(&Handles) -> u32) -> (Signature, Function) {
        let choices: Vec<Option<u32>> =
            self.flat.handles.iter().map(|one| one.as_ref().map(&number)).collect();
        let mut body = Function::new([]);
        let mut emit = |choice: &Option<u32>, body: &mut Function| match choice {
            Some(number) => {
                body.instructions().i32_const(number.cast_signed());
            }
            None => {
                body.instructions().unreachable();
            }
        };
        choose(&choices, 0, BlockType::Result(I32), &key_is_parameter, &mut emit, &mut body);
        body.instructions().end();
        ((vec![I32], vec![I32]), body)
    }

    fn finish(self, imported: u32, bodies: Vec<(Signature, Function)>, described: &[u8]) -> Glued {
        let (mut types, mut known) = (TypeSection::new(), HashMap::new());
        let mut number = |signature: &Signature| {
            let next = known.len() as u32;
            *known.entry(signature.clone()).or_insert_with(|| {
                let (parameters, results) = signature.clone();
                types.ty().function(parameters, results);
                next
            })
        };
        let mut imports = ImportSection::new();
        for (at, (item, signature)) in self.functions.iter().zip(&self.signatures).enumerate() {
            let (module, name) = match item {
                Some(_) => ("function", at.to_string()),
                None => (HOST, "proc_exit".to_owned()),
            };
            imports.import(module, &name, EntityType::Function(number(signature)));
        }
        for (at, item) in self.memories.iter().enumerate() {
            imports.import("memory", &at.to_string(), self.memory_type(*item));
        }
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        for (signature, body) in &bodies {
            functions.function(number(signature));
            code.function(body);
        }
        let mut globals = GlobalSection::new();
        for _ in &self.instances {
            let ty = GlobalType { val_type: I32, mutable: true, shared: false };
            globals.global(ty, &ConstExpr::i32_const(1));
        }
        let uses_wasi = self.uses_wasi();
        let mut exports = ExportSection::new();
        let start = match self.numbers.get(&Make::Start) {
            Some(start) => imported + start,
            // The one function that is imported then.
            None => 0,
        };
        exports.export("_start", ExportKind::Func, start);
        if self.library().is_some() {
            exports.export(TYPED_CALL, ExportKind::Func, start);
        }
        let memory = match self.flat.run {
            Run::Program { memory, .. } => memory,
            Run::Component { .. } | Run::Handler { .. } | Run::Library(_) => {
                uses_wasi.then_some(self.own_memory())
            }
        };
        if let Some(at) = self.memories.iter().position(|one| Some(*one) == memory) {
            exports.export("memory", ExportKind::Memory, at as u32);
        }
        let mut names = NameMap::new();
        for (at, make) in self.makes.iter().enumerate() {
            names.append(imported + at as u32, &make.name());
        }
        let mut section = NameSection::new();
        section.functions(&names);
        let mut module = wasm_encoder::Module::new();
        module.section(&types).section(&imports).section(&functions);
        module.section(&globals).section(&exports);
        let mut data = DataSection::new();
        if !described.is_empty() {
            data.passive(described.iter().copied());
            module.section(&DataCountSection { count: 1 });
        }
        module.section(&code);
        if !described.is_empty() {
            module.section(&data);
        }
        module.section(&section);
        let memories = self.memories.iter().copied().map(Some);
        Glued {
            wasm: module.finish(),
            origins: self.functions.iter().copied().chain(memories).collect(),
            uses_wasi,
            numbers: self.numbers,
            instances: self.places.instances,
            imported,
        }
    }
}

/// The signature of a function of numbers.
fn signature(module: &Module<'_>, index: u32) -> Option<Signature> {
    let ty = *module.functions.get(index as usize)?;
    let mut types = module.groups.iter().flat_map(|group| group.types());
    let CompositeInnerType::Func(function) = &types.nth(ty as usize)?.composite_type.inner else {
        return None;
    };
    let value = |ty: &wasmparser::ValType| match ty {
        wasmparser::ValType::I32 => Some(I32),
        wasmparser::ValType::I64 => Some(I64),
        wasmparser::ValType::F32 => Some(ValType::F32),
        wasmparser::ValType::F64 => Some(ValType::F64),
        _ => None,
    };
    let values = |all: &[wasmparser::ValType]| all.iter().map(value).collect::<Option<Vec<_>>>();
    Some((values(function.params())?, values(function.results())?))
}
