//! Running programs: whole processes, compiled ahead of time, beside the peers; and what each
//! way of metering adds to its own unmetered code.

use super::super::artifacts::length;
use super::super::fuel::{Program, programs};
use super::super::statistics::{Samples, geometric_mean, interleave};
use super::super::table::{Table, dash, milliseconds, ratio};
use super::plot::Bars;
use super::ways::{Kit, Way};
use super::{Plot, Section};
use crate::programs::run;
use serde_json::{Value, json};
use std::process::Command;

/// In the order of the columns. The first that is there is the base.
const WAYS: [Way; 10] = [
    Way::Wasmtime,
    Way::Metered,
    Way::Unmetered,
    Way::WasmtimeFuel,
    Way::WasmtimeEpochs,
    Way::WasmEdge,
    Way::WasmEdgeGas,
    Way::Wamr,
    Way::Node,
    Way::Native,
];
/// What meters, and the same without.
const METERS: [(Way, Way); 4] = [
    (Way::Metered, Way::Unmetered),
    (Way::WasmtimeFuel, Way::Wasmtime),
    (Way::WasmtimeEpochs, Way::Wasmtime),
    (Way::WasmEdgeGas, Way::WasmEdge),
];
/// What is drawn over the native program.
const DRAWN: [Way; 4] = [Way::Metered, Way::Wasmtime, Way::WasmEdge, Way::Wamr];
/// A program that takes less than this in the base way is mostly start, in microseconds.
const LONG: f64 = 50_000.0;

/// What was measured of one program.
struct Measured {
    name: String,
    /// The bytes of the module.
    wasm: u64,
    /// By way: times, and the bytes of what was compiled.
    found: Vec<Option<(Samples, u64)>>,
}

/// What was measured of all.
pub(super) struct Programs {
    runs: usize,
    ways: Vec<Way>,
    measured: Vec<Measured>,
    /// What could not be run, a sentence each.
    left_out: Vec<String>,
}

/// The bytes of several programs together.
pub(super) struct Weights {
    /// How many programs.
    pub(super) programs: usize,
    /// As modules.
    pub(super) wasm: u64,
    /// As each way compiles them.
    pub(super) compiled: Vec<(Way, u64)>,
}

/// Measures every program of `bench fuel` in every way that is there.
pub(super) fn measure(kit: &Kit<'_>, runs: usize) -> Result<Programs, String> {
    let mut all =
        Programs { runs, ways: kit.present(&WAYS), measured: Vec::new(), left_out: Vec::new() };
    for program in programs()? {
        eprintln!("page: {}", program.name);
        let measured = all.program(kit, &program)?;
        all.measured.push(measured);
    }
    Ok(all)
}

/// What a program printed on its two outputs.
type Printed = (Vec<u8>, String);

impl Programs {
    fn program(&mut self, kit: &Kit<'_>, program: &Program) -> Result<Measured, String> {
        let mut made: Vec<Option<u64>> = Vec::new();
        let mut commands: Vec<Command> = Vec::new();
        let mut reference = None;
        for way in &self.ways {
            let checked = checked(kit, *way, program, &mut reference);
            made.push(match checked {
                Ok((command, bytes)) => {
                    commands.push(command);
                    Some(bytes)
                }
                Err(why) => {
                    self.left_out.push(format!(
                        "{} does not run {}: {why}",
                        way.name(),
                        program.name
                    ));
                    None
                }
            });
        }
        let mut samples = interleave(&mut commands, self.runs)?.into_iter();
        let found =
            made.into_iter().map(|bytes| bytes.and_then(|bytes| Some((samples.next()?, bytes))));
        let found = found.collect();
        Ok(Measured { name: program.name.clone(), wasm: length(&program.module), found })
    }

