//! What a debug file says of an image: where each instruction of its code is in its source.
//!
//! ```text
//! address ─ addresses (compile) ─► operator of the module that was compiled
//!         ─ places (nan, audit) ─► operator of the source
//!         ─ pieces (link)       ─► operator of one of several modules
//!         ─ dwarf               ─► function, file, line
//! ```
//!
//! Each stage that puts texts between the operators of a module says where the operators are that
//! were there before: so a line is the source's, however the module was metered. All is done in
//! the process that compiles, which may read what strangers wrote. May assume valid modules, and
//! nothing of their custom sections: what of them cannot be read is left out. Changes no image.

mod dwarf;
#[cfg(test)]
mod tests;

use crate::audit;
use crate::compile::Addresses;
use crate::input::Source;
use crate::nan;
use crate::places::{self, Pairs, Text, bodies, through};
use bls_artifact::debug::{Function, Row, Table};
use dwarf::Lines;
use std::collections::BTreeMap;
use std::ops::Range;
use wasmparser::{
    BinaryReaderError, FunctionBody, KnownCustom, Name, NameSectionReader, Parser, Payload, TypeRef,
};

/// Why there is no debug file: each is a defect of ours.
pub(crate) type NoDebug = String;

/// A source, and what stands where in the module that is compiled of it.
pub(crate) struct Traces<'a> {
    compiled: &'a [u8],
    /// By defined function: where operators stand in what is compiled, and in the source.
    places: Vec<Pairs>,
    imported: u32,
    pieces: Vec<Module<'a>>,
    /// Of each defined function of the source its piece, and its index there.
    functions: Vec<Option<(usize, u32)>>,
    is_linked: bool,
}

/// A module that functions of the source come from.
struct Module<'a> {
    name: &'a str,
    /// Where it begins in what was given.
    begin: u32,
    imported: u32,
    bodies: Vec<FunctionBody<'a>>,
    names: BTreeMap<u32, &'a str>,
    lines: Lines<'a>,
}

impl<'a> Module<'a> {
    fn read(name: &'a str, wasm: &'a [u8], begin: u32) -> Result<Self, BinaryReaderError> {
        let (mut imported, mut code) = (0, 0);
        let (mut names, mut sections) = (BTreeMap::new(), Vec::new());
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let ty = import?.ty;
                        let is_function = matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                        imported += u32::from(is_function);
                    }
                }
                Payload::CodeSectionStart { range, .. } => code = range.start as u32,
                Payload::CustomSection(custom) => {
                    if let KnownCustom::Name(section) = custom.as_known() {
                        // What cannot be read ends it.
                        let _ = function_names(section, &mut names);
                    }
                    sections.push((custom.name(), custom.data()));
                }
                _ => {}
            }
        }
        let (bodies, lines) = (bodies(wasm)?, Lines::of(&sections, code));
        Ok(Self { name, begin, imported, bodies, names, lines })
    }
}

/// The names of functions.
fn function_names<'a>(
    section: NameSectionReader<'a>,
    names: &mut BTreeMap<u32, &'a str>,
) -> Result<(), BinaryReaderError> {
    for subsection in section {
        if let Name::Function(all) = subsection? {
            for naming in all {
                let naming = naming?;
                names.insert(naming.index, naming.name);
            }
        }
    }
    Ok(())
}

fn defect(error: impl std::fmt::Display) -> NoDebug {
    error.to_string()
}

impl<'a> Traces<'a> {
    /// Follows what is compiled back to its source. `ready` is what was audited, `compiled` the
    /// same, or with counters by function.
    pub(crate) fn of(
        source: &'a Source,
        is_metered: bool,
        ready: &[u8],
        compiled: &'a [u8],
    ) -> Result<Self, NoDebug> {
        let own = bodies(source.wasm()).map_err(defect)?;
        let mut places = match is_metered {
            true => audit::places(source.wasm(), ready).map_err(defect)?,
            false => {
                let made = bodies(ready).map_err(defect)?;
                side_by_side(&own, &made).map_err(defect)?
            }
        };
        if ready != compiled {
            let second = audit::places_of_profile(ready, compiled).map_err(defect)?;
            places = all_through(&places, &second);
        }
        let mut pieces = Vec::new();
        let mut functions: Vec<Option<(usize, u32)>> = Vec::new();
        match source.pieces() {
            Some(all) => {
                for piece in &all.modules {
                    // One that nothing is left of has no bytes.
                    let wasm: &[u8] = if piece.wasm.is_empty() { EMPTY } else { &piece.wasm };
                    pieces.push(Module::read(&piece.name, wasm, piece.begin).map_err(defect)?);
                }
                functions.extend(all.functions.iter().copied().map(Some));
                functions.resize(own.len(), None);
            }
            None => {
                let module = Module::read("", source.wasm(), 0).map_err(defect)?;
                functions.extend((0..own.len()).map(|at| Some((0, module.imported + at as u32))));
                pieces.push(module);
            }
        }
        let is_linked = source.pieces().is_some();
        if is_linked {
            places = into_pieces(&places, &own, &pieces, &functions).map_err(defect)?;
        }
        let imported = Module::read("", compiled, 0).map_err(defect)?.imported;
        Ok(Self { compiled, places, imported, pieces, functions, is_linked })
    }

