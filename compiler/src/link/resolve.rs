//! Which import is which module's export, in which order modules begin, and what all the
//! numbers become.
//!
//! May assume valid modules. Guarantees that an import that was resolved is of a type that may
//! stand for the one that was asked for, and that the order of modules has no circle.

use super::error::LinkError;
use super::module::{ByKind, Import, Kind, Module};
use super::reach::Reach;
use super::types::Types;
use crate::describe;
use bls_artifact::nearest::nearest;
use bls_artifact::recipe::{exported_memory, host_module, memory_export, with_memory};
use std::collections::{BTreeMap, HashMap, HashSet};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{EntityType, ExportKind, ImportSection};
use wasmparser::TypeRef;

/// How many exports are named in a hint.
const EXPORTS_SHOWN: usize = 8;

/// Where something is that a module defines, or imports and nobody has resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Item {
    pub(super) module: usize,
    pub(super) kind: Kind,
    pub(super) index: u32,
}

/// Modules whose imports are resolved.
pub(super) struct Program<'a> {
    /// In the order in which they begin, then the entry, then what was generated.
    pub(super) modules: Vec<Module<'a>>,
    /// Which of them is the entry.
    pub(super) entry: usize,
    pub(super) types: Types,
    /// For each module the numbers of its types.
    pub(super) numbers: Vec<Vec<u32>>,
    /// For each module and each import what it is; `None` where the host's.
    origins: Vec<Vec<Option<Item>>>,
    /// Functions that do nothing but call another one, and which.
    aliases: HashMap<Item, Item>,
    /// What is kept of it; `None` where everything is.
    reach: Option<Reach>,
    /// Whether it is a component: then all host functions work on one memory, the one that the
    /// entry exports, and nothing runs at the beginning but start functions.
    pub(super) is_component: bool,
}

/// In which order libraries begin: as given, but for those that import later ones.
pub(super) fn order(modules: &[Module<'_>]) -> Result<Vec<usize>, LinkError> {
    let entry = modules.len() - 1;
    let names: HashMap<&str, usize> =
        modules[..entry].iter().enumerate().map(|(at, module)| (module.name, at)).collect();
    let needs = |module: usize| -> Vec<usize> {
        let mut seen = HashSet::new();
        let needed = modules[module].imports.iter().filter_map(|import| names.get(import.module));
        needed.copied().filter(|needed| seen.insert(*needed)).collect()
    };
    let mut order = Vec::with_capacity(modules.len());
    let mut is_done = vec![false; modules.len()];
    for first in 0..modules.len() {
        // Where we are, with what is left to look at.
        let mut path: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut next = (!is_done[first]).then_some(first);
        while let Some(at) = next {
            if let Some(begin) = path.iter().position(|(module, _)| *module == at) {
                let circle = path[begin..].iter().map(|(module, _)| *module).chain([at]);
                let names = circle.map(|module| modules[module].name.to_owned()).collect();
                return Err(LinkError::Cycle(names));
            }
            let mut needed = needs(at);
            needed.reverse();
            path.push((at, needed));
            next = None;
            while let Some((module, needed)) = path.last_mut() {
                match needed.pop() {
                    Some(one) if is_done[one] => {}
                    Some(one) => {
                        next = Some(one);
                        break;
                    }
                    None => {
                        is_done[*module] = true;
                        order.push(*module);
                        path.pop();
                    }
                }
            }
        }
    }
    Ok(order)
}

/// What a module imports where modules have these names; `None` for what the host has.
pub(super) type Sources<'a> = dyn Fn(usize, &Import<'_>) -> Option<(usize, String)> + 'a;

impl<'a> Program<'a> {
    fn of(
        modules: Vec<Module<'a>>,
        entry: usize,
        types: Types,
        numbers: Vec<Vec<u32>>,
        origins: Vec<Vec<Option<Item>>>,
        is_component: bool,
    ) -> Self {
        let (aliases, reach) = (HashMap::new(), None);
        Self { modules, entry, types, numbers, origins, aliases, reach, is_component }
    }

