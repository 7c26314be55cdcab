//! `bench embedding`: the library beside wasmtime driven directly, in one process.
//!
//! Both sides run the same native code, of the same artifact, in engines with the same
//! settings, and take turns. Three tables: what a call costs from the host into a guest and
//! from a guest into the host; how fast guests come out of a pool and are given back, and
//! how much memory each takes; and what a limit on time costs.

use super::statistics::Samples;
use super::table::{Table, ratio};
use crate::embedded::{artifact_with, key, options};
use bls_loader::{Call, Loader, Runner, Trust, Verified};
use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};
use wasmtime::{
    Engine, Instance, InstancePre, Linker, Module, PoolingAllocationConfig, Store, TypedFunc, Val,
};

/// Rounds of each comparison: of each, both sides.
pub(super) const RUNS: usize = 25;
/// Calls of one round.
const CALLS: u32 = 200_000;

/// What is called, and calls.
const MODULE: &str = r#"(module
    (import "env" "host" (func $host (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "initial data, so that there is a page to be copied")
    (func (export "guest") (param i32) (result i32) (local.get 0))
    (func (export "calls") (param i32) (result i32) (local $sum i32)
        (loop $again
            (local.set $sum (i32.add (local.get $sum) (call $host (local.get 0))))
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get $sum)))"#;

/// Prints the tables.
pub(super) fn run(runs: usize) -> Result<(), String> {
    calls(runs)?;
    pools(runs)
}

fn verified(metered: bool) -> Result<Verified, String> {
    let mut options = options();
    options.metered = metered;
    let bytes = artifact_with("embedding", MODULE.as_bytes(), &options);
    let loader = Loader::new(Trust::key(key().public()));
    loader.open_bytes("embedding", bytes).map_err(|error| error.to_string())
}

/// A runner with the function that the module imports.
fn runner(metered: bool, price: u64) -> Result<Runner, String> {
    Ok(Runner::new(verified(metered)?).function(
        "env",
        "host",
        price,
        |_: &mut Call<'_>, number: i32| Ok(black_box(number)),
    ))
}

/// The same module in an engine of one's own.
struct Direct {
    module: Module,
    imports: InstancePre<()>,
}

impl Direct {
    fn new(metered: bool, pool: Option<&PoolingAllocationConfig>) -> Result<Self, String> {
        let verified = verified(metered)?;
        let mut config = verified.facts().part().profile.config();
        if let Some(pool) = pool {
            config.allocation_strategy(pool.clone());
        }
        let text = |error: wasmtime::Error| format!("{error:#}");
        let engine = Engine::new(&config).map_err(text)?;
        let module = verified.module_in(&engine).map_err(|error| error.to_string())?;
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("env", "host", |number: i32| -> wasmtime::Result<i32> {
                Ok(black_box(number))
            })
            .map_err(text)?;
        let imports = linker.instantiate_pre(&module).map_err(text)?;
        Ok(Self { module, imports })
    }

    fn instantiate(&self) -> (Store<()>, Instance) {
        let mut store = Store::new(self.module.engine(), ());
        let instance = self.imports.instantiate(&mut store).expect("room for one more");
        if let Some(counter) = instance.get_global(&mut store, COUNTER) {
            counter.set(&mut store, Val::I64(i64::MAX >> 1)).expect("a mutable i64");
        }
        (store, instance)
    }
}

const COUNTER: &str = bls_artifact::fuel::COUNTER_EXPORT;

/// Nanoseconds of one of so many.
fn each(count: u32, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_nanos() as f64 / f64::from(count)
}

/// Both, in turns; their medians, and that of the ratios of each turn.
fn pairs(runs: usize, mut ours: impl FnMut() -> f64, mut theirs: impl FnMut() -> f64) -> [f64; 3] {
    let (mut left, mut right) = (Samples::default(), Samples::default());
    for round in 0..runs {
        let (one, other) = if round % 2 == 0 {
            let one = ours();
            (one, theirs())
        } else {
            let other = theirs();
            (ours(), other)
        };
        left.push(one);
        right.push(other);
    }
    [left.median(), right.median(), left.median_over(&right)]
}

fn calls(runs: usize) -> Result<(), String> {
    let mut table = Table::new(&["call", "ns", "wasmtime's ns", "ratio"]);
    let mut add = |what: &str, [ours, theirs, between]: [f64; 3]| {
        table.row(vec![
            what.to_owned(),
            format!("{ours:.1}"),
            format!("{theirs:.1}"),
            ratio(Some(between)),
        ]);
    };
    for (metered, price, what) in [
        (false, 0, "not metered"),
        (true, 0, "metered, without a price"),
        (true, 100, "metered, with a price"),
    ] {
        let direct = Direct::new(metered, None)?;
        let (mut store, instance) = direct.instantiate();
        let mut ours = runner(metered, price)?.instantiate().map_err(|error| error.to_string())?;
        if price == 0 {
            let theirs: TypedFunc<i32, i32> =
                instance.get_typed_func(&mut store, "guest").expect("it is exported");
            let function = ours.function::<i32, i32>("guest").expect("it is exported");
            add(
                &format!("host to guest, {what}"),
                pairs(
                    runs,
                    || {
                        each(CALLS, || {
                            for number in 0..CALLS as i32 {
                                let back = ours.call_function(&function, number);
                                black_box(back.expect("an answer"));
                            }
                        })
                    },
                    || {
                        each(CALLS, || {
                            for number in 0..CALLS as i32 {
                                black_box(theirs.call(&mut store, number).expect("an answer"));
                            }
                        })
                    },
                ),
            );
        }
        let theirs: TypedFunc<i32, i32> =
            instance.get_typed_func(&mut store, "calls").expect("it is exported");
        let function = ours.function::<i32, i32>("calls").expect("it is exported");
        let count = CALLS as i32;
        add(
            &format!("guest to host, {what}"),
            pairs(
                runs,
                || {
                    each(CALLS, || {
                        black_box(ours.call_function(&function, count).expect("a sum"));
                    })
                },
                || {
                    each(CALLS, || {
                        black_box(theirs.call(&mut store, count).expect("a sum"));
                    })
                },
            ),
        );
    }
    let mut limited =
        runner(true, 0)?.timeout(Duration::from_secs(3600)).instantiate().expect("one");
    let mut ours = runner(true, 0)?.instantiate().map_err(|error| error.to_string())?;
    let (slow, fast) = (
        limited.function::<i32, i32>("guest").expect("it is exported"),
        ours.function::<i32, i32>("guest").expect("it is exported"),
    );
    let calls = |instance: &mut bls_loader::Instance, function: &bls_loader::Function<i32, i32>| {
        each(CALLS, || {
            for number in 0..CALLS as i32 {
                black_box(instance.call_function(function, number).expect("an answer"));
            }
        })
    };
    let [with, without, _] = pairs(runs, || calls(&mut limited, &slow), || calls(&mut ours, &fast));
    table.print("Calls across the border, the same native code on both sides");
    println!(
        "A limit on time costs {:.0} ns more for each call into the guest, and the guest nothing.\n",
        with - without
    );
    Ok(())
}

/// Bytes of this process that are in memory.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

fn pools(runs: usize) -> Result<(), String> {
    /// Guests that are made, called and given back in one round.
    const GUESTS: u32 = 10_000;
    let mut table = Table::new(&[
        "guests at once",
        "µs each",
        "wasmtime's µs",
        "ratio",
        "a second and core",
        "KB each",
        "wasmtime's KB",
    ]);
    for at_once in [1, 100, GUESTS] {
        let pool = runner(true, 0)?.memory(1 << 20).pool(at_once);
        let pool = pool.map_err(|error| error.to_string())?;
        let mut theirs = PoolingAllocationConfig::new();
        theirs
            .total_core_instances(at_once)
            .total_memories(at_once)
            .max_memory_size(1 << 20)
            .total_tables(at_once)
            .total_gc_heaps(at_once)
            .linear_memory_keep_resident(64 << 10)
            .table_keep_resident(64 << 10);
        let direct = Direct::new(true, Some(&theirs))?;
        let kept = [Cell::new(0_u64), Cell::new(0_u64)];
        let rounds = GUESTS / at_once;
        let [ours, other, between] = pairs(
            runs.min(if at_once == 1 { runs } else { 9 }),
            || {
                let before = resident_bytes();
                each(GUESTS, || {
                    for _ in 0..rounds {
                        let guests: Vec<_> = (0..at_once)
                            .map(|number| {
                                let mut guest = pool.instantiate().expect("room for one more");
                                let back = guest.call::<i32, i32>("guest", number as i32);
                                black_box(back.expect("an answer"));
                                guest
                            })
                            .collect();
                        kept[0].set(kept[0].get().max(resident_after(at_once, before)));
                        drop(guests);
                    }
                })
            },
            || {
                let before = resident_bytes();
                each(GUESTS, || {
                    for _ in 0..rounds {
                        let guests: Vec<_> = (0..at_once)
                            .map(|number| {
                                let (mut store, instance) = direct.instantiate();
                                let function = instance
                                    .get_typed_func::<i32, i32>(&mut store, "guest")
                                    .expect("it is exported");
                                let back = function.call(&mut store, number as i32);
                                black_box(back.expect("an answer"));
                                (store, instance)
                            })
                            .collect();
                        kept[1].set(kept[1].get().max(resident_after(at_once, before)));
                        drop(guests);
                    }
                })
            },
        );
        let kilobytes = |bytes: u64| match at_once {
            1 => "-".to_owned(),
            _ => format!("{:.1}", bytes as f64 / 1000.0 / f64::from(at_once)),
        };
        table.row(vec![
            at_once.to_string(),
            format!("{:.2}", ours / 1000.0),
            format!("{:.2}", other / 1000.0),
            ratio(Some(between)),
            format!("{:.0}", 1e9 / ours),
            kilobytes(kept[0].get()),
            kilobytes(kept[1].get()),
        ]);
    }
    table.print(
        "From a pool: a guest is made, called once and given back; metered, 1 MiB of memory at most",
    );
    Ok(())
}

/// How much more is in memory than `before`, where that can be seen.
fn resident_after(at_once: u32, before: u64) -> u64 {
    // Asking takes longer than a guest.
    if at_once < 100 { 0 } else { resident_bytes().saturating_sub(before) }
}
