//! Which way a branch goes, told to the code generator: out of the copies of a tiny loop
//! nearly never, and around what replaces a NaN nearly always.
//!
//! Where a loop was unrolled, each copy but the last ends with the guest's branch to the next
//! one, and behind it stands what pays for those who leave (FUEL.md, "Texts", *copies*). A
//! check of a NaN ends with what is done if there is one (NAN.md).
//! Taken as it stands, that lies in the way of every round. A hint (the proposal
//! "branch hinting", custom section `metadata.code.branch_hint`) moves it behind the
//! function.
//!
//! May assume a valid module; recognises the text by its form. A hint says where code
//! lies and nothing about what it does: whatever stands here changes no result and no fuel.
//! Guarantees that a [`Hinted`] is the module that was given and hints, and nothing else: it
//! is read again and compared.

use std::borrow::Cow;
use std::fmt;
use wasm_encoder::{BranchHint, BranchHints, Module, RawSection};
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload, TypeRef};

/// The custom section that holds hints.
const NAME: &str = "metadata.code.branch_hint";
/// The bytes of what a copy's exit ends with: `br 2  end`.
const END_OF_EXIT: [u8; 3] = [0x0c, 2, 0x0b];

/// Why there are no hints: each is a defect of ours.
#[derive(Debug)]
pub(crate) enum HintError {
    /// The module cannot be read, so that it is not valid.
    Malformed(BinaryReaderError),
    /// Without the hints it is not the module that was audited.
    Differs,
}

impl fmt::Display for HintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Differs => {
                write!(f, "internal error: without its hints it is not the module that was audited")
            }
        }
    }
}

impl From<BinaryReaderError> for HintError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

/// A module with charges, checks and hints: the only thing that is handed to the code generator.
#[derive(Debug)]
pub(crate) struct Hinted<'a>(Cow<'a, [u8]>);

impl<'a> Hinted<'a> {
    /// Adds hints to what will be compiled, where there is something to tell.
    ///
    /// # Errors
    /// [`HintError`].
    pub(crate) fn of(module: &'a [u8]) -> Result<Self, HintError> {
        let wasm = hinted(module)?;
        if let Cow::Owned(wasm) = &wasm {
            same_but_for_hints(module, wasm)?;
        }
        Ok(Self(wasm))
    }

    /// The binary module.
    pub(crate) fn wasm(&self) -> &[u8] {
        &self.0
    }

    /// Whether any were added. A guest's own do not count.
    pub(crate) fn has_hints(&self) -> bool {
        matches!(self.0, Cow::Owned(_))
    }
}

/// Shows that `hinted` has the sections of `audited`, each with the same bytes, and one
/// section of hints more.
fn same_but_for_hints(audited: &[u8], hinted: &[u8]) -> Result<(), HintError> {
    let mut sections = sections(hinted)?;
    let before = sections.len();
    sections.retain(|(_, is_hints, _)| !is_hints);
    let is_same = before == sections.len() + 1 && sections == self::sections(audited)?;
    if is_same { Ok(()) } else { Err(HintError::Differs) }
}

/// A section: number, whether it holds hints, contents.
type Section<'a> = (u8, bool, &'a [u8]);

/// The sections of a module.
fn sections(wasm: &[u8]) -> Result<Vec<Section<'_>>, BinaryReaderError> {
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        let is_hints = matches!(&payload, Payload::CustomSection(custom) if custom.name() == NAME);
        if let Some((id, range)) = payload.as_section() {
            sections.push((id, is_hints, &wasm[range]));
        }
    }
    Ok(sections)
}

/// The module with hints, where there is something to tell.
fn hinted(wasm: &[u8]) -> Result<Cow<'_, [u8]>, BinaryReaderError> {
    let mut hints = BranchHints::new();
    let mut function = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let is_function =
                        matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                    function += u32::from(is_function);
                }
            }
            // A guest's own, in a module that was not metered: left to whoever reads them.
            Payload::CustomSection(custom) if custom.name() == NAME => {
                return Ok(Cow::Borrowed(wasm));
            }
            Payload::CodeSectionEntry(body) => {
                let found = branches(&body)?;
                if !found.is_empty() {
                    hints.function_hints(function, found);
                }
                function += 1;
            }
            _ => {}
        }
    }
    if hints.is_empty() {
        return Ok(Cow::Borrowed(wasm));
    }
    let mut module = Module::new();
    let mut hints = Some(hints);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if matches!(payload, Payload::CodeSectionStart { .. })
            && let Some(hints) = hints.take()
        {
            module.section(&hints);
        }
        if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: &wasm[range] });
        }
    }
    Ok(Cow::Owned(module.finish()))
}