    /// The modules of a component, the entry last, whose imports somebody else has resolved:
    /// for each module and each import what it is, `None` where the host's. No import leads to
    /// itself.
    pub(super) fn wired(
        modules: Vec<Module<'a>>,
        types: Types,
        numbers: Vec<Vec<u32>>,
        origins: Vec<Vec<Option<Item>>>,
    ) -> Result<Self, LinkError> {
        let entry = modules.len().saturating_sub(1);
        let program = Self::of(modules, entry, types, numbers, origins, true);
        for at in 0..program.modules.len() {
            if program.origins[at].len() != program.modules[at].imports.len() {
                return Err(super::defect("an import that nobody has resolved"));
            }
            for import in 0..program.modules[at].imports.len() {
                program.check(at, import)?;
            }
        }
        Ok(program)
    }

    /// Says of a function that it does nothing but call another one, which does not lead to it.
    pub(super) fn alias(&mut self, function: Item, other: Item) {
        self.aliases.insert(function, other);
    }

    /// Leaves out what nothing reaches.
    pub(super) fn prune(&mut self) -> Result<(), LinkError> {
        self.reach = Some(Reach::of(self)?);
        Ok(())
    }

    /// What is kept, where something is left out.
    pub(super) fn reach(&self) -> Option<&Reach> {
        self.reach.as_ref()
    }

    /// Whether an item is one of the linked module: nothing else stands for it, and something
    /// reaches it.
    pub(super) fn keeps(&self, item: Item) -> bool {
        self.follow(item) == item && self.reach.as_ref().is_none_or(|reach| reach.has(item))
    }

    /// Resolves every import. `modules` are in the order in which they begin; `source` says of
    /// each import from which module it comes, and by which name.
    pub(super) fn resolve(
        modules: Vec<Module<'a>>,
        entry: usize,
        types: Types,
        numbers: Vec<Vec<u32>>,
        source: &Sources<'_>,
    ) -> Result<Self, LinkError> {
        let mut program = Self::of(modules, entry, types, numbers, Vec::new(), false);
        // First all origins: what is checked may lead through several modules.
        for (at, module) in program.modules.iter().enumerate() {
            let origins = module.imports.iter().map(|import| {
                let Some((from, name)) = source(at, import) else { return Ok(None) };
                program.origin(at, import, from, &name).map(Some)
            });
            let origins = origins.collect::<Result<_, _>>()?;
            program.origins.push(origins);
        }
        for at in 0..program.modules.len() {
            for import in 0..program.modules[at].imports.len() {
                program.check(at, import)?;
            }
        }
        Ok(program)
    }

    /// The export that an import means.
    fn origin(
        &self,
        at: usize,
        import: &Import<'_>,
        from: usize,
        name: &str,
    ) -> Result<Item, LinkError> {
        let (importer, exporter) = (&self.modules[at], &self.modules[from]);
        let Some(export) = exporter.export(name) else {
            let wanted = import.kind();
            let fits = exporter.exports.iter().filter(|one| Kind::of_export(one.kind) == wanted);
            let names: Vec<&str> = fits.map(|export| export.name).collect();
            let near = nearest(name, names.iter().copied());
            let shown = || names.iter().take(EXPORTS_SHOWN).map(|name| format!("{name:?}"));
            return Err(LinkError::NoExport {
                importer: importer.name.to_owned(),
                from: exporter.name.to_owned(),
                name: name.to_owned(),
                is_near: near.is_some(),
                exports: match near {
                    Some(near) => vec![format!("{near:?}")],
                    None if names.len() > EXPORTS_SHOWN => shown()
                        .chain([format!("and {} more", names.len() - EXPORTS_SHOWN)])
                        .collect(),
                    None => shown().collect(),
                },
            });
        };
        let kind = Kind::of_export(export.kind);
        if kind != import.kind() {
            return Err(LinkError::ExportKind {
                importer: importer.name.to_owned(),
                export: format!("{}.{name}", exporter.name),
                wanted: import.kind().words(),
                found: kind.words(),
            });
        }
        Ok(Item { module: from, kind, index: export.index })
    }

