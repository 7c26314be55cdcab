//! Components are put together: what one exports fills what another imports, and one component
//! comes of it.
//!
//! ```text
//! plugs, socket ─ Border (names, types) ─ wire ─► who fills what ─ Outer ─► one component
//! ```
//!
//! An import is filled by the nearest component before it that exports its name, or the same name
//! in a compatible version; the socket is last. What nobody fills remains imported, once for all
//! who import it, by the highest of compatible versions (`types`). The result exports what the
//! socket exports, and is validated: whether types fit is the validator's judgement.
//!
//! May assume nothing about the bytes. Guarantees that the same components give the same bytes, and
//! that every plug fills something.

use super::error::{ComponentError, Misfit};
use super::flat::{features, refusal};
use crate::link::error::LinkError;
use std::collections::HashMap;
use std::ops::Range;
use types::Outer;
use wasm_encoder::{ComponentExportKind, ComponentTypeRef};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;
use wasmparser::{Parser, Payload, ValidPayload, Validator};
use wasmtime_environ::component::alternate_lookup_key;

#[cfg(test)]
mod tests;
mod types;

/// What came of it.
pub(super) struct Composition {
    /// The component.
    pub(super) wasm: Vec<u8>,
    /// Where each that was given lies in it, in order.
    pub(super) places: Vec<Range<usize>>,
}

/// A component from outside.
struct Border<'a> {
    name: &'a str,
    wasm: &'a [u8],
    types: Types,
    /// In the component's order.
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
}

/// What an import is filled with.
#[derive(Clone, Copy)]
enum Filling<'a> {
    /// The export of an earlier component.
    Export(usize, &'a str),
    /// What remains imported, by its number.
    Import(usize),
}

/// What remains imported, and who imports it, by which names.
struct Group<'a> {
    /// The highest of the names.
    name: &'a str,
    members: Vec<(usize, &'a str)>,
}

/// Puts components together, by their names, the socket last.
pub(super) fn compose(parts: &[(&str, &[u8])]) -> Result<Composition, LinkError> {
    let borders: Vec<Border<'_>> =
        parts.iter().map(|(name, wasm)| Border::read(name, wasm)).collect::<Result<_, _>>()?;
    let (fillings, groups) = wire(&borders)?;
    let mut outer = Outer::new(&borders, &groups, &fillings);
    for border in &borders {
        outer.builder.component_raw(Some(border.name), border.wasm);
    }
    for group in 0..groups.len() {
        outer.import(group)?;
    }
    let mut instances: Vec<u32> = Vec::with_capacity(borders.len());
    for (at, border) in borders.iter().enumerate() {
        let mut arguments = Vec::with_capacity(border.imports.len());
        for (name, filling) in border.imports.iter().zip(&fillings[at]) {
            arguments.push(match filling {
                Filling::Export(from, export) => {
                    let kind = kind(borders[*from].export(export)?);
                    (*name, kind, outer.builder.alias_export(instances[*from], export, kind))
                }
                Filling::Import(group) => {
                    (*name, kind(border.import(name)?), outer.import(*group)?)
                }
            });
        }
        let instance = outer.builder.instantiate(Some(border.name), at as u32, arguments);
        instances.push(instance);
    }
    if let Some((at, instance)) = borders.len().checked_sub(1).zip(instances.last()) {
        export(&mut outer, &borders[at], at, *instance)?;
    }
    let wasm = outer.builder.finish();
    judge(&wasm, &borders, &fillings)?;
    let places = places(&wasm, borders.len());
    Ok(Composition { wasm, places })
}

/// Exports what a component exports, in its order.
fn export<'b>(
    outer: &mut Outer<'b>,
    border: &'b Border<'b>,
    at: usize,
    instance: u32,
) -> Result<(), LinkError> {
    for name in &border.exports {
        let ty = border.export(name)?;
        let kind = kind(ty);
        let index = outer.builder.alias_export(instance, name, kind);
        // A function's types are those that are exported here, by their new names.
        let of_type = match ty {
            ComponentEntityType::Func(id) => Some(ComponentTypeRef::Func(outer.function(at, *id)?)),
            _ => None,
        };
        let exported = outer.builder.export(*name, kind, index, of_type);
        outer.exported(at, ty, exported);
    }
    Ok(())
}

