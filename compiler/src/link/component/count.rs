//! How much a component becomes when all that it instantiates is there: counted before anything of
//! it is made.
//!
//! A component can instantiate another one many times, and that one a third: each level multiplies,
//! so a few hundred bytes can ask for more instances than any memory holds. What is walked through
//! here is what the translator makes of it, component by component, with their arguments; nothing is
//! made, and the walk ends where there is too much. May assume a valid component. What a host would
//! have to give (a component that is imported) counts as nothing: it is refused later.

use super::error::ComponentError;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Parser, Payload,
};

/// The most instances of components and modules, one inside the other and side by side.
pub(super) const INSTANCES_MAX: u64 = 4096;
/// The most definitions in all of them: imports, aliases, functions, types, exports.
pub(super) const DEFINITIONS_MAX: u64 = 1 << 18;
/// The most components that are begun inside one another.
const DEPTH_MAX: u64 = 256;

/// What a component does that matters here, in order.
enum Step<'a> {
    /// A component is defined.
    Define(usize),
    /// One is instantiated.
    Instantiate(u32, Vec<Named<'a>>),
    /// Some of what is there is called an instance.
    Bundle(Vec<Named<'a>>),
    /// Something of an instance.
    OfInstance(Sort, u32, &'a str),
    /// A component of one around this.
    OfOuter(u32, u32),
    Import(Sort, &'a str),
    Export(Named<'a>),
    /// So many modules are instantiated.
    Modules(u64),
}

/// What is followed: components, and instances that may hold some.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Component,
    Instance,
}

impl Sort {
    fn of(kind: ComponentExternalKind) -> Option<Self> {
        match kind {
            ComponentExternalKind::Component => Some(Self::Component),
            ComponentExternalKind::Instance => Some(Self::Instance),
            _ => None,
        }
    }
}

/// Something by a name.
struct Named<'a> {
    name: &'a str,
    sort: Sort,
    index: u32,
}

impl<'a> Named<'a> {
    fn of(name: &'a str, kind: ComponentExternalKind, index: u32) -> Option<Self> {
        Some(Self { name, sort: Sort::of(kind)?, index })
    }
}

/// A component as it is written.
#[derive(Default)]
struct Definition<'a> {
    steps: Vec<Step<'a>>,
    /// How many definitions it has, of any sort.
    count: u64,
}

/// A component or an instance, while it is counted.
#[derive(Clone)]
enum Value<'a> {
    /// Which, and what it is defined in.
    Component(usize, Option<Rc<Frame<'a>>>),
    Instance(Rc<HashMap<&'a str, Value<'a>>>),
    /// The host's.
    Unknown,
}

/// What there is in an instance of a component, so far.
#[derive(Default)]
struct Frame<'a> {
    components: RefCell<Vec<Value<'a>>>,
    around: Option<Rc<Frame<'a>>>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) instances: u64,
    pub(super) definitions: u64,
}

/// Counts; refuses what is too much.
pub(super) fn count(component: &[u8]) -> Result<Counted, ComponentError> {
    let definitions = read(component).map_err(|error| {
        ComponentError::Invalid(error.message().to_owned(), Some(error.offset()))
    })?;
    let mut counter = Counter { definitions: &definitions, ..Counter::default() };
    let run = counter.run(0, None, &HashMap::new());
    // What is defined in a frame holds it.
    for frame in counter.frames {
        frame.components.borrow_mut().clear();
    }
    run.map(|_| Counted { instances: counter.instances, definitions: counter.count })
}

#[derive(Default)]
struct Counter<'d, 'a> {
    definitions: &'d [Definition<'a>],
    frames: Vec<Rc<Frame<'a>>>,
    instances: u64,
    count: u64,
    depth: u64,
}

fn at_most(what: &'static str, found: u64, most: u64) -> Result<(), ComponentError> {
    if found > most { Err(ComponentError::TooMany(what, found, most)) } else { Ok(()) }
}

