//! The benchmarks: start, fuel and size, each figure beside its peer's.
//!
//! Every table is made in one run, its commands alternated, and compares by
//! ratio: a time alone says more about the machine than about the programs. The
//! peers are what is installed; what is not is named. Assumes `BLS_COMPILE` and
//! `BLS_LOAD`; takes real programs from `BLS_SHARED` where it is set. Checks that
//! what it measures printed what it should; asserts no time and no size.

mod ablation;
mod adversaries;
mod artifacts;
mod bombs;
mod compile;
mod components;
mod cpu;
mod deltas;
mod distribution;
mod dressed;
mod embedding;
mod fleet;
mod fuel;
mod instructions;
mod load;
mod memory;
mod nans;
mod node;
mod oci;
mod page;
mod peers;
mod report;
mod schemes;
mod serve;
mod size;
mod sized;
mod sizes;
mod statistics;
mod table;
mod wall;

/// What `--help` prints.
pub const HELP: &str = "\
Benchmarks of the two programs beside their peers. Prints tables, asserts nothing.

Usage: cargo xtask bench [load|fuel|memory|ablation|cpu|size|sizes|deltas|compile|adversaries|bombs|components|embedding|wall|node|nans|oci|fleet|distribution|serve]... [RUNS] [--callgrind]
       cargo xtask bench page [RUNS] [--even-if-busy] [--json FILE]

  load         start of a process: hello, by size, large artifacts; from files and installed
  fuel         metered against unmetered, on BLS_SHARED/bench
  memory       --memory checked beside guard: time, code; address space and memory of a hello
  ablation     the meter without each of its techniques, in three layouts of the code
  cpu          code for each level of this machine's CPU, on BLS_SHARED/bench
  size         programs, memory, compile times
  sizes        native images: beside the wasm, by section, by target
  deltas       what changed between two releases: length, install; beside bsdiff and zstd
  compile      time to compile, beside another bls-compile (BLS_COMPILE_OTHER)
  components   components of WASI 0.2: size, fuel, time, memory, beside wasmtime's precompiled components
  adversaries  modules that are cheap in fuel and dear in time
  bombs        modules made to explode meter, audit or code generator
  wall         what giving up everything before a guest costs, beside another bls-load (BLS_LOAD_OTHER)
  node         200 requests of one function at once, as a node has them, beside wasmtime
  nans         float kernels with canonical NaNs, beside none and the engine's own rule
  oci          containers through containerd: start and memory, beside a static C program
  fleet        many containers at once: start and memory of each, beside a static C program
  distribution artifacts through one cache and one registry by 32 clients at once, some of them killed
  serve        requests a second of bls-serve, and how long they take, beside other servers
  embedding    the library: calls across the border, guests from a pool, beside wasmtime's own
  page         ours beside wasmtime, WasmEdge, WAMR, Node and native code, those that are on PATH: start,
               speed, metering, compiling, memory, sizes; writes BENCH.md and contrib/bench/*.svg

  RUNS         runs of each command [default: 300 for load and wall, 7 for fuel, memory, ablation and cpu, 5 for adversaries,
               25 for embedding, 15 for components, 60 for compile, 5 for node and serve, 15 for nans, 40 for oci,
               500 containers for fleet, 1000 artifacts for distribution, 11 for deltas, 9 for page: 20 times that for its starts, a third for compiling and
               techniques of the meter]
  --even-if-busy  with page: write it although others use the machine; its head says so
  --json FILE  with page: all figures
  --callgrind  with fuel and ablation: instructions executed by short programs, counted by valgrind (slow)

Without a name, all of them but ablation, compile, components, cpu, deltas, distribution, fleet, memory, oci, page, serve, sizes and wall. BLS_SHARED names a folder with guests/ and bench/.
";

/// What is measured, and how often.
#[derive(Debug)]
pub struct Options {
    names: Vec<Name>,
    runs: Option<usize>,
    callgrind: bool,
    page: page::Options,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Load,
    Fuel,
    Memory,
    Ablation,
    Size,
    Sizes,
    Adversaries,
    Bombs,
    Compile,
    Components,
    Embedding,
    Wall,
    Node,
    Cpu,
    Deltas,
    Distribution,
    Fleet,
    Nans,
    Oci,
    Page,
    Serve,
}

impl Options {
    /// Reads the command line behind argument 0.
    ///
    /// # Errors
    /// A word that is neither a benchmark, a number nor an option.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            names: Vec::new(),
            runs: None,
            callgrind: false,
            page: page::Options::default(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "load" => options.names.push(Name::Load),
                "fuel" => options.names.push(Name::Fuel),
                "memory" => options.names.push(Name::Memory),
                "ablation" => options.names.push(Name::Ablation),
                "size" => options.names.push(Name::Size),
                "sizes" => options.names.push(Name::Sizes),
                "bombs" => options.names.push(Name::Bombs),
                "compile" => options.names.push(Name::Compile),
                "components" => options.names.push(Name::Components),
                "node" => options.names.push(Name::Node),
                "deltas" => options.names.push(Name::Deltas),
                "cpu" => options.names.push(Name::Cpu),
                "nans" => options.names.push(Name::Nans),
                "fleet" => options.names.push(Name::Fleet),
                "distribution" => options.names.push(Name::Distribution),
                "oci" => options.names.push(Name::Oci),
                "page" => options.names.push(Name::Page),
                "serve" => options.names.push(Name::Serve),
                "wall" => options.names.push(Name::Wall),
                "embedding" => options.names.push(Name::Embedding),
                "adversaries" => options.names.push(Name::Adversaries),
                "--callgrind" => options.callgrind = true,
                "--even-if-busy" => options.page.even_if_busy = true,
                "--json" => {
                    let file = arguments.next().ok_or("--json needs the name of a file")?;
                    options.page.json = Some(file.into());
                }
                other => match other.parse() {
                    Ok(runs @ 1..) => options.runs = Some(runs),
                    _ => return Err(format!("there is no benchmark {other:?}\n\n{HELP}")),
                },
            }
        }
        if options.names.is_empty() {
            options.names = vec![
                Name::Load,
                Name::Fuel,
                Name::Size,
                Name::Adversaries,
                Name::Bombs,
                Name::Embedding,
                Name::Node,
                Name::Nans,
            ];
        }
        Ok(options)
    }
}

/// Measures and prints.
///
/// # Errors
/// When a program that is measured cannot be run, or fails.
///
/// # Panics
/// When `BLS_COMPILE` or `BLS_LOAD` is not set.
pub fn run(options: &Options) -> Result<(), String> {
    let bench = Bench { home: crate::programs::Home::new(), peers: peers::Peers::find()? };
    println!("Times on a shared machine are noisy: read the ratios, and run it twice.");
    for line in bench.peers.missing() {
        println!("{line}");
    }
    for name in &options.names {
        println!();
        match name {
            Name::Load => load::run(&bench, options.runs.unwrap_or(load::RUNS))?,
            Name::Fuel => {
                fuel::run(&bench, options.runs.unwrap_or(fuel::RUNS), options.callgrind)?;
            }
            Name::Ablation => {
                ablation::run(&bench, options.runs.unwrap_or(fuel::RUNS), options.callgrind)?;
            }
            Name::Deltas => deltas::run(&bench, options.runs.unwrap_or(deltas::RUNS))?,
            Name::Cpu => cpu::run(&bench, options.runs.unwrap_or(fuel::RUNS))?,
            Name::Memory => memory::run(&bench, options.runs.unwrap_or(memory::RUNS))?,
            Name::Size => size::run(&bench)?,
            Name::Sizes => sizes::run()?,
            Name::Bombs => bombs::run(&bench)?,
            Name::Compile => compile::run(&bench, options.runs.unwrap_or(compile::RUNS))?,
            Name::Components => {
                components::run_all(&bench, options.runs.unwrap_or(components::RUNS))?;
            }
            Name::Node => node::run(&bench, options.runs.unwrap_or(node::RUNS))?,
            Name::Wall => wall::run(&bench, options.runs.unwrap_or(wall::RUNS))?,
            Name::Nans => nans::run(options.runs.unwrap_or(nans::RUNS))?,
            Name::Fleet => fleet::run(options.runs.unwrap_or(fleet::RUNS))?,
            Name::Distribution => {
                distribution::run(options.runs.unwrap_or(distribution::RUNS));
            }
            Name::Oci => oci::run_all(options.runs.unwrap_or(oci::RUNS))?,
            Name::Page => page::run(&bench, options.runs.unwrap_or(page::RUNS), &options.page)?,
            Name::Serve => serve::run(&bench, options.runs.unwrap_or(serve::RUNS))?,
            Name::Embedding => embedding::run(options.runs.unwrap_or(embedding::RUNS))?,
            Name::Adversaries => {
                adversaries::run(&bench, options.runs.unwrap_or(adversaries::RUNS))?;
            }
        }
    }
    Ok(())
}

/// What every benchmark needs: a key with its trust file, and the peers.
struct Bench {
    home: crate::programs::Home,
    peers: peers::Peers,
}
