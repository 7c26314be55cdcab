//! Legacy exceptions: a module that uses them does what an engine does that has them. The other
//! engine is Node's, where it is installed; programs are made at random, of every way to throw, to
//! catch, to throw again and to delegate.

use bls_compiler::input::Source;
use bls_tests::programs::{Home, compiler, run};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use wasmtime::{Engine, Instance, Module, Store};

/// Arguments that each program is called with.
const CALLS: i32 = 48;

/// What each call says in Node: its result, or that something was thrown, and the trace.
const NODE: &str = "
const bytes = require('fs').readFileSync(process.argv[1]);
const { run, trace } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
for (let call = 0; call < Number(process.argv[2]); call++) {
  let said;
  try { said = String(run(call)); }
  catch (e) { said = e instanceof WebAssembly.Exception ? 'thrown' : 'trapped'; }
  console.log(said + ' ' + trace.value);
}";

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % u64::from(most)) as u32
    }
}

/// What a label names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// A branch to it takes a number along, or none.
    Block(bool),
    Loop,
    Handler(bool),
}

/// Writes a program.
struct Program {
    random: Random,
    text: String,
    labels: Vec<Label>,
    /// How many more statements there may be.
    left: u32,
    steps: u32,
    /// How many functions may be called.
    functions: u32,
}