    /// What an item is in the end: one that its module defines, or that it imports from the host.
    pub(super) fn follow(&self, mut item: Item) -> Item {
        // No circle: modules have an order, and what was generated only defines.
        loop {
            let imported = &self.modules[item.module].imported[item.kind as usize];
            let next = match imported.get(item.index as usize) {
                Some(import) => self.origins[item.module].get(*import).copied().flatten(),
                None => self.aliases.get(&item).copied(),
            };
            match next {
                Some(next) => item = next,
                None => return item,
            }
        }
    }

    /// Refuses an import whose export is of another type.
    fn check(&self, at: usize, nth: usize) -> Result<(), LinkError> {
        let Some(origin) = self.origins[at][nth] else { return Ok(()) };
        let import = &self.modules[at].imports[nth];
        let found = self.follow(origin);
        if self.fits(found, at, import.ty)? {
            return Ok(());
        }
        let exporter = &self.modules[origin.module];
        let from = &self.modules[found.module];
        let shown = |module: &Module<'_>, kind, index| {
            describe::show_item(module.wasm, kind, index).map_err(LinkError::from)
        };
        Err(LinkError::ExportType {
            importer: self.modules[at].name.to_owned(),
            export: format!("{}.{}", exporter.name, import.name),
            wanted: shown(&self.modules[at], external(import.kind()), import.index)?,
            found: shown(from, external(found.kind), found.index)?,
        })
    }

    /// Whether an item may stand for an import of this type, as the specification says ("Import
    /// subtyping"); its size at the start is the one that it declares.
    fn fits(&self, item: Item, at: usize, wanted: TypeRef) -> Result<bool, LinkError> {
        let (module, index) = (&self.modules[item.module], item.index as usize);
        let number = |module: usize, ty: u32| self.numbers[module].get(ty as usize).copied();
        let limits = |has: (u64, Option<u64>), wants: (u64, Option<u64>)| {
            let below = wants.1.is_none_or(|most| has.1.is_some_and(|has| has <= most));
            has.0 >= wants.0 && below
        };
        Ok(match wanted {
            TypeRef::Func(wanted) | TypeRef::FuncExact(wanted) => {
                let has = module.functions.get(index).and_then(|ty| number(item.module, *ty));
                has.zip(number(at, wanted))
                    .is_some_and(|(has, wants)| self.types.is_subtype(has, wants))
            }
            TypeRef::Tag(wanted) => {
                let has = module.tags.get(index).and_then(|ty| number(item.module, *ty));
                has.is_some() && has == number(at, wanted.func_type_idx)
            }
            TypeRef::Memory(wanted) => module.memories.get(index).is_some_and(|has| {
                (has.memory64, has.shared, has.page_size_log2)
                    == (wanted.memory64, wanted.shared, wanted.page_size_log2)
                    && limits((has.initial, has.maximum), (wanted.initial, wanted.maximum))
            }),
            TypeRef::Table(wanted) => match module.tables.get(index) {
                None => false,
                Some(has) => {
                    let element =
                        |at: usize, ty| self.renumber(at).ref_type(ty).map_err(super::defect);
                    (has.table64, has.shared) == (wanted.table64, wanted.shared)
                        && limits((has.initial, has.maximum), (wanted.initial, wanted.maximum))
                        && element(item.module, has.element_type)?
                            == element(at, wanted.element_type)?
                }
            },
            TypeRef::Global(wanted) => match module.globals.get(index) {
                None => false,
                Some(has) => {
                    let value =
                        |at: usize, ty| self.renumber(at).val_type(ty).map_err(super::defect);
                    let (ours, theirs) =
                        (value(item.module, has.content_type)?, value(at, wanted.content_type)?);
                    (has.mutable, has.shared) == (wanted.mutable, wanted.shared)
                        && match has.mutable {
                            true => ours == theirs,
                            false => self.types.is_subvalue(ours, theirs),
                        }
                }
            },
        })
    }

    fn renumber(&self, module: usize) -> OfTypes<'_> {
        OfTypes(&self.numbers[module])
    }

    /// Where everything comes to be.
    pub(super) fn layout(&self) -> Result<Layout, LinkError> {
        let mut layout = Layout::default();
        for module in &self.modules {
            layout.spaces.push(Kind::ALL.map(|kind| vec![u32::MAX; module.count(kind) as usize]));
        }
        for kind in [Kind::Table, Kind::Memory, Kind::Global, Kind::Tag] {
            self.lay_out(kind, &mut layout, &mut |_, import| import.module.to_owned())?;
        }
        let mut memories = Memories::of(self, &layout);
        self.lay_out(Kind::Function, &mut layout, &mut |at, import| {
            memories.module_name(self, at, import)
        })?;
        layout.memories = memories.exported;
        Ok(layout)
    }

    /// Gives everything of a kind its number: what the host has first, each once.
    fn lay_out(
        &self,
        kind: Kind,
        layout: &mut Layout,
        module_name: &mut dyn FnMut(usize, &Import<'_>) -> String,
    ) -> Result<(), LinkError> {
        let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut next = 0;
        for (at, module) in self.modules.iter().enumerate() {
            for nth in &module.imported[kind as usize] {
                let import = &module.imports[*nth];
                if !self.keeps(Item { module: at, kind, index: import.index }) {
                    continue;
                }
                let from = module_name(at, import);
                let entity = self.renumber(at).entity_type(import.ty).map_err(super::defect)?;
                let mut one = ImportSection::new();
                one.import(&from, import.name, entity);
                let mut text = Vec::new();
                wasm_encoder::Encode::encode(&one, &mut text);
                let number = *known.entry(text).or_insert_with(|| {
                    layout.imports.push((from, import.name.to_owned(), entity));
                    next += 1;
                    next - 1
                });
                layout.spaces[at][kind as usize][import.index as usize] = number;
            }
        }
        layout.imported[kind as usize] = next;
        for (at, module) in self.modules.iter().enumerate() {
            let imported = module.imported[kind as usize].len();
            let own = layout.spaces[at][kind as usize].iter_mut().enumerate().skip(imported);
            for (index, number) in own {
                if self.keeps(Item { module: at, kind, index: index as u32 }) {
                    *number = next;
                    next += 1;
                }
            }
        }
        layout.counts[kind as usize] = next;
        for (at, module) in self.modules.iter().enumerate() {
            for index in 0..module.count(kind) {
                let item = Item { module: at, kind, index };
                let found = self.follow(item);
                if found != item {
                    let number = layout.number(found);
                    layout.spaces[at][kind as usize][index as usize] = number;
                }
            }
        }
        Ok(())
    }
}

