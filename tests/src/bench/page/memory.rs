//! Memory: the most that a hello had in memory, and the processor time of its start.

use super::super::table::{Table, megabytes, milliseconds};
use super::Section;
use super::start::Starts;
use serde_json::json;

/// Measures.
pub(super) fn section(starts: &Starts<'_>, runs: usize) -> Section {
    eprintln!("page: memory");
    let mut table = Table::new(&["hello", "peak resident MB", "processor ms"]);
    let mut figures = Vec::new();
    for (name, command) in &starts.commands {
        let usages = (0..runs).filter_map(|_| starts.kit.bench.peers.usage(command));
        let (mut peaks, mut times): (Vec<u64>, Vec<f64>) =
            usages.filter(|usage| usage.is_done).map(|usage| (usage.peak, usage.cpu)).unzip();
        peaks.sort_unstable();
        times.sort_by(f64::total_cmp);
        let (Some(peak), Some(time)) = (peaks.get(peaks.len() / 2), times.get(times.len() / 2))
        else {
            continue;
        };
        table.row(vec![name.clone(), megabytes(*peak), milliseconds(*time)]);
        figures.push(json!({ "name": name, "peak_bytes": peak, "cpu_us": time }));
    }
    Section {
        name: "memory",
        title: "Memory of a hello",
        text: format!(
            "What the kernel counts of the process: the most that was in memory at once, pages of the \
             program's own file included, and the processor time of the whole run. Medians of {runs} runs."
        ),
        table,
        figures: json!({ "runs": runs, "rows": figures }),
        plot: None,
    }
}
