//! What the host charges, call by call, is what FUEL.md ("What a host charges") says: paid
//! however a call ends, and no less when it does more.

use bls_tests::programs::Home;
use std::fs;
use std::path::{Path, PathBuf};

/// What a module imports, by the names below.
const IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_get"
        (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_symlink"
        (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pwrite"
        (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pread"
        (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_advise"
        (func $fd_advise (param i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_allocate"
        (func $fd_allocate (param i32 i64 i64) (result i32)))
    (import "wasi_snapshot_preview1" "fd_readdir"
        (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))"#;

/// A module that opens the file `f` with these flags as descriptor 4, and makes a call so
/// many times. A list of 4000 buffers is at 64, the last one of 8 bytes; another of one
/// buffer of 4000 bytes at 40000.
fn module(home: &Home, flags: u32, call: &str, times: usize) -> PathBuf {
    let calls = format!("(drop {call})").repeat(times);
    let text = format!(
        r#"(module {IMPORTS} (memory (export "memory") 2)
            (data (i32.const 16) "f")
            (data (i32.const 32056) "\00\00\01\00\08\00\00\00")
            (data (i32.const 40000) "\00\00\01\00\a0\0f\00\00")
            (func (export "_start")
                (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1)
                    (i32.const 1) (i64.const 66) (i64.const 0) (i32.const {flags}) (i32.const 8)))
                {calls}))"#
    );
    let path = home.path("prices.wat");
    fs::write(&path, text).expect("a file");
    home.compile(&path, &[])
}

fn consumed(home: &Home, options: &[&str], artifact: &Path, code: i32) -> u64 {
    let folder = home.path("folder");
    // Anew: a file that is there already is no new name.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("a folder");
    let grant = format!("{}::/", folder.display());
    let (ended, report) = home.report(&[options, &["--dir", &grant]].concat(), artifact);
    let _ = ended.expect(code);
    assert_eq!(report["fuel"]["exact"], true, "{report}");
    report["fuel"]["consumed"].as_u64().expect("a number")
}

/// What the host takes for one call. The guest's own part is a call and its constants.
fn price(flags: u32, call: &str) -> u64 {
    let home = Home::new();
    let cost = |times| consumed(&home, &[], &module(&home, flags, call, times), 0);
    let constants = call.matches(".const").count() as u64;
    cost(3) - cost(2) - 4 - constants
}

/// How a file is opened (`fdflags`).
const DSYNC: u32 = 2;
const SYNC: u32 = 16;
/// One buffer of 4000 bytes.
const ONE: &str = "(i32.const 40000) (i32.const 1)";

#[test]
fn a_write_to_a_file_pays_for_the_disk_it_may_touch() {
    let write = format!("(call $fd_pwrite (i32.const 4) {ONE} (i64.const 0) (i32.const 8))");
    assert_eq!(price(0, &write), 512 + 8 + 4096 + 1000);
    for flags in [DSYNC, SYNC] {
        assert_eq!(price(flags, &write), 512 + 8 + 65_536 + 1000, "flags {flags}");
    }
    let read = format!("(call $fd_pread (i32.const 4) {ONE} (i64.const 0) (i32.const 8))");
    assert_eq!(price(SYNC, &read), 512 + 8 + 1024);
}

#[test]
fn buffers_pay_as_far_as_they_are_looked_at() {
    let write = "(call $fd_pwrite (i32.const 4) (i32.const 64) (i32.const 4000) (i64.const 0) (i32.const 8))";
    assert_eq!(price(0, write), 512 + 4000 * 8 + 4096 + 2, "the last of 4000 has 8 bytes");
}

#[test]
fn a_list_pays_as_far_as_its_first_lie() {
    // 3000 buffers of nothing, and then one that is beyond the memory.
    let home = Home::new();
    let consumed = |count: u32, code: i32| {
        let text = format!(
            r#"(module {IMPORTS} (memory (export "memory") 2)
                (data (i32.const 24064) "\ff\ff\ff\ff\08\00\00\00")
                (func (export "_start")
                    (drop (call $fd_write (i32.const 1) (i32.const 64) (i32.const {count}) (i32.const 8)))))"#
        );
        let path = home.path("lie.wat");
        fs::write(&path, text).expect("a file");
        let (ended, report) = home.report(&[], &home.compile(&path, &[]));
        let _ = ended.expect(code);
        assert_eq!(report["fuel"]["exact"], true, "{report}");
        report["fuel"]["consumed"].as_u64().expect("a number")
    };
    assert_eq!(consumed(3001, 134), consumed(3000, 0) + 8);
}

/// What links on the way cost, beside what the path costs that the call gives.
#[test]
fn links_pay_for_the_path_that_they_leave() {
    // `f` is a file, `l` a link to it, and `ll` a link to that.
    let look = |follow: u32, path: &str| {
        let (place, length) = (place(path), path.len());
        format!(
            "(call $path_filestat_get (i32.const 3) (i32.const {follow}) (i32.const {place}) (i32.const {length}) (i32.const 128))"
        )
    };
    let cost = |call: &str| {
        let home = Home::new();
        let text = |times: usize| {
            let calls = format!("(drop {call})").repeat(times);
            let path = home.path("links.wat");
            let text = format!(
                r#"(module {IMPORTS} (memory (export "memory") 2)
                    (data (i32.const 16) "f") (data (i32.const 18) "l") (data (i32.const 20) "ll")
                    (func (export "_start")
                        (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1)
                            (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 8)))
                        (drop (call $path_symlink (i32.const 16) (i32.const 1) (i32.const 3) (i32.const 18) (i32.const 1)))
                        (drop (call $path_symlink (i32.const 18) (i32.const 1) (i32.const 3) (i32.const 20) (i32.const 2)))
                        {calls}))"#
            );
            fs::write(&path, text).expect("a file");
            consumed(&home, &[], &home.compile(&path, &[]), 0)
        };
        text(3) - text(2) - 4 - call.matches(".const").count() as u64
    };
    let link = |bytes: u64| 8192 + 256 * bytes;
    assert_eq!(cost(&look(1, "f")), 2048 + 32);
    assert_eq!(cost(&look(0, "l")), 2048 + 32);
    assert_eq!(cost(&look(1, "l")), 2048 + 32 + link(1));
    assert_eq!(cost(&look(1, "ll")), 2048 + 64 + 2 * link(1));
}

