//! From a trap to the line of its source: by bls-load with a debug file, by `symbolize` without
//! one, whatever stands between the source and the code; and what else is left of a guest that
//! trapped (`--coredump`), or is to be seen of one that runs (`--perf-map`, `--jitdump`).

use bls_artifact::debug::{HEAD_BYTES, Head};
use bls_tests::lines::{GUESTS, expected, fixture, lines, marked};
use bls_tests::programs::{Home, compiler, fixtures, manual, run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasmparser::{CoreDumpSection, CoreDumpStackSection, KnownCustom, Parser, Payload};

/// Ways to compile that change what is between the source and the code.
const WAYS: [&[&str]; 6] = [
    &[],
    &["--no-fuel"],
    &["--fast-nans"],
    &["--no-fuel", "--fast-nans"],
    &["--fuel-profile"],
    &["--memory", "checked"],
];

/// Compiles with a debug file: the artifact's path, and the file's.
fn compile(home: &Home, module: &str, options: &[&str]) -> (PathBuf, PathBuf) {
    let debug = home.path("app.bls.debug");
    let mut all = vec!["--debug-file", debug.to_str().unwrap()];
    all.extend(options);
    (home.compile(&fixture(module), &all), debug)
}

#[test]
fn each_frame_has_its_line_however_it_was_compiled() {
    for (module, file) in GUESTS {
        for options in WAYS {
            let home = Home::new();
            let plain = fs::read(home.compile(&fixture(module), options)).unwrap();
            let (artifact, debug) = compile(&home, module, options);
            assert!(plain == fs::read(&artifact).unwrap(), "{module} {options:?}");
            let debug = debug.to_str().unwrap();
            let (ended, report) = home.report(&["--debug-file", debug], &artifact);
            let ended = ended.expect(134);
            let frames = report["outcome"]["trap"]["frames"].as_array().unwrap();
            let found: Vec<Vec<String>> = frames.iter().map(lines).collect();
            assert_eq!(found, expected(file), "{module} {options:?}\n{}", ended.stderr);
            for line in expected(file).iter().flatten() {
                let shown = format!("      at {line}:");
                assert!(ended.stderr.contains(&shown), "{shown} is not in:\n{}", ended.stderr);
            }
            // Without one there are places alone.
            let (ended, report) = home.report(&[], &artifact);
            let ended = ended.expect(134);
            let frame = &report["outcome"]["trap"]["frames"][0];
            assert!(frame.get("file").is_none() && frame["offset"].is_u64(), "{frame}");
            let image = report["artifact"]["image_sha256"].as_str().unwrap();
            let place = format!("({}+{:#x})", &image[..8], frame["offset"].as_u64().unwrap());
            assert!(ended.stderr.lines().next().unwrap().ends_with(&place), "{}", ended.stderr);
            assert!(!ended.stderr.contains(" at "), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_frame_in_another_module_has_that_modules_line() {
    let home = Home::new();
    let library = format!("deep={}", fixture("deep-c.wasm").display());
    for options in [&[][..], &["--no-fuel"]] {
        let (artifact, debug) =
            compile(&home, "app-c.wasm", &[&["--module", &library][..], options].concat());
        let (ended, report) = home.report(&["--debug-file", debug.to_str().unwrap()], &artifact);
        let ended = ended.expect(134);
        let frames = report["outcome"]["trap"]["frames"].as_array().unwrap();
        let found: Vec<Vec<String>> = frames.iter().map(lines).collect();
        let mut all = expected("deep.c");
        all[3] = vec![marked("app.c", "calls outer")];
        assert_eq!(found, all, "{}", ended.stderr);
    }
}

#[test]
fn a_frame_of_a_component_has_its_place_in_the_component() {
    let home = Home::new();
    let text = fs::read_to_string(fixtures().join("component/hello.wat")).unwrap();
    let text = text.replace("(call $drop (local.get $out))", "unreachable");
    let component = home.path("trap.wasm");
    let bytes = wat::parse_str(&text).unwrap();
    fs::write(&component, &bytes).unwrap();
    let debug = home.path("trap.debug");
    let debug = debug.to_str().unwrap();
    let artifact = home.compile(&component, &["--debug-file", debug]);
    let (ended, report) = home.report(&["--debug-file", debug], &artifact);
    let _ = ended.expect(134);
    let frame = &report["outcome"]["trap"]["frames"][0];
    let offset = frame["source_offset"].as_u64().unwrap() as usize;
    // `unreachable`, and what stands behind it.
    assert_eq!(bytes[offset..offset + 3], [0x00, 0x41, 0x00], "{frame}");
}

#[test]
fn the_readme_shows_what_is_said() {
    let home = Home::new();
    let (artifact, debug) = compile(&home, "deep-c.wasm", &[]);
    let ended = home.load(&["--debug-file", debug.to_str().unwrap()], &artifact, &[]).expect(134);
    let readme = manual();
    for line in ended.stderr.lines() {
        assert!(readme.contains(&format!("\n    {line}\n")), "{line}");
    }
}

#[test]
fn reports_and_logs_are_read_afterwards() {
    let home = Home::new();
    let (artifact, debug) = compile(&home, "deep-c.wasm", &["--target", "x86_64,aarch64"]);
    let (ended, _) = home.report(&[], &artifact);
    let symbolize = |words: &[&str], input: &str| {
        let mut command = Command::new(compiler());
        let command = command.current_dir(home.path("")).arg("symbolize").arg(&debug).args(words);
        run(command, input.as_bytes())
    };
    let by_report = symbolize(&["report.json"], "").expect(0).text();
    let log = format!("Nov 30 host app[7]: x\n{}\nlast\n", ended.stderr.replace("bls-load", "n"));
    let by_log = symbolize(&[], &log).expect(0).text();
    let shown = home.load(&["--debug-file", debug.to_str().unwrap()], &artifact, &[]).stderr;
    for line in expected("deep.c").iter().flatten() {
        let line = format!("      at {line}:");
        for text in [&by_report, &by_log, &shown] {
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
    }
    // What is no frame stays.
    assert!(by_log.starts_with("Nov 30 host app[7]: x\n") && by_log.ends_with("\nlast\n"));
    assert_eq!(symbolize(&["-"], "nothing\n").expect(0).text(), "nothing\n");
    for (words, input, code) in [
        (&["missing.json"][..], "", "symbolize.unreadable"),
        (&["-"], "{}", "symbolize.no-frames"),
        (&["-"], "x (00000000+0x12)\n", "symbolize.other-image"),
    ] {
        let _ = symbolize(words, input).expect(1).says(&[&format!("code: {code}")]);
    }
}

#[test]
fn a_debug_file_of_something_else_or_damaged_is_refused() {
    let home = Home::new();
    let other = home.path("other.debug");
    let other = other.to_str().unwrap();
    let _ = home.compile(&fixture("deep-rust.wasm"), &["--debug-file", other]);
    let (artifact, debug) = compile(&home, "deep-c.wasm", &[]);
    let file = fs::read(&debug).unwrap();
    let head = Head::read(&file, file.len() as u64).unwrap();
    let image = head.records[0].image.to_string();
    let theirs = fs::read(other).unwrap();
    let theirs = Head::read(&theirs, theirs.len() as u64).unwrap().records[0].image.to_string();
    let refused = home.load(&["--debug-file", other], &artifact, &[]).expect(125);
    let _ = refused.says(&[&image, &theirs, "code: debug.other-image", "hint: "]);
    let with = |bytes: &[u8]| {
        let path = home.path("changed.debug");
        fs::write(&path, bytes).unwrap();
        home.load(&["--debug-file", path.to_str().unwrap()], &artifact, &[]).expect(125)
    };
    let mut changed = file.clone();
    *changed.last_mut().unwrap() ^= 1;
    let _ = with(&changed).says(&["code: debug.damaged"]);
    let _ = with(&file[..file.len() - 1]).says(&["code: debug.damaged"]);
    let _ = with(&file[..HEAD_BYTES + 3]).says(&["code: debug.damaged"]);
    let _ = with(&file[..7]).says(&["code: debug.magic"]);
    let _ = with(b"").says(&["code: debug.magic"]);
    changed[8] = 2;
    let _ = with(&changed).says(&["version 2", "code: debug.version"]);
    let missing = home.load(&["--debug-file", "missing"], &artifact, &[]).expect(125);
    let _ = missing.says(&["code: debug.unreadable"]);
}

#[test]
fn a_debug_file_is_of_one_artifact_that_is_compiled() {
    let home = Home::new();
    let module = fixture("deep-c.wasm");
    for words in [
        &["--emit", "wasm"][..],
        &["--cache", "cache"],
        &["--if-changed"],
        &["-o", "x.debug"],
        &["-o", "folder/"],
    ] {
        let mut command = home.compile_command(&module);
        let ended = run(command.args(["--debug-file", "x.debug"]).args(words), b"").expect(2);
        let _ = ended.says(&["hint: ", "code: usage.arguments"]);
        assert!(!home.path("x.debug").exists(), "{words:?}");
    }
    let input = home.path("input.wasm");
    fs::copy(&module, &input).unwrap();
    let mut command = home.compile_command(&input);
    let ended = run(command.args(["--debug-file", "input.wasm"]), b"").expect(1);
    let _ = ended.says(&["code: output.is-input"]);
    assert_eq!(fs::read(&input).unwrap(), fs::read(&module).unwrap());
}

/// What a core dump holds.
struct Dump {
    name: String,
    /// By frame: the function, and where in it.
    frames: Vec<(u32, u32)>,
    pages: Vec<u64>,
    data: Vec<(u64, Vec<u8>)>,
}

/// Reads a core dump with somebody else's reader.
fn dump(path: &Path) -> Dump {
    let bytes = fs::read(path).unwrap();
    let mut dump = Dump { name: String::new(), frames: vec![], pages: vec![], data: vec![] };
    let mut seen = Vec::new();
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::CustomSection(custom) => {
                seen.push(custom.name().to_owned());
                match custom.as_known() {
                    KnownCustom::CoreDump(CoreDumpSection { name }) => dump.name = name.to_owned(),
                    KnownCustom::CoreDumpStack(CoreDumpStackSection { frames, .. }) => {
                        dump.frames =
                            frames.iter().map(|one| (one.funcidx, one.codeoffset)).collect();
                    }
                    KnownCustom::CoreDumpModules(modules) => assert_eq!(modules.modules.len(), 1),
                    KnownCustom::CoreDumpInstances(instances) => {
                        assert_eq!(instances.instances.len(), 1);
                        assert!(!instances.instances[0].memories.is_empty());
                    }
                    _ => panic!("{} is no section of a core dump", custom.name()),
                }
            }
            Payload::MemorySection(memories) => {
                dump.pages = memories.into_iter().map(|one| one.unwrap().initial).collect();
            }
            Payload::DataSection(segments) => {
                for segment in segments {
                    let segment = segment.unwrap();
                    let wasmparser::DataKind::Active { memory_index: 0, offset_expr } =
                        segment.kind
                    else {
                        panic!("a segment of another memory");
                    };
                    let at = match offset_expr.get_operators_reader().read().unwrap() {
                        wasmparser::Operator::I32Const { value } => value.cast_unsigned(),
                        other => panic!("{other:?}"),
                    };
                    dump.data.push((at.into(), segment.data.to_vec()));
                }
            }
            _ => {}
        }
    }
    assert_eq!(seen, ["core", "coremodules", "coreinstances", "corestack"]);
    dump
}

#[test]
fn a_core_dump_is_read_by_another_tool() {
    let home = Home::new();
    let text = r#"(module (memory (export "memory") 40)
        (global (export "g") (mut i32) (i32.const -7))
        (func $inner (i32.store (i32.const 2000000) (i32.const 0x11223344)) unreachable)
        (func (export "_start") (memory.fill (i32.const 5) (i32.const 9) (i32.const 3)) call $inner))"#;
    let module = home.path("dump.wat");
    fs::write(&module, text).unwrap();
    let debug = home.path("dump.debug");
    let debug = debug.to_str().unwrap();
    let artifact = home.compile(&module, &["--debug-file", debug]);
    let core = home.path("core.wasm");
    fs::write(&core, "an earlier one, which others may read").unwrap();
    let options = ["--coredump", "core.wasm", "--debug-file", debug];
    let (ended, report) = home.report(&options, &artifact);
    let _ = ended.expect(134);
    assert_eq!(fs::metadata(&core).unwrap().permissions().mode() & 0o777, 0o600);
    let all = fs::read(&core).unwrap();
    // It is a module, and not as long as the memory.
    wasmparser::Validator::new().validate_all(&all).unwrap();
    assert!(all.len() < 3 * 65536, "{}", all.len());
    let found = dump(&core);
    assert_eq!((found.name.as_str(), &found.pages[..]), ("dump", &[40][..]));
    assert_eq!(found.data.len(), 2, "what is zero is not there");
    assert_eq!(found.data[0].1[4..9], [0, 9, 9, 9, 0]);
    let at = (2_000_000 - found.data[1].0) as usize;
    assert_eq!(found.data[1].1[at..at + 4], [0x44, 0x33, 0x22, 0x11]);
    // Where the debug file says, counted from where the function's body begins in the source.
    let wasm = wat::parse_str(text).unwrap();
    let bodies: Vec<usize> = Parser::new(0)
        .parse_all(&wasm)
        .filter_map(|payload| match payload.unwrap() {
            Payload::CodeSectionEntry(body) => Some(body.range().start),
            _ => None,
        })
        .collect();
    let frames = report["outcome"]["trap"]["frames"].as_array().unwrap();
    for ((frame, (function, offset)), body) in frames.iter().zip(&found.frames).zip(bodies) {
        assert_eq!(frame["function"], *function);
        let source = frame["source_offset"].as_u64().unwrap();
        assert_eq!(source, body as u64 + u64::from(*offset), "{frame}");
    }
    assert_eq!(found.frames.len(), 2);

    // Without one nobody knows; and who does not trap leaves nothing.
    let _ = home.load(&["--coredump", "core.wasm"], &artifact, &[]).expect(134);
    assert_eq!(dump(&core).frames, [(0, 0), (1, 0)]);
    let hello = home.fixture("wat/hello.wat");
    let _ = home.load(&["--coredump", "core.wasm"], &hello, &[]).expect(0);
    assert_eq!(fs::read(&core).unwrap(), b"");
    let _ = home.load(&["--coredump", "missing/core"], &hello, &[]).expect(125);
    fs::remove_file(&core).unwrap();
    std::os::unix::fs::symlink("elsewhere", &core).unwrap();
    let refused = home.load(&["--coredump", "core.wasm"], &hello, &[]).expect(125);
    let _ = refused.says(&["code: coredump.unwritable"]);
    assert!(!home.path("elsewhere").exists());
}

/// A guest that works for a while, in two functions of its own.
const BUSY: &str = r#"(module
    (func $inner_work (param i32) (result i32) (local i32)
        (loop (local.set 1 (i32.add (i32.mul (local.get 1) (i32.const 31)) (local.get 0)))
              (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 1))
    (func $outer_work (param i32)
        (loop (drop (call $inner_work (i32.const 100000)))
              (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "_start") (call $outer_work (i32.const 3000))))"#;

#[test]
fn perf_is_told_the_names_of_functions() {
    let home = Home::new();
    let module = home.path("busy.wat");
    fs::write(&module, BUSY).unwrap();
    let artifact = home.compile(&module, &[]);
    let mut command = home.load_command(&["--perf-map"], &artifact);
    let mut child = command.spawn().unwrap();
    let path = PathBuf::from(format!("/tmp/perf-{}.map", child.id()));
    // It is there before the guest runs, and the code is where it says.
    let (mut text, mut maps) = (String::new(), String::new());
    for _ in 0..2000 {
        text = fs::read_to_string(&path).unwrap_or_default();
        maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap_or_default();
        if text.ends_with('\n') || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    fs::remove_file(&path).unwrap();
    assert_eq!(mode & 0o777, 0o600);
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let is_code = |begin: u64, end: u64| {
        maps.lines().any(|line| {
            let (range, rest) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            rest.starts_with("r-x") && number(from) <= begin && end <= number(to)
        })
    };
    let mut names = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let (begin, length) = (number(words[0]), number(words[1]));
        assert!(length > 0 && is_code(begin, begin + length), "{line}\n{maps}");
        names.push(words[2]);
    }
    assert_eq!(names, ["inner_work", "outer_work", "function 2"]);
}

/// A function of a jitdump.
#[derive(Debug)]
struct Dumped {
    name: String,
    begin: u64,
    code: Vec<u8>,
    /// Where each line begins.
    lines: Vec<(u64, String)>,
}

/// Reads a jitdump of the process, in the form that perf's specification has.
fn jitdump(bytes: &[u8], process: u32) -> Vec<Dumped> {
    let word = |bytes: &[u8], at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let long = |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap();
        String::from_utf8(bytes[..end].to_vec()).unwrap()
    };
    assert_eq!((word(bytes, 0), word(bytes, 4), word(bytes, 8)), (0x4a69_5444, 1, 40));
    assert_eq!(word(bytes, 20), process);
    let (mut at, mut all, mut lines) = (40, Vec::new(), Vec::new());
    let mut time = long(bytes, 24);
    while at < bytes.len() {
        let record = &bytes[at..at + word(bytes, at + 4) as usize];
        at += record.len();
        assert!(long(record, 8) >= time, "times ascend");
        time = long(record, 8);
        match word(record, 0) {
            2 => {
                let mut from = 32;
                for _ in 0..long(record, 24) {
                    let (begin, line) = (long(record, from), word(record, from + 8));
                    let file = text(&record[from + 16..]);
                    from += 16 + file.len() + 1;
                    lines.push((begin, format!("{file}:{line}")));
                }
                assert_eq!(from, record.len());
            }
            0 => {
                assert_eq!((word(record, 16), word(record, 20)), (process, process));
                assert_eq!(long(record, 48), all.len() as u64);
                let (begin, length) = (long(record, 24), long(record, 40) as usize);
                let name = text(&record[56..]);
                let code = record[56 + name.len() + 1..].to_vec();
                assert_eq!((code.len(), long(record, 32)), (length, begin));
                all.push(Dumped { name, begin, code, lines: std::mem::take(&mut lines) });
            }
            other => panic!("a record {other}"),
        }
    }
    all
}

#[test]
fn a_jitdump_has_names_code_and_lines() {
    let home = Home::new();
    let (artifact, debug) = compile(&home, "deep-c.wasm", &[]);
    let debug = debug.to_str().unwrap();
    for (options, has_lines) in [(&["--debug-file", debug][..], true), (&[], false)] {
        let folder = home.path("dumps");
        fs::create_dir(&folder).unwrap();
        let options = [&["--jitdump", "dumps"], options].concat();
        let (ended, report) = home.report(&options, &artifact);
        let _ = ended.expect(134);
        let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let name = path.file_name().unwrap().to_str().unwrap();
        let process = name.strip_prefix("jit-").and_then(|name| name.strip_suffix(".dump"));
        let all = jitdump(&fs::read(&path).unwrap(), process.unwrap().parse().unwrap());
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names[..4], ["outer", "middle", "inner", "_start"], "{names:?}");
        // A frame's place is in the code that is dumped, and in the line that is its own.
        let frames = report["outcome"]["trap"]["frames"].as_array().unwrap();
        let begin = all[0].begin - all[0].begin % 4096;
        for (number, (frame, expected)) in frames.iter().zip(expected("deep.c")).enumerate() {
            let at = begin + frame["offset"].as_u64().unwrap();
            let holds =
                |one: &&Dumped| (one.begin..one.begin + one.code.len() as u64).contains(&at);
            let one = all.iter().find(holds).expect("its function");
            assert_eq!(one.name, frame["name"].as_str().unwrap());
            // The first is where it trapped; to the others it returns, behind what called.
            let end = if number == 0 { at + 1 } else { at };
            let line = one.lines.iter().rev().find(|(begin, _)| *begin < end);
            let line = line.map(|(_, line)| line.as_str());
            assert_eq!(line, has_lines.then_some(expected[0].as_str()), "{frame}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
    for folder in ["missing", "test.key"] {
        let ended = home.load(&["--jitdump", folder], &artifact, &[]).expect(125);
        let _ = ended.says(&["cannot make ", "code: jitdump.unwritable", "hint: "]);
    }
}

#[test]
fn perf_takes_a_jitdump_in() {
    let home = Home::new();
    let module = home.path("busy.wat");
    fs::write(&module, BUSY).unwrap();
    let artifact = home.compile(&module, &[]);
    let loader = home.load_command(&["--jitdump", "."], &artifact);
    let perf = |words: &[&str]| {
        let mut perf = Command::new("perf");
        // Where it keeps what it makes of the dump.
        perf.current_dir(home.path("")).env("HOME", home.path("")).args(words);
        perf
    };
    let mut record = perf(&["record", "-q", "-k", "mono", "-e", "cpu-clock", "-o", "perf.data"]);
    match record.arg(loader.get_program()).args(loader.get_args()).output() {
        Ok(output) if output.status.success() => {}
        other => return println!("SKIPPED: perf cannot record here: {other:?}"),
    }
    let words = ["inject", "--jit", "-i", "perf.data", "-o", "jit.data"];
    match perf(&words).output() {
        Ok(output) if output.status.success() => {}
        other => return println!("SKIPPED: perf cannot take jitdumps in: {other:?}"),
    }
    let shown = run(&mut perf(&["report", "--stdio", "-i", "jit.data"]), b"").text();
    let line = shown.lines().find(|line| line.contains("inner_work"));
    let line = line.unwrap_or_else(|| panic!("no inner_work in:\n{shown}"));
    // An object of its own, that perf made of the dump.
    assert!(line.contains("jitted-"), "{line}");
}

#[test]
fn perf_shows_the_names_of_functions() {
    let home = Home::new();
    let module = home.path("busy.wat");
    fs::write(&module, BUSY).unwrap();
    let artifact = home.compile(&module, &[]);
    let loader = home.load_command(&["--perf-map"], &artifact);
    let mut perf = Command::new("perf");
    perf.current_dir(home.path("")).args(["record", "-q", "-e", "cpu-clock", "-o", "perf.data"]);
    perf.arg(loader.get_program()).args(loader.get_args());
    match perf.output() {
        Ok(output) if output.status.success() => {}
        other => return println!("SKIPPED: perf cannot record here: {other:?}"),
    }
    let mut perf = Command::new("perf");
    perf.current_dir(home.path("")).args(["report", "--stdio", "-i", "perf.data"]);
    let shown = run(&mut perf, b"").text();
    let line = shown.lines().find(|line| line.contains("inner_work"));
    let line = line.unwrap_or_else(|| panic!("no inner_work in:\n{shown}"));
    // `perf-NUMBER.map`, or, of a newer perf, `[JIT] tid NUMBER`.
    let number = ["perf-", "tid "].iter().find_map(|before| line.split_once(before));
    let (_, number) = number.expect("named by the map");
    let number: String = number.chars().take_while(char::is_ascii_digit).collect();
    fs::remove_file(format!("/tmp/perf-{number}.map")).unwrap();
}