/// Numbers of a module's types become those of all.
struct OfTypes<'a>(&'a [u32]);

impl Reencode for OfTypes<'_> {
    type Error = NoSuchType;

    fn type_index(&mut self, ty: u32) -> Result<u32, reencode::Error<Self::Error>> {
        self.0.get(ty as usize).copied().ok_or(reencode::Error::UserError(NoSuchType))
    }
}

/// A valid module names no type that it does not have.
#[derive(Debug)]
struct NoSuchType;

impl std::fmt::Display for NoSuchType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no such type")
    }
}

/// Where everything comes to be; nowhere, for what is left out.
#[derive(Default)]
pub(super) struct Layout {
    /// What the host has: module, name and type.
    pub(super) imports: Vec<(String, String, EntityType)>,
    /// How many of each kind the host has.
    pub(super) imported: ByKind<u32>,
    /// How many of each kind there are.
    pub(super) counts: ByKind<u32>,
    /// For each module, kind and index the new number.
    pub(super) spaces: Vec<ByKind<Vec<u32>>>,
    /// The memories that host functions work on, beside the entry's: by their numbers `@k`.
    pub(super) memories: BTreeMap<u32, u32>,
}

impl Layout {
    /// The new number of an item. Every item of a valid module that is kept has one.
    pub(super) fn number(&self, item: Item) -> u32 {
        let space = &self.spaces[item.module][item.kind as usize];
        space.get(item.index as usize).copied().unwrap_or(u32::MAX)
    }
}

