//! `blockless.mcall` and `blockless.register`: calls by name from one module into another.
//!
//! In the network's runtime the host does them: it reads JSON, copies parameters from one memory
//! into another and calls. Here code is generated when modules are linked, that does the same
//! inside the sandbox: no host is asked, nothing is locked, a callee may call on, and all of it is
//! metered as other code. What reads requests is `json.wat` and `registry.wat`; what is generated
//! for each program is what names its memories and functions, since an instruction says which
//! memory it means.
//!
//! A request is copied into a memory that only this code has, and read there: no module changes
//! it meanwhile, and none can reach what is kept. Results are 0 (done), 1 (the caller exports no
//! memory), 5 (refused; the caller's buffer says why) and 6 (`register` by what is no library). A
//! callee that traps ends the program, as every trap does: 2, 3 and 4 are never given. The
//! callee's buffer is cleared before the call, for all of it comes back to the caller.

use super::error::LinkError;
use super::module::{Import, Kind, Module};
use super::types::Types;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use wasm_encoder::ValType::I32;

/// The module that both are imported from.
pub(super) const MODULE: &str = "blockless";
const CALL: &str = "mcall";
const REGISTER: &str = "register";

/// What reads JSON.
const JSON: &str = include_str!("mcall/json.wat");
/// What knows methods.
const REGISTRY: &str = include_str!("mcall/registry.wat");

/// The messages of a refusal; the first is none. Their places are their numbers.
const MESSAGES: [(&str, &str); 8] = [
    ("", ""),
    ("@SYNTAX", "error parse json: not a JSON object"),
    ("@NO_NODE", "error parse json: mcall node not found"),
    ("@NO_NAME", "error parse json: mcall is no string"),
    ("@NO_METHODS", "error parse json: methods is no list of strings"),
    ("@UNKNOWN", "no mcall register."),
    (
        "@UNUSABLE",
        "caller instance fail, a callee has a memory, alloc, dealloc and methods of four i32",
    ),
    ("@MEMORY", "caller instance fail, no memory for the request"),
];
/// Words of requests, and where they stand.
const WORDS: [(&str, &str); 4] =
    [("@MCALL", "mcall"), ("@PARAMS", "params"), ("@METHODS", "methods"), ("@NULL", "null")];
/// Deepest nesting of JSON.
const DEPTH: u32 = 128;
/// Nothing stands below this address: 0 is no place.
const BEGIN: usize = 16;
const PAGE: usize = 65536;

/// A method that may be registered.
struct Method<'a> {
    /// The module, and what it exports it as.
    library: usize,
    export: &'a str,
    is_usable: bool,
}

/// The export that an import of `module` means in the generated module; `None` for others.
pub(super) fn export_for(module: usize, import: &Import<'_>) -> Option<String> {
    is_ours(import).then(|| format!("{}:{module}", import.name))
}

fn is_ours(import: &Import<'_>) -> bool {
    import.module == MODULE
        && [CALL, REGISTER].contains(&import.name)
        && import.kind() == Kind::Function
}

/// Whether a module imports one of the two.
fn imports(module: &Module<'_>, name: &str) -> bool {
    module.imports.iter().any(|import| is_ours(import) && import.name == name)
}

/// The module that does them, where anybody imports one of them. It imports from module `n` by
/// the name `n`. `modules` are in the order in which they begin, the entry last.
pub(super) fn generate(
    modules: &[Module<'_>],
    entry: usize,
    types: &mut Types,
    numbers: &[Vec<u32>],
) -> Result<Option<Vec<u8>>, LinkError> {
    let uses = |module: &Module<'_>| imports(module, CALL) || imports(module, REGISTER);
    if !modules.iter().any(uses) {
        return Ok(None);
    }
    let alloc = types.function(&[I32], &[I32]);
    let dealloc = types.function(&[I32, I32], &[]);
    let method = types.function(&[I32, I32, I32, I32], &[I32]);
    let is = |at: usize, name: &str, ty: u32| {
        let index = modules[at].exported(name, Kind::Function);
        let own = index.and_then(|index| modules[at].functions.get(index as usize));
        own.and_then(|own| numbers[at].get(*own as usize)) == Some(&ty)
    };
    let is_callee = |at: usize| {
        has_memory(&modules[at]) && is(at, "alloc", alloc) && is(at, "dealloc", dealloc)
    };
    let registering = (0..entry).filter(|at| imports(&modules[*at], REGISTER));
    let mut methods: BTreeMap<String, Method<'_>> = BTreeMap::new();
    for library in registering {
        let has_all = is_callee(library);
        for export in &modules[library].exports {
            if Kind::of_export(export.kind) != Kind::Function {
                continue;
            }
            let is_usable = has_all && is(library, export.name, method);
            let full = format!("{}::{}", modules[library].name, export.name);
            // Two libraries may spell one name: the first has it.
            let _ =
                methods.entry(full).or_insert(Method { library, export: export.name, is_usable });
        }
    }
    let text = Glue { modules, entry, methods: &methods }.text();
    wat::parse_str(text).map(Some).map_err(super::defect)
}

/// Whether a module exports a memory that pointers of 32 bits are into.
fn has_memory(module: &Module<'_>) -> bool {
    let memory = module.exported("memory", Kind::Memory);
    memory.and_then(|index| module.memories.get(index as usize)).is_some_and(|one| !one.memory64)
}

/// What the generated module is made of.
struct Glue<'a> {
    modules: &'a [Module<'a>],
    entry: usize,
    methods: &'a BTreeMap<String, Method<'a>>,
}

