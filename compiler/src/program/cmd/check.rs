//! `bls-compile check`: what a module is and needs, without writing anything.

use super::cpu::machines;
use super::{Failure, print, print_json};
use crate::child::{Child, Job};
use crate::describe::Description;
use crate::pipeline::{Front, Options};
use crate::program::cli::Check;
use crate::program::modules::{self, Inputs};
use bls_artifact::capability::{Capability, Permission};
use bls_artifact::cpu::Machine;
use bls_artifact::host_table::{Provided, provided};
use bls_artifact::manifest::{Import, Kind, Memory, Module};
use bls_artifact::quantity::show_size;
use bls_artifact::recipe::TYPED_CALL;
use bls_artifact::text::{NAME_BYTES_SHOWN, printable, shortened};
use serde_json::json;
use std::fmt::Write as _;

pub(super) fn run(arguments: &Check) -> Result<(), Failure> {
    let mut options = Options::new(machines(&arguments.target, None)?);
    match checked(arguments, &mut options) {
        Ok(front) if arguments.json => print_json(&accepted(&front, &front.description, &options)),
        Ok(front) => print(&table(&front, &front.description)),
        Err(error) => {
            if arguments.json {
                let mut answer = error.json();
                answer["accepted"] = json!(false);
                print_json(&answer)?;
            }
            Err(error)
        }
    }
}

/// The module, if it would become an artifact.
fn checked(arguments: &Check, options: &mut Options) -> Result<Front, Failure> {
    let Inputs { given, config, .. } = modules::read(&arguments.input, &arguments.with)?;
    if let Some(config) = config {
        modules::apply(&config, options);
    }
    let mut child = Child::start(given, Job::Front(options.clone()), arguments.bounded.into())?;
    let _ = options.artifact_name(child.read()?.name())?;
    Ok(child.front(&mut |_| {})?)
}

/// The answer for a program.
fn accepted(front: &Front, description: &Description, options: &Options) -> serde_json::Value {
    let source = front.validated.source();
    json!({
        "accepted": true,
        "name": source.name(),
        "source_sha256": source.given(),
        "sizes": { "source": source.given_bytes(), "metered": front.audited.wasm().len() },
        "component": source.world().map(|world| world.lines().collect::<Vec<_>>()),
        "calls": source.calls(),
        "functions": description.functions,
        "module": description.module,
        "may_use": description.may_use,
        "not_in_loader": description
            .module
            .imports
            .iter()
            .filter_map(|import| {
                let why = unprovided(import)?;
                Some(json!({ "module": import.module, "name": import.name, "why": why }))
            })
            .collect::<Vec<_>>(),
        "fuel": front.audited.fuel(),
        "targets": options.machines.iter().map(Machine::target).collect::<Vec<_>>(),
        "machines": options.machines.iter().map(Machine::to_string).collect::<Vec<_>>(),
    })
}

/// The answer for a person.
fn table(front: &Front, description: &Description) -> String {
    let source = front.validated.source();
    let given = source.given_bytes();
    let metered = front.audited.wasm().len() as u64;
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "name       {}", source.name());
    let _ = writeln!(text, "size       {} ({given} bytes)", show_size(given));
    let _ = writeln!(text, "sha256     {}", source.given());
    for part in source.recipe().iter().flat_map(|recipe| recipe.modules()) {
        let _ = writeln!(text, "linked     {} {}", part.sha256, escaped(&part.name));
    }
    for line in source.world().iter().flat_map(|world| world.lines()) {
        let _ = writeln!(text, "component  {line}");
    }
    let _ = writeln!(text, "functions  {}", description.functions);
    write_module(&mut text, &description.module, None, &description.may_use, &[]);
    if !source.calls().is_empty() {
        let _ = writeln!(text, "calls      {}, by their types", source.calls().len());
    }
    for function in source.calls() {
        let _ = writeln!(text, "  {}", printable(function));
    }
    write_unprovided(&mut text, &description.module);
    if let Some(fuel) = front.audited.fuel() {
        let _ = writeln!(
            text,
            "metered    {} ({:+.1} %), at most {} units between checks, {} to instantiate",
            show_size(metered),
            (metered as f64 / source.wasm().len() as f64 - 1.0) * 100.0,
            fuel.overrun_max,
            fuel.instantiation,
        );
    }
    let _ = writeln!(text, "accepted   yes");
    text
}

