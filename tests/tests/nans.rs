//! NaNs have the bits that the engine's rule gives them, wherever they can be seen (NAN.md):
//! by hand for every way out, on made-up modules, and on real kernels.

use bls_artifact::target::{EngineProfile, Nans, Target};
use bls_compiler::input::Source;
use bls_compiler::pipeline::{Options, front};
use bls_compiler::ready::ready;
use bls_compiler::validate::validate;
use bls_tests::modules::{fixtures, generate, profile};
use bls_tests::nans::{Kernels, Rules, kernels};
use bls_tests::programs::{Home, run};
use wasmtime::{Caller, Engine, Instance, Linker, Module, Store, Val};

/// Bits of numbers, infinities, and NaNs: canonical, negative, with a payload, signalling.
const BITS: [u64; 10] = [
    0,
    0x8000_0000_0000_0000,
    0x3ff8_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_0000,
    0x7ff8_0000_dead_beef,
    0x7ff4_0000_0000_0001,
    0xfff0_0000_0000_0003,
];
/// The same of 32 bits.
const BITS_32: [u32; 10] = [
    0,
    0x8000_0000,
    0x3fc0_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0xffc0_0000,
    0x7fc0_beef,
    0x7fa0_0001,
    0xff80_0003,
];

/// An instance of a module of [`module`]; the host writes down what it is given.
struct Shown {
    store: Store<Vec<String>>,
    instance: Instance,
}

impl Shown {
    fn new(compiled: &Module) -> Self {
        let mut store = Store::new(compiled.engine(), Vec::new());
        let mut linker = Linker::<Vec<String>>::new(compiled.engine());
        for import in compiled.imports() {
            let ty = import.ty().unwrap_func().clone();
            let see = |mut caller: Caller<'_, Vec<String>>, bits: &[Val], _: &mut [Val]| {
                caller.data_mut().push(format!("{bits:?}"));
                Ok(())
            };
            linker.func_new("host", import.name(), ty, see).unwrap();
        }
        let instance = linker.instantiate(&mut store, compiled).unwrap();
        Self { store, instance }
    }

    /// What a function shows of two operands: results, memory, globals, and what the host was
    /// given.
    fn of(&mut self, function: &str, operands: &[Val; 2]) -> String {
        let Self { store, instance } = self;
        store.data_mut().clear();
        let counter = instance.get_global(&mut *store, "__bls_fuel").unwrap();
        counter.set(&mut *store, Val::I64(1 << 40)).unwrap();
        let function = instance.get_func(&mut *store, function).unwrap();
        let mut results = [Val::I32(0)];
        let ended = function.call(&mut *store, operands, &mut results);
        let ended = ended.map_err(|error| error.root_cause().to_string());
        let memory =
            instance.get_memory(&mut *store, "memory").unwrap().data(&*store)[..64].to_vec();
        let globals = ["g", "n", "w"]
            .map(|name| instance.get_global(&mut *store, name).unwrap().get(&mut *store));
        format!("{ended:?} {results:?} {memory:x?} {globals:?} {:?}", store.data())
    }
}

