//! `bench cpu`: what a level of the CPU is worth to a running program.
//!
//! Every program is compiled, metered, for each level that this machine's CPU has, and run in
//! turns in a fresh copy of its folder. Compared is the loader's run stage with that of the
//! default level: the median of what each run is of the one beside it. What a program prints and
//! the fuel it consumes (but for one that asks for random numbers) must be the same at each level;
//! where either differs, that is an error.

use super::Bench;
use super::artifacts::Made;
use super::fuel::{Program, once, programs};
use super::statistics::{Samples, geometric_mean};
use super::table::{Table, dash, milliseconds, ratio};
use bls_artifact::cpu;
use bls_artifact::target::Target;
use std::collections::BTreeSet;

/// Prints the table.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let host = Target::host().ok_or("there is no native code here")?;
    let default = cpu::level_default(host).ok_or("this target has no levels")?;
    // The default first: it is what the others are compared with.
    let others = cpu::levels(host).iter().filter(|level| *level != default);
    let mut levels: Vec<&str> = [default].into_iter().chain(others).map(|one| one.name).collect();
    let mut lacking = Vec::new();
    let mut measured = Vec::new();
    for program in programs()? {
        eprintln!("cpu: {}", program.name);
        let mut made = Vec::new();
        levels.retain(|level| {
            let target = format!("{}:{level}", host.short());
            let name = format!("{}-{level}", program.name);
            match bench.make(&program.module, &name, &["--target", &target]) {
                // One that this CPU does not have is found out by trying to run it.
                Ok(one)
                    if bench.report_in(Some(program.folder.path()), &one.path, &[]).is_err() =>
                {
                    lacking.push((*level).to_owned());
                    false
                }
                one => {
                    made.push(one);
                    true
                }
            }
        });
        let made = made.into_iter().collect::<Result<Vec<Made>, String>>()?;
        match measure(bench, &program, &made, runs) {
            Ok(samples) => {
                let code = made.iter().map(|one| bench.code_bytes(one)).collect::<Vec<_>>();
                measured.push((program.name, samples, code));
            }
            Err(what) => println!("{} is left out: {what}", program.name),
        }
    }
    for level in lacking {
        println!("{host} {level} is left out: this CPU does not have it.");
    }
    print(&levels, &measured, runs);
    Ok(())
}

/// Runs the program's artifacts in turns.
fn measure(
    bench: &Bench,
    program: &Program,
    made: &[Made],
    runs: usize,
) -> Result<Vec<Samples>, String> {
    let mut samples = vec![Samples::default(); made.len()];
    let mut consumed = vec![BTreeSet::new(); made.len()];
    // One round warms up.
    for round in 0..=runs {
        for ((made, samples), consumed) in made.iter().zip(&mut samples).zip(&mut consumed) {
            let run = once(bench, program, made)?;
            let _ = consumed.insert(run.fuel());
            if round > 0 {
                samples.push(run.time);
            }
        }
    }
    // A program that asks for random numbers consumes something else each time.
    let is_steady = consumed[0].len() == 1;
    if is_steady && consumed.iter().any(|units| *units != consumed[0]) {
        return Err(format!("its fuel depends on the level: {consumed:?}"));
    }
    Ok(samples)
}

/// A program by name: how long it took at each level, and the length of its code there.
type Measured = (String, Vec<Samples>, Vec<Option<u64>>);

fn print(levels: &[&str], measured: &[Measured], runs: usize) {
    let default = levels[0];
    let mut headings = vec!["program".to_owned(), format!("{default} ms")];
    for level in &levels[1..] {
        headings.extend([(*level).to_owned(), format!("{level} code")]);
    }
    let mut table = Table::new(&headings);
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); 2 * (levels.len() - 1)];
    for (name, samples, code) in measured {
        let mut row = vec![name.clone(), milliseconds(samples[0].median())];
        for (index, (sample, bytes)) in samples.iter().zip(code).enumerate().skip(1) {
            let time = sample.median_over(&samples[0]);
            let growth = bytes.zip(code[0]).map(|(bytes, default)| bytes as f64 / default as f64);
            columns[2 * index - 2].push(time);
            columns[2 * index - 1].extend(growth);
            row.extend([ratio(Some(time)), growth.map_or_else(dash, |it| ratio(Some(it)))]);
        }
        table.row(row);
    }
    let summary = |name: &str, of: &dyn Fn(&[f64]) -> Option<f64>| {
        let first = [name.to_owned(), String::new()];
        first.into_iter().chain(columns.iter().map(|column| ratio(of(column)))).collect()
    };
    table.row(summary("geometric mean", &|column| geometric_mean(column)));
    table.row(summary("best", &|column| column.iter().copied().min_by(f64::total_cmp)));
    table.row(summary("worst", &|column| column.iter().copied().max_by(f64::total_cmp)));
    table.print(&format!(
        "cpu: run stage over {default}'s, metered, {runs} runs each in turns, medians of the \
         ratios of pairs; and bytes of native code over {default}'s. Below 1 is faster, smaller."
    ));
}