/// Which memory a library's host functions work on, and what it is called.
struct Memories {
    /// The new number of each module's memories.
    spaces: Vec<Vec<u32>>,
    /// The `k` of a memory.
    numbers: HashMap<u32, u32>,
    /// Numbers that already mean something in the entry.
    taken: HashSet<u32>,
    /// The numbers of what has no memory for the host, by module and the number there: nothing
    /// is exported by them.
    without: HashMap<(usize, u32), u32>,
    exported: BTreeMap<u32, u32>,
    last: u32,
}

impl Memories {
    fn of(program: &Program<'_>, layout: &Layout) -> Self {
        let spaces: Vec<Vec<u32>> =
            layout.spaces.iter().map(|space| space[Kind::Memory as usize].clone()).collect();
        let entry = &program.modules[program.entry];
        let mut memories = Self {
            spaces,
            numbers: HashMap::new(),
            taken: HashSet::new(),
            without: HashMap::new(),
            exported: BTreeMap::new(),
            last: 0,
        };
        // An entry that was linked itself keeps its numbers.
        let exports =
            entry.exports.iter().filter_map(|one| Some((exported_memory(one.name)?, one)));
        for (number, export) in exports {
            memories.taken.insert(number);
            if Kind::of_export(export.kind) == Kind::Memory {
                let memory = memories.spaces[program.entry][export.index as usize];
                let known = memories.numbers.entry(memory).or_insert(number);
                *known = (*known).min(number);
            }
        }
        memories.taken.extend(entry.imports.iter().map(|import| host_module(import.module).1));
        memories
    }

    /// What the module that an import comes from is called in the linked module.
    fn module_name(&mut self, program: &Program<'_>, at: usize, import: &Import<'_>) -> String {
        if at == program.entry || program.is_component {
            return import.module.to_owned();
        }
        let module = &program.modules[at];
        let memory = |number| module.exported(&memory_export(number), Kind::Memory);
        // A library that was linked itself has several memories, by their numbers.
        let (name, own) = host_module(import.module);
        let memory = memory(own);
        let memory = memory.and_then(|index| self.spaces[at].get(index as usize).copied());
        let known = match memory {
            Some(memory) => self.numbers.get(&memory),
            None => self.without.get(&(at, own)),
        };
        let number = known.copied().unwrap_or_else(|| self.give((at, own), memory));
        with_memory(name, number).into_owned()
    }

    /// A number that nothing has.
    fn give(&mut self, own: (usize, u32), memory: Option<u32>) -> u32 {
        self.last += 1;
        while self.taken.contains(&self.last) {
            self.last += 1;
        }
        match memory {
            Some(memory) => {
                self.numbers.insert(memory, self.last);
                self.exported.insert(self.last, memory);
            }
            None => {
                self.without.insert(own, self.last);
            }
        }
        self.last
    }
}

/// A kind as the parser says it.
fn external(kind: Kind) -> wasmparser::ExternalKind {
    match kind {
        Kind::Function => wasmparser::ExternalKind::Func,
        Kind::Table => wasmparser::ExternalKind::Table,
        Kind::Memory => wasmparser::ExternalKind::Memory,
        Kind::Global => wasmparser::ExternalKind::Global,
        Kind::Tag => wasmparser::ExternalKind::Tag,
    }
}

/// A kind as the encoder says it.
pub(super) fn export_kind(kind: Kind) -> ExportKind {
    match kind {
        Kind::Function => ExportKind::Func,
        Kind::Table => ExportKind::Table,
        Kind::Memory => ExportKind::Memory,
        Kind::Global => ExportKind::Global,
        Kind::Tag => ExportKind::Tag,
    }
}
