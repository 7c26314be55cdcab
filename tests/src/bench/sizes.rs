//! `bench sizes`: what native images are made of, guest by guest and target by target.
//!
//! All is compiled in this process, through the compiler's own pipeline, so that an image can be
//! taken apart: its sections, how much of its code is functions, what metering and canonical NaNs
//! add. The peer is what the same engine makes of the same module with its own settings. What
//! nothing reaches from outside is found in the source: a linker has been there before.

use super::size::guests;
use super::statistics::geometric_mean;
use super::table::{Table, dash, kilobytes, ratio};
use crate::programs::fixtures;
use crate::{embedded, parts};
use bls_artifact::target::{Nans, Target};
use bls_compiler::input::Source;
use bls_compiler::pipeline::{self, Options};
use bls_loader::{Loader, Trust};
use object::{Object as _, ObjectSection as _};
use std::path::{Path, PathBuf};
use wasmparser::{ElementItems, ExternalKind, FunctionBody, Operator, Parser, Payload};

/// The level that compressed parts and modules are compared at.
const LEVEL: u32 = 19;

/// Sections that have a column; the others, headers and what aligns sections are "rest".
const SECTIONS: [(&str, &str); 6] = [
    (".text", "code"),
    (".wasmtime.traps", "traps"),
    (".wasmtime.exceptions", "exceptions"),
    (".rodata.wasm", "data"),
    (".name.wasm", "names"),
    (".wasmtime.info", "info"),
];

/// Prints the tables.
pub(super) fn run() -> Result<(), String> {
    let host = Target::host().ok_or("there is no native target for this machine")?;
    let guests: Vec<Guest> = guests().into_iter().filter_map(|path| guest(path, host)).collect();
    sizes(&guests, host);
    sections(&guests, host);
    code(&guests, host);
    targets(&guests, host);
    Ok(())
}

/// A part, as it is stored and as it is mapped.
struct Made {
    stored: u64,
    image: Vec<u8>,
}

impl Made {
    /// Bytes of a section.
    fn section(&self, name: &str) -> u64 {
        let file = object::File::parse(&*self.image).ok();
        file.and_then(|file| Some(file.section_by_name(name)?.size())).unwrap_or(0)
    }

    /// Bytes of `.text` up to its last byte that is not zero: it is filled up to a page.
    fn code(&self) -> u64 {
        let file = object::File::parse(&*self.image).ok();
        let code = file.as_ref().and_then(|file| file.section_by_name(".text")?.data().ok());
        code.and_then(|code| code.iter().rposition(|byte| *byte != 0)).map_or(0, |at| at as u64 + 1)
    }

    /// Bytes at that level.
    fn compressed(&self) -> u64 {
        compressed(&self.image)
    }
}

fn compressed(bytes: &[u8]) -> u64 {
    zstd::bulk::compress(bytes, LEVEL.cast_signed()).map_or(0, |frame| frame.len() as u64)
}

/// One guest, compiled in each way.
struct Guest {
    name: String,
    wasm: u64,
    wasm_compressed: u64,
    metered: Made,
    unmetered: Made,
    /// Unmetered, and with NaNs as the processor makes them.
    bare: Made,
    /// What the engine makes with its own settings.
    peer: Option<Made>,
    layout: Option<Layout>,
    /// Bytes of functions that nothing reaches, and of all.
    dead: (u64, u64),
    others: Vec<(Target, Made)>,
}

fn guest(path: PathBuf, host: Target) -> Option<Guest> {
    let within = path.strip_prefix(fixtures()).map(|path| format!("fixtures/{}", path.display()));
    let name = within.unwrap_or_else(|_| super::artifacts::stem(&path));
    eprintln!("sizes: {name}");
    match taken_apart(&name, &path, host) {
        Ok(guest) => Some(guest),
        Err(what) => {
            println!("left out: {name}: {what}");
            None
        }
    }
}

fn taken_apart(name: &str, path: &Path, host: Target) -> Result<Guest, String> {
    let wasm = std::fs::read(path).map_err(|error| error.to_string())?;
    let one = |options: &Options| made(&wasm, options)?.pop().ok_or_else(String::new);
    let native = Options::new(vec![host]);
    let bare = Options { metered: false, nans: Nans::Fast, ..native.clone() };
    let mut others = Vec::new();
    for target in Target::ALL.into_iter().filter(|target| *target != host) {
        // The code generator has modules that it does not get through for some targets.
        let options = Options::new(vec![target]);
        if let Ok(Ok(made)) = std::panic::catch_unwind(|| one(&options)) {
            others.push((target, made));
        }
    }
    Ok(Guest {
        name: name.to_owned(),
        wasm: wasm.len() as u64,
        wasm_compressed: compressed(&wasm),
        metered: one(&native)?,
        unmetered: one(&Options { metered: false, ..native.clone() })?,
        bare: one(&bare)?,
        peer: peer(&wasm, &native, host),
        layout: layout(&wasm),
        dead: dead(&wasm).map_err(|error| error.to_string())?,
        others,
    })
}

