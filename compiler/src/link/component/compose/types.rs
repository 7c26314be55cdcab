//! The component that others are put into, while it is written: the types of what remains imported,
//! and of functions that it exports.
//!
//! What several import becomes one import, which has what each of them wants of it. A type that an
//! interface takes from another is taken from that import too: so all mean the same resources.
//! Types are written as they are at the border of the component that imports or exports them.

use super::{Border, Filling, Group, defect};
use crate::link::component::error::ComponentError;
use crate::link::error::LinkError;
use std::collections::HashMap;
use wasm_encoder::{
    Alias, ComponentBuilder, ComponentExportKind, ComponentOuterAliasKind, ComponentTypeEncoder,
    ComponentTypeRef, ComponentValType, InstanceType, TypeBounds,
};
use wasmparser::component_types::{
    self, AliasableResourceId, ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId,
    ComponentEntityType, ComponentFuncTypeId, ResourceId,
};

/// How deep types may be inside one another; the engine has the same bound.
const DEPTH_MAX: u32 = 100;

/// A type at the border of a component, by the component's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// A resource, by any of its names.
    Resource(usize, ResourceId),
    /// A resource, by one of its names.
    Alias(usize, AliasableResourceId),
    Defined(usize, ComponentDefinedTypeId),
}

impl Key {
    fn of(part: usize, id: ComponentAnyTypeId) -> Option<Self> {
        match id {
            ComponentAnyTypeId::Resource(id) => Some(Self::Resource(part, id.resource())),
            ComponentAnyTypeId::Defined(id) => Some(Self::Defined(part, id)),
            _ => None,
        }
    }
}

/// Where a type is to be had.
#[derive(Clone, Copy)]
enum Origin<'b> {
    /// What remains imported, by its number: an export of it, or the import itself.
    Import(usize, Option<&'b str>),
    /// An export of an instance that is exported.
    Instance(u32, &'b str),
    /// An import that a plug fills, by its name.
    Filled(&'b str),
}

/// How far an import is.
#[derive(Clone, Copy)]
enum State {
    New,
    Begun,
    Done(u32),
}

/// The type of an instance, while it is written.
struct Inner {
    ty: InstanceType,
    /// The import that it is of.
    group: usize,
    known: HashMap<Key, u32>,
}

/// The component, while it is written.
pub(super) struct Outer<'b> {
    parts: &'b [Border<'b>],
    groups: &'b [Group<'b>],
    pub(super) builder: ComponentBuilder,
    states: Vec<State>,
    /// Types that have a name at a border.
    origins: HashMap<Key, Origin<'b>>,
    /// Types that are there, by their numbers.
    known: HashMap<Key, u32>,
    /// What types are written into; nothing: the component itself.
    inner: Option<Inner>,
    depth: u32,
}

