//! `bench distribution`: many artifacts through one cache and one registry, by clients at once of
//! whom some are killed, with full disks in between ([`crate::distribution`]).
//!
//! The servers are nginx and docker-registry, on this machine: its cores are those of clients and
//! servers together. Times are of commands that were left alone.

use super::statistics::Samples;
use super::table::Table;
use crate::distribution::{Plan, run as distribute};

/// Artifacts.
pub(super) const RUNS: usize = 1000;
/// Clients at once.
const CLIENTS: usize = 32;

/// Prints the table.
pub(super) fn run(artifacts: usize) {
    let Some(figures) = distribute(Plan { artifacts, clients: CLIENTS }) else { return };
    let headings = ["", "in all", "a second", "each p50", "p99", "killed", "without room"];
    let mut table = Table::new(&headings);
    for phase in &figures.phases {
        let each: Samples = phase.each.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        let seconds = phase.time.as_secs_f64();
        table.row(vec![
            phase.name.to_owned(),
            format!("{seconds:.1} s"),
            format!("{:.0}", artifacts as f64 / seconds),
            format!("{:.0} ms", each.median()),
            format!("{:.0} ms", each.ninety_ninth()),
            phase.killed.to_string(),
            phase.full.to_string(),
        ]);
    }
    table.print(&format!(
        "{artifacts} artifacts, {CLIENTS} clients at once. A build is a folder of {} modules.",
        artifacts.div_ceil(CLIENTS)
    ));
    let of = |bytes: u64| format!("{:.1} KiB", bytes as f64 / 1024.0 / artifacts as f64);
    println!(
        "An artifact has {}; of it the cache holds {}, the registry {}, a store {}.",
        of(figures.artifacts),
        of(figures.cache),
        of(figures.registry),
        of(figures.stores)
    );
    println!("In the end each one is installed, verifies and runs, and nothing else is there.");
}
