//! The loader as a library: what an embedder gets, and what it does not touch.

use bls_loader::wasmtime::Val;
use bls_loader::{
    Access, Call, CallError, Cause, Instance, Limit, Loader, Outcome, Runner, Sink, Source, Trust,
    Wall,
};
use bls_tests::embedded::{artifact, artifact_with, key, options, runner, verified};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Writes what it reads, until that ends; then its first argument's length as its exit code.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (loop $again
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 1000))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (if (i32.load (i32.const 8)) (then
                (i32.store (i32.const 4) (i32.load (i32.const 8)))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (br $again))))))"#;

/// Functions to be called.
const PLUGIN: &str = r#"(module
    (memory (export "memory") 1 4)
    (global $calls (mut i32) (i32.const 0))
    (data (i32.const 8) "initial")
    (func (export "add") (param i32 i32) (result i64)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i64.extend_i32_s (i32.add (local.get 0) (local.get 1))))
    (func (export "calls") (result i32) (global.get $calls))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "trap") unreachable)
    (func (export "spin") (loop (br 0)))
    (func (export "count") (param i32)
        (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;

/// Calls `env.twice` of a number, and gives what that gives.
const ASKS: &str = r#"(module
    (import "env" "twice" (func $twice (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "ask") (param i32) (result i32) (call $twice (local.get 0))))"#;

fn ended(error: CallError) -> Outcome {
    match error {
        CallError::Ended(outcome) => outcome,
        other => panic!("{other}"),
    }
}

fn refused(error: CallError) -> bls_loader::Error {
    match error {
        CallError::Refused(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn bytes_go_in_and_come_out() {
    let input: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let run = || {
        let guest = runner("echo", ECHO.as_bytes()).stdin(Source::bytes(input.clone()));
        guest.stdout(Sink::bytes()).fuel(1_000_000).run().expect("a run")
    };
    let (one, two) = (run(), run());
    assert!(one.outcome.is_success(), "{}", one.outcome);
    assert_eq!(one.stdout, input);
    let fuel = one.fuel.expect("it is metered");
    assert_eq!((fuel.budget, fuel.exact), (Some(1_000_000), true));
    assert_eq!(Some(fuel), two.fuel);
    assert_eq!(one.peak_memory, 65536);
}

#[test]
fn a_guest_gets_what_it_was_granted_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("in.txt"), "words").expect("a file");
    let files = std::fs::read(bls_tests::programs::fixtures().join("c/files.wasm")).expect("it");
    let without = runner("files", &files).run().expect("a run");
    assert!(!without.outcome.is_success());
    let guest = runner("files", &files).folder(folder.path(), "/data", Access::Write);
    let with = guest.stdout(Sink::bytes()).stderr(Sink::bytes()).run().expect("a run");
    assert_ne!(with.fuel, without.fuel);
    let environment = std::fs::read(bls_tests::programs::fixtures().join("c/environ.wasm"));
    let guest = runner("environ", &environment.expect("it")).env("K", "V").arg("word");
    let told = guest.stdout(Sink::bytes()).run().expect("a run");
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(text.contains("K=V") && text.contains("word") && !text.contains("PATH"), "{text}");
}

#[test]
fn a_signature_is_asked_for() {
    let bytes = artifact("plugin", PLUGIN.as_bytes());
    let stranger = bls_artifact::key::PrivateKey::from_seed(&[6; 32]).public();
    let error = Loader::new(Trust::key(stranger)).open_bytes("plugin", bytes.clone()).unwrap_err();
    assert_eq!(
        (error.stage(), error.code(), error.cause()),
        ("verify", "signature.unknown-key", Cause::Refused)
    );
    let mut changed = bytes;
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let error = Loader::new(Trust::key(key().public())).open_bytes("plugin", changed).unwrap_err();
    assert!(error.stage_error::<bls_loader::verify::VerifyError>().is_some(), "{error}");
}

#[test]
fn ones_own_linker_gets_a_module() {
    use bls_loader::wasmtime::{Linker, Store};
    let module = verified("plugin", PLUGIN.as_bytes()).module().expect("a module");
    let mut store = Store::new(module.engine(), ());
    let instance = Linker::new(module.engine()).instantiate(&mut store, &module).expect("one");
    let counter = bls_artifact::fuel::COUNTER_EXPORT;
    let counter = instance.get_global(&mut store, counter).expect("a counter");
    counter.set(&mut store, Val::I64(1000)).expect("a mutable one");
    let add = instance.get_typed_func::<(i32, i32), i64>(&mut store, "add").expect("add");
    assert_eq!(add.call(&mut store, (1, 2)).expect("a sum"), 3);
    assert!(counter.get(&mut store).unwrap_i64() < 1000);
}

#[test]
fn calls_are_typed_and_counted() {
    let mut plugin =
        runner("plugin", PLUGIN.as_bytes()).fuel(1_000_000).instantiate().expect("one");
    assert_eq!(plugin.call::<(i32, i32), i64>("add", (40, 2)).expect("a sum"), 42);
    let once = plugin.fuel().expect("it is metered");
    assert!(once.exact && once.used > 0 && once.budget == Some(1_000_000));
    let add = plugin.function::<(i32, i32), i64>("add").expect("add");
    for _ in 0..10 {
        plugin.set_fuel(1000);
        assert_eq!(plugin.call_function(&add, (1, 1)).expect("a sum"), 2);
    }
    assert_eq!(plugin.call::<(), i32>("calls", ()).expect("a count"), 11);
    assert_eq!(plugin.read(8, 7).expect("bytes"), b"initial");
    plugin.write(8, b"changed").expect("room");
    assert_eq!(plugin.read(8, 7).expect("bytes"), b"changed");
    assert_eq!(plugin.read(65530, 7).unwrap_err().code(), "run.memory");
    assert_eq!(
        refused(plugin.call::<(), ()>("none", ()).unwrap_err()).code(),
        "link.no-such-export"
    );
    let wrong = plugin.call::<(i32,), i32>("add", (1,)).unwrap_err();
    assert_eq!(refused(wrong).code(), "run.call-type");
    // None of these ended it.
    assert_eq!(plugin.call::<(i32, i32), i64>("add", (40, 2)).expect("a sum"), 42);
}

#[test]
fn a_guest_that_ended_is_not_called_again() {
    let mut plugin = runner("plugin", PLUGIN.as_bytes()).instantiate().expect("one");
    match ended(plugin.call::<(), ()>("trap", ()).unwrap_err()) {
        Outcome::Trapped(trap) => {
            assert_eq!(trap.kind, "unreachable");
            assert_eq!(trap.frames.len(), 1);
        }
        other => panic!("{other}"),
    }
    assert_eq!(refused(plugin.call::<(), i32>("calls", ()).unwrap_err()).code(), "run.over");

    let mut plugin = runner("plugin", PLUGIN.as_bytes()).instantiate().expect("one");
    plugin.set_fuel(1000);
    assert!(matches!(ended(plugin.call::<(), ()>("spin", ()).unwrap_err()), Outcome::OutOfFuel));
    let fuel = plugin.fuel().expect("it is metered");
    assert_eq!((fuel.used, fuel.exact), (1000, true));
}

#[test]
fn limits_hold() {
    let mut plugin =
        runner("plugin", PLUGIN.as_bytes()).memory(2 << 16).instantiate().expect("one");
    assert_eq!(plugin.call::<(i32,), i32>("grow", (1,)).expect("a size"), 1);
    assert_eq!(plugin.call::<(i32,), i32>("grow", (1,)).expect("a refusal"), -1);
    let over = plugin.end();
    assert_eq!((over.peak_memory, over.limits_met), (2 << 16, vec!["memory"]));

    let none = runner("plugin", PLUGIN.as_bytes()).memory(1 << 15).instantiate().unwrap_err();
    assert!(matches!(ended(none), Outcome::Limit(Limit::Memory, _)));

    let echo = runner("echo", ECHO.as_bytes()).stdin(Source::bytes("0123456789"));
    let cut = echo.stdout(Sink::at_most(4)).run().expect("a run");
    assert!(matches!(cut.outcome, Outcome::Limit(Limit::Output, _)), "{}", cut.outcome);
    assert_eq!(cut.stdout, b"0123");
}

#[test]
fn time_ends_a_guest_wherever_it_is() {
    let short = Duration::from_millis(20);
    let is_time = |outcome: &Outcome| matches!(outcome, Outcome::Limit(Limit::Time, _));
    // In a loop of its own.
    let mut plugin = runner("plugin", PLUGIN.as_bytes()).timeout(short).instantiate().expect("one");
    let stopped = ended(plugin.call::<(), ()>("spin", ()).unwrap_err());
    assert!(is_time(&stopped), "{stopped}");
    // What it had counted is in a register: nobody knows, and nobody says so.
    assert!(!plugin.fuel().expect("it is metered").exact);
    assert_eq!(refused(plugin.call::<(), i32>("calls", ()).unwrap_err()).code(), "run.over");
    assert!(is_time(&plugin.end().outcome));
    let mut plugin = runner("plugin", PLUGIN.as_bytes()).timeout(short).instantiate().expect("one");
    plugin.set_fuel(1 << 60);
    ended(plugin.call::<(), ()>("spin", ()).unwrap_err());
    let fuel = plugin.end().fuel.expect("it is metered");
    assert_eq!((fuel.used, fuel.exact), (1 << 60, false));
    // Waiting for input that does not come.
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let waiting = runner("echo", ECHO.as_bytes()).stdin(Source::descriptor(reader));
    assert!(is_time(&waiting.timeout(short).run().expect("a run").outcome));
    // Calling the host all the time.
    let busy = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $y (result i32)))
        (func (export "_start") (loop (drop (call $y)) (br 0))))"#;
    let busy = runner("busy", busy.as_bytes()).timeout(short).run().expect("a run");
    assert!(is_time(&busy.outcome), "{}", busy.outcome);
    // Deep in calls.
    let deep = r#"(module (func $f (export "_start") (call $f) (call $f)))"#;
    let deep = runner("deep", deep.as_bytes()).timeout(Duration::from_secs(600)).run();
    assert!(matches!(deep.expect("a run").outcome, Outcome::Trapped(_)));
    // One that ends in time is not stopped.
    let mut plugin = runner("plugin", PLUGIN.as_bytes());
    plugin = plugin.timeout(Duration::from_secs(600));
    let mut plugin = plugin.instantiate().expect("one");
    for number in 0..1000 {
        assert_eq!(
            plugin.call::<(i32, i32), i64>("add", (number, 1)).expect("a sum"),
            i64::from(number) + 1
        );
    }
}

