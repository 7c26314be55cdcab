//! The host layer, called the way a guest calls it, one function at a time.
//!
//! A module is made from [`all`], the list the linker uses: it imports every
//! function of every interface and exports each through a trampoline, with a memory. It
//! goes the whole way once for each [`Shape`] (validate, meter, compile, sign,
//! verify, map) and is instantiated for each [`Driver`]. So a test can call any
//! function with any arguments over any bytes, and look at them afterwards.
//!
//! Guarantees that a call gives an [`Answer`] whatever the host does short of a
//! panic. Does not limit fuel, time or memory.

use bls_artifact::capability::{WASI_PREVIEW1, WASI_UNSTABLE};
use bls_artifact::fuel::{BUDGET_MAX, COUNTER_EXPORT};
use bls_artifact::host_table::{Function, Kind, all};
use bls_artifact::key::PrivateKey;
use bls_artifact::target::Target;
use bls_artifact::trust::Trust;
use bls_compiler::pipeline::{self, Options};
use bls_loader::host::State;
use bls_loader::host::{self, Exit, Fault, Grants, Host, OutputLimit, Preopen};
use bls_loader::map::map;
use bls_loader::open::Opened;
use bls_loader::verify::{Criteria, verify};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use wasmtime::{Func, Global, Linker, Memory, Module, Store, Val};

/// The memory that the driving module has, and the interface it imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One page, exported as `memory`.
    OnePage,
    /// Two pages, exported as `memory`.
    TwoPages,
    /// All that 32 bits can point at, exported as `memory`.
    FourGiB,
    /// Four pages that are not exported, and one page exported as `memory`.
    Second,
    /// One page, exported under another name.
    OtherName,
    /// None at all.
    Absent,
    /// Two pages, exported as `memory`; what snapshot 0 has is imported from there.
    Snapshot0,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 7] = [
        Self::OnePage,
        Self::TwoPages,
        Self::FourGiB,
        Self::Second,
        Self::OtherName,
        Self::Absent,
        Self::Snapshot0,
    ];

    /// The module's memories, as text.
    fn text(self) -> &'static str {
        match self {
            Self::OnePage => r#"(memory (export "memory") 1)"#,
            Self::TwoPages | Self::Snapshot0 => r#"(memory (export "memory") 2)"#,
            Self::FourGiB => r#"(memory (export "memory") 65536)"#,
            Self::Second => r#"(memory 4) (memory (export "memory") 1)"#,
            Self::OtherName => r#"(memory (export "recollection") 1)"#,
            Self::Absent => "",
        }
    }

    /// The module, made when it is first asked for.
    fn module(self) -> &'static Module {
        static MODULES: [OnceLock<Module>; Shape::ALL.len()] =
            [const { OnceLock::new() }; Shape::ALL.len()];
        let index = Self::ALL.iter().position(|shape| *shape == self).expect("one of all");
        MODULES[index].get_or_init(|| mapped(self))
    }

    /// The module that a function is imported from.
    fn interface(self, function: &Function) -> &'static str {
        match (self, function.interface, function.name) {
            (Self::Snapshot0, WASI_PREVIEW1, name) if name != "sock_accept" => WASI_UNSTABLE,
            (_, interface, _) => interface,
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It returned: 0, or an error of the specification.
    Errno(u32),
    /// The guest broke the calling convention: a trap.
    Fault(Fault),
    /// The guest ended itself.
    Exited(u32),
    /// The guest has written as much as it may.
    OutputLimit,
    /// Something else ended the run, in words. Never right.
    Failed(String),
}

/// The answer of a call that did what it was asked.
pub const SUCCESS: Answer = Answer::Errno(0);

/// One instance of the driving module, and its host.
#[derive(Debug)]
pub struct Driver {
    store: Store<State>,
    functions: Vec<Func>,
    memory: Option<Memory>,
    counter: Global,
}

impl Driver {
    /// Instantiates.
    ///
    /// # Panics
    /// When the module cannot be instantiated.
    #[must_use]
    pub fn new(shape: Shape, grants: Grants) -> Self {
        Self::of(shape, Host::new(grants), u64::MAX)
    }

    /// The same with a host that is told of all imports, as a run tells it, which is paid for
    /// its calls, and with so many bytes of memory.
    ///
    /// # Panics
    /// When the module cannot be instantiated.
    #[must_use]
    pub fn told(shape: Shape, grants: Grants, memory_max: u64) -> Self {
        let mut host = Host::new(grants);
        for import in shape.module().imports() {
            host.expect(import.module(), import.name());
        }
        let mut driver = Self::of(shape, host, memory_max);
        driver.store.data_mut().set_counter(Some(driver.counter));
        driver
    }

    fn of(shape: Shape, host: Host, memory_max: u64) -> Self {
        let module = shape.module();
        let state = State::new(host, memory_max);
        let mut store = Store::new(module.engine(), state);
        let mut linker = Linker::new(module.engine());
        for import in module.imports() {
            let known = host::define(&mut linker, import.module(), import.name());
            assert!(known.expect("memory"), "{} is not of the list", import.name());
        }
        let instance = linker.instantiate(&mut store, module).expect("an instance");
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().set_memory(memory);
        let counter = instance.get_global(&mut store, COUNTER_EXPORT).expect("a counter");
        counter.set(&mut store, Val::I64(BUDGET_MAX as i64)).expect("a mutable i64");
        let functions = all()
            .map(|known| instance.get_func(&mut store, known.name).expect("a trampoline"))
            .collect();
        Self { store, functions, memory, counter }
    }

