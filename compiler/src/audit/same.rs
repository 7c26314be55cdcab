//! The metered module is its source, and what was injected is nothing else.
//!
//! Both are read section by section. What is not code must be there unchanged,
//! in its order, with these entries behind its own: types without parameters and
//! with two or more results, the counter, and the exports of the counter and of
//! the start function. Functions, without the texts that [`super::idiom`] knows
//! and the blocks around them, must be the source's, byte for byte. Left out are
//! the `start` section, and custom sections that hold positions in the code.
//!
//! May assume two valid modules. Shows the rules `same-sections` and `same-code`.

use super::AuditError;
use super::idiom::{Buffer, Function};
use super::module::{Facts, function_type};
use super::rule::{Judge, Place, Rule, Violation};
use crate::places::Pairs;
use std::collections::{HashSet, VecDeque};
use wasmparser::{
    BinaryReader, BinaryReaderError, FuncType, FunctionBody, Operator, OperatorsReader, Parser,
    Payload, TypeSectionReader, ValType,
};

type Result<T, E = AuditError> = std::result::Result<T, E>;

/// Numbers of sections (WebAssembly 3.0, "Binary Format", "Modules").
mod id {
    pub(super) const TYPE: u8 = 1;
    pub(super) const GLOBAL: u8 = 6;
    pub(super) const EXPORT: u8 = 7;
    pub(super) const START: u8 = 8;
    pub(super) const CODE: u8 = 10;
}

/// A section as it lies in the file.
struct Section<'m> {
    id: u8,
    contents: &'m [u8],
    offset: usize,
}

/// What the sections of a module are, code aside.
struct Sections<'m> {
    sections: VecDeque<Section<'m>>,
    start: Option<u32>,
    bodies: Vec<FunctionBody<'m>>,
}

impl<'m> Sections<'m> {
    /// Reads a valid module; custom sections with positions only when they
    /// have to be there.
    fn of(wasm: &'m [u8], with_positions: bool) -> Result<Self> {
        let mut all = Self { sections: VecDeque::new(), start: None, bodies: Vec::new() };
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::StartSection { func, .. } => all.start = Some(*func),
                Payload::CustomSection(custom)
                    if !with_positions && holds_positions(custom.name()) =>
                {
                    continue;
                }
                Payload::CodeSectionEntry(body) => {
                    all.bodies.push(body.clone());
                    continue;
                }
                _ => {}
            }
            if let Some((id, range)) = payload.as_section()
                && id != id::START
            {
                let offset = range.start;
                all.sections.push_back(Section { id, contents: &wasm[range], offset });
            }
        }
        Ok(all)
    }
}

/// A source and its metered module.
pub(super) struct Comparison<'m> {
    judge: Judge,
    imported: u32,
    bodies: Vec<FunctionBody<'m>>,
    metered: Vec<FunctionBody<'m>>,
}

impl<'m> Comparison<'m> {
    /// Compares everything but functions.
    pub(super) fn of(
        judge: Judge,
        source: &'m [u8],
        metered: &'m [u8],
        facts: &Facts<'m>,
    ) -> Result<Self> {
        let source = Sections::of(source, false)?;
        // Of these none may be left.
        let made = Sections::of(metered, true)?;
        let exports = 1 + u32::from(source.start.is_some());
        judge.require(source.start == facts.start, Rule::SameSections, Place::MODULE, || {
            "the start function is another one".to_owned()
        })?;
        let is_whole = source.bodies.len() == made.bodies.len();
        judge.require(is_whole, Rule::SameSections, Place::MODULE, || {
            "there are more functions, or fewer".to_owned()
        })?;
        let added = Added { globals: 1, exports, results: result_lists(facts) };
        sections(judge, source.sections, made.sections, added)?;
        let (bodies, metered) = (source.bodies, made.bodies);
        Ok(Self { judge, imported: facts.imported, bodies, metered })
    }

