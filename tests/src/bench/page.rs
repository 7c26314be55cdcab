//! `bench page`: ours beside its peers on one page, BENCH.md, by one command.
//!
//! Each group gives a [`Section`]: a table, the same figures for machines, and perhaps a plot.
//! Same guests everywhere, what they print checked, commands in turns, medians of the ratios
//! of pairs. On a busy machine nothing is written unless that is asked for, and then the page
//! says so in its head. Takes 20 to 30 minutes on two cores.

mod busy;
mod compile;
mod machine;
mod memory;
mod plot;
mod run;
mod size;
mod start;
mod ways;
mod write;

use super::table::Table;
use super::{Bench, ablation};
use busy::{Quiet, Ticks};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;
use ways::Kit;

/// Runs of each program.
pub(super) const RUNS: usize = 9;

/// What is asked for beside the number of runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// Write the page even if the machine is busy; its head says so.
    pub(super) even_if_busy: bool,
    /// Where the figures go as JSON.
    pub(super) json: Option<PathBuf>,
}

/// What a group has found.
struct Section {
    /// Its key in the figures.
    name: &'static str,
    title: &'static str,
    /// What was measured and what the columns mean: Markdown.
    text: String,
    table: Table,
    figures: Value,
    plot: Option<Plot>,
}

/// A plot: a file beside the page, and what it shows in words.
struct Plot {
    file: &'static str,
    words: String,
    svg: String,
}

/// Measures all, prints the tables, and writes the page.
///
/// # Errors
/// When the machine is busy and that is not allowed; when a program that is measured fails; when
/// a file cannot be written.
pub(super) fn run(bench: &Bench, runs: usize, options: &Options) -> Result<(), String> {
    let kit = Kit::find(bench)?;
    allow(&Quiet::before()?, options, "before anything was measured")?;
    let (begin, ticks) = (Instant::now(), Ticks::now()?);
    let sections = measure(&kit, runs)?;
    let quiet = Quiet::since(&ticks)?;
    for section in &sections {
        section.table.print(&format!("page: {}", section.title));
    }
    let page = write::Page {
        runs,
        minutes: begin.elapsed().as_secs_f64() / 60.0,
        quiet: &quiet,
        facts: machine::facts()?,
        versions: kit.versions(),
        missing: kit.missing(),
        sections: &sections,
    };
    if let Some(path) = &options.json {
        write::file(path, &format!("{:#}\n", page.json()))?;
    }
    allow(&quiet, options, "while it was measured: BENCH.md stays as it was")?;
    page.write(&root())
}

/// An error where the machine is busy and that is not allowed.
fn allow(quiet: &Quiet, options: &Options, when: &str) -> Result<(), String> {
    match quiet.objection() {
        Some(why) if !options.even_if_busy => Err(format!(
            "the machine was busy {when}: {why}; wait until it is quiet, or say --even-if-busy"
        )),
        _ => Ok(()),
    }
}

fn measure(kit: &Kit<'_>, runs: usize) -> Result<Vec<Section>, String> {
    let programs = run::measure(kit, runs)?;
    let starts = start::Starts::new(kit)?;
    let mut sections = vec![starts.section(runs * 20)?, programs.speed(), programs.metering()];
    sections.push(techniques(kit.bench, runs.div_ceil(3))?);
    sections.push(compile::section(kit, runs.div_ceil(3))?);
    sections.push(memory::section(&starts, runs));
    sections.push(size::section(kit, &programs));
    Ok(sections)
}

/// What each technique of the meter gives: the table of `bench ablation`.
fn techniques(bench: &Bench, runs: usize) -> Result<Section, String> {
    let measured = ablation::measure_all(bench, runs, false)?;
    let table = ablation::times(&measured);
    Ok(Section {
        name: "ablation",
        title: "What each technique of the meter gives",
        text: format!(
            "Time of the guest alone. *metered*: with all techniques, over unmetered. *no …*: without \
             this one, over with all: what is above 1 it saves. Geometric means over {} programs, \
             {} of each, in {} layouts of the code, because where code happens to lie moves \
             a program by more than a technique does. FUEL.md says what the techniques are.",
            measured.len(),
            if runs == 1 { "one run".to_owned() } else { format!("{runs} runs") },
            super::dressed::LAYOUTS
        ),
        figures: json!({ "runs": runs, "rows": table.rows() }),
        table,
        plot: None,
    })
}

/// The folder of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_refused_unless_it_is_allowed() {
        let quiet = Quiet { others: 0.0, spread: 1.0, load: String::new() };
        let busy = Quiet { others: 0.5, ..quiet.clone() };
        let even = Options { even_if_busy: true, ..Options::default() };
        assert_eq!(allow(&quiet, &Options::default(), "now"), Ok(()));
        assert_eq!(allow(&busy, &even, "now"), Ok(()));
        let refusal = allow(&busy, &Options::default(), "now").unwrap_err();
        assert!(refusal.contains("busy now") && refusal.contains("--even-if-busy"), "{refusal}");
    }
}