/// A function of two operands and one result of this type for each body, and what they need:
/// memory, globals, functions to call and throw with.
fn module(ty: &str, bodies: &[String]) -> Vec<u8> {
    let functions: String = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| {
            format!(
                "(func (export \"f{number}\") (param $a {ty}) (param $b {ty}) (result {ty})
                   (local $x {ty}) (local $y {ty}) (local $i i32) (local $v v128)
                   (local $o (ref null $s)) {body})"
            )
        })
        .collect();
    let text = format!(
        "(module
           (import \"host\" \"see_64\" (func $see_64 (param f64)))
           (import \"host\" \"see_32\" (func $see_32 (param f32)))
           (import \"host\" \"see_128\" (func $see_128 (param v128)))
           (memory (export \"memory\") 1)
           (global $g (export \"g\") (mut f64) (f64.const 0))
           (global $n (export \"n\") (mut f32) (f32.const 0))
           (global $w (export \"w\") (mut v128) (v128.const i64x2 0 0))
           (type $s (struct (field $x (mut f64))))
           (type $l (array (mut f64)))
           (tag $t (param f64))
           (table funcref (elem $give))
           (type $give (func (param f64) (result f64)))
           (func $give (type $give) (local.get 0))
           (func $twice (param f64) (result f64 f64) (local.get 0)
             (f64.add (local.get 0) (local.get 0)))
           {functions})"
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Holds bodies to the engine's rule, metered, for all pairs of operands. For how many the rule
/// matters at all: the bits are others without.
fn holds(rules: &Rules, ty: &str, bodies: &[String]) -> usize {
    let source = Source::new(module(ty, bodies), "t").unwrap();
    let valid = validate(source, &profile()).unwrap_or_else(|error| panic!("{error}: {bodies:?}"));
    let both = rules.both(ty, ready(&valid, true).unwrap().wasm()).expect("both");
    let [mut by_engine, mut by_checks, mut without] =
        [&both.by_engine, &both.by_checks, &both.without].map(Shown::new);
    let operand = |index: usize| match ty {
        "f64" => Val::F64(BITS[index]),
        "f32" => Val::F32(BITS_32[index]),
        _ => {
            let other = BITS[(index * 7 + 3) % BITS.len()];
            Val::V128((u128::from(other) << 64 | u128::from(BITS[index])).into())
        }
    };
    let mut matter = 0;
    for (number, body) in bodies.iter().enumerate() {
        let name = format!("f{number}");
        let mut matters = false;
        for pair in 0..BITS.len() * BITS.len() {
            let operands = [operand(pair / BITS.len()), operand(pair % BITS.len())];
            let expected = by_engine.of(&name, &operands);
            assert_eq!(by_checks.of(&name, &operands), expected, "{body}: {operands:?}");
            matters |= without.of(&name, &operands) != expected;
        }
        matter += usize::from(matters);
    }
    matter
}

/// Each observer of each value, where `%` is the value.
fn all(observers: &[&str], values: &[&str]) -> Vec<String> {
    let of = |observer: &&str| {
        let observer = (*observer).to_owned();
        values.iter().map(move |value| observer.replace('%', value))
    };
    observers.iter().flat_map(of).collect()
}

/// Every way in which bits of an `f64` can be seen; `%` is the value.
const OBSERVERS: [&str; 26] = [
    "(return %)",
    "%",
    "(f64.store (i32.const 8) %) (f64.const 0)",
    "(global.set $g %) (f64.const 0)",
    "(call $see_64 %) (f64.const 0)",
    "(call $give %)",
    "(return_call $give %)",
    "(call_indirect (type $give) % (i32.const 0))",
    "(call_ref $give % (ref.func $give))",
    "(f64.reinterpret_i64 (i64.reinterpret_f64 %))",
    "(f64.neg %)",
    "(f64.abs %)",
    "(f64.copysign % (local.get $b))",
    "(f64.copysign (local.get $b) %)",
    "(select % (local.get $b) (local.get $i))",
    "(select % (local.get $b) (i32.const 1))",
    "(struct.get $s $x (struct.new $s %))",
    "(local.set $o (struct.new_default $s)) (struct.set $s $x (local.get $o) %)
     (struct.get $s $x (local.get $o))",
    "(array.get $l (array.new $l % (i32.const 3)) (i32.const 1))",
    "(array.get $l (array.new_fixed $l 2 (local.get $b) %) (i32.const 1))",
    "(block $c (result f64) (try_table (catch $t $c) (throw $t %)) (unreachable))",
    "(global.set $w (f64x2.splat %)) (f64.const 0)",
    "(call $see_128 (f64x2.replace_lane 1 (v128.const i64x2 0 0) %)) (f64.const 0)",
    "(block (result f64) (br 0 %))",
    "(local.set $x %) (loop (call $see_64 (local.get $x))) (local.get $x)",
    "(call $twice %) (f64.store (i32.const 0) (f64.const 1)) (global.set $g) (call $see_64)
     (f64.const 0)",
];

/// Values that are results, copies, or one or the other.
const VALUES: [&str; 21] = [
    "(local.get $a)",
    "(f64.add (local.get $a) (local.get $b))",
    "(f64.sub (local.get $a) (local.get $b))",
    "(f64.div (local.get $a) (local.get $b))",
    "(f64.min (local.get $a) (local.get $b))",
    "(f64.sqrt (local.get $a))",
    "(f64.ceil (f64.mul (local.get $a) (local.get $b)))",
    "(f64.nearest (local.get $a))",
    "(f64.promote_f32 (f32.demote_f64 (local.get $a)))",
    "(f64.const nan:0x8000000001234)",
    "(f64.const nan)",
    "(select (local.get $a) (f64.mul (local.get $a) (local.get $b)) (i32.const 1))",
    "(select (f64.div (local.get $a) (local.get $b)) (f64.const 1) (f64.lt (local.get $a)
       (local.get $b)))",
    "(if (result f64) (f64.lt (local.get $a) (local.get $b)) (then (local.get $a))
       (else (f64.add (local.get $a) (local.get $b))))",
    "(block $k (result f64) (drop (br_if $k (f64.add (local.get $a) (local.get $a))
       (f64.eq (local.get $a) (local.get $b)))) (local.get $b))",
    "(block $k (result f64) (br_table $k $k (local.tee $x (f64.floor (local.get $a)))
       (i32.const 0)))",
    "(local.tee $x (f64.max (local.get $a) (local.get $b)))",
    "(block (result f64) (local.set $x (local.get $a))
       (loop (local.set $x (f64.add (local.get $x) (local.get $b)))
         (br_if 0 (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3))))
       (local.get $x))",
    "(block (result f64) (local.set $x (f64.load (i32.const 24)))
       (loop (local.set $x (f64.add (local.get $y) (local.get $b)))
         (local.set $y (f64.sub (local.get $x) (local.get $a)))
         (br_if 0 (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3))))
       (local.get $y))",
    "(block (result f64) (local.set $y (local.get $a))
       (if (f64.gt (local.get $a) (local.get $b))
         (then (local.set $y (f64.mul (local.get $y) (local.get $b)))))
       (local.get $y))",
    "(f64.load (i32.const 24))",
];