/// What an import wants that no loader has; `None` where one has it.
fn unprovided(import: &Import) -> Option<&'static str> {
    match provided(&import.module, &import.name, &import.ty) {
        Provided::Fits => None,
        Provided::OtherType => Some("of another type than the host's"),
        Provided::Unknown if import.ty.starts_with("func") => Some(UNKNOWN),
        Provided::Unknown => Some("no function, and a host has nothing else"),
    }
}

/// What is said of a function with which a guest may still start.
const UNKNOWN: &str = "no host has it";

/// The lines about imports with which bls-load would refuse it.
fn write_unprovided(text: &mut String, module: &Module) {
    let missing: Vec<(&Import, &str)> =
        module.imports.iter().filter_map(|import| Some((import, unprovided(import)?))).collect();
    if missing.is_empty() {
        return;
    }
    let _ = writeln!(text, "not in bls-load, which refuses to run it with them:");
    for (import, why) in &missing {
        let (from, name) = (escaped(&import.module), escaped(&import.name));
        let _ = writeln!(text, "  {from} {name}  {why}");
    }
    if missing.iter().all(|(_, why)| *why == UNKNOWN) {
        let _ = writeln!(text, "  if it does well without: bls-load --unknown-imports trap");
    }
}

/// The lines about a module from outside; `inspect` has the same. `unlisted` is how many
/// exports it has where `module` does not list them.
pub(super) fn write_module(
    text: &mut String,
    module: &Module,
    unlisted: Option<u64>,
    may_use: &[Capability],
    needs: &[Permission],
) {
    let kind = match module.kind {
        Kind::Command if module.exports.iter().any(|export| export.name == TYPED_CALL) => {
            "library (its functions are called by their types)"
        }
        Kind::Command if module.exports.iter().any(|export| export.name.is_empty()) => {
            "command (has a default export)"
        }
        Kind::Command if unlisted.is_some() => "command",
        Kind::Command => "command (has _start)",
        Kind::Reactor => "reactor (has _initialize)",
        Kind::Library => "library (neither _start nor _initialize)",
    };
    let start = if module.start { ", with a start function" } else { "" };
    let _ = writeln!(text, "kind       {kind}{start}");
    let names: Vec<&str> = may_use.iter().map(|capability| capability.name()).collect();
    let _ = writeln!(text, "may use    {}", or_nothing(&names.join(", ")));
    for need in needs {
        let _ = writeln!(text, "needs      {need}");
    }
    let memories: Vec<String> = module.memories.iter().map(show_memory).collect();
    let _ = writeln!(text, "memories   {}", or_nothing(&memories.join(", ")));
    let tables: Vec<String> = module
        .tables
        .iter()
        .map(|table| match table.maximum {
            Some(maximum) if maximum == table.minimum => format!("{maximum} elements"),
            Some(maximum) => format!("{} to {maximum} elements", table.minimum),
            None => format!("{} elements or more", table.minimum),
        })
        .collect();
    let _ = writeln!(text, "tables     {}", or_nothing(&tables.join(", ")));
    let _ = writeln!(text, "imports    {}", or_nothing(&count(module.imports.len())));
    for import in &module.imports {
        // Names are the module's: nothing in them reaches a terminal unescaped.
        let (from, name) = (escaped(&import.module), escaped(&import.name));
        let _ = writeln!(text, "  {from} {name}  {}", import.ty);
    }
    let _ = match unlisted {
        Some(count) => writeln!(text, "exports    {count}, too many for a manifest to list"),
        None => writeln!(text, "exports    {}", or_nothing(&count(module.exports.len()))),
    };
    for export in &module.exports {
        let _ = writeln!(text, "  {}  {}", escaped(&export.name), export.ty);
    }
}

/// A name whose every character can be told from every other.
fn escaped(name: &str) -> String {
    shortened(name, NAME_BYTES_SHOWN).escape_default().to_string()
}

fn show_memory(memory: &Memory) -> String {
    let size = |pages: u64| show_size(pages.saturating_mul(memory.page_size));
    let width = if memory.address_bits == 64 { " (64-bit)" } else { "" };
    match memory.maximum {
        Some(maximum) if maximum == memory.minimum => format!("{}{width}", size(maximum)),
        Some(maximum) => format!("{} to {}{width}", size(memory.minimum), size(maximum)),
        None => format!("{} or more{width}", size(memory.minimum)),
    }
}

fn count(number: usize) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
