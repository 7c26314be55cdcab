//! What the stages found, in the form of a report.
//!
//! The only place where the types of the stages and those of the form meet: a stage knows
//! nothing of JSON, and the form nothing of stages. One function for each moment at which
//! something becomes known. Builds nothing without `--report`.

use super::Recorder;
use super::bounded::{List, Text};
use super::form;
use crate::confine::{Piece, Sandbox};
use crate::error::{Cause, Failure, printable_name};
use crate::grant::Granted;
use crate::host::accounted::{GuestAccount, StreamDigest};
use crate::host::{Determinism, Grants};
use crate::link::Linked;
use crate::link::value;
use crate::policy::{Rules, RunLimits};
use crate::program::explain::Stage;
use crate::run::fuel_profile::FuelProfile;
use crate::run::outcome::{Frame, Limit, Outcome, TrapReport};
use crate::run::{Burned, Consumption, Ended};
use crate::verify::{Facts, Integrity};
use bls_artifact::debug::Line;
use bls_artifact::demangle::readable;
use bls_artifact::digest::Hasher;
use bls_artifact::fuel;
use std::path::Path;
use wasmtime::Val;

/// The most functions that a report names; the table has all of them.
const LINES_MAX: usize = 4096;

impl Recorder {
    /// How long a stage took.
    pub(crate) fn stage_took(&self, stage: Stage, microseconds: u64) {
        self.note(|report| {
            let all = report.microseconds.get_or_insert_default();
            let its = match stage {
                Stage::Policy => &mut all.policy,
                Stage::Open => &mut all.open,
                Stage::Verify => &mut all.verify,
                Stage::Grant => &mut all.grant,
                Stage::Map => &mut all.map,
                Stage::Link => &mut all.link,
                Stage::Broker => &mut all.broker,
                Stage::Confine => &mut all.confine,
                Stage::Run => &mut all.run,
                // Of what is only installed there is no report.
                Stage::Install => return,
            };
            *its = Some(microseconds);
        });
    }

    /// The artifact, from the moment it is trusted.
    pub(crate) fn artifact(&self, facts: &Facts, limits: &RunLimits) {
        if !self.is_on() {
            return;
        }
        let manifest = &facts.manifest;
        // By rule a report says nothing that depends on the machine.
        let depends_on_machine = !self.by_rule();
        let key_ids = List::new(facts.key_ids.iter().map(|id| Text::new(&id.to_string())));
        let artifact = form::Artifact {
            file_sha256: facts.file_digest.map(|digest| Text::new(&digest.to_string())),
            identity: Text::new(&facts.identity.to_string()),
            image_sha256: depends_on_machine
                .then(|| Text::new(&facts.part().image.sha256.to_string())),
            key_ids,
            machine: depends_on_machine.then(|| Text::new(&facts.part().machine())),
            name: Text::new(&manifest.name),
            part: depends_on_machine.then_some(facts.chosen),
            source_sha256: Text::new(&manifest.source.to_string()),
            // By rule a report says nothing that depends on the machine.
            target: (!self.by_rule()).then(|| Text::new(facts.part().target.triple())),
        };
        let (mode, why) = match facts.integrity {
            Integrity::Copy(why) | Integrity::PrivateCopy(why) => (form::Mode::Copy, Some(why)),
            Integrity::Store => (form::Mode::Store, None),
        };
        let why = why.map(|why| why.map(|why| Text::new(&why.to_string())));
        let integrity = form::Integrity { mode, trusts: trusts(facts.integrity), why };
        let limits = form::Limits {
            descriptors: limits.descriptors,
            fuel: limits.fuel,
            memory_bytes: limits.memory.min(manifest.limits.memory.unwrap_or(u64::MAX)),
            output_bytes: limits.output,
            stack_bytes: limits.stack,
            timeout_ms: limits.timeout.map(|time| time.as_millis() as u64),
        };
        let fuel = match &manifest.fuel {
            None => form::Fuel::Unmetered { metered: false },
            // Until the guest ends: nothing is known to have been burned.
            Some(_) => Consumption { budget: limits.fuel, burned: Burned::AtLeast(0) }.into(),
        };
        self.note(|report| {
            report.artifact = Some(artifact);
            report.integrity = Some(integrity);
            report.limits = Some(limits);
            report.fuel = Some(fuel);
            report.limits_met = Some(List::default());
            report.unknown_imports = Some(List::default());
        });
    }

    /// What the guest gets.
    pub(crate) fn granted(&self, granted: &Granted, rules: Option<Determinism>) {
        if !self.is_on() {
            return;
        }
        let granted = texts(&granted.shown());
        self.note(|report| {
            report.granted = Some(granted);
            report.deterministic = rules
                .map(|start| form::Deterministic { epoch: start.epoch_seconds, seed: start.seed });
        });
    }

