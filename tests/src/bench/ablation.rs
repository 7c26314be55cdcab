//! `bench ablation`: what each technique of the meter gives.
//!
//! Every program is metered with all techniques, and with all but one; each of these and the
//! program itself are compiled in several layouts of their code ([`super::dressed`]) and run
//! in turns. A technique's figure is the time without it over the time with all: what is
//! above 1 it has saved. With `--callgrind`, instructions too, which no layout changes much.

use super::artifacts::Made;
use super::fuel::{self, Program};
use super::instructions;
use super::statistics::{Samples, geometric_mean};
use super::table::{Table, ratio};
use super::{Bench, dressed};
use crate::modules;
use bls_compiler::meter::{self, Technique};

/// The program, with all techniques, and without each.
const VARIANTS: usize = 2 + Technique::ALL.len();

/// Times by layout and variant, in microseconds; instructions by variant.
pub(super) struct Measured {
    name: String,
    times: Vec<[Samples; VARIANTS]>,
    instructions: Option<[u64; VARIANTS]>,
}

/// Prints the tables.
pub(super) fn run(bench: &Bench, runs: usize, callgrind: bool) -> Result<(), String> {
    let measured = measure_all(bench, runs, callgrind)?;
    times(&measured).print(&format!(
        "ablation: run stage, medians of the ratios of {runs} pairs in turns, geometric means over {} programs. \
         metered: with all techniques over unmetered. no …: without it over with all.",
        measured.len()
    ));
    by_program(&measured);
    if callgrind {
        counted(&measured);
    }
    Ok(())
}

/// Measures every program; one that cannot be is named and left out.
pub(super) fn measure_all(
    bench: &Bench,
    runs: usize,
    callgrind: bool,
) -> Result<Vec<Measured>, String> {
    let mut measured = Vec::new();
    for program in fuel::programs()? {
        eprintln!("ablation: {}", program.name);
        match measure(bench, &program, runs, callgrind) {
            Ok(figures) => measured.push(figures),
            Err(what) => println!("{} is left out: {what}", program.name),
        }
    }
    Ok(measured)
}

fn measure(
    bench: &Bench,
    program: &Program,
    runs: usize,
    callgrind: bool,
) -> Result<Measured, String> {
    let wasm = std::fs::read(&program.module).map_err(|error| error.to_string())?;
    let module = modules::valid(wasm.clone()).ok_or("it is not valid")?;
    let metered = |technique| {
        meter::meter_without(&module, technique)
            .map(|metered| metered.wasm)
            .map_err(|error| error.to_string())
    };
    let mut variants = vec![wasm.clone(), metered(None)?];
    for technique in Technique::ALL {
        variants.push(metered(Some(technique))?);
    }
    let make = |layout: u32, variant: usize| {
        let name = format!("{}-{layout}-{variant}", program.name);
        let dressed = dressed::dress(&variants[variant], layout).ok_or("it cannot be dressed")?;
        let path = bench.home.path(&format!("{name}.wasm"));
        std::fs::write(&path, dressed).map_err(|error| error.to_string())?;
        bench.make(&path, &name, &["--no-fuel"])
    };
    let mut times = Vec::new();
    let mut first = Vec::new();
    for layout in 0..dressed::LAYOUTS {
        let made =
            (0..VARIANTS).map(|variant| make(layout, variant)).collect::<Result<Vec<_>, _>>()?;
        times.push(in_turns(bench, program, &made, runs)?);
        if layout == 0 {
            first = made;
        }
    }
    let is_short = times[0][0].median() <= instructions::RUN_TIME_MAX;
    let instructions = (callgrind && is_short)
        .then(|| {
            let counts: Option<Vec<u64>> =
                first.iter().map(|made| instructions::of(bench, program, made)).collect();
            counts?.try_into().ok()
        })
        .flatten();
    Ok(Measured { name: program.name.clone(), times, instructions })
}

fn in_turns(
    bench: &Bench,
    program: &Program,
    made: &[Made],
    runs: usize,
) -> Result<[Samples; VARIANTS], String> {
    let mut samples: [Samples; VARIANTS] = Default::default();
    // One round warms up.
    for round in 0..=runs {
        for (made, samples) in made.iter().zip(&mut samples) {
            let run = fuel::once(bench, program, made)?;
            if round > 0 {
                samples.push(run.time);
            }
        }
    }
    Ok(samples)
}

/// Metered over plain, then each variant without a technique over the one with all.
fn ratios(over: impl Fn(usize, usize) -> f64) -> [f64; VARIANTS - 1] {
    std::array::from_fn(|column| match column {
        0 => over(1, 0),
        _ => over(column + 1, 1),
    })
}

/// The same of times, by pairs.
fn of_times(times: &[Samples; VARIANTS]) -> [f64; VARIANTS - 1] {
    ratios(|one, other| times[one].median_over(&times[other]))
}

fn headings(first: &str) -> Vec<String> {
    let names = Technique::ALL.map(|technique| format!("no {}", technique.name()));
    [first.to_owned(), "metered".to_owned()].into_iter().chain(names).collect()
}

/// Geometric means over the programs, a row for each layout.
pub(super) fn times(measured: &[Measured]) -> Table {
    let mut table = Table::new(&headings("layout"));
    let mut all: [Vec<f64>; VARIANTS - 1] = Default::default();
    for layout in 0..dressed::LAYOUTS as usize {
        let mut here: [Vec<f64>; VARIANTS - 1] = Default::default();
        for figures in measured {
            let found = of_times(&figures.times[layout]);
            for ((here, all), value) in here.iter_mut().zip(&mut all).zip(found) {
                here.push(value);
                all.push(value);
            }
        }
        table.row(row(&layout.to_string(), &here));
    }
    table.row(row("all", &all));
    table
}

/// Each program, over all layouts.
fn by_program(measured: &[Measured]) {
    let mut table = Table::new(&headings("program"));
    for figures in measured {
        let mut columns: [Vec<f64>; VARIANTS - 1] = Default::default();
        for layout in &figures.times {
            for (column, value) in columns.iter_mut().zip(of_times(layout)) {
                column.push(value);
            }
        }
        table.row(row(&figures.name, &columns));
    }
    table.print(&format!(
        "ablation: the same by program, geometric means over {} layouts.",
        dressed::LAYOUTS
    ));
}

fn counted(measured: &[Measured]) {
    let mut table = Table::new(&headings("program"));
    let mut all: [Vec<f64>; VARIANTS - 1] = Default::default();
    for figures in measured {
        let Some(counts) = figures.instructions else { continue };
        let found = ratios(|one, other| counts[one] as f64 / counts[other] as f64);
        for (all, value) in all.iter_mut().zip(found) {
            all.push(value);
        }
        let cells = found.map(|value| ratio(Some(value)));
        table.row([figures.name.clone()].into_iter().chain(cells).collect());
    }
    table.row(row("geometric mean", &all));
    table.print("ablation: the same ratios of instructions, counted by valgrind's callgrind.");
}

fn row(name: &str, columns: &[Vec<f64>; VARIANTS - 1]) -> Vec<String> {
    let means = columns.iter().map(|column| ratio(geometric_mean(column)));
    [name.to_owned()].into_iter().chain(means).collect()
}
