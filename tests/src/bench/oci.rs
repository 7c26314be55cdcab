//! `bench oci`: the start of a container through containerd, and what it keeps of memory: an
//! artifact by bls-oci beside a static C program, by the same road and by runc alone.
//!
//! All have a root of a folder with one or two files; the snapshotter has no part in it. Memory is
//! what the kernel says the container's process has of its own, and its share of what is shared
//! (PSS); the shim of containerd beside it is the same for all.

use super::statistics::{Samples, interleave};
use super::table::Table;
use crate::engines::{Containerd, OciNode, fresh_name};
use crate::programs::{fixtures, loader, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Containers of each kind.
pub(super) const RUNS: usize = 40;
const PAUSE: &str = "#include <unistd.h>\nint main(void) { pause(); return 0; }\n";

/// One way to have a container.
struct Row {
    name: &'static str,
    program: Option<PathBuf>,
    rootfs: PathBuf,
    words: &'static [&'static str],
}

impl Row {
    fn command(&self, engine: &Containerd, container: &str, more: &[&str]) -> Command {
        let mut command = engine.command(&["run", "--rm"]);
        command.args(more);
        if let Some(program) = &self.program {
            command.arg("--runc-binary").arg(program);
        }
        command.arg("--rootfs").arg(&self.rootfs).arg(container).args(self.words);
        command
    }
}

/// Prints the table.
pub(super) fn run_all(runs: usize) -> Result<(), String> {
    let Some(engine) = Containerd::start() else { return Ok(()) };
    let node = OciNode::default();
    let rows = rows(&node, "hello", include_str!("hello.c"), "wat/hello.wat")?;
    let mut commands: Vec<Command> =
        rows.iter().map(|row| row.command(&engine, &fresh_name(), &[])).collect();
    let samples = interleave(&mut commands, runs)?;
    let waiting = rows_of_memory(&engine, &node)?;
    let mut table = Table::new(&["", "median", "over C by runc", "fastest", "memory (PSS)"]);
    for ((row, times), memory) in rows.iter().zip(&samples).zip(waiting) {
        table.row(vec![
            row.name.to_owned(),
            format!("{:.1} ms", times.median() / 1e3),
            format!("{:.3}", times.median_over(&samples[0])),
            format!("{:.1} ms", times.minimum() / 1e3),
            format!("{memory:.2} MiB"),
        ]);
    }
    table.print(&format!(
        "`ctr run --rm` of a hello, {runs} of each in turns; and the memory of one that waits."
    ));
    Ok(())
}

fn rows(node: &OciNode, name: &str, source: &str, guest: &str) -> Result<[Row; 4], String> {
    let text = |error: std::io::Error| error.to_string();
    let folder = |of: &str| -> Result<PathBuf, String> {
        let path = node.home.path(&format!("{name}-{of}"));
        fs::create_dir_all(&path).map_err(text)?;
        Ok(path)
    };
    let (native, artifact) = (folder("native")?, folder("artifact")?);
    let c = node.home.path(&format!("{name}.c"));
    fs::write(&c, source).map_err(text)?;
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-static", "-o"]).arg(native.join("program")).arg(&c);
    if run(&mut cc, b"").code != Some(0) {
        return Err("cc makes no static program here".to_owned());
    }
    let compiled = node.home.compile(&fixtures().join(guest), &[]);
    let put = |from: &Path, to: PathBuf| fs::copy(from, to).map(drop).map_err(text);
    put(&compiled, artifact.join("app.bls"))?;
    // An ordinary image has a loader of its own, and says itself whom it trusts.
    let ordinary = folder("ordinary")?;
    fs::create_dir_all(ordinary.join("etc/bls")).map_err(text)?;
    put(&compiled, ordinary.join("app.bls"))?;
    put(&loader(), ordinary.join("bls-load"))?;
    put(&node.home.public_key(), ordinary.join("trust.pub"))?;
    let program = Some(node.program());
    let c = &["/program"][..];
    let own = &["/bls-load", "--trust", "/trust.pub", "/app.bls"][..];
    Ok([
        Row { name: "static C, by runc", program: None, rootfs: native.clone(), words: c },
        Row { name: "static C, by bls-oci", program: program.clone(), rootfs: native, words: c },
        Row { name: "artifact, ordinary", program: None, rootfs: ordinary, words: own },
        Row { name: "artifact, by bls-oci", program, rootfs: artifact, words: &["/app.bls"] },
    ])
}

/// What each has in memory while it waits, in MiB.
fn rows_of_memory(engine: &Containerd, node: &OciNode) -> Result<Vec<f64>, String> {
    let rows = rows(node, "wait", PAUSE, "wat/poll-forever.wat")?;
    let mut found = Vec::new();
    for row in &rows {
        let name = fresh_name();
        let mut command = row.command(engine, &name, &[]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut samples = Samples::default();
        while samples.median().is_nan() {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(format!("{}: it ended", row.name));
            }
            let tasks = engine.run(&["tasks", "ls"]).text();
            let task = tasks.lines().find(|line| line.starts_with(&name));
            if !task.is_some_and(|line| line.contains("RUNNING")) {
                continue;
            }
            let process = task.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("none");
            // Until it waits for good.
            std::thread::sleep(Duration::from_millis(300));
            let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
            let text = text.unwrap_or_default();
            let pss = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib = pss.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.into_iter().for_each(|kib| samples.push(kib / 1024.0));
        }
        found.push(samples.median());
        while child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = engine.run(&["tasks", "kill", "-s", "SIGKILL", &name]);
        }
    }
    Ok(found)
}