    /// What is in a receipt and in no other report, as far as it is settled before the guest runs.
    pub(crate) fn given(&self, granted: &Granted, rules: &Rules) {
        if !self.has_account() {
            return;
        }
        let Grants { args, env, .. } = &granted.grants;
        let digest = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut hasher = Hasher::default();
            pieces.for_each(|piece| hasher.update(piece));
            Text::new(&hasher.finish().to_string())
        };
        let variables = env.iter().flat_map(|(name, value)| [name, &b"="[..], value, b"\0"]);
        let digests = form::Digests {
            arguments: digest(&mut args.iter().flat_map(|one| [&**one, b"\0"])),
            environment: digest(&mut { variables }),
            policies: rules.digests().map(|digest| Text::new(&digest.to_string())).collect(),
            ..form::Digests::default()
        };
        self.note(|report| report.digests = Some(digests));
    }

    /// The program that answers what the guest asks for.
    pub(crate) fn broker(&self, program: &Path) {
        if self.is_on() {
            let program = Text::new(&program.to_string_lossy());
            self.note(|report| report.broker = Some(program));
        }
    }

    /// What linking found, before the guest starts.
    pub(crate) fn linked(&self, linked: &Linked, budget: Option<u64>) {
        if !self.is_on() {
            return;
        }
        let unknown_imports = texts(linked.unknown_imports());
        let fuel = linked.mapped().facts().manifest.fuel.as_ref().map(|metering| {
            // Instantiation is charged before it happens.
            let burned = Burned::AtLeast(metering.instantiation);
            Consumption { budget, burned }.into()
        });
        self.note(|report| {
            report.unknown_imports = Some(unknown_imports);
            if fuel.is_some() {
                report.fuel = fuel;
            }
        });
    }

    /// What the process gave up, before the guest starts.
    pub(crate) fn confined(&self, sandbox: &Sandbox) {
        // By rule a report says nothing that depends on the machine.
        if !self.is_on() || self.by_rule() {
            return;
        }
        let missing = sandbox.missing().iter().map(|(piece, error)| form::MissingPiece {
            name: piece.name(),
            why: Text::new(&error.to_string()),
        });
        let sandbox = form::Sandbox {
            landlock_abi: sandbox.landlock_abi,
            missing: missing.collect(),
            stands: sandbox.stands().map(Piece::name).collect(),
        };
        self.note(|report| report.sandbox = Some(sandbox));
    }

    /// What a guest did that ended by itself.
    pub(crate) fn ended(&self, ended: &Ended) {
        if !self.is_on() {
            return;
        }
        let fuel = ended.consumption.map(Into::into);
        let fuel_profile = ended.fuel_profile.as_ref().map(Into::into);
        let limits_met = texts(&ended.limits_met);
        let results = List::new(ended.results.iter().map(Into::into));
        let GuestAccount { calls, streams } = &ended.account;
        let calls = self.has_account().then(|| form::HostCalls(calls.clone()));
        let streams = streams.map(|all| all.map(|one| Some(one.into())));
        self.note(|report| {
            if fuel.is_some() {
                report.fuel = fuel;
            }
            report.fuel_profile = fuel_profile;
            report.limits_met = Some(limits_met);
            report.host_calls = calls;
            if let (Some(digests), Some(streams)) = (&mut report.digests, streams) {
                [digests.stdin, digests.stdout, digests.stderr] = streams;
            }
            report.peak_memory_bytes.get_or_insert_default().guest = Some(ended.memory_peak);
            if !ended.results.is_empty() {
                report.results = Some(results);
            }
        });
    }
}

impl From<StreamDigest> for form::StreamDigest {
    fn from(StreamDigest { bytes, sha256 }: StreamDigest) -> Self {
        Self { bytes, sha256: Text::new(&sha256.to_string()) }
    }
}

fn texts<T: AsRef<str>>(all: &[T]) -> List<Text> {
    List::new(all.iter().map(|text| Text::new(text.as_ref())))
}

/// What the mode of integrity relies on, in a sentence.
pub(crate) fn trusts(integrity: Integrity) -> &'static str {
    match integrity {
        Integrity::Copy(_) => "SHA-256 and the kernel's seals on the copy; nothing about the file",
        // Where the system gives no memory that can be sealed.
        Integrity::PrivateCopy(_) => {
            "SHA-256 and that nobody writes this process's own memory, for the system gives no \
             memory file (memfd_create, ulimit -f); nothing about the file"
        }
        Integrity::Store => {
            "root, who installed it and alone can write it; its code was hashed then, not now"
        }
    }
}

impl From<Consumption> for form::Fuel {
    fn from(Consumption { budget, burned }: Consumption) -> Self {
        let (consumed, at_least) = match burned {
            Burned::Exactly(units) | Burned::AtMost(units) => (Some(units), None),
            Burned::AtLeast(units) => (None, Some(units)),
        };
        Self::Metered(form::Metered {
            at_least,
            budget,
            consumed,
            exact: matches!(burned, Burned::Exactly(_)),
            left: budget.zip(consumed).map(|(budget, consumed)| budget.saturating_sub(consumed)),
            metered: true,
            model: fuel::MODEL,
        })
    }
}