#[test]
fn every_value_is_seen_as_the_engine_would_show_it() {
    let rules = Rules::default();
    let bodies: Vec<String> = all(&OBSERVERS, &VALUES)
        .into_iter()
        .map(|body| format!("(f64.store (i32.const 24) (local.get $a)) {body}"))
        .collect();
    let matters = holds(&rules, "f64", &bodies);
    // Without any rule it is not so.
    assert!(matters > 100, "{matters}");
}

#[test]
fn singles_too() {
    let values = [
        "(f32.add (local.get $a) (local.get $b))",
        "(f32.sqrt (local.get $a))",
        "(f32.trunc (f32.neg (local.get $a)))",
        "(f32.demote_f64 (f64.promote_f32 (local.get $a)))",
        "(f32.demote_f64 (f64.div (f64.promote_f32 (local.get $a)) (f64.const 0)))",
        "(select (local.get $a) (f32.max (local.get $a) (local.get $b)) (i32.const 0))",
        "(local.get $a)",
    ];
    let observers = [
        "%",
        "(f32.store (i32.const 8) %) (f32.const 0)",
        "(global.set $n %) (f32.const 0)",
        "(call $see_32 %) (f32.const 0)",
        "(f32.reinterpret_i32 (i32.reinterpret_f32 %))",
        "(f32.neg (f32.abs %))",
        "(f32.copysign (local.get $b) %)",
        "(global.set $w (f32x4.splat %)) (f32.const 1)",
    ];
    let matters = holds(&Rules::default(), "f32", &all(&observers, &values));
    assert!(matters > 20, "{matters}");
}

#[test]
fn vectors_too() {
    let values = [
        "(f64x2.add (local.get $a) (local.get $b))",
        "(f32x4.mul (local.get $a) (local.get $b))",
        "(f64x2.sqrt (f64x2.div (local.get $a) (local.get $b)))",
        "(f32x4.sqrt (f64x2.div (local.get $a) (local.get $b)))",
        "(f64x2.max (f32x4.floor (local.get $a)) (local.get $b))",
        "(f32x4.demote_f64x2_zero (f64x2.sub (local.get $a) (local.get $b)))",
        "(f64x2.promote_low_f32x4 (f32x4.min (local.get $a) (local.get $b)))",
        "(f64x2.relaxed_max (local.get $a) (local.get $b))",
        "(f32x4.pmin (f32x4.add (local.get $a) (local.get $b)) (local.get $b))",
        "(f64x2.pmax (local.get $a) (f64x2.add (local.get $a) (local.get $b)))",
        "(v128.xor (f64x2.add (local.get $a) (local.get $b)) (local.get $b))",
        "(i32x4.add (f32x4.add (local.get $a) (local.get $b)) (local.get $b))",
        "(i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
           (f64x2.add (local.get $a) (local.get $b)) (local.get $b))",
        "(f64x2.neg (f64x2.nearest (local.get $a)))",
        "(f32x4.convert_i32x4_s (f32x4.add (local.get $a) (local.get $b)))",
        "(i32x4.trunc_sat_f32x4_s (f32x4.add (local.get $a) (local.get $b)))",
        "(f64x2.lt (f64x2.add (local.get $a) (local.get $b)) (local.get $b))",
        "(select (local.get $a) (f64x2.add (local.get $a) (local.get $b)) (i32.const 0))",
        "(block (result v128) (local.set $v (local.get $a))
           (loop (local.set $v (f32x4.add (local.get $v) (local.get $b)))
             (br_if 0 (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
               (i32.const 3))))
           (local.get $v))",
        "(block (result v128)
           (local.set $v (f32x4.add (local.get $a) (local.get $b)))
           (local.set $x (f32x4.sqrt (local.get $v)))
           (local.set $v (f64x2.add (local.get $a) (local.get $b)))
           (f32x4.add (local.get $v) (local.get $x)))",
        "(local.get $a)",
    ];
    let observers = [
        "%",
        "(v128.store (i32.const 16) %) (local.get $a)",
        "(v128.store64_lane 1 (i32.const 16) %) (local.get $a)",
        "(global.set $w %) (local.get $a)",
        "(call $see_128 %) (local.get $a)",
        "(call $see_64 (f64x2.extract_lane 1 %)) (local.get $a)",
        "(call $see_32 (f32x4.extract_lane 2 %)) (local.get $a)",
        "(v128.bitselect % (local.get $a) (local.get $b))",
    ];
    let matters = holds(&Rules::default(), "v128", &all(&observers, &values));
    assert!(matters > 50, "{matters}");
}