impl<'a> Counter<'_, 'a> {
    fn more_instances(&mut self, more: u64) -> Result<(), ComponentError> {
        self.instances += more;
        at_most("instances", self.instances, INSTANCES_MAX)
    }

    /// Counts one component with its arguments; what it exports.
    fn run(
        &mut self,
        which: usize,
        around: Option<Rc<Frame<'a>>>,
        arguments: &HashMap<&'a str, Value<'a>>,
    ) -> Result<HashMap<&'a str, Value<'a>>, ComponentError> {
        let definitions = self.definitions;
        let Some(definition) = definitions.get(which) else { return Ok(HashMap::new()) };
        self.more_instances(1)?;
        self.count += definition.count;
        at_most("definitions in its instances", self.count, DEFINITIONS_MAX)?;
        self.depth += 1;
        at_most("components inside one another", self.depth, DEPTH_MAX)?;
        let frame = Rc::new(Frame { around, ..Frame::default() });
        self.frames.push(frame.clone());
        let mut instances: Vec<Value<'a>> = Vec::new();
        let mut exports = HashMap::new();
        for step in &definition.steps {
            let get = |sort: Sort, index: u32, instances: &[Value<'a>]| {
                let found = match sort {
                    Sort::Component => frame.components.borrow().get(index as usize).cloned(),
                    Sort::Instance => instances.get(index as usize).cloned(),
                };
                found.unwrap_or(Value::Unknown)
            };
            let all = |named: &[Named<'a>], instances: &[Value<'a>]| {
                let value = |one: &Named<'a>| (one.name, get(one.sort, one.index, instances));
                named.iter().map(value).collect::<HashMap<_, _>>()
            };
            let (sort, value) = match step {
                Step::Define(which) => {
                    (Sort::Component, Value::Component(*which, Some(frame.clone())))
                }
                Step::Instantiate(component, given) => {
                    let value = match get(Sort::Component, *component, &instances) {
                        Value::Component(which, around) => {
                            let given = all(given, &instances);
                            Value::Instance(Rc::new(self.run(which, around, &given)?))
                        }
                        _ => Value::Unknown,
                    };
                    (Sort::Instance, value)
                }
                Step::Bundle(named) => {
                    (Sort::Instance, Value::Instance(Rc::new(all(named, &instances))))
                }
                Step::OfInstance(sort, instance, name) => {
                    let found = match get(Sort::Instance, *instance, &instances) {
                        Value::Instance(exports) => exports.get(name).cloned(),
                        _ => None,
                    };
                    (*sort, found.unwrap_or(Value::Unknown))
                }
                Step::OfOuter(levels, index) => {
                    let mut outer = Some(frame.clone());
                    for _ in 0..*levels {
                        outer = outer.and_then(|frame| frame.around.clone());
                    }
                    let found = outer
                        .and_then(|outer| outer.components.borrow().get(*index as usize).cloned());
                    (Sort::Component, found.unwrap_or(Value::Unknown))
                }
                Step::Import(sort, name) => {
                    (*sort, arguments.get(name).cloned().unwrap_or(Value::Unknown))
                }
                Step::Export(named) => {
                    let value = get(named.sort, named.index, &instances);
                    exports.insert(named.name, value.clone());
                    (named.sort, value)
                }
                Step::Modules(more) => {
                    self.more_instances(*more)?;
                    continue;
                }
            };
            match sort {
                Sort::Component => frame.components.borrow_mut().push(value),
                Sort::Instance => instances.push(value),
            }
        }
        self.depth -= 1;
        Ok(exports)
    }
}

/// All components of a component, itself first.
fn read(component: &[u8]) -> Result<Vec<Definition<'_>>, wasmparser::Error> {
    let mut all: Vec<Definition<'_>> = Vec::new();
    // Which one is read, and the ones around it; nothing inside a module.
    let mut open: Vec<Option<usize>> = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        match payload {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } => {
                open.push(None);
                continue;
            }
            Payload::Version { .. } => {
                let around = open.last().copied().flatten();
                let own = all.len();
                if let Some(around) = around.and_then(|around| all.get_mut(around)) {
                    around.steps.push(Step::Define(own));
                }
                all.push(Definition::default());
                open.push(Some(own));
                continue;
            }
            Payload::End(_) => {
                open.pop();
                continue;
            }
            _ => {}
        }
        let Some(own) = open.last().copied().flatten().and_then(|at| all.get_mut(at)) else {
            continue;
        };
        own.take(payload)?;
    }
    Ok(all)
}

impl<'a> Definition<'a> {
    fn take(&mut self, payload: Payload<'a>) -> Result<(), wasmparser::Error> {
        match payload {
            Payload::InstanceSection(section) => {
                self.steps.push(Step::Modules(u64::from(section.count())));
                self.count += u64::from(section.count());
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    match instance? {
                        ComponentInstance::Instantiate { component_index, args } => {
                            self.count += 1 + args.len() as u64;
                            let named = args
                                .iter()
                                .filter_map(|arg| Named::of(arg.name, arg.kind, arg.index));
                            self.steps.push(Step::Instantiate(component_index, named.collect()));
                        }
                        ComponentInstance::FromExports(exports) => {
                            self.count += 1 + exports.len() as u64;
                            let named = exports
                                .iter()
                                .filter_map(|one| Named::of(one.name.name, one.kind, one.index));
                            self.steps.push(Step::Bundle(named.collect()));
                        }
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.count += 1;
                    match alias? {
                        ComponentAlias::InstanceExport { kind, instance_index, name } => {
                            let sort = Sort::of(kind);
                            let step = |sort| Step::OfInstance(sort, instance_index, name);
                            self.steps.extend(sort.map(step));
                        }
                        ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::Component,
                            count,
                            index,
                        } => self.steps.push(Step::OfOuter(count, index)),
                        _ => {}
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.count += 1;
                    let import = import?;
                    let sort = match import.ty {
                        ComponentTypeRef::Component(_) => Sort::Component,
                        ComponentTypeRef::Instance(_) => Sort::Instance,
                        _ => continue,
                    };
                    self.steps.push(Step::Import(sort, import.name.name));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.count += 1;
                    let export = export?;
                    let named = Named::of(export.name.name, export.kind, export.index);
                    self.steps.extend(named.map(Step::Export));
                }
            }
            Payload::ComponentTypeSection(section) => self.count += u64::from(section.count()),
            Payload::CoreTypeSection(section) => self.count += u64::from(section.count()),
            Payload::ComponentCanonicalSection(section) => self.count += u64::from(section.count()),
            _ => {}
        }
        Ok(())
    }
}