impl<'b> Outer<'b> {
    pub(super) fn new(
        parts: &'b [Border<'b>],
        groups: &'b [Group<'b>],
        fillings: &[Vec<Filling<'b>>],
    ) -> Self {
        let mut origins = HashMap::new();
        for (part, border) in parts.iter().enumerate() {
            for (import, filling) in border.imports.iter().zip(&fillings[part]) {
                let origin = |export| match filling {
                    Filling::Import(group) => Origin::Import(*group, export),
                    Filling::Export(..) => Origin::Filled(import),
                };
                for (created, export) in types_of(border, border.import(import).ok()) {
                    // Who has a resource first, has made it: all others take it from there.
                    if let Some(key) = Key::of(part, created) {
                        origins.entry(key).or_insert_with(|| origin(export));
                    }
                }
            }
        }
        Self {
            parts,
            groups,
            builder: ComponentBuilder::default(),
            states: vec![State::New; groups.len()],
            origins,
            known: HashMap::new(),
            inner: None,
            depth: 0,
        }
    }

    /// What remains imported, by its number; the imports that it takes types from are before it.
    pub(super) fn import(&mut self, at: usize) -> Result<u32, LinkError> {
        match self.states[at] {
            State::Done(index) => return Ok(index),
            State::Begun => {
                return Err(refused(format!(
                    "{} takes types of what takes types of it",
                    self.groups[at].name
                )));
            }
            State::New => self.states[at] = State::Begun,
        }
        let around = self.inner.take();
        let group = &self.groups[at];
        let Some((part, name)) = group.members.first().copied() else {
            return Err(defect("an import of nobody"));
        };
        let ty = match self.parts[part].import(name)? {
            ComponentEntityType::Instance(_) => ComponentTypeRef::Instance(self.instance(at)?),
            ComponentEntityType::Func(id) => ComponentTypeRef::Func(self.function(part, *id)?),
            ComponentEntityType::Type { referenced, created } => {
                ComponentTypeRef::Type(self.bounds(part, *referenced, *created, (at, None))?)
            }
            ComponentEntityType::Module(_)
            | ComponentEntityType::Value(_)
            | ComponentEntityType::Component(_) => {
                return Err(refused(format!("{} is no interface, function or type", group.name)));
            }
        };
        let index = self.builder.import(group.name, ty);
        for (part, name) in &group.members {
            if let ComponentEntityType::Type { created, .. } = self.parts[*part].import(name)? {
                self.know(*part, *created, Some(index));
            }
        }
        self.states[at] = State::Done(index);
        self.inner = around;
        Ok(index)
    }

    /// The type of an instance that has what all want of it.
    fn instance(&mut self, at: usize) -> Result<u32, LinkError> {
        self.inner = Some(Inner { ty: InstanceType::new(), group: at, known: HashMap::new() });
        // Exports that are there, and of types the number.
        let mut exports: HashMap<&str, Option<u32>> = HashMap::new();
        for (part, name) in &self.groups[at].members {
            let border = &self.parts[*part];
            let ComponentEntityType::Instance(id) = border.import(name)? else {
                return Err(refused(format!("{name} is an interface to some, and none to others")));
            };
            for (name, item) in &border.types[*id].exports {
                let there = exports.get(name.as_str()).copied();
                let number = match (&item.ty, there) {
                    (ComponentEntityType::Type { created, .. }, Some(there)) => {
                        self.know(*part, *created, there);
                        continue;
                    }
                    (_, Some(_)) => continue,
                    (ComponentEntityType::Type { referenced, created }, None) => {
                        let place = (at, Some(name.as_str()));
                        let bounds = self.bounds(*part, *referenced, *created, place)?;
                        let number = self.write(name, ComponentTypeRef::Type(bounds));
                        self.know(*part, *created, number);
                        number
                    }
                    (ComponentEntityType::Func(id), None) => {
                        let function = self.function(*part, *id)?;
                        self.write(name, ComponentTypeRef::Func(function));
                        None
                    }
                    _ => {
                        let group = self.groups[at].name;
                        let what = format!("{group} has {name}, which is no function and no type");
                        return Err(refused(what));
                    }
                };
                exports.insert(name, number);
            }
        }
        let inner = self.inner.take().map(|inner| inner.ty).unwrap_or_default();
        Ok(self.builder.type_instance(None, &inner))
    }

    /// Writes an export of the instance; the number of the type that it makes.
    fn write(&mut self, name: &str, ty: ComponentTypeRef) -> Option<u32> {
        let inner = self.inner.as_mut()?;
        let number = inner.ty.type_count();
        inner.ty.export(name, ty);
        Some(number)
    }

    fn know(&mut self, part: usize, id: ComponentAnyTypeId, number: Option<u32>) {
        let known = self.inner.as_mut().map_or(&mut self.known, |inner| &mut inner.known);
        let Some((key, number)) = Key::of(part, id).zip(number) else { return };
        // The first of a resource's names stands for those that are not known.
        known.entry(key).or_insert(number);
        if let ComponentAnyTypeId::Resource(id) = id {
            known.insert(Key::Alias(part, id), number);
        }
    }

    fn known(&self, part: usize, id: ComponentAnyTypeId) -> Option<u32> {
        let known = self.inner.as_ref().map_or(&self.known, |inner| &inner.known);
        let by_name = match id {
            ComponentAnyTypeId::Resource(id) => known.get(&Key::Alias(part, id)),
            _ => None,
        };
        by_name.or_else(|| known.get(&Key::of(part, id)?)).copied()
    }

    /// What a type that has a name at a border is: a resource of its own, or one that is there.
    fn bounds(
        &mut self,
        part: usize,
        referenced: ComponentAnyTypeId,
        created: ComponentAnyTypeId,
        (group, export): (usize, Option<&str>),
    ) -> Result<TypeBounds, LinkError> {
        let origin = Key::of(part, created).and_then(|key| self.origins.get(&key));
        let is_own = matches!((created, origin),
            (ComponentAnyTypeId::Resource(_), Some(Origin::Import(from, name)))
                if (*from, *name) == (group, export));
        Ok(match is_own {
            true => TypeBounds::SubResource,
            false => TypeBounds::Eq(self.number(part, referenced)?),
        })
    }

    /// What was exported as `index` has types that functions behind it may use.
    pub(super) fn exported(&mut self, part: usize, ty: &'b ComponentEntityType, index: u32) {
        if let ComponentEntityType::Type { created, .. } = ty {
            self.know(part, *created, Some(index));
            return;
        }
        for (created, export) in types_of(&self.parts[part], Some(ty)) {
            if let Some((key, export)) = Key::of(part, created).zip(export) {
                self.origins.entry(key).or_insert(Origin::Instance(index, export));
            }
        }
    }

    /// The type of a function.
    pub(super) fn function(
        &mut self,
        part: usize,
        id: ComponentFuncTypeId,
    ) -> Result<u32, LinkError> {
        let function = &self.parts[part].types[id];
        let mut parameters = Vec::with_capacity(function.params.len());
        for (name, ty) in &function.params {
            parameters.push((name.as_str(), self.value(part, ty)?));
        }
        let result = function.result.map(|ty| self.value(part, &ty)).transpose()?;
        let (number, encoder) = self.next();
        let mut encoder = encoder.function();
        encoder.async_(function.async_).params(parameters).result(result);
        Ok(number)
    }

    fn value(
        &mut self,
        part: usize,
        ty: &component_types::ComponentValType,
    ) -> Result<ComponentValType, LinkError> {
        Ok(match ty {
            component_types::ComponentValType::Primitive(ty) => {
                ComponentValType::Primitive((*ty).into())
            }
            component_types::ComponentValType::Type(id) => {
                ComponentValType::Type(self.number(part, (*id).into())?)
            }
        })
    }

    fn maybe(
        &mut self,
        part: usize,
        ty: Option<&component_types::ComponentValType>,
    ) -> Result<Option<ComponentValType>, LinkError> {
        ty.map(|ty| self.value(part, ty)).transpose()
    }

    /// The number of a type, where types are written.
    fn number(&mut self, part: usize, id: ComponentAnyTypeId) -> Result<u32, LinkError> {
        let types = &self.parts[part].types;
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(key) = Key::of(part, id) else { break };
            if let Some(number) = self.known(part, id) {
                return Ok(number);
            }
            if let Some(origin) = self.origins.get(&key).copied()
                && let Some(number) = self.taken(origin)?
            {
                self.know(part, id, Some(number));
                return Ok(number);
            }
            next = types.peel_alias(id);
        }
        match id {
            ComponentAnyTypeId::Defined(defined) => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(refused(format!("types are more than {DEPTH_MAX} deep")));
                }
                let number = self.defined(part, defined)?;
                self.depth -= 1;
                self.know(part, id, Some(number));
                Ok(number)
            }
            _ => Err(refused("a type stands at the border that has no name there".to_owned())),
        }
    }

    /// A type that has a name elsewhere; nothing where that is the instance that is written.
    fn taken(&mut self, origin: Origin<'b>) -> Result<Option<u32>, LinkError> {
        let (instance, export) = match origin {
            Origin::Import(group, _)
                if self.inner.as_ref().is_some_and(|inner| inner.group == group) =>
            {
                return Ok(None);
            }
            Origin::Import(group, export) => (self.import(group)?, export),
            Origin::Instance(instance, export) => (instance, Some(export)),
            Origin::Filled(import) => {
                return Err(refused(format!(
                    "a type of {import}, which a plug fills, stands in what remains imported or is exported"
                )));
            }
        };
        let index = match export {
            Some(name) => self.builder.alias_export(instance, name, ComponentExportKind::Type),
            None => instance,
        };
        let Some(inner) = &mut self.inner else { return Ok(Some(index)) };
        let number = inner.ty.type_count();
        inner.ty.alias(Alias::Outer { kind: ComponentOuterAliasKind::Type, count: 1, index });
        Ok(Some(number))
    }

    /// Writes a type that is made of others.
    fn defined(&mut self, part: usize, id: ComponentDefinedTypeId) -> Result<u32, LinkError> {
        let parts = self.parts;
        Ok(match &parts[part].types[id] {
            ComponentDefinedType::Primitive(ty) => {
                let (number, encoder) = self.next();
                encoder.defined_type().primitive((*ty).into());
                number
            }
            ComponentDefinedType::Record(record) => {
                let mut fields = Vec::with_capacity(record.fields.len());
                for (name, ty) in &record.fields {
                    fields.push((name.as_str(), self.value(part, ty)?));
                }
                let (number, encoder) = self.next();
                encoder.defined_type().record(fields);
                number
            }
            ComponentDefinedType::Variant(variant) => {
                let mut cases = Vec::with_capacity(variant.cases.len());
                for (name, case) in &variant.cases {
                    cases.push((name.as_str(), self.maybe(part, case.ty.as_ref())?));
                }
                let (number, encoder) = self.next();
                encoder.defined_type().variant(cases);
                number
            }
            ComponentDefinedType::List { element, .. } => {
                let element = self.value(part, element)?;
                let (number, encoder) = self.next();
                encoder.defined_type().list(element);
                number
            }
            ComponentDefinedType::Tuple(tuple) => {
                let mut elements = Vec::with_capacity(tuple.types.len());
                for ty in &tuple.types {
                    elements.push(self.value(part, ty)?);
                }
                let (number, encoder) = self.next();
                encoder.defined_type().tuple(elements);
                number
            }
            ComponentDefinedType::Flags(names) => {
                let (number, encoder) = self.next();
                encoder.defined_type().flags(names.iter().map(|name| name.as_str()));
                number
            }
            ComponentDefinedType::Enum(names) => {
                let (number, encoder) = self.next();
                encoder.defined_type().enum_type(names.iter().map(|name| name.as_str()));
                number
            }
            ComponentDefinedType::Option { ty, .. } => {
                let ty = self.value(part, ty)?;
                let (number, encoder) = self.next();
                encoder.defined_type().option(ty);
                number
            }
            ComponentDefinedType::Result { ok, err, .. } => {
                let ok = self.maybe(part, ok.as_ref())?;
                let err = self.maybe(part, err.as_ref())?;
                let (number, encoder) = self.next();
                encoder.defined_type().result(ok, err);
                number
            }
            ComponentDefinedType::Own(id) => {
                let resource = self.number(part, (*id).into())?;
                let (number, encoder) = self.next();
                encoder.defined_type().own(resource);
                number
            }
            ComponentDefinedType::Borrow(id) => {
                let resource = self.number(part, (*id).into())?;
                let (number, encoder) = self.next();
                encoder.defined_type().borrow(resource);
                number
            }
            // Nothing that was validated has these.
            ComponentDefinedType::Map { .. }
            | ComponentDefinedType::FixedLengthList { .. }
            | ComponentDefinedType::Future { .. }
            | ComponentDefinedType::Stream { .. } => {
                return Err(defect("a type that is not supported"));
            }
        })
    }

    /// What the next type is written with.
    fn next(&mut self) -> (u32, ComponentTypeEncoder<'_>) {
        match &mut self.inner {
            Some(inner) => (inner.ty.type_count(), inner.ty.ty()),
            None => self.builder.ty(None),
        }
    }
}

/// The types that something at a border makes, and by which name of an instance.
fn types_of<'b>(
    border: &'b Border<'b>,
    ty: Option<&'b ComponentEntityType>,
) -> Vec<(ComponentAnyTypeId, Option<&'b str>)> {
    match ty {
        Some(ComponentEntityType::Type { created, .. }) => vec![(*created, None)],
        Some(ComponentEntityType::Instance(id)) => {
            let exports = border.types[*id].exports.iter();
            let types = exports.filter_map(|(name, item)| match item.ty {
                ComponentEntityType::Type { created, .. } => Some((created, Some(name.as_str()))),
                _ => None,
            });
            types.collect()
        }
        _ => Vec::new(),
    }
}

/// What stands at a border that no composition can have there.
fn refused(what: String) -> LinkError {
    ComponentError::PlugBorder(what).into()
}