#[test]
fn chains_give_canonical_nans_and_copies_keep_theirs() {
    let rules = Rules::default();
    let see = |body: &str, one: u64| {
        let both = rules.both(body, &module("f64", &[body.to_owned()])).unwrap();
        let mut store = Store::new(both.by_checks.engine(), ());
        let mut linker = Linker::new(both.by_checks.engine());
        linker.define_unknown_imports_as_traps(&both.by_checks).unwrap();
        let instance = linker.instantiate(&mut store, &both.by_checks).unwrap();
        let function = instance.get_typed_func::<(f64, f64), f64>(&mut store, "f0").unwrap();
        function.call(&mut store, (f64::from_bits(one), 0.0)).unwrap().to_bits()
    };
    let canonical = 0x7ff8_0000_0000_0000;
    let payload = 0x7ff4_0000_dead_beef;
    for body in [
        "(f64.div (f64.const 0) (f64.const 0))",
        "(f64.sub (f64.const inf) (f64.const inf))",
        "(f64.sqrt (f64.const -1))",
        "(f64.mul (f64.const inf) (f64.const 0))",
        "(f64.add (local.get $a) (f64.const 1))",
        "(f64.neg (f64.neg (f64.add (local.get $a) (f64.const -1))))",
    ] {
        assert_eq!(see(body, payload), canonical, "{body}");
    }
    assert_eq!(see("(f64.neg (f64.sqrt (f64.const -1)))", 0), canonical | 1 << 63);
    for body in [
        "(local.get $a)",
        "(call $give (local.get $a))",
        "(f64.store (i32.const 0) (local.get $a)) (f64.load (i32.const 0))",
        "(local.set $x (local.get $a)) (global.set $g (local.get $x)) (global.get $g)",
        "(select (local.get $a) (f64.add (local.get $a) (local.get $b)) (i32.const 1))",
        "(f64.copysign (local.get $a) (f64.const 1))",
        "(struct.get $s $x (struct.new $s (local.get $a)))",
    ] {
        assert_eq!(see(body, payload), payload, "{body}");
    }
}

#[test]
fn made_up_modules_show_the_same_bits() {
    let rules = Rules::default();
    let (mut modules, mut checks) = (0, 0);
    for seed in 0..400 {
        let Some(wasm) = generate(seed) else { continue };
        if let Some((found, _)) = rules.compare(&format!("seed {seed}"), wasm, 100_000) {
            modules += 1;
            checks += found;
        }
    }
    assert!(modules > 50 && checks > 200, "{modules} modules with {checks} checks");
}

#[test]
fn fixtures_show_the_same_bits() {
    let rules = Rules::default();
    for (name, wasm) in fixtures() {
        let _ = rules.compare(&name, wasm, 1_000_000);
    }
}

/// Kernels by the product's own code for this machine, and for its interpreter.
#[test]
fn kernels_hash_the_same_with_and_without_nans() {
    let rules = Rules::default();
    for name in ["kernels", "kernels-simd"] {
        let wasm = kernels(name);
        let both = rules.both(name, &wasm).unwrap();
        let mut by_engine = Kernels::new(&both.by_engine);
        let mut by_checks = Kernels::new(&both.by_checks);
        let mut without = Kernels::new(&both.without);
        let mut portable = Kernels::new(&portable(&wasm));
        let mut matters = 0;
        for (kernel, name) in by_engine.names().into_iter().enumerate() {
            for bits in [0, BITS[7], BITS[9]] {
                let hash = |kernels: &mut Kernels| {
                    kernels.poison(bits);
                    kernels.run(kernel, 1)
                };
                let expected = hash(&mut by_engine);
                assert_eq!(hash(&mut by_checks), expected, "{name} {bits:x}");
                matters += u32::from(hash(&mut without) != expected);
                // An interpreter: a few are enough.
                if bits != 0 && kernel % 5 == 0 {
                    assert_eq!(hash(&mut portable), expected, "{name} {bits:x}, portable");
                }
            }
        }
        assert!(matters > 10, "{matters}");
    }
}

