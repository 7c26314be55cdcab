//! How hard the code generator tries: fully, unless a module would take it hours.
//!
//! Cranelift's alias analysis keeps, for each block of a function, who last wrote each
//! global, memory and table, and each place on the stack where a reference is kept across a
//! call, and begins again behind every place where two ways disagree. A
//! function of a few thousand globals or references and as many branches or allocations takes it
//! minutes, and the time grows with the cube. What branches carry and long rows of
//! branches, casts and allocations (`time`) cost its optimiser and its register allocator more
//! than their number. Such a module is compiled without optimisation, by an allocator that
//! looks at each instruction once: its results and its fuel are the same, its code is slower,
//! and its frames are larger, so that deep recursion may need a larger `--max-stack`.
//! Real ones are among them: a language with objects may keep thousands of them in globals.
//!
//! Guarantees: depends on nothing but the module, so that the same input gives the same
//! bytes. May assume a valid module. An estimate: it judges time, not correctness.

use crate::cost;
use crate::validate::references;
use time::Time;
use wasmparser::{BinaryReaderError, ConstExpr, Operator, Parser, Payload, TypeRef};

mod time;

/// Above so much of the alias analysis the code generator does not optimise. What stands just below takes it a few
/// seconds (`cargo xtask bench bombs`).
const WORK_MAX: u64 = 1 << 34;
/// A function of no more work does not count: there are many in any module.
const WORK_OF_ANY: u64 = WORK_MAX >> 6;
/// Steps of [`Time`] that a module may take: so many, about a second, and so many for each
/// of its bytes, about as long as the code generator takes for it anyway. Of real programs the
/// C compiler of GCC comes nearest, with 655 for each byte; most take less than 100.
const STEPS_MAX: u64 = 1 << 31;
const STEPS_PER_BYTE_MAX: u64 = 1 << 11;
/// The same for what branches carry ([`Validated::joining`](crate::validate::Validated)):
/// the better allocator takes up to half a microsecond for each, about a hundredth of that
/// in real programs (yosys: 29 for each byte).
const JOINING_MAX: u64 = 1 << 23;
const JOINING_PER_BYTE_MAX: u64 = 1 << 8;
/// A longer function, in bytes, takes the better allocator more than minutes, whatever is in it:
/// one of 4.5 MB in opencascade.js did.
const BODY_BYTES_MAX: usize = 3_500_000;
/// An operator of this weight and above has ways of its own in native code: a check that
/// calls, or the two of an allocation.
const WEIGHT_OF_WAYS: u64 = 4;
/// How many such ways it has at most.
const WAYS: u64 = 3;
/// No operator counts for more code than this, whatever it costs to run.
const CODE_MAX: u64 = 16;

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// With every optimisation.
    Full,
    /// With none.
    Least,
}

/// What is worth trying for a module, whose branches carry `joining`.
///
/// # Errors
/// When the module cannot be read, so that it is not valid.
pub(crate) fn effort(wasm: &[u8], joining: u64) -> Result<Effort, BinaryReaderError> {
    let carries_much = joining > JOINING_MAX + JOINING_PER_BYTE_MAX * wasm.len() as u64;
    if carries_much || aliases_are_too_many(wasm)? || rows_are_too_long(wasm)? {
        return Ok(Effort::Least);
    }
    Ok(Effort::Full)
}