/// The parts that these options give.
fn made(wasm: &[u8], options: &Options) -> Result<Vec<Made>, String> {
    let source = Source::new(wasm.to_vec(), "guest.wasm").map_err(|error| error.to_string())?;
    let assembled = pipeline::assemble_source(source, options, &mut |_| {})
        .map_err(|error| error.to_string())?;
    let all = assembled.manifest().parts.iter().zip(assembled.parts());
    let made = all
        .map(|(part, bytes)| Made { stored: bytes.len() as u64, image: parts::image(part, bytes) });
    Ok(made.collect())
}

/// What the engine makes with its own settings, but for the proposals.
fn peer(wasm: &[u8], options: &Options, host: Target) -> Option<Made> {
    let mut config = wasmtime::Config::new();
    config.wasm_features(options.profile(host).wasm_features(), true);
    let engine = wasmtime::Engine::new(&config).ok()?;
    let image = engine.precompile_module(wasm).ok()?;
    Some(Made { stored: image.len() as u64, image })
}

/// How the code of this machine's image is made up.
struct Layout {
    /// Functions of the guest.
    functions: u64,
    /// What aligns them.
    padding: u64,
    /// All else: what calls in and out, and the engine's own functions.
    trampolines: u64,
}

fn layout(wasm: &[u8]) -> Option<Layout> {
    let artifact =
        pipeline::build(wasm.to_vec(), "guest", &embedded::options(), &[&embedded::key()]);
    let loader = Loader::new(Trust::key(embedded::key().public()));
    let verified = loader.open_bytes("guest", artifact.ok()?.bytes().to_vec()).ok()?;
    let module = verified.module().ok()?;
    let mut ranges: Vec<(usize, usize)> = module
        .functions()
        .map(|function| (function.offset, function.offset + function.len))
        .collect();
    ranges.sort_unstable();
    let functions: usize = ranges.iter().map(|(begin, end)| end - begin).sum();
    let padding = ranges.windows(2).map(|pair| pair[1].0 - pair[0].1).filter(|gap| *gap < 64);
    let (functions, padding) = (functions as u64, padding.sum::<usize>() as u64);
    let code = module.text().iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
    Some(Layout { functions, padding, trampolines: code.saturating_sub(functions + padding) })
}

/// Bytes of the bodies of functions that nothing reaches from exports, the start function, segments
/// and globals; and of all bodies.
fn dead(wasm: &[u8]) -> Result<(u64, u64), wasmparser::BinaryReaderError> {
    let mut imported = 0;
    let mut reached = Vec::new();
    let mut bodies: Vec<FunctionBody<'_>> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += u32::from(matches!(import?.ty, wasmparser::TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    reached.extend((export.kind == ExternalKind::Func).then_some(export.index));
                }
            }
            Payload::StartSection { func, .. } => reached.push(func),
            Payload::GlobalSection(globals) => {
                for global in globals {
                    named(global?.init_expr.get_operators_reader(), &mut reached)?;
                }
            }
            Payload::ElementSection(segments) => {
                for segment in segments {
                    match segment?.items {
                        ElementItems::Functions(functions) => {
                            for function in functions {
                                reached.push(function?);
                            }
                        }
                        ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                named(expression?.get_operators_reader(), &mut reached)?;
                            }
                        }
                    }
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body),
            _ => {}
        }
    }
    let mut is_seen = vec![false; bodies.len()];
    while let Some(function) = reached.pop() {
        let Some(index) = function.checked_sub(imported).map(|index| index as usize) else {
            continue;
        };
        if index < bodies.len() && !std::mem::replace(&mut is_seen[index], true) {
            named(bodies[index].get_operators_reader()?, &mut reached)?;
        }
    }
    let bytes = |body: &FunctionBody<'_>| body.range().len() as u64;
    let unseen = bodies.iter().zip(&is_seen).filter(|(_, is_seen)| !**is_seen);
    Ok((unseen.map(|(body, _)| bytes(body)).sum(), bodies.iter().map(bytes).sum()))
}

/// Adds the functions that these operators name.
fn named(
    operators: wasmparser::OperatorsReader<'_>,
    functions: &mut Vec<u32>,
) -> Result<(), wasmparser::BinaryReaderError> {
    for operator in operators {
        match operator? {
            Operator::Call { function_index }
            | Operator::ReturnCall { function_index }
            | Operator::RefFunc { function_index } => functions.push(function_index),
            _ => {}
        }
    }
    Ok(())
}

/// Parts of a whole, in percent.
fn percent(part: u64, whole: u64) -> String {
    format!("{:.1}", 100.0 * part as f64 / whole.max(1) as f64)
}

fn over(bytes: u64, whole: u64) -> f64 {
    bytes as f64 / whole as f64
}

/// A row of geometric means behind a table's rows.
fn means(table: &mut Table, columns: &[Vec<f64>], empty: usize) {
    let mut row = vec!["geometric mean".to_owned()];
    row.resize(empty + 1, String::new());
    row.extend(columns.iter().map(|column| ratio(geometric_mean(column))));
    table.row(row);
}

