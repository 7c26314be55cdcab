//! A profile build is the audited module, and counts by function on the side.
//!
//! Every text that names a counter by function is taken out; what is left must be the
//! audited module, byte for byte, but for the counters themselves and their exports at the
//! end of their sections. The text takes nothing from the stack, leaves nothing there,
//! cannot trap and branches nowhere; and nothing of the audited module names a global
//! behind its own. So the profile build does what the audited module does, and everything
//! that was shown of that one holds of it.
//!
//! May assume two valid modules, the first of which passed. Does not show that the counters
//! say the truth: a test does.

use super::AuditError;
use crate::places::{self, Pairs, Text};
use bls_artifact::fuel::{COUNTER_EXPORT, PROFILE_EXPORT};
use std::mem::discriminant;
use wasmparser::{
    BinaryReader, BinaryReaderError, ExportSectionReader, ExternalKind, FunctionBody,
    GlobalSectionReader, Operator, Parser, Payload, ValType,
};

/// What is known of the counters.
#[derive(Default)]
struct Counters {
    /// The counter of all, which every text reads.
    whole: u32,
    /// By counter, from the one behind the counter of all: the function it belongs to.
    functions: Vec<u32>,
    added: u32,
    imported: u32,
    /// How many bodies were compared.
    bodies: u32,
}

/// Shows that `profile` is `audited` with counters by function.
pub(super) fn counts_on_the_side(audited: &[u8], profile: &[u8]) -> Result<(), AuditError> {
    let mut counters = Counters::default();
    let mut before = Parser::new(0).parse_all(audited);
    let mut after = Parser::new(0).parse_all(profile);
    loop {
        let (before, after) = match (before.next().transpose()?, after.next().transpose()?) {
            (None, None) => return Ok(()),
            (Some(before), Some(after)) => (before, after),
            _ => return Err(AuditError::Profile("it has more sections, or fewer")),
        };
        counters.payload((&before, audited), (&after, profile))?;
    }
}

/// Where the operators of a profile build stand in the audited module, by defined function. May
/// assume that the one is the other with counters.
pub(super) fn places(audited: &[u8], profile: &[u8]) -> Result<Vec<Pairs>, BinaryReaderError> {
    let (before, after) = (places::bodies(audited)?, places::bodies(profile)?);
    let mut globals = 0;
    for payload in Parser::new(0).parse_all(audited) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    globals += u32::from(matches!(import?.ty, wasmparser::TypeRef::Global(_)));
                }
            }
            Payload::GlobalSection(section) => globals += section.count(),
            _ => {}
        }
    }
    let text = |operator: &Operator<'_>| match operator {
        Operator::GlobalGet { global_index } if *global_index >= globals => Text::More(3),
        _ => Text::None,
    };
    before.iter().zip(&after).map(|(before, after)| places::pairs(before, after, text)).collect()
}