/// Whether rows of branches or allocations would take too long, or a function that is long in
/// itself.
fn rows_are_too_long(wasm: &[u8]) -> Result<bool, BinaryReaderError> {
    let most = STEPS_MAX + STEPS_PER_BYTE_MAX * wasm.len() as u64;
    let mut steps = 0_u64;
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        if body.range().len() > BODY_BYTES_MAX {
            return Ok(true);
        }
        let mut time = Time::new();
        for operator in body.get_operators_reader()? {
            time.add(&operator?);
        }
        steps = steps.saturating_add(time.steps());
        if steps > most {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the alias analysis would take too long.
fn aliases_are_too_many(wasm: &[u8]) -> Result<bool, BinaryReaderError> {
    let mut globals = 0;
    // Memories and tables: there are few, so all count as used.
    let mut others = 0;
    let mut work = 0_u64;
    let mut used = Used::default();
    let mut initializers = Code::default();
    let mut references = references(wasm)?.into_iter();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    match import?.ty {
                        TypeRef::Global(_) => globals += 1,
                        TypeRef::Memory(_) | TypeRef::Table(_) => others += 1,
                        _ => {}
                    }
                }
            }
            Payload::MemorySection(section) => others += u64::from(section.count()),
            Payload::TableSection(section) => others += u64::from(section.count()),
            Payload::GlobalSection(section) => {
                for global in section {
                    initializers.initialize(&global?.init_expr, globals, &mut used)?;
                    globals += 1;
                }
                work = initializers.work();
            }
            Payload::CodeSectionEntry(body) => {
                let others = others + references.next().unwrap_or(0);
                // A function cannot have more operators, ways or globals than bytes: most
                // modules have few globals, and nothing of them need be read.
                let bytes = body.range().len() as u64;
                let most = bytes.min(u64::from(globals)) + others;
                if bytes.saturating_mul(CODE_MAX).saturating_mul(most * most) <= WORK_OF_ANY {
                    continue;
                }
                let mut code = Code { places: others, ..Code::default() };
                used.begin();
                for operator in body.get_operators_reader()? {
                    code.add(&operator?, &mut used);
                }
                if code.work() > WORK_OF_ANY {
                    work = work.saturating_add(code.work());
                }
            }
            _ => {}
        }
        if work > WORK_MAX {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is counted of one function.
#[derive(Clone, Copy, Debug, Default)]
struct Code {
    /// About how much code.
    code: u64,
    /// Places that more than one way leads to, at most.
    ways: u64,
    /// Different globals, the module's memories and tables, and references on the stack.
    places: u64,
}

impl Code {
    fn add(&mut self, operator: &Operator<'_>, used: &mut Used) {
        let weight = cost::flat(operator).unwrap_or(CODE_MAX);
        self.code += weight.clamp(1, CODE_MAX);
        self.ways += match operator {
            Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. } => 1,
            _ if weight >= WEIGHT_OF_WAYS => WAYS,
            _ => 0,
        };
        if let Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } =
            operator
        {
            self.places += u64::from(used.is_new(*global_index));
        }
    }

    /// All initializers are one function: of those that are more than a constant.
    fn initialize(
        &mut self,
        expression: &ConstExpr<'_>,
        global: u32,
        used: &mut Used,
    ) -> Result<(), BinaryReaderError> {
        let before = self.ways;
        for operator in expression.get_operators_reader() {
            self.add(&operator?, used);
        }
        self.places += u64::from(self.ways > before && used.is_new(global));
        Ok(())
    }

    /// About how many steps the analysis takes: at each place where ways meet, what is known
    /// of each place changes but a few times, and each change is carried through the code,
    /// whose every operator may have to look at each place.
    fn work(self) -> u64 {
        self.code.saturating_mul(self.ways.min(self.places)).saturating_mul(self.places)
    }
}

/// Which globals were seen since a function began.
#[derive(Debug, Default)]
struct Used {
    /// By global: the last function that has it.
    seen: Vec<u32>,
    function: u32,
}

impl Used {
    fn begin(&mut self) {
        self.function += 1;
    }