impl<'a> Border<'a> {
    /// Validates everything but the code, which is validated with all that is linked.
    fn read(name: &'a str, wasm: &'a [u8]) -> Result<Self, LinkError> {
        let invalid = |error| LinkError::Composed(name.to_owned(), refusal(error));
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        let types = validate(wasm, &mut |depth, payload| {
            match payload {
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section.clone() {
                        imports.push(import?.name.name);
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section.clone() {
                        exports.push(export?.name.name);
                    }
                }
                _ => {}
            }
            Ok(())
        });
        match types.map_err(invalid)? {
            Some(types) => Ok(Self { name, wasm, types, imports, exports }),
            None => Err(defect("a component without an end")),
        }
    }

    fn import(&self, name: &str) -> Result<&ComponentEntityType, LinkError> {
        let item = self.types.component_item_for_import(name);
        item.map(|item| &item.ty).ok_or_else(|| defect("an import of no type"))
    }

    fn export(&self, name: &str) -> Result<&ComponentEntityType, LinkError> {
        let item = self.types.component_item_for_export(name);
        item.map(|item| &item.ty).ok_or_else(|| defect("an export of no type"))
    }

    /// The export that fills an import of this name: of the same, or else of a compatible version.
    fn that_fills(&self, import: &str) -> Option<&'a str> {
        let same = |name: &&&str| **name == import;
        let is_compatible = |name: &&&str| track(name).is_some() && track(name) == track(import);
        let mut exports = self.exports.iter();
        exports.find(same).or_else(|| self.exports.iter().find(is_compatible)).copied()
    }
}

/// Validates a component but for its code; `look` sees each payload, and how deep inside it is.
fn validate<'a>(
    wasm: &'a [u8],
    look: &mut dyn FnMut(u32, &Payload<'a>) -> Result<(), wasmparser::Error>,
) -> Result<Option<Types>, wasmparser::Error> {
    let mut validator = Validator::new_with_features(features());
    let (mut depth, mut all) = (0_u32, None);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let Payload::Version { .. } = payload {
            depth += 1;
        }
        if let ValidPayload::End(types) = validator.payload(&payload)? {
            depth = depth.saturating_sub(1);
            all = Some(types);
        }
        look(depth, &payload)?;
    }
    Ok(all)
}

/// What names of compatible versions have in common.
fn track(name: &str) -> Option<&str> {
    alternate_lookup_key(name).map(|(track, _)| track)
}

/// Who fills what: of each component for each of its imports; and what remains imported.
type Wiring<'a> = (Vec<Vec<Filling<'a>>>, Vec<Group<'a>>);

fn wire<'a>(borders: &[Border<'a>]) -> Result<Wiring<'a>, LinkError> {
    let mut fillings = Vec::with_capacity(borders.len());
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut used = vec![false; borders.len()];
    for (at, border) in borders.iter().enumerate() {
        let mut own = Vec::with_capacity(border.imports.len());
        for import in border.imports.iter().copied() {
            let mut before = borders[..at].iter().enumerate().rev();
            let found = before.find_map(|(from, one)| Some((from, one.that_fills(import)?)));
            own.push(match found {
                Some((from, export)) => {
                    used[from] = true;
                    Filling::Export(from, export)
                }
                None => {
                    let track = track(import).unwrap_or(import);
                    let group = *numbers.entry(track).or_insert_with(|| {
                        groups.push(Group { name: import, members: Vec::new() });
                        groups.len() - 1
                    });
                    groups[group].take(at, import);
                    Filling::Import(group)
                }
            });
        }
        fillings.push(own);
    }
    used.pop();
    if let Some(plug) = used.iter().position(|used| !used) {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        let mut wanted: Vec<&str> = groups.iter().map(|group| group.name).collect();
        // What is WASI's is there without a plug.
        wanted.sort_by_key(|name| name.starts_with("wasi:"));
        return Err(LinkError::Component(ComponentError::PlugUnused {
            plug: borders[plug].name.to_owned(),
            exports: names(&borders[plug].exports),
            wanted: names(&wanted),
        }));
    }
    Ok((fillings, groups))
}