impl Program {
    fn text(seed: u64) -> String {
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (text, labels) = (String::new(), Vec::new());
        let mut program = Self { random, text, labels, left: 0, steps: 0, functions: 0 };
        program.text.push_str(
            "(module (tag $a (param i32)) (tag $b) (tag $c (param i32 i64))
              (global $trace (export \"trace\") (mut i32) (i32.const 0))
              (func $step (param i32) (global.set $trace (i32.add (local.get 0)
                (i32.mul (global.get $trace) (i32.const 31)))))
              (func $number (param i32) (result i32) (call $step (local.get 0)) (local.get 0))\n",
        );
        for function in 0..3 {
            let name = if function == 2 { "(export \"run\")" } else { "" };
            let _ = writeln!(program.text, "(func $f{function} {name} (param i32) (result i32)");
            program.text.push_str("(local $left i32) (local.set $left (i32.const 5))\n");
            program.left = 40;
            program.functions = function;
            program.labels.clear();
            program.labels.push(Label::Block(true));
            program.statements(0);
            program.value(0);
            program.text.push_str(")\n");
        }
        program.text.push(')');
        program.text
    }

    /// Something that depends on the argument.
    fn condition(&mut self) {
        let bit = self.random.below(6);
        let _ = write!(
            self.text,
            "(i32.and (i32.shr_u (local.get 0) (i32.const {bit})) (i32.const 1))"
        );
    }

    fn step(&mut self) {
        self.steps += 1;
        let _ = writeln!(self.text, "(call $step (i32.const {}))", self.steps);
    }

    fn statements(&mut self, depth: u32) {
        for _ in 0..=self.random.below(4) {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            self.statement(depth);
        }
    }

    /// A number on the stack.
    fn value(&mut self, depth: u32) {
        self.steps += 1;
        let step = self.steps;
        match self.random.below(if depth < 6 { 4 } else { 2 }) {
            0 => {
                let _ = writeln!(self.text, "(call $number (i32.const {step}))");
            }
            1 if self.functions > 0 => {
                let function = self.random.below(self.functions);
                let _ = writeln!(self.text, "(call $f{function} (local.get 0))");
            }
            2 => self.attempt(depth + 1, true),
            _ => {
                self.text.push_str("(i32.add (local.get 0) (global.get $trace))\n");
            }
        }
    }

    fn guarded(&mut self, inside: impl FnOnce(&mut Self)) {
        self.text.push_str("(if ");
        self.condition();
        self.text.push_str(" (then ");
        self.labels.push(Label::Block(false));
        inside(self);
        self.labels.pop();
        self.text.push_str("))\n");
    }

    fn throw(&mut self) {
        self.steps += 1;
        let step = self.steps;
        let _ = match self.random.below(3) {
            0 => writeln!(self.text, "(throw $a (i32.const {step}))"),
            1 => writeln!(self.text, "(throw $b)"),
            _ => writeln!(self.text, "(throw $c (i32.const {step}) (i64.const {step}))"),
        };
    }

    fn statement(&mut self, depth: u32) {
        if depth >= 7 {
            return self.step();
        }
        match self.random.below(10) {
            0 => self.step(),
            1 => self.guarded(Self::throw),
            2 => {
                self.text.push_str("(block ");
                self.labels.push(Label::Block(false));
                self.statements(depth + 1);
                self.labels.pop();
                self.text.push_str(")\n");
            }
            3 => {
                // At most a few rounds.
                self.text.push_str("(loop ");
                self.labels.push(Label::Loop);
                self.statements(depth + 1);
                self.text.push_str(
                    "(local.set $left (i32.sub (local.get $left) (i32.const 1)))
                     (br_if 0 (i32.gt_s (local.get $left) (i32.const 0))))\n",
                );
                self.labels.pop();
            }
            4 => self.guarded(|program| program.branch()),
            5 => self.guarded(|program| {
                let handlers: Vec<usize> = (0..program.labels.len())
                    .filter(|at| {
                        matches!(program.labels[program.labels.len() - 1 - at], Label::Handler(_))
                    })
                    .collect();
                if let Some(last) = handlers.len().checked_sub(1) {
                    let which = handlers[program.random.below(last as u32 + 1) as usize];
                    let _ = writeln!(program.text, "(rethrow {which})");
                }
            }),
            6 if self.functions > 0 => {
                self.value(6);
                self.text.push_str("drop\n");
            }
            _ => self.attempt(depth + 1, false),
        }
    }

    /// A branch to any label but a loop's, which would not end.
    fn branch(&mut self) {
        let depth = self.random.below(self.labels.len() as u32);
        let takes = match self.labels[self.labels.len() - 1 - depth as usize] {
            Label::Loop => return,
            Label::Block(takes) | Label::Handler(takes) => takes,
        };
        if takes {
            let _ = writeln!(self.text, "(i32.const {depth})");
        }
        let _ = writeln!(self.text, "(br {depth})");
    }

    fn attempt(&mut self, depth: u32, has_value: bool) {
        let result = if has_value { "(result i32)" } else { "" };
        let _ = writeln!(self.text, "try {result}");
        self.labels.push(Label::Block(has_value));
        self.statements(depth);
        if self.random.below(3) > 0 {
            self.guarded(Self::throw);
        }
        if has_value {
            self.value(depth);
        }
        self.labels.pop();
        if self.random.below(4) == 0 {
            let target = self.random.below(self.labels.len() as u32);
            let _ = writeln!(self.text, "delegate {target}");
            return;
        }
        self.labels.push(Label::Handler(has_value));
        for (tag, values) in [("catch $a", 1), ("catch $b", 0), ("catch $c", 2), ("catch_all", 0)] {
            if self.random.below(3) == 0 {
                continue;
            }
            let _ = writeln!(self.text, "{tag}");
            self.text.push_str(["", "call $step\n", "drop call $step\n"][values]);
            self.statements(depth);
            if has_value {
                self.value(depth);
            }
        }
        self.labels.pop();
        self.text.push_str("end\n");
    }
}

/// What the calls say here, of the module in the standard form.
fn here(engine: &Engine, wasm: &[u8]) -> Vec<String> {
    let module = Module::new(engine, wasm).expect("a module");
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").expect("a function");
    let trace = instance.get_global(&mut store, "trace").expect("a global");
    let calls = 0..CALLS;
    let said = calls.map(|call| {
        let said = match run.call(&mut store, call) {
            Ok(result) => result.to_string(),
            Err(error) if error.is::<wasmtime::ThrownException>() => {
                let _ = store.take_pending_exception();
                "thrown".to_owned()
            }
            Err(_) => "trapped".to_owned(),
        };
        format!("{said} {}", trace.get(&mut store).unwrap_i32())
    });
    said.collect()
}

#[test]
fn programs_at_random_do_what_they_do_where_there_are_legacy_exceptions() {
    if Command::new("node").arg("--version").output().is_err() {
        println!("skipped: node is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("legacy.wasm");
    let mut config = wasmtime::Config::new();
    config.wasm_exceptions(true).wasm_gc(true).wasm_function_references(true);
    let engine = Engine::new(&config).expect("an engine");
    let (mut thrown, mut delegated, mut rethrown) = (0, 0, 0);
    let programs = std::env::var("BLS_LEGACY").ok().and_then(|count| count.parse().ok());
    let programs: u64 = programs.unwrap_or(150);
    for seed in 0..programs {
        let text = Program::text(seed);
        let legacy =
            wat::parse_str(&text).unwrap_or_else(|error| panic!("{seed}: {error}\n{text}"));
        fs::write(&file, &legacy).expect("a file");
        let mut node = Command::new("node");
        node.args(["-e", NODE]).arg(&file).arg(CALLS.to_string());
        let there = run(&mut node, b"").expect(0).text();
        let source = Source::new(legacy, "legacy.wasm").expect("a module");
        let here = here(&engine, source.wasm());
        assert_eq!(here.join("\n"), there.trim_end(), "seed {seed}:\n{text}");
        thrown += usize::from(here.iter().any(|said| said.starts_with("thrown")));
        delegated += text.matches("delegate").count();
        rethrown += text.matches("rethrow").count();
    }
    println!("{programs} programs, {thrown} that throw, {delegated} delegate, {rethrown} rethrow");
    assert!(thrown >= 20 && delegated >= 50 && rethrown >= 50, "{thrown} {delegated} {rethrown}");
}

#[test]
fn a_program_with_legacy_exceptions_just_runs() {
    let home = Home::new();
    let text = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (tag $e (param i32))
        (func $throws (throw $e (i32.const 42)))
        (func (export "_start")
          try
            call $throws
          catch $e
            call $exit
          end))"#;
    fs::write(home.path("legacy.wat"), text).expect("a file");
    let artifact = home.compile(&home.path("legacy.wat"), &[]);
    let _ = run(&mut home.load_command::<&str>(&[], &artifact), b"").expect(42);
    // The same of the binary, and the manifest names what was given.
    let wasm = wat::parse_str(text).expect("a module");
    fs::write(home.path("legacy.wasm"), wasm).expect("a file");
    let artifact = home.compile(&home.path("legacy.wasm"), &[]);
    let _ = run(&mut home.load_command::<&str>(&[], &artifact), b"").expect(42);
    let mut verify = Command::new(compiler());
    verify.current_dir(home.path(".")).arg("verify").arg(&artifact);
    let _ = run(verify.args(["--rebuild", "legacy.wasm"]), b"").expect(0);
}
