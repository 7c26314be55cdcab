//! The form of a report: what its JSON holds, field by field.
//!
//! `loader/report.schema.json` is made of these types, their descriptions included: what
//! stands here above a field is what a reader of reports is told. Guarantees that fields
//! are written in the order of their names, and that whatever others chose is bounded
//! ([`Text`], [`List`]). Knows nothing of how a run goes: `convert.rs` does.

use super::bounded::{List, Text};
use crate::host::accounted::Calls;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// The report of one run of `bls-load --report FILE`. What was not known when the run ended
/// is left out.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(transform = super::schema::report))]
pub(super) struct Report {
    /// The artifact, once its signature was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) artifact: Option<Artifact>,
    /// The program that was started to answer what the guest asks for (`bls-broker`), where one
    /// was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broker: Option<Text>,
    /// Processor time of the whole process; where an account is kept (`--metrics`, `--receipt`),
    /// and not with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_microseconds: Option<CpuTime>,
    /// The rules in the place of chance, with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deterministic: Option<Deterministic>,
    /// Digests of what the guest was given and what it gave, with `--receipt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digests: Option<Digests>,
    /// What was consumed, as well as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fuel: Option<Fuel>,
    /// Where the fuel went, by function, where the artifact counts that and the run ended by
    /// itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fuel_profile: Option<FuelProfile>,
    /// What the guest was granted, as capabilities with their objects, such as
    /// `fs.read:/data`; once that is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) granted: Option<List<Text>>,
    /// How often the guest called each function of the host, by `INTERFACE.NAME`; where an account
    /// is kept (`--metrics`, `--receipt`) and the run ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host_calls: Option<HostCalls>,
    /// What holds that the code which runs is the code that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) integrity: Option<Integrity>,
    /// How many elements are missing of lists that had to be cut.
    #[serde(skip_serializing_if = "LeftOut::is_empty")]
    pub(super) left_out: LeftOut,
    /// The limits of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<Limits>,
    /// Limits that the guest was told of by a call or a growth that failed, and that did not
    /// end the run: `memory`, `table`, `descriptors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits_met: Option<List<Text>>,
    /// How long the stages took; not with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) microseconds: Option<Microseconds>,
    /// How the run ended.
    pub(super) outcome: Outcome,
    /// The most memory that was in use; not with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peak_memory_bytes: Option<PeakMemory>,
    /// What the call of `--invoke` gave, where it gave anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) results: Option<List<ResultValue>>,
    /// What the process gave up before the guest ran; not with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sandbox: Option<Sandbox>,
    /// Functions that the module imports and no host has: a call to one traps
    /// (`--unknown-imports trap`). As `MODULE.NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unknown_imports: Option<List<Text>>,
    /// The version of this form. Fields may be added without another version.
    pub(super) version: Version,
}

/// The version of the form.
#[derive(Debug, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(JsonSchema), schemars(inline, extend("const" = 1)))]
pub(super) struct Version(u32);

impl Default for Version {
    fn default() -> Self {
        Self(1)
    }
}

/// The artifact that was run.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Artifact {
    /// SHA-256 of the whole file, 64 hexadecimal digits; null where not all of it was read, and
    /// in the receipt of a deterministic run.
    pub(super) file_sha256: Option<Text>,
    /// SHA-256 of the signed payload, 64 hexadecimal digits: what identifies the artifact.
    pub(super) identity: Text,
    /// SHA-256 of the image that runs, 64 hexadecimal digits: what a debug file is about; not
    /// with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image_sha256: Option<Text>,
    /// The ids of the trusted keys whose signatures count.
    pub(super) key_ids: List<Text>,
    /// What the code that runs is for: its target, and what it may ask of the CPU, such as
    /// `x86_64:v3`; not with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<Text>,
    /// The signed name.
    pub(super) name: Text,
    /// Which of the artifact's parts runs, counted from 0; not with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<usize>,
    /// SHA-256 of the WebAssembly module it was compiled from, 64 hexadecimal digits.
    pub(super) source_sha256: Text,
    /// The target of the code that runs, as a triple; not with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Text>,
}