#[test]
fn another_thread_cancels() {
    let mut asked = runner("plugin", PLUGIN.as_bytes());
    let cancel = asked.cancel();
    let mut plugin = asked.instantiate().expect("one");
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        cancel.cancel();
    });
    let stopped = ended(plugin.call::<(), ()>("spin", ()).unwrap_err());
    assert!(matches!(stopped, Outcome::Cancelled), "{stopped}");
    thread.join().expect("it ended");

    // One that does not run yet ends as soon as it does.
    let mut asked = runner("plugin", PLUGIN.as_bytes()).invoke("spin", []);
    asked.cancel().cancel();
    assert!(matches!(asked.run().expect("a run").outcome, Outcome::Cancelled));
}

#[test]
fn a_guest_inside_another_ones_call_is_not_stopped_for_it() {
    let module = r#"(module
        (import "env" "inside" (func $inside))
        (func (export "outer") (call $inside) (loop (br 0)))
        (func (export "inner") (param i32)
            (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;
    let mut asked = runner("nested", module.as_bytes());
    asked = asked.function("env", "inside", 0, |call: &mut Call<'_>| {
        let inner = call.data::<(Instance, bool)>().expect("it was given");
        // Much longer than the outer one's time.
        inner.1 = inner.0.call::<i32, ()>("inner", 300_000_000).is_ok();
        Ok(())
    });
    // Its guests can be stopped where somebody asks for it.
    let _ = asked.cancel();
    let pool = asked.pool(2).expect("a pool");
    let inner = pool.instantiate().expect("one");
    let outer = pool.runner().data((inner, false)).timeout(Duration::from_millis(5));
    let mut outer = outer.instantiate().expect("one");
    let stopped = ended(outer.call::<(), ()>("outer", ()).unwrap_err());
    assert!(matches!(stopped, Outcome::Limit(Limit::Time, _)), "{stopped}");
    assert!(outer.data::<(Instance, bool)>().expect("it was given").1);
}

#[test]
fn a_time_that_is_over_before_the_call_begins_ends_it() {
    let pool = runner("plugin", PLUGIN.as_bytes()).timeout(Duration::from_secs(600)).pool(1);
    let pool = pool.expect("a pool");
    for _ in 0..300 {
        let mut plugin = pool.instantiate().expect("one");
        plugin.set_timeout(Some(Duration::ZERO)).expect("it can be stopped");
        let stopped = ended(plugin.call::<(), ()>("spin", ()).unwrap_err());
        assert!(matches!(stopped, Outcome::Limit(Limit::Time, _)), "{stopped}");
    }
}

#[test]
fn many_are_stopped_at_random_and_none_is_harmed() {
    let pool = runner("plugin", PLUGIN.as_bytes()).timeout(Duration::from_secs(600)).pool(8);
    let pool = pool.expect("a pool");
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..200 {
                    let mut plugin = pool.instantiate().expect("one");
                    let time = Duration::from_micros(1 + (round * 37 + thread * 11) % 400);
                    plugin.set_timeout(Some(time)).expect("it can be stopped");
                    let called = plugin.call::<(i32,), ()>("count", (300_000,));
                    match called.map_err(ended) {
                        Ok(()) => {
                            plugin.set_timeout(None).expect("it can");
                            let sum = plugin.call::<(i32, i32), i64>("add", (1, 2));
                            assert_eq!(sum.expect("a sum"), 3);
                        }
                        Err(outcome) => {
                            assert!(matches!(outcome, Outcome::Limit(Limit::Time, _)), "{outcome}");
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn own_functions_are_paid_for() {
    let asked = |price| {
        runner("asks", ASKS.as_bytes())
            .function("env", "twice", price, |_: &mut Call<'_>, number: i32| Ok(2 * number))
            .instantiate()
            .expect("one")
    };
    let used = |price: u64| {
        let mut guest = asked(price);
        guest.set_fuel(1_000_000);
        assert_eq!(guest.call::<(i32,), i32>("ask", (21,)).expect("twice"), 42);
        guest.fuel().expect("it is metered").used
    };
    assert_eq!(used(5000) - used(0), 5000);

    // What cannot be paid for is not done.
    static DONE: AtomicU64 = AtomicU64::new(0);
    let mut poor = runner("asks", ASKS.as_bytes())
        .function("env", "twice", 5000, |_: &mut Call<'_>, number: i32| {
            DONE.fetch_add(1, Ordering::Relaxed);
            Ok(2 * number)
        })
        .instantiate()
        .expect("one");
    poor.set_fuel(4999);
    let end = ended(poor.call::<(i32,), i32>("ask", (21,)).unwrap_err());
    assert!(matches!(end, Outcome::OutOfFuel), "{end}");
    assert_eq!(DONE.load(Ordering::Relaxed), 0);
    assert_eq!(poor.fuel().map(|fuel| (fuel.used, fuel.exact)), Some((4999, true)));
}

#[test]
fn own_functions_see_memory_and_data() {
    let module = r#"(module
        (import "env" "log" (func $log (param i32 i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "hello")
        (func (export "say") (param i32 i32) (call $log (local.get 0) (local.get 1))))"#;
    let mut guest = runner("says", module.as_bytes())
        .function("env", "log", 10, |call: &mut Call<'_>, text: u32, length: u32| {
            call.charge(u64::from(length))?;
            let text = call.read(text, length)?.to_vec();
            call.write(100, b"seen")?;
            call.data::<Vec<Vec<u8>>>().expect("it was given").push(text);
            Ok(())
        })
        .data(Vec::<Vec<u8>>::new())
        .instantiate()
        .expect("one");
    guest.call::<(i32, i32), ()>("say", (16, 5)).expect("said");
    assert_eq!(guest.data::<Vec<Vec<u8>>>().expect("it"), &[b"hello".to_vec()]);
    assert_eq!(guest.read(100, 4).expect("bytes"), b"seen");
    match ended(guest.call::<(i32, i32), ()>("say", (65535, 5)).unwrap_err()) {
        Outcome::Trapped(trap) => assert_eq!(trap.kind, "host"),
        other => panic!("{other}"),
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    let missing = runner("asks", ASKS.as_bytes()).instantiate().unwrap_err();
    assert_eq!(refused(missing).code(), "link.unknown-import");
    let wrong = runner("asks", ASKS.as_bytes())
        .function("env", "twice", 0, |_: &mut Call<'_>, number: i64| Ok(number))
        .instantiate();
    assert_eq!(refused(wrong.unwrap_err()).code(), "link.import-type");
    let unmetered = artifact_with("plain", PLUGIN.as_bytes(), &{
        let mut options = options();
        options.metered = false;
        options
    });
    let loader = Loader::new(Trust::key(key().public()));
    let plain = || Runner::new(loader.open_bytes("plain", unmetered.clone()).expect("good"));
    assert_eq!(refused(plain().fuel(1).instantiate().unwrap_err()).code(), "link.not-metered");
    let values = [Val::I32(1), Val::I64(2)];
    let error = plain().invoke("add", values).run().unwrap_err();
    assert_eq!(error.code(), "link.argument");
    let results = plain().invoke("add", [Val::I32(1), Val::I32(2)]).run().expect("a run").results;
    assert!(matches!(results[..], [Val::I64(3)]), "{results:?}");
}

#[test]
fn a_sink_that_is_full_is_paid_for_as_a_limit_is() {
    let echo = || runner("echo", ECHO.as_bytes()).stdin(Source::bytes("0123456789"));
    let sink = echo().stdout(Sink::at_most(4)).run().expect("a run");
    let limit = echo().stdout(Sink::bytes()).output(4).run().expect("a run");
    for run in [&sink, &limit] {
        assert!(matches!(run.outcome, Outcome::Limit(Limit::Output, _)), "{}", run.outcome);
    }
    assert_eq!((sink.stdout, sink.fuel), (limit.stdout, limit.fuel));
}

#[test]
fn what_a_function_takes_itself_can_be_too_much() {
    let charges = |call: &mut Call<'_>, number: i32| {
        call.charge(5000)?;
        Ok(number)
    };
    let asks = runner("asks", ASKS.as_bytes()).function("env", "twice", 10, charges);
    let mut asks = asks.instantiate().expect("one");
    asks.set_fuel(4000);
    let end = ended(asks.call::<i32, i32>("ask", 1).unwrap_err());
    assert!(matches!(end, Outcome::OutOfFuel), "{end}");
    assert_eq!(asks.fuel().map(|fuel| (fuel.used, fuel.exact)), Some((4000, true)));
}

#[test]
fn a_run_by_rule_wants_an_artifact_by_rule() {
    let mut fast = options();
    fast.nans = bls_artifact::target::Nans::Fast;
    let bytes = artifact_with("fast", PLUGIN.as_bytes(), &fast);
    let loader = Loader::new(Trust::key(key().public()));
    let fast = Runner::new(loader.open_bytes("fast", bytes).expect("good"));
    let refused = refused(fast.deterministic(1, 2).instantiate().unwrap_err());
    assert_eq!(refused.code(), "grant.not-deterministic");
    assert!(runner("plugin", PLUGIN.as_bytes()).deterministic(1, 2).instantiate().is_ok());
}

#[test]
fn what_a_pool_has_decided_is_not_asked_again() {
    let pool = runner("plugin", PLUGIN.as_bytes()).pool(2).expect("a pool");
    let own = pool.runner().function("env", "x", 0, |_: &mut Call<'_>| Ok(()));
    assert_eq!(refused(own.instantiate().unwrap_err()).code(), "run.of-pool");
    assert_eq!(pool.runner().pool(3).unwrap_err().code(), "run.of-pool");
    let timed = pool.runner().timeout(Duration::from_secs(1)).instantiate();
    assert_eq!(refused(timed.unwrap_err()).code(), "run.not-stoppable");
    assert!(pool.instantiate().is_ok());
}

#[test]
fn what_a_guest_would_not_get_is_known_before_it_is_made() {
    let asked = || runner("plugin", PLUGIN.as_bytes());
    assert!(asked().env("A", "1").check().is_ok());
    let missing = asked().folder("/nonexistent/folder", "/data", Access::Read);
    assert_eq!(missing.check().unwrap_err().code(), "grant.folder");
    // A pool opens its folders once: what becomes of the name later is nothing to its guests.
    let folder = tempfile::tempdir().expect("a folder");
    let (inner, moved) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::create_dir(&inner).expect("a folder");
    let pool = asked().folder(&inner, "/data", Access::Read).pool(2).expect("a pool");
    std::fs::rename(&inner, &moved).expect("moved");
    assert!(pool.runner().check().is_ok());
    assert!(pool.instantiate().is_ok());
    let asks_again = pool.runner().folder(&inner, "/more", Access::Read);
    assert_eq!(asks_again.check().unwrap_err().code(), "grant.folder");
    let missing = asked().folder(&inner, "/data", Access::Read).pool(2);
    assert_eq!(missing.unwrap_err().code(), "grant.folder");
}

#[test]
fn a_wall_is_for_a_process_of_one_thread() {
    let pool = runner("plugin", PLUGIN.as_bytes()).pool(1).expect("a pool");
    // This test is a thread beside others.
    let error = Wall::new().around(&pool).stand().unwrap_err();
    assert_eq!(error.code(), "confine.threads");
    assert!(std::fs::File::open("/proc/self/stat").is_ok(), "nothing was given up");
}

#[test]
fn a_name_that_is_none_leads_nowhere() {
    let store = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(store.path().join("names")).expect("a folder");
    std::fs::write(store.path().join("record"), "x").expect("a file");
    let loader = Loader::new(Trust::key(key().public())).store(store.path());
    for name in ["../record", "", "/etc/passwd", "none", "sha256:00"] {
        let error = loader.open_installed(name).unwrap_err();
        assert_eq!(error.code(), "store.not-installed", "{name}");
    }
}

#[test]
fn a_pool_gives_each_guest_a_fresh_start() {
    let module = r#"(module
        (memory (export "memory") 2 8)
        (table $t 10 funcref)
        (global $g (mut i64) (i64.const 7))
        (elem (i32.const 1) $f)
        (data (i32.const 100) "initial")
        (func $f)
        (func (export "spoil")
            (drop (memory.grow (i32.const 3)))
            (memory.fill (i32.const 0) (i32.const 0xaa) (i32.const 327680))
            (table.fill $t (i32.const 0) (ref.func $f) (i32.const 10))
            (global.set $g (i64.const -1)))
        (func (export "is_fresh") (result i32) (local $at i32)
            (if (i32.ne (memory.size) (i32.const 2)) (then (return (i32.const 1))))
            (if (i64.ne (global.get $g) (i64.const 7)) (then (return (i32.const 2))))
            (if (i32.eqz (ref.is_null (table.get $t (i32.const 0)))) (then (return (i32.const 3))))
            (if (ref.is_null (table.get $t (i32.const 1))) (then (return (i32.const 4))))
            (if (i64.ne (i64.load (i32.const 99)) (i64.const 0x6c616974696e6900))
                (then (return (i32.const 5))))
            (loop $each
                (if (i32.and (i32.load8_u (local.get $at))
                        (i32.or (i32.lt_u (local.get $at) (i32.const 100))
                                (i32.ge_u (local.get $at) (i32.const 107))))
                    (then (return (i32.const 6))))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $each (i32.lt_u (local.get $at) (i32.const 131072))))
            (i32.const 0)))"#;
    // One place: every guest gets the one before's.
    let pool = runner("spoiler", module.as_bytes()).pool(1).expect("a pool");
    for round in 0..20 {
        let mut guest = pool.instantiate().expect("one");
        assert_eq!(guest.call::<(), i32>("is_fresh", ()).expect("an answer"), 0, "{round}");
        guest.call::<(), ()>("spoil", ()).expect("spoilt");
        assert_ne!(guest.call::<(), i32>("is_fresh", ()).expect("an answer"), 0);
        if round == 0 {
            let full = pool.instantiate().unwrap_err();
            assert!(matches!(full, CallError::Refused(_)), "{full}");
        }
    }
}

#[test]
fn guests_of_a_pool_share_nothing() {
    let pool = Arc::new(
        runner("echo", ECHO.as_bytes())
            .stdin(Source::bytes("for all"))
            .stdout(Sink::bytes())
            .fuel(100_000)
            .pool(16)
            .expect("a pool"),
    );
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let pool = Arc::clone(&pool);
            std::thread::spawn(move || {
                for round in 0..50 {
                    assert_eq!(pool.run().expect("a run").stdout, b"for all");
                    let own = format!("{number} {round}");
                    let run = pool.runner().stdin(Source::bytes(own.clone())).fuel(50_000).run();
                    let run = run.expect("a run");
                    assert_eq!(run.stdout, own.as_bytes());
                    assert_eq!(run.fuel.expect("metered").budget, Some(50_000));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("it ended well");
    }
}

#[test]
fn a_small_stack_is_no_danger() {
    let deep = r#"(module (func $f (export "_start") (call $f) (call $f)))"#;
    let deep = artifact("deep", deep.as_bytes());
    let small = std::thread::Builder::new().stack_size(64 << 10);
    let thread = small.spawn(move || {
        let loader = Loader::new(Trust::key(key().public()));
        let verified = loader.open_bytes("deep", deep).expect("good");
        Runner::new(verified).run().expect("a run").outcome
    });
    match thread.expect("a thread").join().expect("it ended well") {
        Outcome::Trapped(trap) => assert_eq!(trap.kind, "stack-overflow"),
        other => panic!("{other}"),
    }
}

#[test]
fn nothing_of_the_process_is_changed() {
    let descriptors = || {
        let all = std::fs::read_dir("/proc/self/fd").expect("procfs");
        let mut all: Vec<String> = all
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .map(|to| to.to_string_lossy().into_owned())
            .filter(|to| !to.ends_with("/fd"))
            .collect();
        all.sort();
        all
    };
    let before = descriptors();
    let run = runner("echo", ECHO.as_bytes()).stdin(Source::bytes("x")).stdout(Sink::bytes());
    assert_eq!(run.run().expect("a run").stdout, b"x");
    drop(runner("plugin", PLUGIN.as_bytes()).instantiate().expect("one"));
    let after: Vec<String> = descriptors();
    // Other tests run beside this one; what a leak leaves is one more of the same each time.
    for _ in 0..20 {
        drop(runner("plugin", PLUGIN.as_bytes()).instantiate().expect("one"));
    }
    assert!(descriptors().len() < after.len() + 20, "{before:?} {after:?} {:?}", descriptors());
}

#[test]
fn types_may_be_known_only_when_the_program_runs() {
    use bls_loader::wasmtime::{Error, ValType};
    let guest = |given: &'static [Val]| {
        let guest = runner("asks", ASKS.as_bytes()).fuel(1_000_000);
        let types = ([ValType::I32], [ValType::I32]);
        let own = move |_: &mut Call<'_>, values: &[Val]| match values {
            [Val::I32(0)] => Err(Error::msg("not of nothing")),
            [Val::I32(number)] if given.is_empty() => Ok(vec![Val::I32(number * 2)]),
            _ => Ok(given.to_vec()),
        };
        guest.function_dynamic("env", "twice", 500, types.0, types.1, own).instantiate()
    };
    let mut asks = guest(&[]).expect("one");
    assert_eq!(asks.function_type("ask").expect("a type").params().len(), 1);
    let results = asks.call_values("ask", &[Val::I32(21)]).expect("an answer");
    assert!(matches!(results[..], [Val::I32(42)]), "{results:?}");
    assert!(asks.fuel().expect("it is metered").used > 500);
    for wrong in [&[][..], &[Val::I64(1)], &[Val::I32(1), Val::I32(1)]] {
        assert_eq!(refused(asks.call_values("ask", wrong).unwrap_err()).code(), "run.call-type");
    }
    assert_eq!(refused(asks.call_values("no", &[]).unwrap_err()).code(), "link.no-such-export");
    // What it says no with is a trap; so are results of other types, or of another number.
    let is_trap = |error: CallError, words: &str| match ended(error) {
        Outcome::Trapped(trap) => assert!(trap.kind == "host" && trap.what.contains(words)),
        other => panic!("{other}"),
    };
    is_trap(asks.call_values("ask", &[Val::I32(0)]).unwrap_err(), "not of nothing");
    let mut two = guest(&[Val::I32(1), Val::I32(2)]).expect("one");
    is_trap(two.call_values("ask", &[Val::I32(21)]).unwrap_err(), "other results");
    let mut long = guest(&[Val::I64(1)]).expect("one");
    is_trap(long.call_values("ask", &[Val::I32(21)]).unwrap_err(), "other results");
}