    fn of<'a>(&self, measured: &'a Measured, way: Way) -> Option<&'a (Samples, u64)> {
        measured.found[self.ways.iter().position(|one| *one == way)?].as_ref()
    }

    /// The times of a way over those of another, turn by turn.
    fn over(&self, measured: &Measured, way: Way, base: Way) -> Option<Samples> {
        Some(self.of(measured, way)?.0.over(&self.of(measured, base)?.0))
    }

    /// The ratios of these pairs for each program.
    fn ratios(&self, pairs: &[(Way, Way)]) -> Ratios {
        let row = |measured: &Measured| Row {
            name: measured.name.clone(),
            is_long: self
                .of(measured, self.ways[0])
                .is_some_and(|(times, _)| times.median() >= LONG),
            cells: pairs.iter().map(|(way, base)| self.over(measured, *way, *base)).collect(),
        };
        Ratios(self.measured.iter().map(row).collect())
    }

    /// What those programs weigh that every way could compile.
    pub(super) fn weights(&self) -> Weights {
        let all: Vec<&Measured> =
            self.measured.iter().filter(|one| one.found.iter().all(Option::is_some)).collect();
        let of = |way: &Way| {
            all.iter().filter_map(|one| self.of(one, *way)).map(|(_, bytes)| bytes).sum()
        };
        Weights {
            programs: all.len(),
            wasm: all.iter().map(|one| one.wasm).sum(),
            compiled: self.ways.iter().map(|way| (*way, of(way))).collect(),
        }
    }

    /// Beside the peers.
    pub(super) fn speed(&self) -> Section {
        let base = self.ways[0];
        let pairs: Vec<(Way, Way)> = self.ways[1..].iter().map(|way| (*way, base)).collect();
        let ratios = self.ratios(&pairs);
        let headings = ["program".to_owned(), format!("{}, ms", base.name())];
        let mut table = Table::new(
            &headings
                .into_iter()
                .chain(pairs.iter().map(|(way, _)| way.name().to_owned()))
                .collect::<Vec<_>>(),
        );
        let times =
            self.measured.iter().map(|one| self.of(one, base).map(|(times, _)| times.median()));
        ratios.fill(
            &mut table,
            &times.map(|time| Some(time.map_or_else(dash, milliseconds))).collect::<Vec<_>>(),
        );
        let mut text = format!(
            "The whole process, start and output included, nothing subtracted; {} runs of each, in turns; \
             what each prints is checked. All is compiled ahead of time, but for Node, which compiles while it \
             runs. The numbers are medians of the ratios to {} of the same turn: below 1 is faster. A \
             program of less than {:.0} ms is mostly start; the second mean leaves these out. *spread*: how \
             far the quartiles of a ratio lie apart, in the median of the programs. bls-load meters by default \
             and makes NaNs the same everywhere, which slows floats (NAN.md); no peer here does that. wasmtime \
             has its default options, and fuel or epochs where the column says so; WasmEdge and WAMR compile \
             with LLVM at their highest level; wasm2c makes C of the same module, which cc -O3 compiles: native \
             code that keeps to its memory, and is confined in nothing else.",
            self.runs,
            base.name(),
            LONG / 1000.0
        );
        text += &self.beaten();
        for line in &self.left_out {
            text += &format!("\n\n{line}.");
        }
        Section {
            name: "run",
            title: "Running programs",
            text,
            table,
            figures: self.figures(),
            plot: self.drawn(),
        }
    }

    /// In how many programs ours is slower than each peer.
    fn beaten(&self) -> String {
        let mut found = Vec::new();
        for way in self.ways.iter().filter(|way| !matches!(way, Way::Metered | Way::Unmetered)) {
            let ratios: Vec<f64> = self
                .measured
                .iter()
                .filter_map(|one| self.over(one, Way::Metered, *way))
                .map(|over| over.median())
                .collect();
            let slower = ratios.iter().filter(|ratio| **ratio > 1.0).count();
            found.push(format!("{} in {slower} of {}", way.name(), ratios.len()));
        }
        format!("\n\nbls-load, metered, is slower than {}.", found.join(", "))
    }

    /// What each way of metering costs.
    pub(super) fn metering(&self) -> Section {
        let pairs: Vec<(Way, Way)> = METERS
            .into_iter()
            .filter(|(way, base)| self.ways.contains(way) && self.ways.contains(base))
            .collect();
        let names: Vec<&str> = pairs.iter().map(|(way, _)| way.name()).collect();
        let ratios = self.ratios(&pairs);
        let mut table = Table::new(&[&["program"][..], &names].concat());
        ratios.fill(&mut table, &vec![None; self.measured.len()]);
        let groups = ratios.groups();
        let svg = Bars {
            title: "Metered over unmetered, of the same engine (less is better)",
            series: &names,
            groups: &groups,
            most: 3.0,
            line: 1.0,
        }
        .svg();
        Section {
            name: "metering",
            title: "What metering costs",
            text: "The same runs: each way that meters over the same engine without. Fuel and gas \
                   count what a guest executes; wasmtime's epochs count nothing and stop a guest after a \
                   time. Short programs hide what metering costs in their start: the second \
                   mean leaves them out. `cargo xtask bench fuel` measures bls-load's fuel without starts \
                   and in three layouts of the code."
                .to_owned(),
            table,
            figures: json!({ "runs": self.runs, "rows": ratios.json(&pairs) }),
            plot: Some(Plot {
                file: "fuel.svg",
                words: "Metered over unmetered, by program".to_owned(),
                svg,
            }),
        }
    }

    /// Ours and the peers over native code.
    fn drawn(&self) -> Option<Plot> {
        let base = if self.ways.contains(&Way::Native) { Way::Native } else { self.ways[0] };
        let ways: Vec<Way> =
            DRAWN.into_iter().filter(|way| self.ways.contains(way) && *way != base).collect();
        let pairs: Vec<(Way, Way)> = ways.iter().map(|way| (*way, base)).collect();
        let mut groups = self.ratios(&pairs).groups();
        groups.retain(|(_, values)| values.iter().any(Option::is_some));
        let names: Vec<&str> = ways.iter().map(|way| way.name()).collect();
        let title = format!("Whole runs over {} (less is better)", base.name());
        let svg =
            Bars { title: &title, series: &names, groups: &groups, most: 4.0, line: 1.0 }.svg();
        Some(Plot { file: "run.svg", words: title, svg })
    }

    fn figures(&self) -> Value {
        let program = |one: &Measured| {
            let ways = self.ways.iter().zip(&one.found).filter_map(|(way, found)| {
                let (times, bytes) = found.as_ref()?;
                let over = self.over(one, *way, self.ways[0]);
                let ratio = over.map(|over| {
                    json!({
                        "median": over.median(),
                        "middle_half": over.middle_half(),
                    })
                });
                let figures = json!({
                    "median_us": times.median(),
                    "least_us": times.minimum(),
                    "ratio": ratio,
                    "compiled_bytes": bytes,
                });
                Some((way.key(), figures))
            });
            json!({ "program": one.name, "ways": ways.collect::<serde_json::Map<_, _>>() })
        };
        json!({
            "runs": self.runs,
            "base": self.ways[0].key(),
            "programs": self.measured.iter().map(program).collect::<Vec<_>>(),
            "left_out": self.left_out,
        })
    }
}