impl Counters {
    fn payload(
        &mut self,
        (before, audited): (&Payload<'_>, &[u8]),
        (after, profile): (&Payload<'_>, &[u8]),
    ) -> Result<(), AuditError> {
        if discriminant(before) != discriminant(after) {
            return Err(AuditError::Profile("a section stands where another one stood"));
        }
        match (before, after) {
            (Payload::GlobalSection(before), Payload::GlobalSection(after)) => {
                let (before, after) = (&audited[before.range()], &profile[after.range()]);
                self.globals(before, after)
            }
            (Payload::ExportSection(before), Payload::ExportSection(after)) => {
                let (before, after) = (&audited[before.range()], &profile[after.range()]);
                self.exports(before, after)
            }
            (
                Payload::CodeSectionStart { count: before, .. },
                Payload::CodeSectionStart { count: after, .. },
            ) => require(before == after, "it has more functions, or fewer"),
            (Payload::CodeSectionEntry(before), Payload::CodeSectionEntry(after)) => {
                let function = self.imported + self.bodies;
                self.bodies += 1;
                let is_same = self.without_text(function, after)? == before.as_bytes();
                require(is_same, "a function is another one")
            }
            _ => {
                if let Payload::ImportSection(section) = before {
                    for import in section.clone().into_imports() {
                        let is_function = matches!(
                            import?.ty,
                            wasmparser::TypeRef::Func(_) | wasmparser::TypeRef::FuncExact(_)
                        );
                        self.imported += u32::from(is_function);
                    }
                }
                let section = |payload: &Payload<'_>| payload.as_section();
                let before = section(before).map(|(id, range)| (id, &audited[range]));
                let after = section(after).map(|(id, range)| (id, &profile[range]));
                require(before == after, "a section was changed")
            }
        }
    }

    /// The counters stand behind all others: mutable, `i64`, initially 0.
    fn globals(&mut self, before: &[u8], after: &[u8]) -> Result<(), AuditError> {
        let count = same_beginning(before, after)?;
        for global in
            GlobalSectionReader::new(BinaryReader::new(after, 0))?.into_iter().skip(count as usize)
        {
            let global = global?;
            let ty = global.ty;
            let mut initial = global.init_expr.get_operators_reader();
            let is_zero = matches!(initial.read()?, Operator::I64Const { value: 0 })
                && matches!(initial.read()?, Operator::End);
            let is_plain = ty.content_type == ValType::I64 && ty.mutable && !ty.shared;
            require(is_zero && is_plain, "a global is no counter")?;
            self.added += 1;
        }
        Ok(())
    }

    /// Each is exported under its function's index, in their order.
    fn exports(&mut self, before: &[u8], after: &[u8]) -> Result<(), AuditError> {
        let count = same_beginning(before, after)?;
        let reader = ExportSectionReader::new(BinaryReader::new(after, 0))?;
        for (position, export) in reader.into_iter().enumerate() {
            let export = export?;
            if export.kind == ExternalKind::Global && export.name == COUNTER_EXPORT {
                self.whole = export.index;
            }
            if position < count as usize {
                continue;
            }
            let number = export.name.strip_prefix(PROFILE_EXPORT);
            let function: Option<u32> = number.and_then(|number| number.parse().ok());
            let next = self.whole + 1 + self.functions.len() as u32;
            let is_next = export.kind == ExternalKind::Global && export.index == next;
            require(is_next && function.is_some(), "an export is no counter's")?;
            self.functions.extend(function);
        }
        require(self.functions.len() as u32 == self.added, "a counter has no name")
    }

    /// A body without the texts that name its own counter.
    fn without_text(
        &self,
        function: u32,
        body: &FunctionBody<'_>,
    ) -> Result<Vec<u8>, BinaryReaderError> {
        let bytes = body.as_bytes();
        let base = body.range().start;
        let mut left = Vec::with_capacity(bytes.len());
        // Where what has not been copied begins, and the last three operators with the
        // place where each begins.
        let mut copied = 0;
        let mut last: [(usize, Option<Operator<'_>>); 3] = Default::default();
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let start = reader.original_position() - base;
            let operator = reader.read()?;
            if let (
                Some(Operator::GlobalGet { global_index: first }),
                Some(Operator::GlobalGet { global_index: second }),
                Some(Operator::I64Add | Operator::I64Sub),
                Operator::GlobalSet { global_index },
            ) = (&last[0].1, &last[1].1, &last[2].1, &operator)
                && *second == self.whole
                && first == global_index
                && self.owner(*first) == Some(function)
            {
                left.extend_from_slice(&bytes[copied..last[0].0]);
                copied = reader.original_position() - base;
                last = Default::default();
                continue;
            }
            last.rotate_left(1);
            last[2] = (start, Some(operator));
        }
        left.extend_from_slice(&bytes[copied..]);
        Ok(left)
    }

    /// The function that a counter belongs to.
    fn owner(&self, global: u32) -> Option<u32> {
        let counter = global.checked_sub(self.whole + 1)?;
        self.functions.get(counter as usize).copied()
    }
}

fn require(holds: bool, what: &'static str) -> Result<(), AuditError> {
    if holds { Ok(()) } else { Err(AuditError::Profile(what)) }
}

/// How many entries a section had; all of them must still be there, at its beginning.
fn same_beginning(before: &[u8], after: &[u8]) -> Result<u32, AuditError> {
    let mut before = BinaryReader::new(before, 0);
    let mut after = BinaryReader::new(after, 0);
    let count = before.read_var_u32()?;
    after.read_var_u32()?;
    let entries = before.read_bytes(before.bytes_remaining())?;
    let is_same = after.read_bytes(after.bytes_remaining())?.starts_with(entries);
    require(is_same, "an entry of a section was changed")?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::audit;
    use crate::fuel_profile::fuel_profile;
    use crate::input::Source;
    use crate::ready::ready;
    use crate::validate::validate;
    use bls_artifact::target::{EngineProfile, Nans, Target};

    const SOURCE: &str = "(module (import \"a\" \"b\" (func $b)) (global i32 (i32.const 7))
        (func (export \"f\") (loop (call $b) (br_if 0 (i32.const 0))))
        (func $g (result i32) i32.const 1) (func (export \"h\") (drop (call $g))))";

    fn built() -> (Vec<u8>, Vec<u8>) {
        let engine = EngineProfile::of(Target::Pulley64, Nans::Canonical);
        let source = Source::new(SOURCE.as_bytes().to_vec(), "t.wat").unwrap();
        let valid = validate(source, &engine).unwrap();
        let audited = audit(&valid, ready(&valid, true).unwrap()).unwrap();
        let plain = audited.wasm().to_vec();
        (plain, fuel_profile(audited, valid.features()).unwrap().wasm().to_vec())
    }

    #[test]
    fn counters_pass_and_nothing_else_does() {
        let (plain, profile) = built();
        assert!(profile.len() > plain.len());
        counts_on_the_side(&plain, &profile).unwrap();
        counts_on_the_side(&plain, &plain).unwrap();
        let refused = |from: &[u8], to: &[u8], times: usize| {
            let places: Vec<usize> = profile
                .windows(from.len())
                .enumerate()
                .filter_map(|(place, window)| (window == from).then_some(place))
                .collect();
            assert!(places.len() >= times, "{from:02x?} is there {} times", places.len());
            for place in places {
                let mut changed = profile.clone();
                changed[place..place + to.len()].copy_from_slice(to);
                let refused = counts_on_the_side(&plain, &changed);
                assert!(matches!(refused, Err(AuditError::Profile(_))), "{from:02x?} at {place}");
            }
        };
        // global.get $p  global.get $fuel  i64.add  global.set $p: another operator,
        // another function's counter, the counter of all.
        refused(&[0x23, 2, 0x23, 1, 0x7c, 0x24, 2], &[0x23, 2, 0x23, 1, 0x7e, 0x24, 2], 1);
        refused(&[0x23, 2, 0x23, 1, 0x7c, 0x24, 2], &[0x23, 3, 0x23, 1, 0x7c, 0x24, 3], 1);
        refused(&[0x23, 2, 0x23, 1, 0x7d, 0x24, 2], &[0x23, 2, 0x23, 1, 0x7d, 0x24, 1], 1);
        // The counters: their first value, their names.
        refused(&[0x7e, 1, 0x42, 0, 0x0b], &[0x7e, 1, 0x42, 1, 0x0b], 4);
        refused(b"__bls_fuel_1", b"__bls_fuel_x", 1);
        refused(b"__bls_fuel_1", b"__bls_fuel_3", 1);
    }
}
