//! `bench oci`: the start of a container through containerd, and what it keeps of memory: an
//! artifact by bls-oci beside a static C program, by the same road and by runc alone.
//!
//! All have a root of a folder with one or two files; the snapshotter has no part in it. Memory is
//! what the kernel says the container's process has of its own, and its share of what is shared
//! (PSS); the shim of containerd beside it is the same for all.

use super::statistics::{Samples, interleave};
use super::table::Table;
use crate::engines::{Containerd, OciNode, fresh_name, static_program};
use crate::programs::{fixtures, loader, oci, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Containers of each kind.
pub(super) const RUNS: usize = 40;
/// A program that waits.
pub(super) const PAUSE: &str = "#include <unistd.h>\nint main(void) { pause(); return 0; }\n";

/// One way to have a container.
pub(super) struct Row {
    pub(super) name: &'static str,
    program: Option<PathBuf>,
    rootfs: PathBuf,
    words: &'static [&'static str],
}

impl Row {
    fn command(&self, engine: &Containerd, container: &str) -> Command {
        self.with(engine.command(&["run", "--rm"]), container)
    }

    /// The same for one that is left running.
    pub(super) fn detached(&self, engine: &Containerd, container: &str) -> Command {
        self.with(engine.command(&["run", "--detach", "--null-io"]), container)
    }

    fn with(&self, mut command: Command, container: &str) -> Command {
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
        rows.iter().map(|row| row.command(&engine, &fresh_name())).collect();
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
    alone(&node, &rows, runs, samples[0].median())
}

/// The same by the runtimes alone, without containerd and its shim: what of a start is whose. And
/// a program in new namespaces, with nothing else of a container: the least that whoever made
/// containers without runc had to do.
fn alone(node: &OciNode, rows: &[Row; 4], runs: usize, whole: f64) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let bundle = node.home.path("bundle");
    fs::create_dir_all(&bundle).map_err(text)?;
    let mut spec = Command::new("runc");
    if run(spec.arg("spec").current_dir(&bundle), b"").code != Some(0) {
        return Err("runc spec fails".to_owned());
    }
    let config = bundle.join("config.json");
    let spec: serde_json::Value =
        serde_json::from_slice(&fs::read(&config).map_err(text)?).map_err(|e| e.to_string())?;
    let program = direct(node)?;
    let runc = Path::new("runc");
    let ways = [
        ("static C, by runc", runc, &rows[0]),
        ("static C, by bls-oci", &program, &rows[1]),
        ("artifact, ordinary", runc, &rows[2]),
        ("artifact, by bls-oci", &program, &rows[3]),
    ];
    let mut samples = vec![Samples::default(); ways.len() + 1];
    for _ in 0..runs {
        for ((name, program, row), samples) in ways.iter().zip(&mut samples) {
            // bls-oci has changed the last one.
            let mut spec = spec.clone();
            spec["process"]["terminal"] = false.into();
            spec["process"]["args"] = row.words.into();
            spec["root"]["path"] = row.rootfs.to_str().into();
            fs::write(&config, spec.to_string()).map_err(text)?;
            let mut command = Command::new(program);
            command.args(["run", "--bundle"]).arg(&bundle).arg(fresh_name());
            samples.push(timed(name, &mut command)?);
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--ipc", "--uts", "--net", "--fork"]);
        command.arg(rows[0].rootfs.join("program"));
        samples[ways.len()].push(timed("unshare", &mut command)?);
    }
    let mut table = Table::new(&["", "median", "of `ctr run` of C", "fastest"]);
    let names = ways.iter().map(|(name, ..)| *name).chain(["static C, by unshare"]);
    for (name, times) in names.zip(&samples) {
        table.row(vec![
            name.to_owned(),
            format!("{:.1} ms", times.median() / 1e3),
            format!("{:.2}", times.median() / whole),
            format!("{:.1} ms", times.minimum() / 1e3),
        ]);
    }
    println!();
    table.print(&format!(
        "The same by the runtimes alone (`run --bundle`), {runs} of each in turns."
    ));
    Ok(())
}

/// Microseconds of a whole process.
fn timed(name: &str, command: &mut Command) -> Result<f64, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let status = command.status().map_err(|error| format!("{name}: {error}"))?;
    if !status.success() {
        return Err(format!("{name}: it ended with {status}"));
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

/// Four of them that do the same: what is measured, and what it is measured beside.
pub(super) fn rows(
    node: &OciNode,
    name: &str,
    source: &str,
    guest: &str,
) -> Result<[Row; 4], String> {
    let text = |error: std::io::Error| error.to_string();
    let folder = |of: &str| -> Result<PathBuf, String> {
        let path = node.home.path(&format!("{name}-{of}"));
        fs::create_dir_all(&path).map_err(text)?;
        Ok(path)
    };
    let (native, artifact) = (folder("native")?, folder("artifact")?);
    let c = node.home.path(&format!("{name}.c"));
    fs::write(&c, source).map_err(text)?;
    static_program(&c, &native.join("program"));
    let compiled = node.home.compile(&fixtures().join(guest), &[]);
    let put = |from: &Path, to: PathBuf| fs::copy(from, to).map(drop).map_err(text);
    put(&compiled, artifact.join("app.bls"))?;
    // An ordinary image has a loader of its own, and says itself whom it trusts.
    let ordinary = folder("ordinary")?;
    fs::create_dir_all(ordinary.join("etc/bls")).map_err(text)?;
    put(&compiled, ordinary.join("app.bls"))?;
    put(&loader(), ordinary.join("bls-load"))?;
    put(&node.home.public_key(), ordinary.join("trust.pub"))?;
    let program = Some(direct(node)?);
    let c = &["/program"][..];
    let own = &["/bls-load", "--trust", "/trust.pub", "/app.bls"][..];
    Ok([
        Row { name: "static C, by runc", program: None, rootfs: native.clone(), words: c },
        Row { name: "static C, by bls-oci", program: program.clone(), rootfs: native, words: c },
        Row { name: "artifact, ordinary", program: None, rootfs: ordinary, words: own },
        Row { name: "artifact, by bls-oci", program, rootfs: artifact, words: &["/app.bls"] },
    ])
}

/// bls-oci with the node's configuration, which engines cannot name. A shell between would be
/// measured as well, several times a container.
fn direct(node: &OciNode) -> Result<PathBuf, String> {
    let (own, config) = (oci(), node.home.path("oci.json"));
    let source = format!(
        "#include <unistd.h>\nint main(int count, char **words) {{\n\
         char *all[count + 3];\nall[0] = words[0], all[1] = \"--bls-config\", all[2] = {config:?};\n\
         for (int at = 1; at <= count; at++) all[at + 2] = words[at];\n\
         execv({own:?}, all);\nreturn 127;\n}}\n"
    );
    let (c, program) = (node.home.path("direct.c"), node.home.path("direct"));
    fs::write(&c, source).map_err(|error| error.to_string())?;
    static_program(&c, &program);
    Ok(program)
}

/// What each has in memory while it waits, in MiB.
fn rows_of_memory(engine: &Containerd, node: &OciNode) -> Result<Vec<f64>, String> {
    let rows = rows(node, "wait", PAUSE, "wat/poll-forever.wat")?;
    let mut found = Vec::new();
    for row in &rows {
        let name = fresh_name();
        let mut command = row.command(engine, &name);
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