/// How often functions of the host were called: only those that were.
#[derive(Debug)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(transparent))]
pub(super) struct HostCalls(
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, u64>"))]
    pub(super)  Vec<Calls>,
);

impl Serialize for HostCalls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let called =
            self.0.iter().map(|one| (format!("{}.{}", one.interface, one.name), one.calls));
        serializer.collect_map(called)
    }
}

/// Processor time, in microseconds.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct CpuTime {
    /// In the kernel.
    pub(super) system: u64,
    /// In the guest and the loader.
    pub(super) user: u64,
}

/// Digests of what the guest was given and what it gave. Files are not among them.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Digests {
    /// SHA-256 of the guest's arguments, argument 0 first, each with a zero byte behind it.
    pub(super) arguments: Text,
    /// The same of its variables, each as `NAME=VALUE`, in the order that the guest sees them in.
    pub(super) environment: Text,
    /// SHA-256 of each policy file that holds: the machine's, then that of `--policy`.
    pub(super) policies: Vec<Text>,
    /// What it wrote to standard error; where the run ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stderr: Option<StreamDigest>,
    /// What was read of standard input for it; where the run ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stdin: Option<StreamDigest>,
    /// What it wrote to standard output; where the run ended by itself. (What `--invoke` printed
    /// is in `results`.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stdout: Option<StreamDigest>,
}

/// What went through a standard stream.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct StreamDigest {
    /// How many bytes.
    pub(super) bytes: u64,
    /// Their SHA-256, 64 hexadecimal digits.
    pub(super) sha256: Text,
}

/// The rules in the place of chance.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Deterministic {
    /// Where the clocks begin, in seconds since 1970.
    pub(super) epoch: u64,
    /// What randomness comes from.
    pub(super) seed: u64,
}

/// Fuel, in units of the cost model.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) enum Fuel {
    /// The artifact was compiled with `--no-fuel`.
    Unmetered {
        /// Always false.
        #[cfg_attr(test, schemars(extend("const" = false)))]
        metered: bool,
    },
    /// The artifact counts.
    Metered(Metered),
}

/// The fuel of a metered run: either `consumed` or `at_least`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(transform = super::schema::metered))]
pub(super) struct Metered {
    /// A lower bound on the units consumed, where it is not known how many were: after a
    /// timeout or a signal, what the guest had consumed at its last host call (the price of
    /// that call included where it had returned), and before its first one the price of
    /// instantiation. With `--deterministic` the price of instantiation, always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at_least: Option<u64>,
    /// The budget in units; null where there was none.
    pub(super) budget: Option<u64>,
    /// The units that the run is billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consumed: Option<u64>,
    /// Whether `consumed` is exactly what was consumed. False with `at_least`, and where a
    /// trap is billed the whole budget.
    pub(super) exact: bool,
    /// The units of the budget that were not consumed, where there is a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<u64>,
    /// Always true.
    #[cfg_attr(test, schemars(extend("const" = true)))]
    pub(super) metered: bool,
    /// The name of the cost model.
    pub(super) model: &'static str,
}

/// Where the fuel went. All units add up to what was billed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct FuelProfile {
    /// Units that were billed and that no function counted, as after a trap; below zero, units
    /// that were counted beyond the budget and are not billed.
    pub(super) billed_on_top: i64,
    /// The functions, most units first; at most 4096.
    pub(super) functions: Vec<FunctionFuel>,
    /// Units that the host took for its own work.
    pub(super) host: u64,
    /// Units of instantiation.
    pub(super) instantiation: u64,
    /// The functions that are not listed, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) others: Option<OtherFunctions>,
}

/// What one function consumed, without those it called.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct FunctionFuel {
    /// Its index in the module, imported functions counted first.
    pub(super) function: u32,
    /// Its name; null where the module has none.
    pub(super) name: Option<Text>,
    /// Units.
    pub(super) units: u64,
}

/// What the functions consumed that a profile does not list.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct OtherFunctions {
    /// How many.
    pub(super) functions: usize,
    /// Units of all of them.
    pub(super) units: u64,
}

