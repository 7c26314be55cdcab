//! The same artifact on other architectures: output, files, fuel and report are this machine's,
//! byte for byte.
//!
//! A test for each architecture, named for it. It runs what `cargo xtask cross` built, under
//! qemu-user, and says SKIPPED where there is nothing built or no qemu. What differs on purpose
//! stands in [`differs`].

use bls_artifact::cpu::Machine;
use bls_artifact::digest::Sha256;
use bls_artifact::target::Target;
use bls_compiler::pipeline::Options;
use bls_tests::devices::{Device, Traces, qemu};
use bls_tests::embedded::artifact_with;
use bls_tests::kernel::Emulator;
use bls_tests::lines::{self, GUESTS};
use bls_tests::programs::{Home, fixtures, run, shared};
use bls_tests::runs::{self, Run};
use bls_tests::wasi_suite;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The architectures: what xtask calls each, the part that runs there, and qemu's name.
const AARCH64: [&str; 2] = ["aarch64", "aarch64"];
const RISCV64: [&str; 2] = ["riscv64", "riscv64"];
/// Interpreted: the code generator has none for it.
const ARMV7: [&str; 2] = ["armv7", "arm"];
/// Big-endian.
const S390X: [&str; 2] = ["s390x", "s390x"];

#[test]
fn aarch64() {
    let Some(device) = Device::of(AARCH64, Target::Aarch64) else { return };
    fixtures_are_equal(&device);
    one_artifact_for_all(&device);
    old_and_new_cpus(&device);
}

#[test]
fn riscv64() {
    let Some(device) = Device::of(RISCV64, Target::Riscv64) else { return };
    fixtures_are_equal(&device);
    one_artifact_for_all(&device);
}

#[test]
fn armv7() {
    let Some(device) = Device::of(ARMV7, Target::Pulley32) else { return };
    fixtures_are_equal(&device);
    one_artifact_for_all(&device);
}

#[test]
fn s390x() {
    let Some(device) = Device::of(S390X, Target::S390x) else { return };
    fixtures_are_equal(&device);
    one_artifact_for_all(&device);
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("wat/hello.wat"), &["--target", "s390x"]);
    // What a z13 lacks.
    let old = device.emulated_as(&["-cpu", "max,vxeh=off,vxeh2=off"]);
    let ended = run(&mut old.load_command(&home, &[], &artifact), b"").expect(125);
    let _ = ended.says(&["this CPU lacks what all code for s390x", "compatibility.cpu-feature"]);
}

#[test]
fn aarch64_frames_have_their_lines() {
    each_frame_has_its_line(AARCH64, Target::Aarch64);
}

#[test]
fn riscv64_frames_have_their_lines() {
    each_frame_has_its_line(RISCV64, Target::Riscv64);
}

#[test]
fn armv7_frames_have_their_lines() {
    each_frame_has_its_line(ARMV7, Target::Pulley32);
}

#[test]
fn s390x_frames_have_their_lines() {
    each_frame_has_its_line(S390X, Target::S390x);
}

#[test]
#[ignore = "takes minutes: cargo xtask cross --test runs it"]
fn aarch64_guests() {
    guests_are_equal(Device::of(AARCH64, Target::Aarch64));
}

#[test]
#[ignore = "takes minutes: cargo xtask cross --test runs it"]
fn riscv64_guests() {
    guests_are_equal(Device::of(RISCV64, Target::Riscv64));
}

#[test]
#[ignore = "takes minutes: cargo xtask cross --test runs it"]
fn armv7_guests() {
    guests_are_equal(Device::of(ARMV7, Target::Pulley32));
}

#[test]
#[ignore = "takes minutes: cargo xtask cross --test runs it"]
fn s390x_guests() {
    guests_are_equal(Device::of(S390X, Target::S390x));
}

#[test]
#[ignore = "takes minutes and needs BLS_KERNELS: cargo xtask cross --test runs it"]
fn aarch64_kernel() {
    on_a_kernel(AARCH64, Target::Aarch64);
}

#[test]
#[ignore = "takes minutes and needs BLS_KERNELS: cargo xtask cross --test runs it"]
fn riscv64_kernel() {
    on_a_kernel(RISCV64, Target::Riscv64);
}

#[test]
#[ignore = "takes minutes and needs BLS_KERNELS: cargo xtask cross --test runs it"]
fn armv7_kernel() {
    on_a_kernel(ARMV7, Target::Pulley32);
}

#[test]
#[ignore = "takes minutes and needs BLS_KERNELS: cargo xtask cross --test runs it"]
fn s390x_kernel() {
    on_a_kernel(S390X, Target::S390x);
}