fn sizes(guests: &[Guest], host: Target) {
    let mut table = Table::new(&[
        "guest",
        "wasm KB",
        "stored KB",
        "image KB",
        "stored ÷ wasm",
        "image ÷ wasm",
        "cwasm ÷ wasm",
        "compressed ÷ zstd of wasm",
        "cwasm's",
    ]);
    let mut columns: [Vec<f64>; 5] = Default::default();
    for guest in guests {
        let made = &guest.metered;
        let image = made.image.len() as u64;
        let peer = guest.peer.as_ref();
        let ratios = [
            Some(over(made.stored, guest.wasm)),
            Some(over(image, guest.wasm)),
            peer.map(|peer| over(peer.stored, guest.wasm)),
            Some(over(made.compressed(), guest.wasm_compressed)),
            peer.map(|peer| over(peer.compressed(), guest.wasm_compressed)),
        ];
        let mut row = vec![guest.name.clone()];
        row.extend([guest.wasm, made.stored, image].map(kilobytes));
        for (column, value) in columns.iter_mut().zip(ratios) {
            column.extend(value);
            row.push(ratio(value));
        }
        table.row(row);
    }
    means(&mut table, &columns, 3);
    table.print(&format!(
        "sizes: parts for {host}, metered: as stored without compression, as mapped, and under \
         zstd -{LEVEL}; beside what the engine makes with its own settings (cwasm). Budget, in the \
         mean: stored ≤ 2.0, compressed ≤ 1.8."
    ));
}

fn sections(guests: &[Guest], host: Target) {
    let names = SECTIONS.map(|(_, name)| name);
    let mut table = Table::new(&[&["guest", "image KB"][..], &names[..], &["rest"][..]].concat());
    for guest in guests {
        let made = &guest.metered;
        let image = made.image.len() as u64;
        let mut rest = image;
        let mut row = vec![guest.name.clone(), kilobytes(image)];
        for (section, _) in SECTIONS {
            let bytes = made.section(section);
            rest -= bytes;
            row.push(percent(bytes, image));
        }
        row.push(percent(rest, image));
        table.row(row);
    }
    table.print(&format!("sizes: sections of the images for {host}, in percent."));
}

fn code(guests: &[Guest], host: Target) {
    let mut table = Table::new(&[
        "guest",
        "code KB",
        "functions %",
        "padding %",
        "trampolines %",
        "÷ unmetered",
        "÷ bare",
        "unmetered KB",
        "image ÷ wasm",
        "dead %",
    ]);
    let mut columns: [Vec<f64>; 2] = Default::default();
    for guest in guests {
        let code = guest.metered.code();
        let mut row = vec![guest.name.clone(), kilobytes(code)];
        row.extend(guest.layout.as_ref().map_or_else(
            || [dash(), dash(), dash()],
            |layout| {
                [layout.functions, layout.padding, layout.trampolines]
                    .map(|bytes| percent(bytes, code))
            },
        ));
        for (column, other) in columns.iter_mut().zip([&guest.unmetered, &guest.bare]) {
            let value = over(code, other.code());
            column.push(value);
            row.push(ratio(Some(value)));
        }
        row.push(kilobytes(guest.unmetered.code()));
        row.push(ratio(Some(over(guest.unmetered.image.len() as u64, guest.wasm))));
        row.push(percent(guest.dead.0, guest.dead.1));
        table.row(row);
    }
    means(&mut table, &columns, 4);
    table.print(&format!(
        "sizes: code for {host}: what it is made of; beside the same unmetered, and bare \
         (unmetered, NaNs as they come); the unmetered image; and what of the source's functions \
         nothing reaches."
    ));
}

fn targets(guests: &[Guest], host: Target) {
    let mut headings = vec!["guest".to_owned()];
    let all: Vec<Target> = Target::ALL.into_iter().collect();
    headings.extend(all.iter().map(|target| target.triple().replace("-unknown-linux-gnu", "")));
    let mut table = Table::new(&headings);
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); all.len()];
    for guest in guests {
        let mut row = vec![guest.name.clone()];
        for (column, target) in columns.iter_mut().zip(&all) {
            let other = guest.others.iter().find(|(other, _)| other == target);
            let made = if *target == host { Some(&guest.metered) } else { other.map(|(_, m)| m) };
            let Some(made) = made else {
                row.push(dash());
                continue;
            };
            column.push(over(made.stored, guest.wasm));
            row.push(format!(
                "{:.2} {:.2} {:.2}",
                over(made.stored, guest.wasm),
                over(made.image.len() as u64, guest.wasm),
                over(made.compressed(), guest.wasm_compressed)
            ));
        }
        table.row(row);
    }
    means(&mut table, &columns, 0);
    table.print(
        "sizes: each target: stored ÷ wasm, image ÷ wasm, compressed ÷ zstd of the wasm; and the \
         geometric means of stored ÷ wasm.",
    );
}