/// What holds that the code which runs is the code that was signed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Integrity {
    /// How the code came into memory.
    pub(super) mode: Mode,
    /// What the mode relies on, in a sentence.
    pub(super) trusts: &'static str,
    /// Why an installed artifact was copied; null for one that is not installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<Option<Text>>,
}

/// How the code came into memory.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) enum Mode {
    /// Copied into memory of this process, and hashed on the way.
    Copy,
    /// Mapped from a store that only root can write, and hashed when it was installed.
    Store,
}

/// How many elements are missing of lists that had to be cut, by the part of the report that
/// the list is in.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct LeftOut {
    /// Of `artifact.key_ids`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) artifact: usize,
    /// Of `granted`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) granted: usize,
    /// Of `outcome.trap.frames`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) outcome: usize,
    /// Of `results`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) results: usize,
    /// Of `unknown_imports`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) unknown_imports: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The limits of the run; null is no limit.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Limits {
    /// Open descriptors, granted ones included.
    pub(super) descriptors: u32,
    /// Units of fuel.
    pub(super) fuel: Option<u64>,
    /// Bytes of memories, tables and objects together.
    pub(super) memory_bytes: u64,
    /// Bytes that the guest may write and make a disk hold.
    pub(super) output_bytes: Option<u64>,
    /// Bytes of stack.
    pub(super) stack_bytes: usize,
    /// Milliseconds from the start of the program.
    pub(super) timeout_ms: Option<u64>,
}

/// What the process gave up before the guest ran (SECURITY.md, "The second wall").
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Sandbox {
    /// The version of Landlock's interface that restricts files; null where it does not.
    pub(super) landlock_abi: Option<u32>,
    /// The pieces that this system does not give.
    pub(super) missing: Vec<MissingPiece>,
    /// The pieces that stand: `descriptors`, `limits`, `capabilities`, `dumpable`, `no-new-privs`, `mdwe`,
    /// `landlock`, `seccomp`.
    pub(super) stands: Vec<&'static str>,
}

/// A piece of the sandbox that this system does not give.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct MissingPiece {
    /// Its name.
    pub(super) name: &'static str,
    /// What the system said.
    pub(super) why: Text,
}

/// How long the stages took, in microseconds; those that were not finished are left out, but
/// for `run`.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Microseconds {
    /// Starting who answers what the guest asks for, where somebody is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broker: Option<u64>,
    /// Giving up what the guest does not need.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confine: Option<u64>,
    /// Deciding what the guest gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grant: Option<u64>,
    /// Finding host functions and what to call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<u64>,
    /// Mapping the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) map: Option<u64>,
    /// Opening the artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<u64>,
    /// Reading policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<u64>,
    /// Running the guest, instantiation included; where the clock or a signal ended it, until
    /// then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<u64>,
    /// Verifying the artifact and copying its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verify: Option<u64>,
}

/// How the run ended.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(transform = super::schema::outcome))]
pub(super) struct Outcome {
    /// Why it was refused, or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Error>,
    /// The guest's own exit code, all 32 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<u32>,
    /// The kind of end.
    pub(super) kind: Kind,
    /// The limit that ended the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<LimitName>,
    /// What happened at the limit, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<Text>,
    /// The exit code of bls-load; null in a report that nobody has finished.
    pub(super) process_exit_code: Option<u8>,
    /// The signal that ended the run, by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<i32>,
    /// The trap, and where it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trap: Option<Trap>,
}

/// The kind of end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) enum Kind {
    /// The guest returned, or exited with `exit_code`.
    Exited,
    /// The guest trapped: `trap`.
    Trap,
    /// The budget was used up.
    OutOfFuel,
    /// Another limit was reached: `limit`.
    Limit,
    /// A signal came: `signal`.
    Signal,
    /// What was given may not run here: `error`. The same again is refused again.
    Refused,
    /// The system did not give what is needed, or bls-load is at fault: `error`.
    #[default]
    Failed,
    /// The guest began to run, and nothing more is known: it still runs, or the process was
    /// ended from outside or by its own filter of system calls (SIGKILL, SIGSYS). Written
    /// before the guest runs, to a file; what the run ends with takes its place.
    Unfinished,
}