/// Prepares a program and runs it once; the command to be timed, and the bytes of what was compiled.
fn checked(
    kit: &Kit<'_>,
    way: Way,
    program: &Program,
    reference: &mut Option<Printed>,
) -> Result<(Command, u64), String> {
    let file = kit.prepare(way, &program.module, &program.name)?;
    let mut command = kit.command(way, &file, Some(program.folder.path()));
    let ended = run(&mut command, b"");
    if ended.code != Some(0) {
        return Err(format!("it ended with {:?}", ended.code));
    }
    let printed = (ended.stdout, ended.stderr);
    let is_right = match &program.expected {
        Some(expected) => *expected == printed.0,
        None => same(reference.get_or_insert_with(|| printed.clone()), &printed),
    };
    if is_right { Ok((command, length(&file))) } else { Err("it prints something else".to_owned()) }
}

/// Whether the same was printed, but for numbers: some of them tell the time.
fn same(one: &Printed, other: &Printed) -> bool {
    let words = |text: &[u8]| -> Vec<u8> {
        text.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect()
    };
    words(&one.0) == words(&other.0) && words(one.1.as_bytes()) == words(other.1.as_bytes())
}

/// A program's ratios; `is_long` where it is more than a start.
struct Row {
    name: String,
    is_long: bool,
    cells: Vec<Option<Samples>>,
}

/// Ratios by program.
struct Ratios(Vec<Row>);