impl<'a> Group<'a> {
    /// One more who imports it. The one of the highest version is first.
    fn take(&mut self, part: usize, name: &'a str) {
        let version = |name| alternate_lookup_key(name).map(|(_, version)| version);
        if !self.members.is_empty() && version(name) > version(self.name) {
            self.name = name;
            self.members.insert(0, (part, name));
        } else {
            self.members.push((part, name));
        }
    }
}

fn kind(ty: &ComponentEntityType) -> ComponentExportKind {
    match ty {
        ComponentEntityType::Module(_) => ComponentExportKind::Module,
        ComponentEntityType::Func(_) => ComponentExportKind::Func,
        ComponentEntityType::Value(_) => ComponentExportKind::Value,
        ComponentEntityType::Type { .. } => ComponentExportKind::Type,
        ComponentEntityType::Instance(_) => ComponentExportKind::Instance,
        ComponentEntityType::Component(_) => ComponentExportKind::Component,
    }
}

/// Whether the types fit; if not, whose do not.
fn judge(
    wasm: &[u8],
    borders: &[Border<'_>],
    fillings: &[Vec<Filling<'_>>],
) -> Result<(), LinkError> {
    // Components are instantiated in their order, and nothing else is.
    let mut begins: Vec<usize> = Vec::new();
    let result = validate(wasm, &mut |_, _| Ok(()));
    let Err(error) = result else { return Ok(()) };
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm).flatten() {
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentInstanceSection(section) if depth == 1 => {
                let items = section.into_iter_with_offsets().flatten();
                begins.extend(items.map(|(offset, _)| offset));
            }
            _ => {}
        }
    }
    let message = error.message();
    let at = begins.partition_point(|begin| *begin <= error.offset()).checked_sub(1);
    let why =
        message.strip_prefix("type mismatch for import `").and_then(|rest| rest.split_once('`'));
    let (Some(at), Some((import, why))) = (at, why) else {
        return Err(ComponentError::PlugBorder(in_one_line(message)).into());
    };
    let Some(border) = borders.get(at) else {
        return Err(ComponentError::PlugBorder(in_one_line(message)).into());
    };
    let filling = border.imports.iter().zip(&fillings[at]).find(|(name, _)| **name == import);
    Err(LinkError::Component(match filling {
        Some((_, Filling::Export(from, export))) => ComponentError::PlugType(Box::new(Misfit {
            plug: borders[*from].name.to_owned(),
            export: (*export).to_owned(),
            importer: border.name.to_owned(),
            import: import.to_owned(),
            what: in_one_line(why),
        })),
        _ => ComponentError::PlugBorder(format!(
            "{import} remains imported, and {:?} imports it as another type than those before it: {}",
            border.name,
            in_one_line(why)
        )),
    }))
}

/// What the validator says in a line for each level.
fn in_one_line(message: &str) -> String {
    // Numbers of resources say nothing outside of the validator.
    let message = message.split(" (ResourceId").next().unwrap_or(message);
    let lines = message.lines().map(|line| line.strip_prefix("type mismatch in ").unwrap_or(line));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Where the first so many components lie.
fn places(wasm: &[u8], count: usize) -> Vec<Range<usize>> {
    let mut places = Vec::with_capacity(count);
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm).flatten() {
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentSection { unchecked_range, .. } if depth == 1 => {
                places.push(unchecked_range);
            }
            _ => {}
        }
    }
    places
}

/// What cannot happen to valid components.
fn defect(what: &str) -> LinkError {
    LinkError::Defect(what.to_owned())
}