/// How a run may differ between architectures.
#[derive(PartialEq)]
enum Differs {
    Not,
    /// A stack of so many bytes holds as many calls as the code's frames allow: only the kind of
    /// the end is the same.
    InDepth,
    /// It needs more memory than a machine of 32 bits can address in one piece.
    InMemory,
    /// The code generator does not get through (wasmtime issue 13959, open: a value of 128 bits
    /// that is stored for RISC-V); bls-compile refuses it.
    InCompiling,
}

fn differs(recorded: &Run, device: &Device) -> Differs {
    /// What surely fits between the program and its stacks.
    const PIECE_MAX: u64 = 1 << 30;
    let needed = recorded.memory_min.unwrap_or(0);
    match recorded.name.as_str() {
        "recurse-forever" => Differs::InDepth,
        name if name.starts_with("go-") && device.target == Target::Riscv64 => Differs::InCompiling,
        _ if device.target.pointer_bits() == 32 && needed >= PIECE_MAX => Differs::InMemory,
        _ => Differs::Not,
    }
}

/// Every recorded run of a fixture, here and there.
fn fixtures_are_equal(device: &Device) {
    let golden = std::fs::read(fixtures().join("fuel.json")).expect("fixtures/fuel.json");
    let golden: Value = serde_json::from_slice(&golden).expect("JSON");
    let golden = &golden["consumed"];
    let mut counted = 0;
    let fixtures = runs::fixtures();
    compare(device, &fixtures, |recorded, there| {
        let Some(units) = golden[&recorded.name].as_u64() else { return };
        let report: Value = serde_json::from_str(&there.report).expect("JSON");
        assert_eq!(report["fuel"]["consumed"], units, "{}", recorded.name);
        counted += 1;
    });
    println!("{counted} of them consumed what fixtures/fuel.json says");
    assert!(counted >= 45, "only {counted}");
}

/// One artifact for machines of every kind: the same file runs here and there, by another part.
fn one_artifact_for_all(device: &Device) {
    const MACHINES: &str = "x86_64:v3,x86_64,aarch64,riscv64,s390x,pulley32";
    let (home, here) = (Home::new(), Device::here());
    let wanted = ["hello", "c-compute", "rust-tree"];
    let runs = runs::fixtures().into_iter().filter(|run| wanted.contains(&run.name.as_str()));
    let mut seen = 0;
    for recorded in runs {
        let artifact = home.compile(&recorded.file, &["--target", MACHINES]);
        let one = here.run(&home, &recorded, &artifact);
        assert_eq!(one, device.run(&home, &recorded, &artifact), "{}", recorded.name);
        let explained =
            device.load_command(&home, &["--explain".to_owned()], &artifact).output().unwrap();
        let explained = String::from_utf8_lossy(&explained.stderr).into_owned();
        let part = explained.lines().find(|line| line.contains("passed over:"));
        let part = part.unwrap_or_else(|| panic!("{explained}"));
        assert!(part.contains(&format!(" for {}", device.target.triple())), "{part}");
        println!(
            "{}: {} bytes in all; {}",
            recorded.name,
            artifact.metadata().unwrap().len(),
            part
        );
        seen += 1;
    }
    assert_eq!(seen, wanted.len());
}

/// A trap three calls deep names file and line of each frame there too, metered or not.
fn each_frame_has_its_line(architecture: [&str; 2], target: Target) {
    let Some(device) = Device::of(architecture, target) else { return };
    let home = Home::new();
    let (debug, report) = (home.path("app.debug"), home.path("report.json"));
    let own = |path: &Path| path.to_str().expect("text").to_owned();
    let options = ["--debug-file".into(), own(&debug), "--report".into(), own(&report)];
    for (module, file) in GUESTS {
        for fuel in [&[][..], &["--no-fuel"]] {
            let target = ["--target", device.target.short(), "--debug-file", &options[1]];
            let artifact = home.compile(&lines::fixture(module), &[&target, fuel].concat());
            let ended = run(&mut device.load_command(&home, &options, &artifact), b"").expect(134);
            let report = std::fs::read(&report).expect("a report");
            let report: Value = serde_json::from_slice(&report).expect("JSON");
            let frames = report["outcome"]["trap"]["frames"].as_array().expect("frames");
            let found: Vec<Vec<String>> = frames.iter().map(lines::lines).collect();
            let expected = lines::expected(file);
            assert_eq!(found, expected, "{module} {fuel:?}\n{}", ended.stderr);
            println!("{}: {module} {fuel:?}: {}", device.target, expected.concat().join(" < "));
        }
    }
}

/// Every recorded run of a real guest, and the WASI test suite.
fn guests_are_equal(device: Option<Device>) {
    let (Some(device), Some(shared)) = (device, shared()) else {
        println!("SKIPPED: without BLS_SHARED there are no more guests than the fixtures");
        return;
    };
    wasi(&device, &shared);
    compare(&device, &runs::scripts(&shared), |_, _| {});
    compare(&device, &runs::guests(&shared).0, |_, _| {});
}