/// The branches of a function that go on to the next copy of a loop, or around what replaces
/// a NaN.
fn branches(body: &FunctionBody<'_>) -> Result<Vec<BranchHint>, BinaryReaderError> {
    let mut found = Vec::new();
    let mut windows = body.as_bytes().windows(4);
    let has_any = windows.any(|bytes| {
        bytes.starts_with(&END_OF_EXIT)
            || matches!(bytes, [0x45 | 0x60 | 0x66, 0x0d, 0, 0x20 | 0x43 | 0x44])
    });
    if !has_any {
        return Ok(found);
    }
    // The last operators, and where each begins; the branch is the first of them.
    let mut last: [(usize, Option<Operator<'_>>); 9] = Default::default();
    let mut reader = body.get_operators_reader()?;
    while !reader.eof() {
        last.rotate_left(1);
        let start = reader.original_position() - body.range().start;
        last[8] = (start, Some(reader.read()?));
        let at = last.each_ref().map(|(_, operator)| operator.as_ref());
        let hint =
            |at: usize| BranchHint { branch_func_offset: last[at].0 as u32, branch_hint_value: 1 };
        if let [
            ..,
            Some(Operator::LocalGet { local_index: one }),
            Some(Operator::LocalGet { local_index: two }),
            Some(Operator::F32Ge | Operator::F64Ge),
            Some(Operator::BrIf { relative_depth: 0 }),
            Some(Operator::F32Const { .. } | Operator::F64Const { .. }),
            Some(Operator::LocalSet { local_index: set }),
            Some(Operator::End),
        ] = at
            && [one, two] == [set; 2]
        {
            found.push(hint(5));
        }
        if let [
            Some(Operator::V128AnyTrue),
            Some(Operator::I32Eqz),
            Some(Operator::BrIf { relative_depth: 0 }),
            Some(Operator::LocalGet { .. }),
            Some(Operator::V128Const { .. }),
            Some(Operator::LocalGet { .. }),
            Some(Operator::LocalGet { .. }),
            Some(Operator::F32x4Eq | Operator::F64x2Eq),
            Some(Operator::V128Bitselect),
        ] = at
        {
            found.push(hint(2));
        }
        if let [
            Some(Operator::BrIf { relative_depth: 0 }),
            Some(Operator::LocalGet { local_index: counter }),
            Some(Operator::I64Const { .. }),
            Some(Operator::I64Sub),
            Some(Operator::LocalSet { local_index: charged }),
            Some(Operator::LocalGet { local_index: marked }),
            Some(Operator::LocalSet { local_index: marks }),
            Some(Operator::Br { relative_depth: 2 }),
            Some(Operator::End),
        ] = at
            && [charged, marked, marks] == [counter; 3]
        {
            found.push(hint(0));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Source;
    use crate::meter::meter;
    use crate::validate::{recheck, validate};
    use bls_artifact::target::{EngineProfile, Nans, Target};
    use wasmparser::KnownCustom;

    /// By function: how many hints say that a `br_if` is taken.
    fn hints(text: &str) -> Vec<(u32, usize)> {
        let engine = EngineProfile::of(Target::X86_64, Nans::Canonical);
        let source = Source::new(text.as_bytes().to_vec(), "t.wat").unwrap();
        hints_of(&meter(&validate(source, &engine).unwrap()).unwrap().wasm)
    }

    /// The same of a module that is compiled as it is; it imports one function.
    fn hints_of(wasm: &[u8]) -> Vec<(u32, usize)> {
        let hinted = hinted(wasm).unwrap();
        let engine = EngineProfile::of(Target::X86_64, Nans::Canonical);
        recheck(&hinted, engine.wasm_features()).unwrap();
        if let Cow::Owned(hinted) = &hinted {
            same_but_for_hints(wasm, hinted).unwrap();
        }
        let (mut found, mut bodies) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(&hinted) {
            match payload.unwrap() {
                Payload::CustomSection(custom) => {
                    let KnownCustom::BranchHints(reader) = custom.as_known() else { continue };
                    for function in reader {
                        let function = function.unwrap();
                        let hints: Vec<_> =
                            function.hints.into_iter().map(Result::unwrap).collect();
                        found.push((function.func, hints));
                    }
                }
                Payload::CodeSectionEntry(body) => bodies.push(body),
                _ => {}
            }
        }
        // Where they stand is a `br_if`; one function is imported.
        for (function, hints) in &found {
            let body = &bodies[*function as usize - 1];
            for hint in hints {
                assert!(hint.taken);
                assert_eq!(body.as_bytes()[hint.func_offset as usize], 0x0d, "no br_if");
            }
        }
        assert!(!found.is_empty() || matches!(hinted, Cow::Borrowed(_)));
        found.into_iter().map(|(function, hints)| (function, hints.len())).collect()
    }

    #[test]
    fn each_copy_but_the_last_is_hinted() {
        let round = "(local.tee 0 (i32.sub (local.get 0) (i32.const 1)))";
        let text = format!(
            "(module (import \"m\" \"f\" (func)) (func) (func (param i32)
               (loop (br_if 0 {round})) (loop (br_if 0 {round})))
             (func (param i32) (block (br_if 0 (local.get 0)) (nop))))"
        );
        assert_eq!(hints(&text), [(2, 14)]);
        let without = "(module (import \"m\" \"f\" (func)) (func (param i32)
            (loop (call 0) (br_if 0 (local.get 0)))))";
        assert_eq!(hints(without), []);
    }

    #[test]
    fn each_check_of_a_nan_is_hinted() {
        let text = "(module (import \"m\" \"f\" (func)) (memory 1)
            (func (param f64 f32 v128)
              (f64.store (i32.const 0) (f64.add (local.get 0) (local.get 0)))
              (f32.store (i32.const 0) (f32.add (local.get 1) (local.get 1)))
              (v128.store (i32.const 0) (f32x4.add (local.get 2) (local.get 2)))
              (v128.store (i32.const 0) (f64x2.add (local.get 2) (local.get 2)))))";
        let wasm = wat::parse_str(text).unwrap();
        let settled = crate::nan::Settled::of(&wasm).unwrap().unwrap();
        assert_eq!(settled.checks(), 4);
        assert_eq!(hints_of(settled.wasm()), [(1, 4)]);
    }

    #[test]
    fn a_module_with_hints_of_its_own_gets_no_others() {
        let round = "(local.tee 0 (i32.sub (local.get 0) (i32.const 1)))";
        let text = format!("(module (func (param i32) (loop (br_if 0 {round}))))");
        let engine = EngineProfile::of(Target::X86_64, Nans::Canonical);
        let source = Source::new(text.into_bytes(), "t.wat").unwrap();
        let wasm = meter(&validate(source, &engine).unwrap()).unwrap().wasm;
        let Cow::Owned(once) = hinted(&wasm).unwrap() else { panic!("no hints") };
        assert!(matches!(hinted(&once).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn whatever_else_was_changed_is_found() {
        let of = |text: &str| wat::parse_str(text).unwrap();
        let section = |name: &str| {
            let custom = wasm_encoder::CustomSection { name: name.into(), data: (&[][..]).into() };
            let mut bytes = Vec::new();
            wasm_encoder::Section::append_to(&custom, &mut bytes);
            bytes
        };
        let audited = of("(module (func (nop)))");
        let hints = section(NAME);
        let with = |module: &[u8], more: &[u8]| [module, more].concat();
        assert!(same_but_for_hints(&audited, &with(&audited, &hints)).is_ok());
        for other in [
            audited.clone(),
            with(&with(&audited, &hints), &hints),
            with(&audited, &section("metadata.code.other")),
            with(&of("(module (func (unreachable)))"), &hints),
            with(&with(&audited, &hints), &section("more")),
        ] {
            let compared = same_but_for_hints(&audited, &other);
            assert!(matches!(compared, Err(HintError::Differs)), "{other:?}");
        }
    }
}