    /// Calls a function by name. Arguments that are 32 bits wide are cut off.
    ///
    /// # Panics
    /// When there is no such function, or their number is another one.
    #[track_caller]
    pub fn call(&mut self, name: &str, arguments: &[u64]) -> Answer {
        let (index, known) = all()
            .enumerate()
            .find(|(_, known)| known.name == name)
            .unwrap_or_else(|| panic!("there is no function {name}"));
        let kinds = known.parameters;
        assert_eq!(kinds.len(), arguments.len(), "arguments of {name}");
        let arguments: Vec<Val> = kinds
            .iter()
            .zip(arguments)
            .map(|(kind, bits)| match kind {
                Kind::I32 => Val::I32(*bits as u32 as i32),
                Kind::I64 => Val::I64(*bits as i64),
            })
            .collect();
        let mut results = [Val::I32(0)];
        let results = if name == "proc_exit" { &mut [][..] } else { &mut results[..] };
        match self.functions[index].call(&mut self.store, &arguments, results) {
            Ok(()) => match results.first() {
                Some(Val::I32(errno)) => Answer::Errno(errno.cast_unsigned()),
                _ => Answer::Failed(format!("{name} came back")),
            },
            Err(error) => answer(&error),
        }
    }

    /// The code that a function answers with.
    ///
    /// # Panics
    /// When it answers otherwise.
    #[track_caller]
    pub fn code(&mut self, name: &str, arguments: &[u64]) -> u32 {
        match self.call(name, arguments) {
            Answer::Errno(code) => code,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Puts a text somewhere: its address and its length.
    pub fn put_text(&mut self, pointer: u32, text: &str) -> [u64; 2] {
        self.put(pointer, text.as_bytes());
        [pointer.into(), text.len() as u64]
    }

    /// Units that all calls until now have cost, the trampolines included.
    pub fn consumed(&mut self) -> u64 {
        let left = self.counter.get(&mut self.store).i64().unwrap_or_default();
        u64::try_from(BUDGET_MAX as i64 - left).unwrap_or_default()
    }

    /// The guest's exported memory; empty if there is none.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| memory.data(&self.store))
    }

    /// The same, to be changed.
    pub fn memory_mut(&mut self) -> &mut [u8] {
        match &self.memory {
            Some(memory) => memory.data_mut(&mut self.store),
            None => &mut [],
        }
    }

    /// Puts bytes at a pointer.
    ///
    /// # Panics
    /// When they do not lie inside the memory.
    #[track_caller]
    pub fn put(&mut self, pointer: u32, bytes: &[u8]) {
        let start = pointer as usize;
        self.memory_mut()[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Puts 32-bit words at a pointer: a list of buffers, for example.
    ///
    /// # Panics
    /// When they do not lie inside the memory.
    #[track_caller]
    pub fn put_words(&mut self, pointer: u32, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(pointer, &bytes);
    }

    /// The `LENGTH` bytes at a pointer.
    ///
    /// # Panics
    /// When they do not lie inside the memory.
    #[must_use]
    #[track_caller]
    pub fn get<const LENGTH: usize>(&self, pointer: u32) -> [u8; LENGTH] {
        let start = pointer as usize;
        self.memory()[start..start + LENGTH].try_into().expect("as many bytes as asked for")
    }

    /// The `u32` at a pointer.
    #[must_use]
    #[track_caller]
    pub fn word(&self, pointer: u32) -> u32 {
        u32::from_le_bytes(self.get(pointer))
    }

    /// The `u64` at a pointer.
    #[must_use]
    #[track_caller]
    pub fn long(&self, pointer: u32) -> u64 {
        u64::from_le_bytes(self.get(pointer))
    }
}

/// A folder to grant.
///
/// # Panics
/// When it cannot be opened.
#[must_use]
#[track_caller]
pub fn preopen(folder: &Path, guest_path: &str, read_only: bool) -> Preopen {
    let dir = cap_std::fs::Dir::open_ambient_dir(folder, cap_std::ambient_authority())
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    Preopen::new(dir, guest_path.to_owned(), read_only).expect("an open folder")
}

/// Which answer an error is.
fn answer(error: &wasmtime::Error) -> Answer {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        Answer::Fault(*fault)
    } else if let Some(Exit(code)) = error.downcast_ref::<Exit>() {
        Answer::Exited(*code)
    } else if error.is::<OutputLimit>() {
        Answer::OutputLimit
    } else {
        Answer::Failed(format!("{error:#}"))
    }
}

/// The driving module of this shape, compiled, signed, verified and mapped.
fn mapped(shape: Shape) -> Module {
    let key = PrivateKey::from_seed(&[1; 32]);
    let trust = Trust::only(key.public());
    let options = Options::new(vec![Target::host().expect("a native target")]);
    let wasm = wat::parse_str(source(shape)).expect("a module");
    let artifact = pipeline::build(wasm, "driver", &options, &[&key]).expect("an artifact");
    let opened = Opened::from_bytes("driver.bls", artifact.bytes().to_vec()).expect("opened");
    let verified = verify(opened, &Criteria::of(&trust)).expect("verified");
    map(verified).expect("mapped").module().clone()
}

/// The driving module as text.
fn source(shape: Shape) -> String {
    let memory = shape.text();
    let (mut imports, mut trampolines) = (String::new(), String::new());
    for function in all() {
        let name = function.name;
        let ty = function.ty();
        let ty = ty.trim_start_matches("func");
        let arguments: String =
            (0..function.parameters.len()).fold(String::new(), |mut text, index| {
                let _ = write!(text, " (local.get {index})");
                text
            });
        let interface = shape.interface(function);
        let _ = writeln!(imports, r#"(import "{interface}" "{name}" (func ${name} {ty}))"#);
        let _ = writeln!(trampolines, r#"(func (export "{name}") {ty} (call ${name}{arguments}))"#);
    }
    format!("(module {imports} {memory} {trampolines})")
}
