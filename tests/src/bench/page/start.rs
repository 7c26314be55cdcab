//! Start-up: the whole process of a hello, from before it is started until it was waited for.

use super::super::load::Installed;
use super::super::statistics::interleave;
use super::super::table::{Table, microseconds, ratio};
use super::plot::Bars;
use super::ways::{Kit, Way};
use super::{Plot, Section};
use crate::installed::Shelf;
use crate::programs::run;
use serde_json::json;
use std::process::Command;

/// The peers, each with a hello that was compiled ahead of time.
const WAYS: [Way; 8] = [
    Way::Native,
    Way::Metered,
    Way::Minimal,
    Way::Wasmtime,
    Way::WasmtimeMin,
    Way::WasmEdge,
    Way::Wamr,
    Way::Node,
];

/// The commands that are compared; the first is the base.
pub(super) struct Starts<'a> {
    pub(super) kit: &'a Kit<'a>,
    pub(super) commands: Vec<(String, Command)>,
    /// What is installed lives there.
    _shelf: Shelf,
}

impl<'a> Starts<'a> {
    /// Makes them, and checks that each says hello.
    pub(super) fn new(kit: &'a Kit<'a>) -> Result<Self, String> {
        let bench = kit.bench;
        let mut commands = Vec::new();
        if let Some(hello) = &bench.peers.hello {
            commands.push(("C, static".to_owned(), kit.native_command(hello)));
        }
        commands.extend(kit.dynamic_hello().map(|command| ("C, dynamic".to_owned(), command)));
        let shelf = Shelf::new();
        let made = bench.make(&kit.hello(), "hello", &[])?;
        let installed = Installed::new(bench, &shelf, &made, "hello")?;
        for way in kit.present(&WAYS) {
            if way == Way::Metered {
                let mode = format!("bls-load, installed ({})", installed.mode);
                commands.push((mode, installed.command(bench, &[])));
            }
            let file = kit.prepare(way, &kit.hello(), "hello")?;
            let name = match way {
                Way::Metered => "bls-load, from a file",
                Way::Minimal => "bls-load, minimal, from a file",
                _ => way.name(),
            };
            commands.push((name.to_owned(), kit.command(way, &file, None)));
        }
        for (name, command) in &mut commands {
            let ended = run(command, b"");
            if ended.code != Some(0) || ended.text() != "hello\n" {
                return Err(format!(
                    "{name} does not say hello: {:?} {}",
                    ended.text(),
                    ended.stderr
                ));
            }
        }
        Ok(Self { kit, commands, _shelf: shelf })
    }

    /// Measures.
    pub(super) fn section(&self, runs: usize) -> Result<Section, String> {
        eprintln!("page: start");
        let mut commands: Vec<Command> =
            self.commands.iter().map(|(_, command)| again(command)).collect();
        let samples = interleave(&mut commands, runs)?;
        let base_name = &self.commands[0].0;
        let mut table = Table::new(&[
            "hello",
            "median µs",
            "least µs",
            &format!("× {base_name}"),
            "middle half",
        ]);
        let (mut figures, mut groups) = (Vec::new(), Vec::new());
        for ((name, _), times) in self.commands.iter().zip(&samples) {
            let over = times.over(&samples[0]);
            let (low, high) = over.middle_half();
            table.row(vec![
                name.clone(),
                microseconds(times.median()),
                microseconds(times.minimum()),
                ratio(Some(over.median())),
                format!("{low:.2} – {high:.2}"),
            ]);
            figures.push(json!({
                "name": name,
                "median_us": times.median(),
                "least_us": times.minimum(),
                "ratio": over.median(),
                "ratio_middle_half": [low, high],
            }));
            groups.push((name.clone(), vec![Some(over.median())]));
        }
        let svg = Bars {
            title: &format!("Start of a hello, times of {base_name} (less is better)"),
            series: &["ratio"],
            groups: &groups,
            most: 20.0,
            line: 1.0,
        }
        .svg();
        Ok(Section {
            name: "start",
            title: "Start-up",
            text: format!(
                "The whole process of a hello, from before it is started until it was waited for, \
                 {runs} runs of each, in turns. Every guest was compiled ahead of time, but Node's: Node \
                 compiles when it runs. bls-load verifies a signature in each of its rows, meters, and \
                 confines itself; from a file it hashes the code too, installed it does not. *×*: median \
                 of the ratios to {base_name} of the same turn; *middle half*: a quarter of the ratios lies \
                 below, a quarter above."
            ),
            table,
            figures: json!({ "runs": runs, "base": base_name, "rows": figures }),
            plot: Some(Plot {
                file: "start.svg",
                words: format!("Start of a hello, as a multiple of {base_name}"),
                svg,
            }),
        })
    }
}

/// The same command once more.
fn again(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    copy
}
