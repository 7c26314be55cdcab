//! The names of the linked module: those of all modules, with a library's own name before what
//! it names.
//!
//! Names are not validated by anybody. Where those of a module cannot be read, its other names
//! are left out. Guarantees that each number has one name, in the order of numbers.

use super::module::{Kind, Module};
use super::resolve::{Item, Layout, Program};
use std::collections::BTreeMap;
use wasm_encoder::{IndirectNameMap, NameMap, NameSection};
use wasmparser::{Name, Subsections};

/// What stands between the name of a library and a name in it.
pub(super) const BETWEEN: &str = "::";
/// The name of the start function that calls those of the modules.
const START: &str = "bls::start";

/// Names by numbers.
type Numbered = BTreeMap<u32, String>;

#[derive(Default)]
struct Names<'a> {
    module: Option<&'a str>,
    functions: Numbered,
    locals: BTreeMap<u32, NameMap>,
    types: Numbered,
    tables: Numbered,
    memories: Numbered,
    globals: Numbered,
    tags: Numbered,
    elements: Numbered,
    data: Numbered,
}

/// The section, where any module has names; `start` is the start function, where it is ours.
pub(super) fn names(
    program: &Program<'_>,
    layout: &Layout,
    start: Option<u32>,
) -> Option<NameSection> {
    if program.modules.iter().all(|module| module.names.is_none()) {
        return None;
    }
    let mut names = Names::default();
    let (mut elements, mut data) = (0, 0);
    for (at, module) in program.modules.iter().enumerate() {
        if let Some(section) = module.names.clone() {
            let place = Place { program, layout, at, elements, data };
            // What cannot be read ends it.
            let _ = names.add(section, &place);
        }
        elements += module.elements.len() as u32;
        data += module.data.len() as u32;
    }
    if let Some(start) = start {
        names.functions.insert(start, START.to_owned());
    }
    Some(names.section())
}

/// Whose names are read.
struct Place<'a> {
    program: &'a Program<'a>,
    layout: &'a Layout,
    at: usize,
    elements: u32,
    data: u32,
}

impl Place<'_> {
    fn module(&self) -> &Module<'_> {
        &self.program.modules[self.at]
    }

    /// A name as it is from outside the module.
    fn full(&self, name: &str) -> String {
        match self.at == self.program.entry || self.module().name.is_empty() {
            true => name.to_owned(),
            false => format!("{}{BETWEEN}{name}", self.module().name),
        }
    }

    /// The new number of what the module defines, or the host has: what others define they
    /// name.
    fn number(&self, kind: Kind, index: u32) -> Option<u32> {
        let item = Item { module: self.at, kind, index };
        if index >= self.module().count(kind) || !self.program.keeps(item) {
            return None;
        }
        Some(self.layout.number(item))
    }
}

impl<'a> Names<'a> {
    fn add(
        &mut self,
        section: Subsections<'a, Name<'a>>,
        place: &Place<'_>,
    ) -> Result<(), wasmparser::Error> {
        let of = |kind| move |index| place.number(kind, index);
        for subsection in section {
            match subsection? {
                Name::Module { name, .. } if place.at == place.program.entry => {
                    self.module = Some(name);
                }
                Name::Function(map) => {
                    add_all(&mut self.functions, map, place, &of(Kind::Function))?;
                }
                Name::Table(map) => add_all(&mut self.tables, map, place, &of(Kind::Table))?,
                Name::Memory(map) => add_all(&mut self.memories, map, place, &of(Kind::Memory))?,
                Name::Global(map) => add_all(&mut self.globals, map, place, &of(Kind::Global))?,
                Name::Tag(map) => add_all(&mut self.tags, map, place, &of(Kind::Tag))?,
                Name::Type(map) => {
                    let numbers = &place.program.numbers[place.at];
                    let number = |index: u32| numbers.get(index as usize).copied();
                    add_all(&mut self.types, map, place, &number)?;
                }
                Name::Element(map) => {
                    let count = place.module().elements.len() as u32;
                    let number = |index| (index < count).then(|| place.elements + index);
                    add_all(&mut self.elements, map, place, &number)?;
                }
                Name::Data(map) => {
                    let count = place.module().data.len() as u32;
                    let number = |index| (index < count).then(|| place.data + index);
                    add_all(&mut self.data, map, place, &number)?;
                }
                Name::Local(map) => {
                    for function in map {
                        let function = function?;
                        let mut locals = NameMap::new();
                        for local in function.names {
                            let local = local?;
                            locals.append(local.index, local.name);
                        }
                        if let Some(number) = place.number(Kind::Function, function.index) {
                            self.locals.entry(number).or_insert(locals);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn section(self) -> NameSection {
        let mut section = NameSection::new();
        if let Some(name) = self.module {
            section.module(name);
        }
        section.functions(&map(&self.functions));
        let mut locals = IndirectNameMap::new();
        for (function, names) in &self.locals {
            locals.append(*function, names);
        }
        section.locals(&locals);
        section.types(&map(&self.types));
        section.tables(&map(&self.tables));
        section.memories(&map(&self.memories));
        section.globals(&map(&self.globals));
        section.elements(&map(&self.elements));
        section.data(&map(&self.data));
        section.tags(&map(&self.tags));
        section
    }
}

fn add_all(
    names: &mut Numbered,
    map: wasmparser::NameMap<'_>,
    place: &Place<'_>,
    number: &dyn Fn(u32) -> Option<u32>,
) -> Result<(), wasmparser::Error> {
    for naming in map {
        let naming = naming?;
        if let Some(number) = number(naming.index) {
            names.entry(number).or_insert_with(|| place.full(naming.name));
        }
    }
    Ok(())
}

fn map(names: &Numbered) -> NameMap {
    let mut map = NameMap::new();
    for (number, name) in names {
        map.append(*number, name);
    }
    map
}