    /// Compares a function; `stripped` is it without what was injected.
    pub(super) fn function(
        &mut self,
        index: usize,
        function: &Function,
        stripped: &[u8],
    ) -> Result<()> {
        let (Some(source), Some(made)) = (self.bodies.get(index), self.metered.get(index)) else {
            return Ok(());
        };
        let place = Place::function(self.imported + index as u32, function.start);
        let (groups, locals, text) = split(source)?;
        let (made_groups, made_locals, _) = split(made)?;
        // The meter's own locals are one group behind the others, as far as
        // there is a local counter: `idiom` has seen to its type and count.
        let is_same = made_groups == groups + u32::from(function.has_local)
            && made_locals.starts_with(locals)
            && (function.has_local || made_locals == locals);
        self.judge.require(is_same, Rule::SameCode, place, || {
            "its locals are not the source's and the meter's".to_owned()
        })?;
        let is_same = if function.has_cold_path {
            unwrap(stripped).and_then(unwrap) == Some(text)
        } else {
            let inner = || unwrap(stripped).and_then(|inner| inner.strip_suffix(&[END]));
            stripped == text || function.may_be_in_a_block && inner() == Some(text)
        };
        self.judge.require(is_same, Rule::SameCode, place, || {
            "without what was injected it is not the source's".to_owned()
        })?;
        Ok(())
    }
}

/// Where the operators of each defined function of a metered module stand in its source: pairs of
/// places in the two modules, in the order of the first. An operator that was copied is there
/// for each of its copies, and what was injected is not.
pub(super) fn places(source: &[u8], metered: &[u8]) -> Result<Vec<Pairs>> {
    let facts = Facts::of(Judge::default(), metered)?;
    let source = Sections::of(source, false)?;
    let mut buffer = Buffer::remembering();
    let mut all = Vec::with_capacity(facts.bodies.len());
    for (index, body) in source.bodies.iter().enumerate().take(facts.bodies.len()) {
        let function = Function::read(&facts, index, &mut buffer)?;
        let (_, _, text) = split(body)?;
        let begin = (body.range().end - text.len()) as u32;
        let stripped = buffer.stripped();
        let inner = match function.has_cold_path {
            true => unwrap(stripped).and_then(unwrap),
            false if stripped == text => Some(stripped),
            false => unwrap(stripped),
        };
        let around = stripped.len() - inner.map_or(0, <[u8]>::len);
        let place = |(made, at): &(u32, u32)| {
            let at = (*at as usize).checked_sub(around).filter(|at| *at < text.len())?;
            Some((*made, begin + at as u32))
        };
        all.push(buffer.kept().iter().filter_map(place).collect());
    }
    Ok(all)
}

/// The `end` operator.
const END: u8 = 0x0b;

/// What is behind a `block` at the beginning.
fn unwrap(text: &[u8]) -> Option<&[u8]> {
    let mut reader = OperatorsReader::new(BinaryReader::new(text, 0));
    matches!(reader.read(), Ok(Operator::Block { .. })).then(|| &text[reader.original_position()..])
}

/// A body: how many groups of locals, their bytes, and the operators'.
fn split<'b>(body: &'b FunctionBody<'_>) -> Result<(u32, &'b [u8], &'b [u8]), BinaryReaderError> {
    let bytes = body.as_bytes();
    let base = body.range().start;
    let mut locals = body.get_locals_reader()?;
    let groups = locals.get_count();
    let first = locals.original_position() - base;
    for _ in 0..groups {
        locals.read()?;
    }
    let behind = locals.original_position() - base;
    Ok((groups, &bytes[first..behind], &bytes[behind..]))
}

/// Compares what [`crate::meter::strip_start`] made with its source.
pub(super) fn unmetered(judge: Judge, source: &[u8], made: &[u8]) -> Result<()> {
    let source = Sections::of(source, true)?;
    let made = Sections::of(made, true)?;
    let is_gone = made.start.is_none();
    judge.require(is_gone, Rule::Start, Place::MODULE, || "there is a start section".to_owned())?;
    let bodies = source.bodies.iter().map(FunctionBody::as_bytes);
    let is_same = bodies.eq(made.bodies.iter().map(FunctionBody::as_bytes));
    judge.require(is_same, Rule::SameCode, Place::MODULE, || {
        "a function is not the source's".to_owned()
    })?;
    let exports = u32::from(source.start.is_some());
    let added = Added { globals: 0, exports, results: HashSet::new() };
    sections(judge, source.sections, made.sections, added)
}