/// A limit that ends a run, fuel aside.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) enum LimitName {
    /// `--timeout`.
    Time,
    /// `--max-memory`.
    Memory,
    /// Elements of tables.
    Table,
    /// `--max-output`.
    Output,
}

/// Why a run was refused, or failed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Error {
    /// The name of the defect, which stays the same when words change (SECURITY.md,
    /// "Refusals").
    pub(super) code: &'static str,
    /// What can be done about it; null where nobody knows.
    pub(super) hint: Option<Text>,
    /// What was wrong, in a sentence.
    pub(super) message: Text,
    /// The stage that refused or failed.
    pub(super) stage: &'static str,
}

/// A trap, and where it happened.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Trap {
    /// The calls that had not returned, the innermost first; at most 20.
    pub(super) frames: List<Frame>,
    /// The index of the function it happened in; null where that is not known.
    pub(super) function: Option<u32>,
    /// The kind of trap: a word such as `unreachable` or `memory-out-of-bounds`.
    pub(super) kind: &'static str,
    /// The kind, in words.
    pub(super) message: Text,
    /// Whether there were more calls than `frames` may hold.
    pub(super) more_frames: bool,
    /// The name of the function it happened in; null where the module has none.
    pub(super) name: Option<Text>,
}

/// A call that had not returned.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Frame {
    /// The column of `line`, where the debug file has one; the next four fields, too, are there
    /// with `--debug-file`, as far as the debug file has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<u32>,
    /// The file of the source that the frame is in: of a function that was inlined, that one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<Text>,
    /// The index of the function in the module, imported functions counted first.
    pub(super) function: u32,
    /// Where what is at `file` and `line` was inlined, from the inside out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inlined_into: Option<Vec<SourceLine>>,
    /// The line in `file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u32>,
    /// Its name; null where the module has none.
    pub(super) name: Option<Text>,
    /// Where in the code of the image, in bytes: the instruction that trapped, or the last byte
    /// of the call that has not returned; not with `--deterministic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<u32>,
    /// The operator in the module that was given, in bytes from its beginning; of several
    /// modules, in that which the function comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_offset: Option<u32>,
}

/// A line of a source.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct SourceLine {
    /// The column; null where it is not known.
    pub(super) column: Option<u32>,
    /// The file; null where it is not known.
    pub(super) file: Option<Text>,
    /// The function; null where it is not known.
    pub(super) function: Option<Text>,
    /// The line; null where it is not known.
    pub(super) line: Option<u32>,
}

/// The most memory that was in use at a time, in bytes.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct PeakMemory {
    /// The guest's memories, tables and objects together, and what the host held for it; once
    /// the guest ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guest: Option<u64>,
    /// Resident memory of the whole process.
    pub(super) process: u64,
}

/// A value that a call gave.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(transform = super::schema::value))]
pub(super) struct ResultValue {
    /// The bits of a float or a vector, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<Text>,
    /// An integer, read as signed: a number of 32 bits, or the digits of 64, which not every
    /// reader of JSON keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signed: Option<Integer>,
    /// The type of the value.
    #[serde(rename = "type")]
    pub(super) ty: ValueType,
    /// The same integer, read as unsigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unsigned: Option<Integer>,
    /// A float in words that can be read again; of a reference, whether it is `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Text>,
}

/// An integer of 32 bits as a number, or one of 64 bits as its digits.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) enum Integer {
    /// 32 bits.
    Number(i64),
    /// 64 bits, as decimal digits.
    Digits(Text),
}

/// The type of a value of WebAssembly.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) enum ValueType {
    /// An integer of 32 bits.
    I32,
    /// An integer of 64 bits.
    I64,
    /// A float of 32 bits.
    F32,
    /// A float of 64 bits.
    F64,
    /// A vector of 128 bits.
    V128,
    /// A reference.
    Reference,
}