fn compare(device: &Device, runs: &[Run], mut look: impl FnMut(&Run, &Traces)) {
    let (home, here) = (Home::new(), Device::here());
    let targets = format!("{},{}", here.target.short(), device.target.short());
    let (mut equal, mut failed, mut skipped) = (0, Vec::new(), Vec::new());
    for recorded in runs {
        let differs = differs(recorded, device);
        if differs == Differs::InMemory {
            skipped.push(recorded.name.as_str());
            continue;
        }
        if differs == Differs::InCompiling {
            let mut command = home.compile_command(&recorded.file);
            let ended = run(command.args(["--target", &targets]), b"").expect(1);
            let _ = ended.says(&["code: compile.crashed"]);
            skipped.push(recorded.name.as_str());
            continue;
        }
        let mut command = home.compile_command(&recorded.file);
        let ended = run(command.args(["--target", &targets]), b"");
        let (artifact, there) = if ended.stderr.contains("code: compile.vectors\n") {
            // SIMD needs vectors, which not every RISC-V has.
            let vectors = format!("{targets}:+v");
            let artifact = home.compile(&recorded.file, &["--target", &vectors]);
            (artifact, device.emulated_as(&["-cpu", "max"]))
        } else {
            (home.compile(&recorded.file, &["--target", &targets]), device.clone())
        };
        let (mut one, mut other) =
            (here.run(&home, recorded, &artifact), there.run(&home, recorded, &artifact));
        if differs == Differs::InDepth {
            for traces in [&mut one, &mut other] {
                assert!(traces.report.contains("\"stack-overflow\""), "{}", traces.report);
                traces.report.clear();
            }
        }
        if one == other {
            equal += 1;
            look(recorded, &other);
        } else {
            failed.push(format!("{}: {one:#?}\n{other:#?}", recorded.name));
        }
        std::fs::remove_file(artifact).expect("an artifact");
    }
    let target = device.target;
    println!("{target}: {equal} recorded runs are equal; {} are not", failed.len());
    if !skipped.is_empty() {
        println!("{target}: SKIPPED: too large for 32 bits, or for the compiler: {skipped:?}");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(equal > 0, "nothing was run");
}

fn wasi(device: &Device, shared: &Path) {
    let (home, here) = (Home::new(), Device::here());
    let targets = format!("{},{}", here.target.short(), device.target.short());
    let (mut equal, mut failed) = (0, Vec::new());
    for program in wasi_suite::programs(shared) {
        let artifact = home.compile(&program.file, &["--target", &targets]);
        let (one, _) = here.run_program(&home, &program, &artifact);
        let (other, plain) = device.run_program(&home, &program, &artifact);
        match program.judge(&plain) {
            Ok(()) if one == other => equal += 1,
            Ok(()) => failed.push(format!("{}: {one:#?}\n{other:#?}", program.name)),
            Err(why) => failed.push(format!("{}: {why}", program.name)),
        }
        std::fs::remove_file(artifact).expect("an artifact");
    }
    println!("{}: {equal} programs of the WASI suite passed, and are equal", device.target);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(equal >= 26, "only {equal}");
}

/// On a CPU that has pointer authentication and branch targets the same code runs as on one that
/// has neither.
fn old_and_new_cpus(device: &Device) {
    let home = Home::new();
    for guest in ["wat/tail-calls.wat", "wat/exceptions.wat", "wat/call-indirect.wat"] {
        let artifact = home.compile(&fixtures().join(guest), &["--target", "aarch64"]);
        let seen = |cpu: &str| {
            let device = device.emulated_as(&["-cpu", cpu]);
            run(&mut device.load_command(&home, &[], &artifact), b"").expect(0).stdout
        };
        assert_eq!(seen("max"), seen("cortex-a53"), "{guest}");
    }
}

/// Text as one word of a shell.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Under a real kernel of that architecture: all that can be given up is given up, the filter of
/// system calls included, and every fixture still does what it does here.
fn on_a_kernel(architecture: [&str; 2], target: Target) {
    let Some(device) = Device::of(architecture, target) else { return };
    let Some(mut machine) = Emulator::of(architecture[0]) else { return };
    let (home, here) = (Home::new(), Device::here());
    let targets = format!("{},{}", here.target.short(), target.short());
    machine.file("bls-load", &std::fs::read(device.loader()).expect("a loader"));
    machine.file("key.pub", &std::fs::read(home.public_key()).expect("a key"));
    let mut script = String::new();
    let mut expected = Vec::new();
    for recorded in runs::fixtures() {
        if differs(&recorded, &device) != Differs::Not || recorded.name.contains("forever") {
            continue;
        }
        let artifact = home.compile(&recorded.file, &["--target", &targets]);
        let traces = here.run(&home, &recorded, &artifact);
        let digest = |text: &str| Sha256::of(text.as_bytes()).to_string();
        let code = traces.code.expect("an exit code");
        let (stdout, report) = (digest(&traces.stdout), digest(&traces.report));
        expected.push(format!("RUN {} {code} {stdout} {report}", recorded.name));
        let folder = format!("runs/{}", recorded.name);
        let name = artifact.file_name().expect("a name").to_string_lossy().into_owned();
        machine.file(&format!("{folder}/{name}"), &std::fs::read(&artifact).expect("bytes"));
        machine.file(&format!("{folder}/stdin"), &recorded.stdin);
        for (name, contents) in &recorded.files {
            machine.file(&format!("{folder}/work/{name}"), contents);
        }
        let options = recorded.options(Path::new("/tmp/work")).into_iter();
        let words: Vec<String> = options
            .chain([format!("/{folder}/{name}")])
            .chain(recorded.args.iter().cloned())
            .map(|text| word(&text))
            .collect();
        script += &format!(
            "rm -rf /tmp/work; mkdir /tmp/work; cp -r /{folder}/work/. /tmp/work 2>/dev/null
            cat /{folder}/stdin | {{ /bls-load --trust /key.pub --deterministic \
                --report /tmp/report {} 2> /tmp/err; echo $? > /tmp/code; }} | cat > /tmp/out
            echo RUN {} $(cat /tmp/code) $(sha256sum < /tmp/out | cut -c1-64) \
                $(sha256sum < /tmp/report | cut -c1-64)
            rm -f /tmp/report\n",
            words.join(" "),
            word(&recorded.name),
        );
    }
    // What stands, and what a guest that does nothing much takes.
    script += "/bls-load --trust /key.pub --require-sandbox --report /tmp/report --explain \
        /runs/hello/hello.bls; echo CODE $?; cat /tmp/report\n";
    let said = machine.run(&script, Duration::from_secs(1500)).replace('\r', "");
    let missing: Vec<&String> =
        expected.iter().filter(|line| !said.lines().any(|one| one == line.as_str())).collect();
    assert!(missing.is_empty(), "{missing:#?}\n{said}");
    println!("{target}: {} fixtures are equal under Linux", expected.len());
    assert!(expected.len() >= 45, "only {}", expected.len());
    let end = said.rfind("CODE 0").unwrap_or_else(|| panic!("{said}"));
    // The kernel may say something behind it.
    let mut report = serde_json::Deserializer::from_str(&said[end + 6..]).into_iter::<Value>();
    let report = report.next().expect("a report").expect("JSON");
    println!("{target}: hello: {} and {}", report["peak_memory_bytes"], report["sandbox"]);
    assert_eq!(report["sandbox"]["missing"].as_array().map(Vec::len), Some(0), "{report}");
}

/// Says in a child's environment that it is to compile, and for what.
const COMPILES: &str = "BLS_TEST_COMPILES";

/// The same module, compiled under a poor and under a rich CPU. (In the test's own program: that of
/// the compiler starts a process of its own, which it does not do among qemu's threads.)
#[test]
fn the_cpu_that_compiles_does_not_matter() {
    if Target::host() != Some(Target::X86_64) {
        println!("SKIPPED: this machine is no x86-64");
        return;
    }
    let digest = |guest: &str| {
        let module = std::fs::read(fixtures().join(guest)).unwrap();
        // RISC-V has vectors where it is said.
        let machine = |target: Target| match target {
            Target::Riscv64 => Machine::with_cpu(target, "+v").unwrap(),
            target => Machine::from(target),
        };
        let options = Options::new(Target::ALL.map(machine).to_vec());
        Sha256::of(&artifact_with("guest", &module, &options)).to_string()
    };
    if let Ok(guest) = std::env::var(COMPILES) {
        println!("compiled {}", digest(&guest));
        return;
    }
    let Some(qemu) = qemu("x86_64") else { return };
    let this = std::env::current_exe().unwrap();
    for guest in ["wat/simd.wat", "c/hello.wasm"] {
        let here = format!("compiled {}", digest(guest));
        for cpu in ["Nehalem", "max"] {
            let mut command = Command::new(&qemu);
            command.args(["-cpu", cpu]).arg(&this).env(COMPILES, guest);
            command.args(["--exact", "the_cpu_that_compiles_does_not_matter", "--nocapture"]);
            let said = run(&mut command, b"").expect(0).text();
            assert!(said.contains(&here), "{guest}: other bytes on {cpu}: {said}");
        }
    }
}