impl Ratios {
    /// Rows of a table, with a cell before the ratios where there is one; then the means, the
    /// worst and the spread.
    fn fill(&self, table: &mut Table, before: &[Option<String>]) {
        for (row, before) in self.0.iter().zip(before) {
            let cells = row.cells.iter().map(|cell| ratio(cell.as_ref().map(Samples::median)));
            table.row([row.name.clone()].into_iter().chain(before.clone()).chain(cells).collect());
        }
        let blank = before.iter().flatten().next().map(|_| String::new());
        let columns = self.0.first().map_or(0, |row| row.cells.len());
        let mut summary = |name: &str, of: &dyn Fn(usize) -> String| {
            let cells = (0..columns).map(of);
            table.row(
                [format!("**{name}**")].into_iter().chain(blank.clone()).chain(cells).collect(),
            );
        };
        summary("geometric mean", &|column| ratio(geometric_mean(&self.medians(column, false))));
        summary("… of 50 ms or more", &|column| {
            ratio(geometric_mean(&self.medians(column, true)))
        });
        summary("worst", &|column| {
            ratio(self.medians(column, false).into_iter().max_by(f64::total_cmp))
        });
        summary("spread", &|column| self.spread(column));
    }

    fn medians(&self, column: usize, only_long: bool) -> Vec<f64> {
        let rows = self.0.iter().filter(|row| row.is_long || !only_long);
        rows.filter_map(|row| Some(row.cells[column].as_ref()?.median())).collect()
    }

    /// How far the quartiles lie apart, in the median of the programs.
    fn spread(&self, column: usize) -> String {
        let apart = |cell: &Samples| {
            let (low, high) = cell.middle_half();
            (high - low) / cell.median()
        };
        let all: Samples =
            self.0.iter().filter_map(|row| row.cells[column].as_ref()).map(apart).collect();
        format!("{:.0} %", all.median() * 100.0)
    }

    /// Bars of a plot.
    fn groups(&self) -> Vec<(String, Vec<Option<f64>>)> {
        let values =
            |row: &Row| row.cells.iter().map(|cell| Some(cell.as_ref()?.median())).collect();
        self.0.iter().map(|row| (row.name.clone(), values(row))).collect()
    }

    fn json(&self, pairs: &[(Way, Way)]) -> Vec<Value> {
        let row = |row: &Row| {
            let cells = row.cells.iter().zip(pairs).filter_map(|(cell, (way, _))| {
                let cell = cell.as_ref()?;
                let figures = json!({ "ratio": cell.median(), "middle_half": cell.middle_half() });
                Some((way.key(), figures))
            });
            json!({ "program": row.name, "ways": cells.collect::<serde_json::Map<_, _>>() })
        };
        self.0.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, is_long: bool, cells: &[Option<[f64; 4]>]) -> Row {
        let samples = |cell: &Option<[f64; 4]>| cell.map(|times| times.into_iter().collect());
        Row { name: name.to_owned(), is_long, cells: cells.iter().map(samples).collect() }
    }

    #[test]
    fn short_programs_are_left_out_of_the_second_mean() {
        let ratios = Ratios(vec![
            row("short", false, &[Some([9.0; 4]), None]),
            row("long", true, &[Some([1.0; 4]), Some([2.0, 2.0, 2.0, 4.0])]),
        ]);
        let mut table = Table::new(&["program", "ms", "a", "b"]);
        ratios.fill(&mut table, &[Some("1.00".to_owned()), Some("2.00".to_owned())]);
        let rows: Vec<String> = table.rows().iter().map(|row| row.join(" ")).collect();
        assert_eq!(
            rows[1..],
            [
                "short 1.00 9.00 -",
                "long 2.00 1.00 2.00",
                "**geometric mean**  3.00 2.00",
                "**… of 50 ms or more**  1.00 2.00",
                "**worst**  9.00 2.00",
                "**spread**  0 % 0 %",
            ]
        );
    }

    #[test]
    fn numbers_that_tell_the_time_are_no_difference() {
        let said = |text: &str| (text.as_bytes().to_vec(), String::new());
        assert!(same(&said("took 0.5 s"), &said("took 0.61 s")));
        assert!(!same(&said("took 0.5 s"), &said("failed")));
        assert!(!same(&said("a"), &(b"a".to_vec(), "warning".to_owned())));
    }
}