/// With checks, for an interpreter: other code, other NaNs without them.
fn portable(wasm: &[u8]) -> Module {
    let mut config = EngineProfile::of(Target::Pulley64, Nans::Fast).config();
    config.target("pulley64").unwrap();
    let engine = Engine::new(&config).unwrap();
    let settled = bls_compiler::nan::Settled::of(wasm).unwrap().unwrap();
    Module::new(&engine, settled.wasm()).unwrap()
}

#[test]
fn fuel_and_the_audited_module_stay() {
    let options = Options::new(vec![Target::Pulley64]);
    let fast = Options { nans: Nans::Fast, ..options.clone() };
    let of = |options: &Options| {
        let source = Source::new(kernels("kernels"), "kernels").unwrap();
        front(source, options, &mut |_| {}).unwrap().audited
    };
    assert_eq!(of(&options).wasm(), of(&fast).wasm());
    assert_eq!(of(&options).findings(), of(&fast).findings());
}

/// The programs: the same bits with and without metering, whatever the machine; another answer
/// with `--fast-nans` on a CPU that makes negative NaNs.
#[test]
fn the_programs_keep_the_rule() {
    let home = Home::new();
    let text = "(module (func (export \"f\") (param f64 f64) (result i64)
        (i64.reinterpret_f64 (f64.div (local.get 0) (local.get 1)))))";
    let input = home.path("nan.wat");
    std::fs::write(&input, text).unwrap();
    let answer = |options: &[&str]| {
        let artifact = home.path("nan.bls");
        let mut command = home.compile_command(&input);
        let _ = run(command.args(options).arg("-o").arg(&artifact), b"").expect(0);
        let ended = home.load(&["--invoke", "f"], &artifact, &["0", "0"]).expect(0);
        ended.text().trim().to_owned()
    };
    let canonical = 0x7ff8_0000_0000_0000_i64.to_string();
    assert_eq!(answer(&[]), canonical);
    assert_eq!(answer(&["--no-fuel"]), canonical);
    assert_eq!(answer(&["--memory", "checked"]), canonical);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(answer(&["--fast-nans"]), (0xfff8_u64 << 48).cast_signed().to_string());
    }
}

/// What is not optimised is left to the engine's own rule.
#[test]
fn what_is_too_much_keeps_the_rule_too() {
    let home = Home::new();
    let row = "(br_if 0 (i32.eqz (local.get $i)))".repeat(80_000);
    let text = format!(
        "(module (func (export \"f\") (param f64 f64) (result i64) (local $i i32)
           (local.set $i (i32.const 1)) (block {row})
           (i64.reinterpret_f64 (f64.div (local.get 0) (local.get 1)))))"
    );
    let (input, artifact) = (home.path("row.wat"), home.path("row.bls"));
    std::fs::write(&input, text).unwrap();
    let said = run(home.compile_command(&input).arg("-o").arg(&artifact), b"").expect(0);
    assert!(said.stderr.contains(", not optimised ("), "{}", said.stderr);
    let ended = home.load(&["--invoke", "f"], &artifact, &["0", "0"]).expect(0);
    assert_eq!(ended.text().trim(), 0x7ff8_0000_0000_0000_i64.to_string());
}

#[test]
fn an_instance_of_the_kernels_counts_the_same() {
    // With and without checks the counter says the same.
    let source = Source::new(kernels("kernels"), "kernels").unwrap();
    let metered = ready(&validate(source, &profile()).unwrap(), true).unwrap();
    let both = Rules::default().both("kernels", metered.wasm()).unwrap();
    let consumed = |module: &Module| {
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        let counter = instance.get_global(&mut store, "__bls_fuel").unwrap();
        counter.set(&mut store, Val::I64(1 << 50)).unwrap();
        let run = instance.get_typed_func::<(i32, i32), i64>(&mut store, "run").unwrap();
        let hash = run.call(&mut store, (10, 2)).unwrap();
        (hash, (1_i64 << 50) - counter.get(&mut store).unwrap_i64())
    };
    assert_eq!(consumed(&both.by_checks), consumed(&both.by_engine));
}
