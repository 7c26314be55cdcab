//! `bench fuel --callgrind`: instructions executed, which no other program on the machine
//! disturbs.
//!
//! Counted by valgrind's callgrind, on the loader as it is shipped (`without_auxv.c` says
//! what that takes). What is counted is the run: a process less the same process with an
//! export that is not there, which does all up to linking. Prints; judges nothing.

use super::Bench;
use super::artifacts::Made;
use super::fuel::Program;
use super::statistics::geometric_mean;
use super::table::{Table, ratio};

/// A program that takes longer than this takes minutes under valgrind, in microseconds.
pub(super) const RUN_TIME_MAX: f64 = 400_000.0;
/// What bls-load ends with when it refuses.
const REFUSED: i32 = 125;

/// Instructions of a run.
#[derive(Clone, Copy)]
pub(super) struct Instructions {
    plain: u64,
    metered: u64,
}

/// Counts both; `None` when valgrind is not there or cannot run it.
pub(super) fn count(
    bench: &Bench,
    program: &Program,
    metered: &Made,
    plain: &Made,
) -> Option<Instructions> {
    let count = |made: &Made| of(bench, program, made);
    Some(Instructions { plain: count(plain)?, metered: count(metered)? })
}

/// Those of one artifact; `None` when valgrind is not there or cannot run it.
pub(super) fn of(bench: &Bench, program: &Program, made: &Made) -> Option<u64> {
    let whole = bench.command(Some(program.folder.path()), None, &made.path);
    let mut start = bench.home.load_command(&["--invoke", "no such export"], &made.path);
    start.current_dir(program.folder.path());
    let whole = bench.peers.instructions(&whole, 0)?;
    whole.checked_sub(bench.peers.instructions(&start, REFUSED)?)
}

/// Prints what was counted.
pub(super) fn print<'p>(
    counted: impl Iterator<Item = (&'p str, Option<Instructions>, Option<u64>)>,
) {
    let mut table = Table::new(&["program", "plain M", "metered M", "ratio", "plain a unit"]);
    let millions = |count: u64| format!("{:.1}", count as f64 / 1e6);
    let mut ratios = Vec::new();
    let mut left_out = Vec::new();
    for (name, counted, fuel) in counted {
        let Some(Instructions { plain, metered }) = counted else {
            left_out.push(name);
            continue;
        };
        ratios.push(metered as f64 / plain as f64);
        table.row(vec![
            name.to_owned(),
            millions(plain),
            millions(metered),
            ratio(ratios.last().copied()),
            ratio(fuel.map(|fuel| plain as f64 / fuel as f64)),
        ]);
    }
    if ratios.is_empty() {
        println!(
            "No instructions are counted: valgrind is not installed, or cannot run the loader.\n"
        );
        return;
    }
    let empty = String::new;
    let mean = ratio(geometric_mean(&ratios));
    table.row(vec!["geometric mean".to_owned(), empty(), empty(), mean, empty()]);
    table.print(
        "fuel: instructions of the run, in millions, counted by valgrind's callgrind: a whole \
         process less one that is refused at linking.",
    );
    if !left_out.is_empty() {
        println!("Too long for valgrind, or it ends otherwise there: {}.\n", left_out.join(", "));
    }
}