    fn is_new(&mut self, global: u32) -> bool {
        let global = global as usize;
        if self.seen.len() <= global {
            self.seen.resize(global + 1, u32::MAX);
        }
        std::mem::replace(&mut self.seen[global], self.function) != self.function
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort_of(text: &str) -> Effort {
        effort(&wat::parse_str(text).unwrap(), 0).unwrap()
    }

    /// Each global is set behind a branch whose arms are not alike.
    fn between_branches(globals: usize, branches: usize) -> String {
        functions(1, globals, branches)
    }

    fn functions(count: usize, globals: usize, branches: usize) -> String {
        let mut text = String::from("(module (import \"m\" \"h\" (func $h)) ");
        text += &"(global (mut i32) (i32.const 0))".repeat(globals);
        let mut body = String::new();
        for index in 0..branches {
            body += &format!(
                "(if (local.get 0) (then (call $h))) (global.set {} (i32.const 1))",
                index % globals
            );
        }
        text += &format!("(func (param i32) {body})").repeat(count);
        text + ")"
    }

    #[test]
    fn ordinary_code_is_optimised() {
        assert_eq!(effort_of("(module (func (loop (br 0))))"), Effort::Full);
        assert_eq!(effort_of(&between_branches(20, 8000)), Effort::Full);
        assert_eq!(effort_of(&between_branches(500, 500)), Effort::Full);
        let constants = "(global i32 (i32.const 7))".repeat(40_000);
        assert_eq!(effort_of(&format!("(module {constants})")), Effort::Full);
        let straight: String =
            (0..20_000).map(|global| format!("(global.set {global} (i32.const 1))")).collect();
        let globals = "(global (mut i32) (i32.const 7))".repeat(20_000);
        assert_eq!(effort_of(&format!("(module {globals} (func {straight}))")), Effort::Full);
    }

    #[test]
    fn a_function_that_is_long_in_itself_is_too_much() {
        let of = |bytes: usize| format!("(module (func {}))", "nop ".repeat(bytes));
        assert_eq!(effort_of(&of(BODY_BYTES_MAX - 100)), Effort::Full);
        assert_eq!(effort_of(&of(BODY_BYTES_MAX + 100)), Effort::Least);
    }

    #[test]
    fn globals_between_branches_are_too_much() {
        assert_eq!(effort_of(&between_branches(3000, 3000)), Effort::Least);
        assert_eq!(effort_of(&between_branches(1000, 10_000)), Effort::Least);
        // All functions count together.
        assert_eq!(effort_of(&functions(1, 700, 700)), Effort::Full);
        assert_eq!(effort_of(&functions(20, 700, 700)), Effort::Least);
        assert_eq!(effort_of(&functions(1000, 20, 100)), Effort::Full);
    }

    #[test]
    fn rows_of_branches_and_allocations_are_too_long() {
        let row = |one: &str, count: usize| {
            let row = one.repeat(count);
            effort_of(&format!("(module (type $s (struct)) (func (param i32) (block {row})))"))
        };
        let branch = "(br_if 0 (i32.eqz (local.get 0)))";
        assert_eq!(row(branch, 20_000), Effort::Full);
        assert_eq!(row(branch, 80_000), Effort::Least);
        let arm = "(if (local.get 0) (then (br 1)))";
        assert_eq!(row(arm, 6000), Effort::Full);
        assert_eq!(row(arm, 40_000), Effort::Least);
        assert_eq!(row("(drop (struct.new $s))", 2000), Effort::Full);
        assert_eq!(row("(drop (struct.new $s))", 10_000), Effort::Least);
        let cast = "(drop (ref.test (ref $s) (struct.new $s)))";
        assert_eq!(row(cast, 2000), Effort::Full);
        assert_eq!(row(cast, 5000), Effort::Least);
        let tiny = "(loop (br_if 0 (local.get 0)))";
        assert_eq!(row(tiny, 3000), Effort::Full);
        assert_eq!(row(tiny, 6000), Effort::Least);
    }

    #[test]
    fn references_across_calls_are_too_much() {
        let kept = |count: usize| {
            let make: String =
                (0..count).map(|local| format!("(local.set {local} (struct.new $s))")).collect();
            let see: String =
                (0..count).map(|local| format!("(call $see (local.get {local}))")).collect();
            effort_of(&format!(
                "(module (type $s (struct)) (func $see (param (ref null $s)))
                   (func (local {}) {make} {see}))",
                "(ref null $s) ".repeat(count)
            ))
        };
        assert_eq!(kept(300), Effort::Full);
        assert_eq!(kept(1500), Effort::Least);
    }

    #[test]
    fn what_branches_carry_counts_beside_the_modules_length() {
        let wasm = wat::parse_str("(module)").unwrap();
        assert_eq!(effort(&wasm, JOINING_MAX).unwrap(), Effort::Full);
        assert_eq!(effort(&wasm, JOINING_MAX + 4096).unwrap(), Effort::Least);
    }

    #[test]
    fn objects_in_globals_are_too_much() {
        let objects = "(global (ref $s) (struct.new $s (i64.const 5)))".repeat(3000);
        let module = format!("(module (type $s (struct (field i64))) {objects})");
        assert_eq!(effort_of(&module), Effort::Least);
    }

    /// Would take an hour and more with every optimisation.
    #[test]
    fn what_is_too_much_is_compiled_all_the_same() {
        use crate::pipeline::{Options, build_source};
        let objects = "(global (ref $s) (struct.new $s (i64.const 5)))".repeat(10_000);
        let module = format!("(module (type $s (struct (field i64))) {objects})");
        let source = crate::input::Source::new(module.into_bytes(), "objects.wat").unwrap();
        let options = Options::new(vec![bls_artifact::target::Target::X86_64]);
        let key = bls_artifact::key::PrivateKey::from_seed(&[1; 32]);
        let built = build_source(source, &options, &[&key], &mut |_| {}).unwrap();
        assert_eq!(built.effort, Effort::Least);
    }
}