/// Where the names of the test above are in memory.
fn place(path: &str) -> u32 {
    match path {
        "f" => 16,
        "l" => 18,
        _ => 20,
    }
}

#[test]
fn space_and_advice_pay_by_length() {
    let allocate = "(call $fd_allocate (i32.const 4) (i64.const 0) (i64.const 1048576))";
    assert_eq!(price(0, allocate), 65_536 + 262_144);
    let advise = |length: &str, advice: u32| {
        price(
            0,
            &format!(
                "(call $fd_advise (i32.const 4) (i64.const 0) (i64.const {length}) (i32.const {advice}))"
            ),
        )
    };
    for advice in [0, 1, 2, 4, 5] {
        assert_eq!(advise("1000000000", advice), 512, "advice {advice}");
    }
    let read_ahead = 3;
    assert_eq!(advise("4096", read_ahead), 512 + 1024);
    assert_eq!(advise("1000000000", read_ahead), 512 + 32_768);
    assert_eq!(advise("0", read_ahead), 512 + 32_768, "to the end of the file");
}

#[test]
fn opening_pays_for_what_it_may_change() {
    let open = |how: u32| {
        price(
            0,
            &format!(
                "(call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const {how}) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 8))"
            ),
        )
    };
    // The call itself hands over two values more than are free: nine, and the result.
    assert_eq!(open(0), 2048 + 32 + 2);
    assert_eq!(open(1), 16_384 + 32 + 2);
    assert_eq!(open(8), 65_536 + 32 + 2);
    assert_eq!(open(9), 65_536 + 32 + 2);
}

#[test]
fn a_listing_pays_for_each_jump() {
    // One byte of the first entry: each call begins anew.
    let first = "(call $fd_readdir (i32.const 3) (i32.const 128) (i32.const 1) (i64.const 0) (i32.const 8))";
    assert_eq!(price(0, first), 2048 + 14_336 + 8);
    // Behind the last, where the call before it ended.
    let last = first.replacen("(i64.const 0)", "(i64.const 7)", 1);
    assert_eq!(price(0, &last), 2048);
}

#[test]
fn strings_pay_for_their_bytes() {
    let home = Home::new();
    let artifact = module(&home, 0, "(call $args_get (i32.const 128) (i32.const 512))", 1);
    let given = |arguments: &[&str]| {
        let report = home.path("strings.json");
        let options = ["--report", report.to_str().expect("text")];
        let _ = home.load(&options, &artifact, arguments).expect(0);
        let text = fs::read(report).expect("a report");
        let report: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        report["fuel"]["consumed"].as_u64().expect("a number")
    };
    assert_eq!(given(&["0123456", "0123456"]) - given(&[]), 2 * 8 + 16 / 4);
}

#[test]
fn what_moved_before_the_limit_on_output_is_paid_for() {
    let home = Home::new();
    let write = format!("(call $fd_write (i32.const 1) {ONE} (i32.const 8))");
    let artifact = module(&home, 0, &write, 1);
    let cost = |most: &str| consumed(&home, &["--max-output", most], &artifact, 124);
    // The file that is opened first counts as 4096 bytes and its name.
    assert_eq!(cost("7700B") - cost("4500B"), 3200 / 4);
    let to_file = write.replacen("(i32.const 1)", "(i32.const 4)", 1);
    let artifact = module(&home, 0, &to_file, 1);
    let cost = |most: &str| consumed(&home, &["--max-output", most], &artifact, 124);
    assert_eq!(cost("7700B") - cost("4500B"), 3200 / 4);
}