impl From<&FuelProfile> for form::FuelProfile {
    fn from(profile: &FuelProfile) -> Self {
        let lines = profile.lines();
        let (shown, others) = lines.split_at(lines.len().min(LINES_MAX));
        let line = |line: &crate::run::fuel_profile::Line| form::FunctionFuel {
            function: line.function,
            name: line.name.as_deref().map(|name| Text::new(&printable_name(name))),
            units: line.units,
        };
        let units = || others.iter().fold(0, |sum: u64, line| sum.saturating_add(line.units));
        Self {
            billed_on_top: profile.rest,
            functions: shown.iter().map(line).collect(),
            host: profile.host,
            instantiation: profile.instantiation,
            others: (!others.is_empty())
                .then(|| form::OtherFunctions { functions: others.len(), units: units() }),
        }
    }
}

impl From<&Outcome> for form::Outcome {
    fn from(outcome: &Outcome) -> Self {
        let of =
            |kind| Self { kind, process_exit_code: Some(outcome.exit_code()), ..Self::default() };
        match outcome {
            Outcome::Exited(code) => Self { exit_code: Some(*code), ..of(form::Kind::Exited) },
            Outcome::Trapped(trap) => Self { trap: Some(trap.into()), ..of(form::Kind::Trap) },
            Outcome::OutOfFuel => of(form::Kind::OutOfFuel),
            Outcome::Limit(limit, what) => Self {
                limit: Some((*limit).into()),
                message: Some(Text::new(what)),
                ..of(form::Kind::Limit)
            },
            Outcome::Signal(number) => Self { signal: Some(*number), ..of(form::Kind::Signal) },
            Outcome::Failed(failure) => {
                let kind = match failure.cause {
                    Cause::Refused => form::Kind::Refused,
                    Cause::Failed => form::Kind::Failed,
                };
                Self { error: Some(failure.into()), ..of(kind) }
            }
        }
    }
}

impl From<&Failure> for form::Error {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code,
            hint: failure.hint.as_deref().map(Text::new),
            message: Text::new(&failure.what),
            stage: failure.stage,
        }
    }
}

impl From<Limit> for form::LimitName {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Time => Self::Time,
            Limit::Memory => Self::Memory,
            Limit::Table => Self::Table,
            Limit::Output => Self::Output,
        }
    }
}

impl From<&TrapReport> for form::Trap {
    fn from(trap: &TrapReport) -> Self {
        let first = trap.frames.first().map(form::Frame::from);
        Self {
            frames: List::new(trap.frames.iter().map(Into::into)),
            function: first.as_ref().map(|frame| frame.function),
            kind: trap.kind,
            message: Text::new(&trap.what),
            more_frames: trap.has_more_frames,
            name: first.and_then(|frame| frame.name),
        }
    }
}

impl From<&Frame> for form::Frame {
    fn from(frame: &Frame) -> Self {
        let found = frame.found.as_ref();
        let lines = found.map_or(&[][..], |found| &found.lines);
        let inner = lines.first().map(form::SourceLine::from);
        let outer = lines.get(1..).filter(|outer| !outer.is_empty());
        Self {
            column: inner.as_ref().and_then(|line| line.column),
            file: inner.as_ref().and_then(|line| line.file.clone()),
            function: frame.function,
            inlined_into: outer.map(|lines| lines.iter().map(Into::into).collect()),
            line: inner.as_ref().and_then(|line| line.line),
            name: frame.name.as_deref().map(Text::new),
            offset: frame.offset,
            source_offset: found.and_then(|found| found.source),
        }
    }
}

impl From<&Line> for form::SourceLine {
    fn from(line: &Line) -> Self {
        let number = |number: u32| Some(number).filter(|number| *number != 0);
        let function = line.function.as_deref();
        Self {
            column: number(line.column),
            file: line.file.as_deref().map(Text::new),
            function: function.map(|name| Text::new(&printable_name(&readable(name)))),
            line: number(line.line),
        }
    }
}

impl From<&Val> for form::ResultValue {
    fn from(value: &Val) -> Self {
        use form::{Integer, ValueType};
        let of = |ty| Self { bits: None, signed: None, ty, unsigned: None, value: None };
        let shown = || Some(Text::new(&value::show(value)));
        let digits = |digits: String| Some(Integer::Digits(Text::new(&digits)));
        match value {
            Val::I32(value) => Self {
                signed: Some(Integer::Number((*value).into())),
                unsigned: Some(Integer::Number(value.cast_unsigned().into())),
                ..of(ValueType::I32)
            },
            Val::I64(value) => Self {
                signed: digits(value.to_string()),
                unsigned: digits(value.cast_unsigned().to_string()),
                ..of(ValueType::I64)
            },
            Val::F32(bits) => {
                let bits = Some(Text::new(&format!("{bits:#010x}")));
                Self { bits, value: shown(), ..of(ValueType::F32) }
            }
            Val::F64(bits) => {
                let bits = Some(Text::new(&format!("{bits:#018x}")));
                Self { bits, value: shown(), ..of(ValueType::F64) }
            }
            Val::V128(_) => Self { bits: shown(), ..of(ValueType::V128) },
            _ => Self { value: shown(), ..of(ValueType::Reference) },
        }
    }
}