/// What lies in its memory, and where.
struct Memory {
    bytes: Vec<u8>,
}

impl Memory {
    /// Puts something there; its address.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let at = BEGIN + self.bytes.len();
        self.bytes.extend(bytes);
        at
    }
}

impl Glue<'_> {
    /// The libraries that are called, in order.
    fn callees(&self) -> Vec<usize> {
        let usable = self.methods.values().filter(|method| method.is_usable);
        let mut callees: Vec<usize> = usable.map(|method| method.library).collect();
        callees.sort_unstable();
        callees.dedup();
        callees
    }

    /// The modules that import one of the two.
    fn callers(&self) -> impl Iterator<Item = (usize, &Module<'_>)> {
        let all = self.modules.iter().enumerate();
        all.filter(|(_, module)| imports(module, CALL) || imports(module, REGISTER))
    }

    fn text(&self) -> String {
        let callees = self.callees();
        let mut memory = Memory { bytes: Vec::new() };
        let mut replaced: Vec<(&str, usize)> = vec![("@DEPTH", DEPTH as usize)];
        for (word, text) in WORDS {
            replaced.push((word, memory.put(text.as_bytes())));
        }
        let mut places = Vec::new();
        for (number, (word, message)) in MESSAGES.into_iter().enumerate() {
            if !word.is_empty() {
                replaced.push((word, number));
            }
            let json = format!(r#"{{"code":-1,"message":"{message}"}}"#);
            places.extend([memory.put(json.as_bytes()) as u32, json.len() as u32]);
        }
        let messages = memory.put(&words(&places));
        let prefixes: Vec<(usize, usize)> = self.modules[..self.entry]
            .iter()
            .map(|module| {
                let prefix = format!("{}::", module.name);
                (memory.put(prefix.as_bytes()), prefix.len())
            })
            .collect();
        let mut rows = Vec::new();
        for (name, method) in self.methods {
            let library = if method.is_usable { method.library as u32 } else { u32::MAX };
            rows.extend([memory.put(name.as_bytes()) as u32, name.len() as u32, library, 0]);
        }
        let table = memory.put(&words(&rows));
        let top = memory.put(&[]);

        let mut text = String::from("(module\n");
        self.write_imports(&mut text, &callees);
        let pages = top.div_ceil(PAGE);
        // Writing to a String does not fail.
        let _ = writeln!(text, "  (memory $s {pages})");
        let _ =
            writeln!(text, "  (data (memory $s) (i32.const {BEGIN}) \"{}\")", hex(&memory.bytes));
        let _ = writeln!(text, "  (global $top (mut i32) (i32.const {top}))");
        let _ = writeln!(text, "  (global $table i32 (i32.const {table}))");
        let _ = writeln!(text, "  (global $rows i32 (i32.const {}))", self.methods.len());
        text += JSON;
        text += &replaced.iter().fold(REGISTRY.to_owned(), |registry, (word, value)| {
            registry.replace(word, &value.to_string())
        });
        self.write_dispatch(&mut text, &callees);
        for (at, module) in self.callers() {
            self.write_caller(&mut text, at, module, &callees, messages, &prefixes);
        }
        text += ")\n";
        text
    }

    /// Memories of all who take part, and what is called.
    fn write_imports(&self, text: &mut String, callees: &[usize]) {
        let mut memories: Vec<usize> = callees.to_vec();
        memories.extend(self.callers().filter(|(_, one)| has_memory(one)).map(|(at, _)| at));
        memories.sort_unstable();
        memories.dedup();
        for at in memories {
            let _ = writeln!(text, "  (import \"{at}\" \"memory\" (memory $m{at} 0))");
        }
        for at in callees {
            let _ = writeln!(
                text,
                "  (import \"{at}\" \"alloc\" (func $alloc{at} (param i32) (result i32)))
  (import \"{at}\" \"dealloc\" (func $dealloc{at} (param i32 i32)))"
            );
        }
        for (row, method) in self.methods.values().enumerate() {
            if method.is_usable {
                let (at, name) = (method.library, hex(method.export.as_bytes()));
                let _ = writeln!(
                    text,
                    "  (import \"{at}\" \"{name}\" (func $method{row} (param i32 i32 i32 i32) (result i32)))"
                );
            }
        }
    }

    /// What is chosen by the number of a library or of a row.
    fn write_dispatch(&self, text: &mut String, callees: &[usize]) {
        *text += "  ;; Makes room in a library and copies the parameters there: both places.
  (func $prepare (param $library i32) (param $from i32) (param $length i32) (param $size i32)
                 (result i32 i32)
    (local $in i32) (local $out i32)
";
        let prepare = |at: &usize| {
            format!(
                "(local.set $in (call $alloc{at} (local.get $length)))
    (local.set $out (call $alloc{at} (local.get $size)))
    (memory.copy $m{at} $s (local.get $in) (local.get $from) (local.get $length))
    (memory.fill $m{at} (local.get $out) (i32.const 0) (local.get $size))"
            )
        };
        let choices: Vec<(usize, String)> = callees.iter().map(|at| (*at, prepare(at))).collect();
        choose(text, "$library", &choices, "");
        *text += "
    (local.get $in) (local.get $out))
  ;; Gives the room back.
  (func $finish (param $library i32) (param $in i32) (param $length i32) (param $out i32)
                (param $size i32)
";
        let finish = |at: &usize| {
            format!(
                "(call $dealloc{at} (local.get $in) (local.get $length))
    (call $dealloc{at} (local.get $out) (local.get $size))"
            )
        };
        let choices: Vec<(usize, String)> = callees.iter().map(|at| (*at, finish(at))).collect();
        choose(text, "$library", &choices, "");
        *text += ")
  ;; Calls a method.
  (func $run (param $row i32) (param $in i32) (param $length i32) (param $out i32)
             (param $size i32) (result i32)
";
        let rows = self.methods.values().enumerate().filter(|(_, method)| method.is_usable);
        let run = |row: usize| {
            format!(
                "(call $method{row} (local.get $in) (local.get $length) (local.get $out) (local.get $size))"
            )
        };
        let choices: Vec<(usize, String)> = rows.map(|(row, _)| (row, run(row))).collect();
        choose(text, "$row", &choices, " (result i32)");
        *text += ")\n";
    }

    /// What one module calls.
    fn write_caller(
        &self,
        text: &mut String,
        at: usize,
        module: &Module<'_>,
        callees: &[usize],
        messages: usize,
        prefixes: &[(usize, usize)],
    ) {
        let export = |name: &str| format!("(export \"{name}:{at}\")");
        let parameters = "(param $request i32) (param $length i32) (param $buffer i32) (param $size i32) (result i32)";
        let does_call = imports(module, CALL);
        if !has_memory(module) {
            for name in [CALL, REGISTER] {
                if imports(module, name) {
                    let _ = writeln!(text, "  (func {} {parameters} (i32.const 1))", export(name));
                }
            }
            return;
        }
        if imports(module, REGISTER) && at == self.entry {
            let _ = writeln!(text, "  (func {} {parameters} (i32.const 6))", export(REGISTER));
        }
        let _ = writeln!(
            text,
            "  ;; Traps, as an access would, where module {at} has no such bytes: before room is made for
  ;; them.
  (func $check{at} (param $request i32) (param $length i32)
    (if (i64.gt_u
          (i64.add (i64.extend_i32_u (local.get $request)) (i64.extend_i32_u (local.get $length)))
          (i64.shl (i64.extend_i32_u (memory.size $m{at})) (i64.const 16)))
      (then (drop (i32.load8_u $m{at} offset=4294967295 (i32.const -1))))))
  ;; Writes a message into the buffer of module {at}, as far as it has room.
  (func $refuse{at} (param $message i32) (param $buffer i32) (param $size i32) (result i32)
    (local $row i32)
    (local.set $row
      (i32.add (i32.const {messages}) (i32.shl (local.get $message) (i32.const 3))))
    (if (i32.gt_u (local.get $size) (i32.load $s offset=4 (local.get $row)))
      (then (local.set $size (i32.load $s offset=4 (local.get $row)))))
    (memory.copy $m{at} $s (local.get $buffer) (i32.load $s (local.get $row)) (local.get $size))
    (i32.const 5))"
        );
        if let (Some((prefix, prefix_length)), true) = (prefixes.get(at), imports(module, REGISTER))
        {
            let export = export(REGISTER);
            let _ = writeln!(
                text,
                "  (func {export} {parameters}
    (local $top i32) (local $at i32) (local $message i32)
    (call $check{at} (local.get $request) (local.get $length))
    (local.set $top (global.get $top))
    (local.set $at (call $room (local.get $length)))
    (if (i32.eqz (local.get $at))
      (then (return (call $refuse{at} (i32.const {memory}) (local.get $buffer) (local.get $size)))))
    (memory.copy $s $m{at} (local.get $at) (local.get $request) (local.get $length))
    (local.set $message
      (call $read_methods (local.get $at) (i32.add (local.get $at) (local.get $length))
        (i32.const {at}) (i32.const {prefix}) (i32.const {prefix_length})))
    (global.set $top (local.get $top))
    (if (local.get $message)
      (then (return (call $refuse{at} (local.get $message) (local.get $buffer) (local.get $size)))))
    (i32.const 0))",
                memory = number_of("@MEMORY"),
            );
        }
        if !does_call {
            return;
        }
        let _ = writeln!(
            text,
            "  ;; Copies an answer into the memory of module {at}.
  (func $back{at} (param $library i32) (param $buffer i32) (param $out i32) (param $size i32)"
        );
        let back = |from: &usize| {
            format!(
                "(memory.copy $m{at} $m{from} (local.get $buffer) (local.get $out) (local.get $size))"
            )
        };
        let choices: Vec<(usize, String)> =
            callees.iter().map(|from| (*from, back(from))).collect();
        choose(text, "$library", &choices, "");
        let _ = writeln!(
            text,
            ")
  (func {export} {parameters}
    (local $top i32) (local $at i32) (local $message i32) (local $row i32) (local $library i32)
    (local $name i32) (local $name_length i32) (local $given i32) (local $given_length i32)
    (local $in i32) (local $out i32)
    (call $check{at} (local.get $request) (local.get $length))
    (local.set $top (global.get $top))
    (local.set $at (call $room (local.get $length)))
    (if (i32.eqz (local.get $at))
      (then (return (call $refuse{at} (i32.const {memory}) (local.get $buffer) (local.get $size)))))
    (memory.copy $s $m{at} (local.get $at) (local.get $request) (local.get $length))
    (call $read_call (local.get $at) (i32.add (local.get $at) (local.get $length)))
    (local.set $given_length) (local.set $given) (local.set $name_length) (local.set $name)
    (local.set $message)
    (if (i32.eqz (local.get $message))
      (then
        (local.set $message (i32.const {unknown}))
        (local.set $row (call $find (local.get $name) (local.get $name_length)))
        (if (i32.ge_s (local.get $row) (i32.const 0))
          (then
            (if (i32.load $s offset=12 (call $row (local.get $row)))
              (then
                (local.set $library (i32.load $s offset=8 (call $row (local.get $row))))
                (local.set $message
                  (select (i32.const {unusable}) (i32.const 0)
                    (i32.eq (local.get $library) (i32.const -1))))))))))
    (if (local.get $message)
      (then
        (global.set $top (local.get $top))
        (return (call $refuse{at} (local.get $message) (local.get $buffer) (local.get $size)))))
    ;; What is called may call on: the request stays until it was copied.
    (call $prepare (local.get $library) (local.get $given) (local.get $given_length)
      (local.get $size))
    (local.set $out) (local.set $in)
    (global.set $top (local.get $top))
    (drop
      (call $run (local.get $row) (local.get $in) (local.get $given_length) (local.get $out)
        (local.get $size)))
    (call $back{at} (local.get $library) (local.get $buffer) (local.get $out) (local.get $size))
    (call $finish (local.get $library) (local.get $in) (local.get $given_length) (local.get $out)
      (local.get $size))
    (i32.const 0))",
            export = export(CALL),
            memory = number_of("@MEMORY"),
            unknown = number_of("@UNKNOWN"),
            unusable = number_of("@UNUSABLE"),
        );
    }
}

/// The number of a message.
fn number_of(word: &str) -> usize {
    MESSAGES.iter().position(|(known, _)| *known == word).unwrap_or(0)
}

/// Code that does one of these things, by a number that is one of theirs: in as many steps as
/// the number of choices has binary digits.
fn choose(text: &mut String, variable: &str, choices: &[(usize, String)], ty: &str) {
    match choices {
        [] => *text += "    (unreachable)",
        [(_, only)] => *text += &format!("    {only}"),
        _ => {
            let (low, high) = choices.split_at(choices.len() / 2);
            let _ = writeln!(
                text,
                "    (if{ty} (i32.lt_u (local.get {variable}) (i32.const {})) (then",
                high[0].0
            );
            choose(text, variable, low, ty);
            *text += ") (else\n";
            choose(text, variable, high, ty);
            *text += "))";
        }
    }
}

/// Numbers as they lie in memory.
fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Bytes as a string of the text format.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        let _ = write!(text, "\\{byte:02x}");
    }
    text
}