    /// The table of an image.
    pub(crate) fn table(&self, addresses: &Addresses) -> Result<Vec<u8>, NoDebug> {
        let made = bodies(&addresses.wasm).map_err(defect)?;
        let second = nan::places(self.compiled, &addresses.wasm).map_err(defect)?;
        let places = all_through(&self.places, &second);
        let ranges: Vec<Range<usize>> = made.iter().map(FunctionBody::range).collect();
        let mut table = Table::default();
        let mut numbers: BTreeMap<(usize, u32), u32> = BTreeMap::new();
        // The function at hand, its rows, and whether the last one was made of no operator.
        let (mut current, mut rows): (Option<usize>, Vec<Row>) = (None, Vec::new());
        let mut is_none = false;
        for (offset, place) in &addresses.map {
            let Some(place) = place else {
                // Whoever fails in what a function does for itself (it looks whether there is
                // stack left) fails as it begins.
                let begin = rows.first().copied();
                let begin = begin.unwrap_or(Row { offset: *offset, source: None, place: 0 });
                rows.push(Row { offset: *offset, ..begin });
                is_none = true;
                continue;
            };
            let Some(defined) = holds(&ranges, *place as usize) else { continue };
            if current != Some(defined) {
                // What stands before the first operator of a function is its own.
                let begin = rows.pop_if(|_| is_none);
                if let Some(defined) = current {
                    self.add(&mut table, defined, std::mem::take(&mut rows));
                }
                rows.clear();
                rows.extend(begin.map(|row| Row { source: None, place: 0, ..row }));
                current = Some(defined);
            }
            is_none = false;
            let row =
                self.row(&places[defined], defined, *offset, *place, &mut table, &mut numbers);
            if let ([begin], Some(source)) = (&mut rows[..], row.source)
                && begin.source.is_none()
            {
                (begin.source, begin.place) = (Some(source), row.place);
            }
            rows.push(row);
        }
        if let Some(defined) = current {
            self.add(&mut table, defined, rows);
        }
        Ok(table.finish())
    }

    /// What is known of an operator of what was compiled.
    fn row(
        &self,
        places: &[(u32, u32)],
        defined: usize,
        offset: u32,
        place: u32,
        table: &mut Table,
        numbers: &mut BTreeMap<(usize, u32), u32>,
    ) -> Row {
        // What was put in belongs to the operator behind it.
        let next = places.partition_point(|(made, _)| *made < place);
        let source = places.get(next).or(places.last()).map(|(_, source)| *source);
        let piece = self.functions.get(defined).copied().flatten();
        let (Some(source), Some((piece, _))) = (source, piece) else {
            return Row { offset, source: None, place: 0 };
        };
        let module = &self.pieces[piece];
        let number =
            *numbers.entry((piece, source)).or_insert_with(|| table.place(module.lines.at(source)));
        Row { offset, source: Some(source + module.begin), place: number }
    }

    fn add(&self, table: &mut Table, defined: usize, rows: Vec<Row>) {
        let mut function =
            Function { index: self.imported + defined as u32, rows, ..Function::default() };
        if let Some((piece, index)) = self.functions.get(defined).copied().flatten() {
            let module = &self.pieces[piece];
            function.own_index = index;
            let own = index.checked_sub(module.imported).map(|own| own as usize);
            let body = own.and_then(|own| module.bodies.get(own));
            function.begin = body.map_or(0, |body| body.range().start as u32 + module.begin);
            function.name = module.names.get(&index).map(|name| (*name).to_owned());
            function.module = self.is_linked.then(|| module.name.to_owned());
        }
        table.function(&function);
    }
}

/// A module with nothing in it.
const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

/// The function whose body holds a place.
fn holds(ranges: &[Range<usize>], place: usize) -> Option<usize> {
    let behind = ranges.partition_point(|range| range.start <= place);
    let function = behind.checked_sub(1)?;
    (place < ranges[function].end).then_some(function)
}

fn all_through(first: &[Pairs], second: &[Pairs]) -> Vec<Pairs> {
    first.iter().zip(second).map(|(first, second)| through(first, second)).collect()
}

/// Pairs functions that have the same operators.
fn side_by_side(
    own: &[FunctionBody<'_>],
    made: &[FunctionBody<'_>],
) -> Result<Vec<Pairs>, BinaryReaderError> {
    own.iter().zip(made).map(|(own, made)| places::pairs(own, made, |_| Text::None)).collect()
}

/// Of several modules: from the one that they became on to each.
fn into_pieces(
    places: &[Pairs],
    own: &[FunctionBody<'_>],
    pieces: &[Module<'_>],
    functions: &[Option<(usize, u32)>],
) -> Result<Vec<Pairs>, BinaryReaderError> {
    let mut all = Vec::with_capacity(places.len());
    for ((places, own), function) in places.iter().zip(own).zip(functions) {
        let body = function.and_then(|(piece, index)| {
            let module = &pieces[piece];
            module.bodies.get(index.checked_sub(module.imported)? as usize)
        });
        all.push(match body {
            // The same operators, with other numbers.
            Some(body) => through(&places::pairs(body, own, |_| Text::None)?, places),
            None => Pairs::new(),
        });
    }
    Ok(all)
}