/// What may stand behind the source's own entries.
struct Added<'f> {
    globals: u32,
    exports: u32,
    /// Lists of results that a type may be added for; each once.
    results: HashSet<&'f [ValType]>,
}

/// Lists of two and more results of defined functions.
fn result_lists<'f>(facts: &'f Facts<'_>) -> HashSet<&'f [ValType]> {
    (0..facts.bodies.len())
        .filter_map(|defined| facts.signature(defined))
        .map(FuncType::results)
        .filter(|results| results.len() > 1)
        .collect()
}

/// Compares sections.
fn sections(
    judge: Judge,
    mut source: VecDeque<Section<'_>>,
    made: VecDeque<Section<'_>>,
    mut added: Added<'_>,
) -> Result<()> {
    for section in made {
        let entries = match section.id {
            id::GLOBAL => added.globals,
            id::EXPORT => added.exports,
            _ => 0,
        };
        let is_new = entries != 0 && source.front().is_none_or(|next| next.id != section.id);
        let before = if is_new { None } else { source.pop_front() };
        compare(judge, before.as_ref(), &section, entries, &mut added.results)?;
    }
    judge.require(source.is_empty(), Rule::SameSections, Place::MODULE, || {
        "a section of the source is missing".to_owned()
    })?;
    Ok(())
}

/// Compares a section with the source's, which is `None` for a new one.
fn compare(
    judge: Judge,
    source: Option<&Section<'_>>,
    made: &Section<'_>,
    added: u32,
    results: &mut HashSet<&[ValType]>,
) -> Result<(), AuditError> {
    let place = Place::offset(made.offset);
    let require = |holds: bool, what: &str| -> Result<(), Violation> {
        judge.require(holds, Rule::SameSections, place, || {
            format!("section {} is not the source's: {what}", made.id)
        })
    };
    if let Some(source) = source {
        require(source.id == made.id, "it stands where another one stood")?;
    }
    match made.id {
        // Functions are compared one by one.
        id::CODE => Ok(()),
        id::TYPE | id::GLOBAL | id::EXPORT => {
            let (count, before) = match source {
                Some(source) => entries(source.contents)?,
                None => (0, &[][..]),
            };
            let (made_count, made_entries) = entries(made.contents)?;
            require(made_entries.starts_with(before), "an entry was changed")?;
            if made.id == id::TYPE {
                return Ok(require(
                    added_types_are_ours(made, count, results)?,
                    "a type was added",
                )?);
            }
            Ok(require(made_count == count + added, "it has more entries, or fewer")?)
        }
        _ => {
            let is_same = source.is_some_and(|source| source.contents == made.contents);
            Ok(require(is_same, "it was changed")?)
        }
    }
}

/// How many entries a section has, and their bytes.
fn entries(contents: &[u8]) -> Result<(u32, &[u8]), BinaryReaderError> {
    let mut reader = BinaryReader::new(contents, 0);
    let count = reader.read_var_u32()?;
    Ok((count, &contents[reader.current_position()..]))
}

/// Whether all types behind the source's are functions' without parameters, one
/// for some of the lists of results.
fn added_types_are_ours(
    made: &Section<'_>,
    count: u32,
    results: &mut HashSet<&[ValType]>,
) -> Result<bool, BinaryReaderError> {
    let reader = BinaryReader::new(made.contents, made.offset);
    for group in TypeSectionReader::new(reader)?.into_iter().skip(count as usize) {
        for ty in group?.into_types() {
            let is_plain = ty.is_final && ty.supertype_idx.is_none();
            let is_ours = function_type(ty.composite_type.inner)
                .is_some_and(|ty| ty.params().is_empty() && results.remove(ty.results()));
            if !is_plain || !is_ours {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether a custom section refers to positions in the code (FUEL.md, "The
/// counter").
fn holds_positions(name: &str) -> bool {
    [".debug_", "reloc.", "metadata.code."].iter().any(|prefix| name.starts_with(prefix))
        || ["linking", "sourceMappingURL", "external_debug_info"].contains(&name)
}
